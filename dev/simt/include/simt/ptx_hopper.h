// kernels/tools/ptx_hopper.cuh on the CPU, after the definitions in the PTX manual. What is asynchronous happens as
// late as the rules allow, or, in a shuffled order, at any moment that they allow; until then its results are NaN.
#pragma once
#include "asynchronous.h"
#include "ptx.h"

// ---- Asynchronous barriers ----
// The words are read and written here: ThreadSanitizer sees who uses a barrier that
// another thread is just initialising.

inline void barrier_init(AsyncBarrier* b, int arrivals, SIMT_HERE) {
    simt::check_shared("mbarrier.init", b, 8, at);
    b->word = simt::async_barrier_init(b, arrivals, at);
}
inline void barrier_init_fence() { simt::async_barrier_init_fence(); }
inline void barrier_arrive(AsyncBarrier* b, SIMT_HERE) {
    simt::check_shared("mbarrier.arrive", b, 8, at);
    simt::async_barrier_arrive(b, b->word, 0, at);
}
inline void barrier_arrive_expect(AsyncBarrier* b, unsigned bytes, SIMT_HERE) {
    simt::check_shared("mbarrier.arrive.expect_tx", b, 8, at);
    simt::async_barrier_arrive(b, b->word, bytes, at);
}
inline void barrier_wait(AsyncBarrier* b, unsigned parity, SIMT_HERE) {
    simt::check_shared("mbarrier.try_wait", b, 8, at);
    simt::async_barrier_wait(b, b->word, parity, at);
}

inline void proxy_fence() { simt::proxy_fence(); }

// ---- Tensor copies ----

inline void prefetch_tensor_map(const TensorMap& map, SIMT_HERE) {
    simt::check_tensor_map("prefetch.tensormap", &map, at);
}
namespace simt {
inline void load_box(void* shared, const TensorMap& map, AsyncBarrier* b, const Coordinates& from, At at) {
    check_shared("cp.async.bulk.tensor (its barrier)", b, 8, at);
    tensor_load(shared, &map, b, b->word, from, at);
}
}  // namespace simt
inline void tensor_load(void* shared, const TensorMap& map, AsyncBarrier* b, int c0, int c1, SIMT_HERE) {
    simt::load_box(shared, map, b, {2, {c0, c1}}, at);
}
inline void tensor_load(void* shared, const TensorMap& map, AsyncBarrier* b, int c0, int c1, int c2, SIMT_HERE) {
    simt::load_box(shared, map, b, {3, {c0, c1, c2}}, at);
}
inline void tensor_load(void* shared, const TensorMap& map, AsyncBarrier* b, int c0, int c1, int c2, int c3,
                        SIMT_HERE) {
    simt::load_box(shared, map, b, {4, {c0, c1, c2, c3}}, at);
}
inline void tensor_store(const TensorMap& map, const void* shared, int c0, int c1, SIMT_HERE) {
    simt::tensor_store(&map, shared, {2, {c0, c1}}, at);
}
inline void tensor_store(const TensorMap& map, const void* shared, int c0, int c1, int c2, SIMT_HERE) {
    simt::tensor_store(&map, shared, {3, {c0, c1, c2}}, at);
}
inline void tensor_store(const TensorMap& map, const void* shared, int c0, int c1, int c2, int c3, SIMT_HERE) {
    simt::tensor_store(&map, shared, {4, {c0, c1, c2, c3}}, at);
}
inline void tensor_store_commit() { simt::tensor_store_commit(); }
template <int pending>
void tensor_store_wait_read() {
    static_assert(pending >= 0);
    simt::tensor_store_wait(pending, simt::Until::read);
}
template <int pending>
void tensor_store_wait() {
    static_assert(pending >= 0);
    simt::tensor_store_wait(pending, simt::Until::written);
}

// ---- Products of a warpgroup ----

inline void wgmma_fence(SIMT_HERE) { simt::wgmma_fence(at); }
inline void wgmma_commit(SIMT_HERE) { simt::wgmma_commit(at); }
template <int pending>
void wgmma_wait(SIMT_HERE) {
    static_assert(pending >= 0 && pending < 8);
    simt::wgmma_wait(pending, at);
}
template <int registers>
void wgmma_done(float (&d)[registers], SIMT_HERE) {
    for (float x : d)
        if (simt::in_flight(x)) simt::fail(719, "wgmma_done: the product is not waited for; %s:%d", at.file, at.line);
}
template <int registers>
void registers_shrink(SIMT_HERE) {
    static_assert(registers % 8 == 0 && registers >= 24 && registers <= 256);
    simt::set_registers(registers, at);
}
template <int registers>
void registers_grow(SIMT_HERE) {
    static_assert(registers % 8 == 0 && registers >= 24 && registers <= 256);
    simt::set_registers(registers, at);
}

inline uint64_t matrix_descriptor(const void* shared, unsigned leading, unsigned stride, SIMT_HERE) {
    return simt::matrix_descriptor(shared, leading, stride, at);
}
inline uint64_t descriptor_at(uint64_t descriptor, unsigned bytes, SIMT_HERE) {
    return simt::descriptor_at(descriptor, bytes, at);
}

namespace simt {
constexpr bool accumulates(int registers) {
    return registers == 4 || registers == 16 || registers == 32 || registers == 48 || registers == 64 ||
           registers == 96 || registers == 128;
}
}  // namespace simt
template <Major of_a = Major::k, Major of_b = Major::k, int registers>
void wgmma(float (&d)[registers], uint64_t a, uint64_t b, bool add, SIMT_HERE) {
    static_assert(simt::accumulates(registers), "no such shape here");
    const simt::Factors factors{false, of_a == Major::across, of_b == Major::across, add, registers, a, b};
    simt::multiply(d, nullptr, factors, at);
}
template <Major of_b = Major::k, int registers>
void wgmma(float (&d)[registers], const uint32_t (&a)[4], uint64_t b, bool add, SIMT_HERE) {
    static_assert(simt::accumulates(registers), "no such shape here");
    simt::multiply(d, a, {true, false, of_b == Major::across, add, registers, 0, b}, at);
}
