// What the asynchronous proxy sees of shared memory: generic writes once they are fenced.
#include <cstdio>
#include <cstring>
#include "block.h"

namespace simt {

// ---- Without ThreadSanitizer nobody sees a write. But it leaves a difference to what the proxy has seen last. ----

void ProxyView::forget() {
    std::fill(seen.begin(), seen.end(), char(0xff));  // as shared memory begins
    fenced = false;
}

void ProxyView::learn(const Chunks& chunks) {
    for_each_run(chunks, [&](size_t first, size_t n) { std::memcpy(&seen[first * 16], base + first * 16, n * 16); });
}

void ProxyView::fence() {
    fenced = true;
    learn(*watched);
}

// The first chunk of those that was written since a fence. One that nobody watched yet may have been fenced.
size_t ProxyView::first_unfenced(const Chunks& chunks) {
    Chunks fresh;
    for (size_t i = chunks._Find_first(); i < chunks.size(); i = chunks._Find_next(i)) {
        if (!std::memcmp(&seen[i * 16], base + i * 16, 16)) continue;
        if (!fenced || watched->test(i)) return i;
        fresh.set(i);
    }
    learn(fresh);
    *watched |= fresh;
    return chunks.size();
}

ProxyView& Block::proxy_view() {
    Asynchronous& a = asynchronous;
    if (!a.proxy_view.watched) a.proxy_view.watched = &a.watched[{launch->function, launch->shared_bytes}];
    return a.proxy_view;
}

void Block::check_fenced(const char* name, const Chunks& chunks, At at) {
    if (thread_sanitizer || !strict) return;
    const size_t i = proxy_view().first_unfenced(chunks);
    if (i == chunks.size()) return;
    fail(719, std::string(name) + ": no proxy_fence() has followed the writing of byte " + std::to_string(i * 16) +
                  " of dynamic shared memory, which is read at " + to_string(at));
}

// ---- With it, a proxy is a thread of its own ----
// In ThreadSanitizer's books each CUDA thread has a proxy that reads shared memory for products and copies. It comes
// after what the thread has fenced, and after what others had fenced when they came to a barrier where this one waited:
// so a write without a fence races with it.

void Block::use_proxy() {
    CudaThread* t = self();
    if (!thread_sanitizer) return;
    if (!t->proxy) {
        proxy_users.insert(launch->function);
        for (auto* fibers_of : {&tsan_proxies, &tsan_engines})
            while ((*fibers_of)[turn].size() <= t->linear) (*fibers_of)[turn].push_back(__tsan_create_fiber(0));
        t->proxy = tsan_proxies[turn][t->linear];
        t->engine = tsan_engines[turn][t->linear];
        char name[64];
        std::snprintf(name, sizeof name, "proxy of block %u,%u,%u thread %u,%u,%u %s", index.x, index.y, index.z,
                      t->index.x, t->index.y, t->index.z, launch->kernel.c_str());
        for (void* who : {t->proxy, t->engine}) {
            __tsan_set_fiber_name(who, name);
            __tsan_switch_to_fiber(who, no_sync);
            __tsan_acquire(&launch->begins);
        }
        __tsan_switch_to_fiber(backstage, no_sync);
    }
    if (!proxies) see_all();  // what came before its first use is not known
}

void Block::proxy_fence() {
    CudaThread* t = self();
    asynchronous.used = true;
    if (by_warps) async_barrier_init_fence();  // which is no more than this one's part for barriers
    if (!thread_sanitizer) return proxy_view().fence();
    if (!t->proxy) return use_proxy();
    see_all();
}

// The running thread's proxy comes after all that the thread has seen.
void Block::see_all() {
    CudaThread* t = self();
    Backstage::enter();
    __tsan_release(&t->point[turn]);
    __tsan_switch_to_fiber(t->proxy, no_sync);
    __tsan_acquire(&t->point[turn]);
    __tsan_switch_to_fiber(backstage, no_sync);
}

void proxy_fence() {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.proxy_fence();
}

}  // namespace simt
