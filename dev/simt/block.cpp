#include "block.h"
#include <cstdio>
#include "shared_memory.h"

// The alignment leaves a gap after the shared variables of the objects that are linked before this one.
constinit thread_local __attribute__((aligned(simt::address_sanitizer ? 65536 : 16))) uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local dim3 blockDim, gridDim;

namespace simt {

constinit thread_local Thread* running = nullptr;
constinit thread_local Block* Block::of_this_thread = nullptr;

Block::Block() : backstage(__tsan_create_fiber(0)) {
    use_fault_stack();
    void* caller = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(backstage, no_sync);
    __tsan_ignore_thread_begin();
    __tsan_switch_to_fiber(caller, no_sync);
}

void Block::run(const Launch& l, dim3 at, uint64_t number, Cluster* its_cluster, unsigned its_rank) {
    void* caller = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(backstage, no_sync);
    launch = &l;
    cluster = its_cluster, rank = its_rank;
    own_barrier.reset();
    index = at;
    blockIdx = at;
    blockDim = l.block;
    gridDim = l.grid;
    count = living = l.block.x * l.block.y * l.block.z;
    started = 0;
    shuffled = l.order.kind == Order::Kind::shuffled;
    thread_order = Permutation(l.order, number + 1, count);
    random_state = l.order.seed ^ number;
    if (threads.size() < count) threads.resize(count), ready.resize(count + 1);
    states.assign(count, State::unstarted);
    ready_first = ready_end = 0;
    warps.resize((count + 31) / 32);
    for (unsigned w = 0; w < warps.size(); w++) warps[w] = {w * 32 + 32 <= count ? ~0u : (1u << count % 32) - 1, {}};
    if (thread_sanitizer) {
        turn ^= 1;
        while (tsan_fibers[turn].size() < count)
            tsan_fibers[turn].push_back(__tsan_create_fiber(0)), own_fibers[turn].push_back(nullptr);
    }
    SharedMemory& shared = SharedMemory::mine();
    shared.renew(l);
    shared_base = SharedMemory::dynamic();
    asynchronous.proxy_view.base = shared_base;
    renew_asynchronous();
    by_warps = false, strict = true;
    if (cluster) cluster->begin(rank, this);
    if (l.call.begin) l.call.begin(l.call.arguments.get());

    fibers.switch_to(next_fiber());  // comes back when no thread can go on
    while (cluster && living && !failure.error && cluster->let_others_run(rank, any_ready() || started < count))
        fibers.switch_to(any_ready() ? pop_ready()->fiber : next_fiber());
    if (cluster && living && !failure.error && cluster->has_failed()) failure = {719, ": stopped with its cluster"};

    running = nullptr;
    if (!failure.error && living) failure = {719, "deadlock: no thread can go on" + describe_waiting()};
    if (!failure.error) failure.message = left_undone();
    if (!failure.error && !failure.message.empty()) failure.error = 719;
    if (!failure.error) failure.message = shared.damage(l);
    shared.learn(l);
    if (!failure.message.empty() && !failure.error) failure.error = 700;
    if (failure.error) abandon_threads();
    launch = nullptr;
    __tsan_switch_to_fiber(caller, no_sync);
    if (failure.error) {
        Failure out = std::move(failure);
        failure = {};
        out.message = l.kernel + ", block (" + std::to_string(at.x) + ',' + std::to_string(at.y) + ',' +
                      std::to_string(at.z) + ")" + (out.message.starts_with(',') ? "" : ": ") + out.message;
        throw out;
    }
}

// After a failure the threads stay where they are for ever. What they did comes before what the host does next.
void Block::abandon_threads() {
    for (unsigned i = 0; thread_sanitizer && i < count; i++) {
        if (states[i] == State::unstarted || states[i] == State::done) continue;
        void* caller = __tsan_get_current_fiber();
        for (void* who : {threads[i].tsan, threads[i].proxy, threads[i].engine}) {
            if (!who) continue;
            __tsan_switch_to_fiber(who, no_sync);
            __tsan_release(&launch->ends);
        }
        __tsan_switch_to_fiber(caller, no_sync);
        own_fibers[turn][i] = nullptr;
    }
    for (Barrier& b : barriers) b = Barrier{};
    open_barriers = 0;
}

void Block::fiber_loop() {
    Block& block = mine();
    for (;;) {
        while (block.started < block.count && (!block.any_ready() || block.may_start())) {
            if (thread_sanitizer && block.next_fiber() != block.fibers.current())
                block.fibers.switch_to(block.next_fiber());
            else block.start_next();
        }
        while (!block.any_ready() && block.living && block.deliver_a_load()) {}
        if (!thread_sanitizer) block.fibers.park();
        block.fibers.switch_to(block.any_ready() ? block.pop_ready()->fiber : block.fibers.main());
    }
}

Fiber* Block::next_fiber() {
    if (!thread_sanitizer) return fibers.idle();
    Fiber*& own = own_fibers[turn][thread_order(started)];
    if (!own) own = fibers.idle();
    return own;
}

void Block::start_next() {
    const unsigned i = unsigned(thread_order(started++));
    CudaThread& t = threads[i];
    const dim3& block = launch->block;
    t.index = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
    t.linear = i;
    t.lane = i % 32;
    states[i] = State::ready;
    t.fiber = fibers.current();
    t.barrier = -1;
    t.meeting = nullptr;
    t.async_barrier = nullptr;
    t.for_warpgroup = false;
    t.copies.clear();
    t.copied = 0;
    t.groups.clear();
    t.last_atomic = nullptr;
    t.fenced = false;
    t.proxy = t.engine = nullptr;
    running = &t;
    threadIdx = t.index;
    if (proxies) use_proxy();
    if (thread_sanitizer) {
        t.tsan = tsan_fibers[turn][i];
        char name[64];
        std::snprintf(name, sizeof name, "block %u,%u,%u thread %u,%u,%u %s", index.x, index.y, index.z, t.index.x,
                      t.index.y, t.index.z, launch->kernel.c_str());
        __tsan_set_fiber_name(t.tsan, name);
        __tsan_switch_to_fiber(t.tsan, no_sync);
        __tsan_acquire(&launch->begins);
    }
    launch->call.run(launch->call.arguments.get());
    __tsan_release(&launch->ends);
    __tsan_switch_to_fiber(backstage, no_sync);
    finish_asynchronous(&t);
    exit_running();
}

void Block::exit_running() {
    CudaThread* t = self();
    states[t->linear] = State::done;
    living--;
    forget_meeting(t);
    Warp& warp = warps[t->linear / 32];
    warp.living &= ~(1u << t->lane);
    for (size_t i = warp.meetings.size(); i-- > 0;) complete_if_all_here(warp, warp.meetings[i]);
    for (unsigned open = open_barriers; open; open &= open - 1)
        complete_if_all_here(barriers[unsigned(__builtin_ctz(open))]);
    complete_cluster_barrier();
}

void Block::fail(int error, const std::string& message) {
    const uint3 at = running->index;
    failure = {error, ", thread (" + std::to_string(at.x) + ',' + std::to_string(at.y) + ',' + std::to_string(at.z) +
                          "): " + message};
    fibers.switch_to(fibers.main());  // every fiber of this block is left where it stands
    __builtin_unreachable();
}

}  // namespace simt
