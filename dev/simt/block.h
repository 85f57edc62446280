// One block at a time on one OS thread: which of its CUDA threads runs, which are ready, and what the others wait for.
//
// The running thread continues until it must wait. Then the next ready one continues, else one that has not started yet
// starts, on an idle fiber. A thread that never waits leaves its fiber to the next: such kernels need no switches at
// all.
#pragma once
#include <array>
#include <set>
#include <string>
#include <vector>
#include "asynchronous.h"
#include "cluster.h"
#include "fiber.h"
#include "grid.h"

namespace simt {

std::string to_string(At);  // file:line

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
    char proxy_order;      // as in Ordering
};

enum class State : uint8_t { unstarted, ready, waiting, done };

struct CudaThread : Thread {
    Fiber* fiber;
    void* tsan;
    const char* waits_in;  // the primitive's name, with where it was called
    At waits_at;
    int barrier;                             // that it waits at, or -1
    Meeting* meeting;                        // that it waits in or whose values it still reads
    const AsyncBarrierState* async_barrier;  // that it waits at, or null
    unsigned parity;                         // of the phase it waits for
    bool for_warpgroup;                      // it waits for the other warps
    std::vector<PendingCopy> copies;         // of cp.async, oldest first
    size_t copied;                           // of those, how many have happened
    std::vector<size_t> groups;              // where in copies each group ends that is committed but not waited for
    const void* last_atomic;
    bool fenced;
    // For ThreadSanitizer: who does what the asynchronous proxy does for this thread; null until needed. The engine
    // writes what tensor copies bring, after all that the thread has seen; the proxy does the rest,
    // after what was fenced.
    void *proxy, *engine;
    char point[2];  // by turn: a moment of this thread
};

struct Barrier {
    int expected = 0;  // threads; all_threads: the living
    unsigned arrived = 0, nonzero = 0;
    const char* name = nullptr;
    At at{};
    Votes result{};
    unsigned phase = 0;
    std::vector<CudaThread*> waiting;
    Ordering order[2][2] = {};  // [turn of the block][phase % 2]
};

struct Warp {
    unsigned living;                 // lanes
    std::vector<Meeting*> meetings;  // that have begun and are not complete
};

class Block {
public:
    static Block& mine() {  // of this OS thread
        if (!of_this_thread) {
            of_this_thread = new Block;  // never destroyed: fibers may outlive their OS thread's destructors
            static thread_local struct AtEnd {
                ~AtEnd() { of_this_thread->fibers.unmap_idle(); }
                void begin() {}
            } at_end;
            at_end.begin();
        }
        return *of_this_thread;
    }
    // Throws Failure. `rank`: in the cluster, if there is one.
    void run(const Launch&, dim3 index, uint64_t number, Cluster* = nullptr, unsigned rank = 0);

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
    Votes barrier_sync(const char* name, int id, int threads, bool predicate, Reach, At, Ordering*&);
    void barrier_arrive(int id, int threads, At);
    [[noreturn]] void fail(int error, const std::string& message);

    // Of those who execute a whole warp on the fiber of one of its threads (../ptx). What its lanes do they do one
    // after the other, and only the last may wait.
    bool by_warps = false;
    // Whether fences for the proxy, and blocks that end too early for others, are held to the manual's words.
    bool strict = true;
    CudaThread* thread(unsigned linear) { return &threads[linear]; }
    void barrier_count(const char* name, int id, int threads, bool predicate, Reach reach, At at) {
        complete_if_all_here(arrive(name, id, threads, predicate, reach, at));
    }
    const Barrier& barrier(int id) const { return barriers[size_t(id) % barriers.size()]; }
    void sleep() { wait(); }
    void wake(CudaThread* t) { make_ready(t); }
    void yield() {
        make_ready(self());
        if (cluster) rest();
        else leave();
    }
    bool async_barrier_is_over(const char* name, const void* barrier, uint64_t word, unsigned parity, At at) {
        return (async_barrier(name, barrier, word, at).phase & 1) != parity;
    }

    // ---- Of a cluster: what blocks do with each other, who has the baton ----
    Cluster* cluster = nullptr;  // null: the launch has none
    unsigned rank = 0;
    char* shared_base = nullptr;     // where its dynamic shared memory begins
    const void* of_owner = nullptr;  // what those who execute its warps keep of it
    unsigned living_threads() const { return living; }
    Block& peer(const char* name, unsigned rank, At);
    unsigned cluster_phase() { return cluster_barrier().phase; }
    void cluster_arrive(unsigned threads);
    void cluster_wait(const char* name, unsigned phase, At);

