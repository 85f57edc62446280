// What carries bytes between ranks: MPI, which no other file of the house knows. Where the program was built without it
// there is one rank only.
//
// All ranks call the same operations in the same order. An operation returns when this rank's part in it is done; one
// that the others do not join within `patience` throws Error{device} naming those that did not come: each rank then
// says to all others that it waits, and who says nothing is missing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

class Mpi {
public:
    static bool built_in();

    // Joins the ranks that were started together. To be called once in a program. Throws Error{device}.
    explicit Mpi(double patience);  // seconds
    ~Mpi();
    Mpi(const Mpi&) = delete;

    int rank() const;
    int size() const;
    int place() const;            // of this rank among those on this machine
    int neighbours() const;       // ranks on this machine, this one included
    uint64_t bytes_sent() const;  // that this rank has handed over for other ranks

    void all_to_all(void* receive, const void* send, size_t bytes);           // bytes for each rank, by rank
    void all_gather(void* all, size_t bytes);                                 // in place, bytes of each rank, by rank
    void gather(void* all, const void* mine, std::span<const size_t> bytes);  // to rank 0, bytes of each rank, by rank
    void broadcast(void* data, size_t bytes);                                 // of rank 0
    void barrier();

    void leave();                       // all together, at the end
    [[noreturn]] void abort(int code);  // ends all ranks, from any of them

private:
    struct State;
    std::unique_ptr<State> state;
};
