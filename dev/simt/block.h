// One block at a time on one OS thread: which of its CUDA threads runs, which are ready, and what the others wait for.
//
// The running thread continues until it must wait. Then the next ready one continues, else one that has not started yet
// starts, on an idle fiber. A thread that never waits leaves its fiber to the next: such kernels need no switches at
// all.
#pragma once
#include <array>
#include <string>
#include <vector>
#include "fiber.h"
#include "grid.h"

namespace simt {

constexpr unsigned no_sync = 1;  // for ThreadSanitizer: a switch of fibers orders nothing

struct Failure {
    int error = 0;  // a cudaError_t
    std::string message;
};

struct Meeting : Gathered {  // of a warp's lanes: those that have arrived and those still to come
    const char* name;
    At at;
    Form form;
    unsigned readers = 0;  // lanes that may still look at it
};

enum class State : uint8_t { unstarted, ready, waiting, done };

struct CudaThread : Thread {
    Fiber* fiber;
    void* tsan;
    const char* waits_in;  // the primitive's name, with where it was called
    At waits_at;
    int barrier;                      // that it waits at, or -1
    Meeting* meeting;                 // that it waits in or whose values it still reads
    std::vector<PendingCopy> copies;  // of cp.async, oldest first
    size_t copied;                    // of those, how many have happened
    std::vector<size_t> groups;       // where in copies each group ends that is committed but not waited for
    const void* last_atomic;
    bool fenced;
};

struct Barrier {
    int expected = 0;  // threads; all_threads: the living
    unsigned arrived = 0, nonzero = 0;
    const char* name = nullptr;
    At at{};
    Votes result{};
    unsigned phase = 0;
    std::vector<CudaThread*> waiting;
    char order[2][2] = {};  // [turn of the block][phase % 2] stands for the barrier in ThreadSanitizer's books
};

struct Warp {
    unsigned living;                 // lanes
    std::vector<Meeting*> meetings;  // that have begun and are not complete
};

class Block {
public:
    static Block& mine() {  // of this OS thread
        if (!of_this_thread)
            of_this_thread = new Block;  // never destroyed: fibers may outlive their OS thread's destructors
        return *of_this_thread;
    }
    void run(const Launch&, dim3 index, uint64_t number);  // throws Failure

    // What a CUDA thread has the scheduler do, ThreadSanitizer must not take for the thread's own accesses.
    class Backstage {
    public:
        explicit Backstage(Block& block) { __tsan_switch_to_fiber(block.backstage, no_sync); }
        ~Backstage() {
            if (thread_sanitizer) enter();
        }
        static void enter() { __tsan_switch_to_fiber(static_cast<CudaThread*>(running)->tsan, no_sync); }
    };

    // Called by CUDA threads, on their fibers, backstage.
    const Gathered& gather(const char* name, unsigned mask, const uint64_t* words, int count, At, Form, Orders);
    Votes barrier_sync(const char* name, int id, int threads, bool predicate, Reach, At, char*& order);
    void barrier_arrive(int id, int threads, At);
    [[noreturn]] void fail(int error, const std::string& message);

    const Launch* launch = nullptr;  // null between blocks
    bool on_guard_page(const void* address) const { return fibers.on_guard_page(address); }

private:
    static constinit thread_local Block* of_this_thread;

    static void fiber_loop();
    Fiber* next_fiber();  // for the next thread to start
    void start_next();
    void exit_running();
    void abandon_threads();
    void wait();
    bool may_start();
    void release(void* order);
    bool any_ready() const { return ready_first != ready_end; }
    void make_ready(CudaThread*);
    CudaThread* pop_ready();

    Meeting* meeting_for(const char* name, unsigned mask, At, Form);
    bool complete_if_all_here(Warp&, Meeting*);  // makes the other lanes ready
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
    unsigned count = 0, started = 0, living = 0;  // of threads
    Permutation thread_order;
    std::vector<CudaThread*> ready;  // a ring of as many places as threads, and one
    size_t ready_first = 0, ready_end = 0;
    std::vector<Warp> warps;
    std::array<Barrier, barriers_per_block> barriers;
    std::array<std::vector<Meeting*>, 2> unused_meetings;  // by turn
    uint64_t random_state = 0;
    bool shuffled = false;
    Failure failure;             // error 0: none
    unsigned open_barriers = 0;  // bits: those somebody has arrived at
    void* backstage = nullptr;   // who does the scheduler's work, as ThreadSanitizer sees it
    // For ThreadSanitizer every block belongs to one of two turns. Blocks of the same turn count as ordered, because
    // they share fibers and barriers; races are found between blocks of different turns. The order decides which those
    // are.
    unsigned turn = 0;
    std::array<std::vector<void*>, 2> tsan_fibers;
    std::array<std::vector<Fiber*>, 2> own_fibers;  // each has a stack of its own: a local variable is no shared memory
};

// ---- What every switch runs ----

// Ready threads run first, so that few stacks are in use; a shuffled order picks at random.
inline bool Block::may_start() { return shuffled && random() % 2; }

inline void Block::make_ready(CudaThread* t) {
    states[t->linear] = State::ready;
    ready[ready_end] = t;
    ready_end = ready_end + 1 == ready.size() ? 0 : ready_end + 1;
}

inline CudaThread* Block::pop_ready() {
    CudaThread* t = ready[ready_first];
    ready_first = ready_first + 1 == ready.size() ? 0 : ready_first + 1;
    return t;
}

// The running thread stops here until somebody makes it ready and its turn comes.
inline void Block::wait() {
    CudaThread* t = self();
    states[t->linear] = State::waiting;
    if (any_ready() && !(started < count && may_start())) fibers.switch_to(pop_ready()->fiber);
    else fibers.switch_to(started < count ? next_fiber() : fibers.main());
    running = t;
    threadIdx = t->index;
}

}  // namespace simt
