// The processes that train together: who this one is, and what they tell each other. A handle, as devices are: copies
// speak for the same process. A World that joined nobody is one rank, and its operations cost nothing.
//
// All ranks call the same operations in the same order; each may throw what Mpi throws. Sums are ours and in the order
// of ranks, so that the same number of ranks gives the same bits whatever the network does.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>
#include "mpi.h"
#include "rank_output.h"

class World {
public:
    World() = default;  // alone
    // One that cannot speak, for what only asks who it is.
    World(int rank, int size) : rank_(rank), size_(size) {}
    // With the ranks that were started together. `patience` seconds are what a rank waits for another. From now on what
    // ranks other than the first print goes to files. Throws Error{device}.
    static World join(double patience);

    int rank() const { return rank_; }
    int size() const { return size_; }
    bool first() const { return rank_ == 0; }
    bool alone() const { return size_ == 1; }
    int place() const;            // of this rank among those on this machine
    int neighbours() const;       // ranks on this machine, this one included
    uint64_t bytes_sent() const;  // by this rank to others so far

    template <class T>
    std::vector<T> of_all(const T& mine) const {  // by rank
        static_assert(std::is_trivially_copyable_v<T>);
        std::vector<T> all(static_cast<size_t>(size_), mine);
        if (!alone()) mpi().all_gather(all.data(), sizeof(T));
        return all;
    }
    template <class T>
    T of_first(T mine) const {
        static_assert(std::is_trivially_copyable_v<T>);
        if (!alone()) mpi().broadcast(&mine, sizeof mine);
        return mine;
    }
    std::string text_of_first(std::string mine) const;
    std::vector<std::string> texts_of_all(const std::string& mine) const;  // by rank; for the first, empty for others
    double sum(double mine) const;

    void barrier() const;
    // Waits for what the ranks do together elsewhere. Throws Error{device} as Mpi does.
    void wait_until(const std::function<bool()>& ready) const;
    void leave();  // all together, when nothing is left to say

    // Where what this rank prints goes from now on, together with what it has printed so far.
    void write_output_to(const std::string& directory) const;
    // For what ends this rank, and with it all others: a line each, said where people see it. What all ranks find out
    // by themselves, the first says alone.
    [[noreturn]] void fail(int code, const std::vector<std::string>& lines) const;

    Mpi& mpi() const;

private:
    struct Joined {
        Mpi mpi;
        RankOutput output;
        double patience;
        explicit Joined(double patience) : mpi(patience), output(mpi.rank()), patience(patience) {}
    };
    std::shared_ptr<Joined> joined;  // null: alone
    int rank_ = 0, size_ = 1;
};