    // The same, Hopper's (include/simt/asynchronous.h). `called_from`: the place in the code, for ThreadSanitizer.
    uint64_t async_barrier_init(const void* barrier, int arrivals, At);
    void async_barrier_init_fence();
    void async_barrier_arrive(const void* barrier, uint64_t word, unsigned bytes, At, Block* owner = nullptr);
    Ordering& async_barrier_wait(const void* barrier, uint64_t word, unsigned parity, At);
    void proxy_fence();
    const TensorMapData& tensor_map(const char* name, const void* map, At);
    void tensor_load(char* to, const void* map, const void* barrier, uint64_t word, const Coordinates&, At,
                     void* called_from, unsigned ranks = 0);  // ranks: bits, of multicast; 0: this block alone
    void load(const char* name, const Box&, size_t to, const void* barrier, uint64_t word, Block& owner, At);
    void store(const char* name, const Box&, const char* from, Sum, At);
    void tensor_store(const void* map, const char* from, const Coordinates&, At, void* called_from);
    void tensor_store_commit();
    void tensor_store_wait(unsigned pending, Until);
    void multiply(float* d, const uint32_t* a, const Factors&, At, void* called_from);
    void wgmma_fence(At);
    void wgmma_commit(At);
    void wgmma_wait(unsigned pending, At);
    void set_registers(int registers, At);
    void let_others_go_on();

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
    void leave();
    void rest();
    ClusterBarrier& cluster_barrier();
    void complete_cluster_barrier();
    bool may_start();
    void release(void* order, char* proxy_order);
    void acquire_for_proxy(char* order);
    bool any_ready() const { return ready_first != ready_end; }
    void make_ready(CudaThread*);
    CudaThread* pop_ready();

    Meeting* meeting_for(const char* name, unsigned mask, At, Form);
    bool complete_if_all_here(Warp&, Meeting*);  // makes the other lanes ready
    void forget_meeting(CudaThread*);
    Barrier& arrive(const char* name, int id, int threads, bool predicate, Reach, At);
    bool complete_if_all_here(Barrier&);

    void renew_asynchronous();
    std::string left_undone();  // of what is asynchronous, when all threads have exited; empty: nothing
    void finish_asynchronous(CudaThread*);
    AsyncBarrierState& async_barrier(const char* name, const void* barrier, uint64_t word, At, Block* owner = nullptr);
    void complete_if_over(AsyncBarrierState&);
    std::string describe(const AsyncBarrierState&) const;
    bool deliver_a_load();  // false: none is under way
    void use_proxy();
    void see_all();
    ProxyView& proxy_view();
    void check_fenced(const char* name, const Chunks&, At);
    template <class F>
    void as(void* tsan_fiber, void* called_from, F f);
    Chunks chunks_of_box(const char* name, const void* shared, const TensorMapData&, At);
    void check_not_in_use(const char* name, const Chunks&, At, const Block& owner);
    Chunks chunks_at(const char* name, const void* shared, size_t bytes, unsigned alignment, At);
    void store_due(TensorStores&, size_t stores, Until);
    WarpProducts& products(const char* name, At);
    bool first_to_meet(const char* name, WarpProducts&, At);
    void note_product(WarpProducts&, size_t number, const Factors&, At, void* called_from);
    Accumulator* accumulator(WarpProducts&, float* d, const Factors&, At);
    void hold(WarpProducts&, Accumulator&, float* d, const Factors&, At);
    void execute(WarpProducts&, unsigned warp, size_t end);
    void deliver(WarpProducts&, Accumulator&);
    std::string too_many_registers() const;

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
    std::unique_ptr<ClusterBarrier> own_barrier;  // of a launch without clusters
    std::array<std::vector<void*>, 2> tsan_fibers, tsan_proxies, tsan_engines;
    std::set<const void*> proxy_users;  // kernels; of others, nothing is known of the proxy's past
    bool proxies = false;               // this block's kernel is one of them
    Asynchronous asynchronous{};
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
    states[running->linear] = State::waiting;
    leave();
}

// Others of the cluster may go on.
inline void Block::rest() {
    CudaThread* t = self();
    fibers.switch_to(fibers.main());
    running = t;
    threadIdx = t->index;
}

// What the running thread has begun or told others may go on before the thread does.
inline void Block::let_others_go_on() {
    if (by_warps || !shuffled || random() % 4) return;
    make_ready(self());
    leave();
}

inline void Block::leave() {
    CudaThread* t = self();
    if (shuffled && !asynchronous.loads.empty() && random() % 8 == 0) deliver_a_load();
    while (!any_ready() && started == count && deliver_a_load()) {}
    Fiber* next;
    if (any_ready() && !(started < count && may_start())) next = pop_ready()->fiber;
    else next = started < count ? next_fiber() : fibers.main();
    if (next != t->fiber) fibers.switch_to(next);  // a load's delivery may have been all that it waited for
    running = t;
    threadIdx = t->index;
}

// Does f as another of ThreadSanitizer's threads, called from that place in the code.
template <class F>
void Block::as(void* tsan_fiber, void* called_from, F f) {
    if (!thread_sanitizer) return;
    __tsan_switch_to_fiber(tsan_fiber, no_sync);
    __tsan_func_entry(called_from);
    f();
    __tsan_func_exit();
    __tsan_switch_to_fiber(backstage, no_sync);
}

}  // namespace simt
