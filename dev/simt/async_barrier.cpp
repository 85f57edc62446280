// Asynchronous barriers.
#include <algorithm>
#include "block.h"

namespace simt {
namespace {

constexpr uint64_t word_tag = uint64_t(0x5b5b5b5b) << 32;
constexpr int most_arrivals = (1 << 20) - 1, most_bytes = (1 << 20) - 1;

}  // namespace

void Block::renew_asynchronous() {
    Asynchronous& a = asynchronous;
    proxies = thread_sanitizer && proxy_users.contains(launch->function);
    a.proxy_view.watched = nullptr;
    if (!a.used && a.stores.size() >= count) return;
    if (a.used) a.proxy_view.forget();
    a.used = false;
    a.barrier_count = 0;
    a.loads.clear();
    a.last_stores.clear();
    a.stores.resize(std::max<size_t>(a.stores.size(), count));
    for (TensorStores& s : a.stores) s.stores.clear(), s.groups.clear(), s.committed = 0;
    a.warps.resize((a.stores.size() + 31) / 32);
    for (WarpProducts& w : a.warps) w.renew();
    a.warpgroups.resize((a.warps.size() + 3) / 4);
    for (Warpgroup& g : a.warpgroups) g.renew();
}

// ---- Barriers ----

uint64_t Block::async_barrier_init(const void* address, int arrivals, At at) {
    Asynchronous& a = asynchronous;
    a.used = true;
    if (arrivals < 1 || arrivals > most_arrivals)
        fail(719, "mbarrier.init: " + std::to_string(arrivals) + " arrivals; " + to_string(at));
    for (size_t i = 0; i < a.barrier_count; i++)
        if (a.barriers[i].address == address)
            fail(719,
                 "mbarrier.init: at " + to_string(at) + " of what is a barrier since " + to_string(a.barriers[i].at));
    if (a.barriers.size() == a.barrier_count) a.barriers.emplace_back();
    AsyncBarrierState& b = a.barriers[a.barrier_count];
    b.address = address;
    b.at = at;
    b.thread = running->linear;
    b.fenced = false;
    b.expected = b.pending = unsigned(arrivals);
    b.bytes = 0;
    b.phase = b.seen = b.with_load = 0;
    b.waiting.clear();
    return word_tag | a.barrier_count++;
}

void Block::async_barrier_init_fence() {
    for (size_t i = 0; i < asynchronous.barrier_count; i++) {
        AsyncBarrierState& b = asynchronous.barriers[i];
        b.fenced = b.fenced || b.thread == running->linear;
    }
}

AsyncBarrierState& Block::async_barrier(const char* name, const void* address, uint64_t word, At at, Block* owner) {
    Asynchronous& its = owner ? owner->asynchronous : asynchronous;
    const bool remote = owner && owner != this;
    const size_t i = word & ~0u;
    if ((word & ~uint64_t(~0u)) != word_tag || i >= its.barrier_count || its.barriers[i].address != address)
        fail(719, std::string(name) + ": this is no initialised barrier, or it was overwritten; " + to_string(at));
    AsyncBarrierState& b = its.barriers[i];
    if (!by_warps && !b.fenced && (remote || b.thread != running->linear))
        fail(719, std::string(name) + ": no barrier_init_fence() has followed the barrier's initialisation at " +
                      to_string(b.at) + "; " + to_string(at));
    return b;
}

void Block::async_barrier_arrive(const void* address, uint64_t word, unsigned bytes, At at, Block* owner) {
    const char* name = bytes ? "mbarrier.arrive.expect_tx" : "mbarrier.arrive";
    AsyncBarrierState& b = async_barrier(name, address, word, at, owner);
    Ordering& order = b.order[turn][b.phase & 1];
    release(&order.generic, &order.proxy);
    b.bytes += bytes;
    if (b.bytes > most_bytes || bytes > unsigned(most_bytes))
        fail(719, std::string(name) + ": more than 2^20 - 1 bytes are announced; " + to_string(at));
    if (b.pending == 0)
        fail(719, std::string(name) + ": more arrivals than the " + std::to_string(b.expected) + " of a phase; " +
                      to_string(at) + "; " + describe(b));
    b.pending--;
    (owner ? owner : this)->complete_if_over(b);
    if (owner && owner != this) cluster->wake(owner->rank);
    let_others_go_on();
}

void Block::complete_if_over(AsyncBarrierState& b) {
    if (b.pending || b.bytes) return;
    b.phase++;
    b.pending = b.expected;
    const size_t n = b.waiting.size(), turn = shuffled && n ? random() % n : 0;
    for (size_t i = 0; i < n; i++) make_ready(b.waiting[(i + turn) % n]);
    b.waiting.clear();
}

// A thread that is woken looks again: when meanwhile another phase is over, a GPU's would wait on as well.
Ordering& Block::async_barrier_wait(const void* address, uint64_t word, unsigned parity, At at) {
    AsyncBarrierState& b = async_barrier("mbarrier.try_wait", address, word, at);
    if (parity > 1) fail(719, "mbarrier.try_wait: parity " + std::to_string(parity) + "; " + to_string(at));
    CudaThread* t = self();
    while ((b.phase & 1) == parity) {
        b.waiting.push_back(t);
        t->async_barrier = &b;
        t->parity = parity;
        t->waits_in = "barrier_wait";
        t->waits_at = at;
        wait();
    }
    t->async_barrier = nullptr;
    b.seen = b.phase;
    Ordering& order = b.order[turn][parity];
    acquire_for_proxy(&order.proxy);
    return order;
}

// "the barrier of gemm.cuh:40 at byte 1024 (phase 3, 1 of 2 arrivals, 512 bytes to come)"
std::string Block::describe(const AsyncBarrierState& b) const {
    std::string text = "the barrier of " + to_string(b.at);
    if (SharedMemory::mine().contains_dynamic(b.address, 8))
        text += " at byte " + std::to_string(static_cast<const char*>(b.address) - SharedMemory::dynamic());
    text += " (phase " + std::to_string(b.phase) + ", " + std::to_string(b.expected - b.pending) + " of " +
            std::to_string(b.expected) + " arrivals";
    if (b.bytes > 0) text += ", " + std::to_string(b.bytes) + " bytes to come";
    if (b.bytes < 0) text += ", " + std::to_string(-b.bytes) + " bytes that were not announced";
    return text + ")";
}

// ---- What the headers declare ----

uint64_t async_barrier_init(const void* barrier, int arrivals, At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    return block.async_barrier_init(barrier, arrivals, at);
}
void async_barrier_init_fence() {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.async_barrier_init_fence();
}
void async_barrier_arrive(const void* barrier, uint64_t word, unsigned bytes, At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.async_barrier_arrive(barrier, word, bytes, at);
}
void async_barrier_wait(const void* barrier, uint64_t word, unsigned parity, At at) {
    Ordering* order;
    {
        Block& block = Block::mine();
        const Block::Backstage backstage(block);
        order = &block.async_barrier_wait(barrier, word, parity, at);
    }
    __tsan_acquire(&order->generic);
}

}  // namespace simt
