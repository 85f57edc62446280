// One block at a time on one OS thread: which of its CUDA threads runs, which are ready, and what the others wait for.
//
// The running thread goes on until it must wait. Then the next ready one continues, else one that has not started yet starts,
// on an idle fiber. A thread that never waits leaves its fiber to the next: such kernels pay for no switches at all.
#pragma once
#include <array>
#include <functional>
#include <string>
#include <vector>
#include "fiber.h"
#include "include/simt/simt.h"
#include "order.h"

namespace simt {

struct Failure {
    int error = 0;                            // a cudaError_t
    std::string message;
};

struct Launch {
    std::string kernel;                       // its name
    const void* function;
    dim3 grid, block;
    size_t shared_bytes;
    Order order;
    std::function<void()> body;
    mutable char begins, ends;                // addresses that stand for these moments in ThreadSanitizer's books
};

struct Meeting : Gathered {                   // of a warp's lanes: those that have arrived and those still to come
    const char* name;
    At at;
    Form form;
    unsigned readers = 0;                     // lanes that may still look at it
};

enum class State : uint8_t { unstarted, ready, waiting, done };

struct CudaThread : Thread {
    Fiber* fiber;
    void* tsan;
    const char* waits_in;                     // the primitive's name, with where it was called
    At waits_at;
    int barrier;                              // that it waits at, or -1
    Meeting* meeting;                         // that it waits in or whose values it still reads
    std::vector<PendingCopy> copies;          // of cp.async, oldest first
    std::vector<size_t> groups;               // how many of them each committed group ends at
    const void* last_atomic;
    bool fenced;
};

struct Barrier {
    int expected = 0;                         // threads; all_threads: the living
    unsigned arrived = 0, nonzero = 0;
    const char* name = nullptr;
    At at{};
    Votes result{};
    unsigned phase = 0;
    std::vector<CudaThread*> waiting;
    char order[2] = {};                       // two addresses take turns to stand for the barrier in ThreadSanitizer's books
};

struct Warp {
    unsigned living;                          // lanes
    std::vector<Meeting*> meetings;           // that have begun and are not complete
};

class Block {
public:
    static Block& mine();                     // of this OS thread
    void run(const Launch&, dim3 index, uint64_t number);   // throws Failure

    // Called by CUDA threads, on their fibers.
    const Gathered& gather(const char* name, unsigned mask, const uint64_t* words, int count, At, Form, Orders);
    Votes barrier_sync(const char* name, int id, int threads, bool predicate, Reach, At);
    void barrier_arrive(int id, int threads, At);
    [[noreturn]] void fail(int error, const std::string& message);

    const Launch* launch = nullptr;           // null between blocks
    bool on_guard_page(const void* address) const { return fibers.on_guard_page(address); }

private:
    static void fiber_loop();
    void start_next();
    void exit_running();
    void wait();
    bool may_start();
    bool any_ready() const { return ready_first != ready_end; }
    void make_ready(CudaThread*);
    CudaThread* pop_ready();

    Meeting* meeting_for(const char* name, unsigned mask, At, Form);
    bool complete_if_all_here(Warp&, Meeting*);      // makes the other lanes ready
    void forget_meeting(CudaThread*);
    Barrier& arrive(const char* name, int id, int threads, bool predicate, Reach, At);
    bool complete_if_all_here(Barrier&);
    CudaThread* self() const { return static_cast<CudaThread*>(running); }
    std::string describe_waiting() const;
    uint64_t random() { return random_state = Permutation::mix(random_state + 0x9e3779b97f4a7c15); }

    Block();
    FiberPool fibers{fiber_loop};
    dim3 index;
    std::vector<CudaThread> threads;
    std::vector<State> states;
    unsigned count = 0, started = 0, living = 0;   // of threads
    Permutation thread_order;
    std::vector<CudaThread*> ready;                // a ring of as many places as threads, and one
    size_t ready_first = 0, ready_end = 0;
    std::vector<Warp> warps;
    std::array<Barrier, barriers_per_block> barriers;
    std::vector<Meeting*> unused_meetings;
    uint64_t random_state = 0;
    bool shuffled = false;
    Failure failure;                               // error 0: none
    char filled = 0;                               // stands for the moment when shared memory is new
    unsigned open_barriers = 0;                    // bits: those somebody has arrived at
    void* main_tsan = nullptr;
    std::array<std::vector<void*>, 2> tsan_fibers; // blocks take turns: threads of neighbouring blocks must not look alike
    unsigned turn = 0;
};

}  // namespace simt
