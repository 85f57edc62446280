// kernels/tools/ptx.cuh on the CPU, after the definitions in the PTX manual. What each lane reads and writes it
// does itself, so that the sanitizers see the CUDA thread and line that did it.
#pragma once
#include <cuda_bf16.h>
#include <cstdint>
#include <cstring>
#include "simt.h"

template <class T>
T* dynamic_shared() {
    extern __shared__ unsigned char dynamic_shared_memory[];
    return reinterpret_cast<T*>(dynamic_shared_memory);
}

#define SIMT_HERE simt::At at = simt::At::here()
namespace simt {

constexpr int misaligned = 716;
inline void check_address(const char* name, const void* p, unsigned bytes, At at) {
    if (reinterpret_cast<uintptr_t>(p) % bytes)
        fail(misaligned, "%s: the address is not a multiple of %u; %s:%d", name, bytes, at.file, at.line);
}
inline void check_shared(const char* name, const void* p, unsigned bytes, At at) {
    if (!is_shared(p, bytes)) fail(700, "%s: the address is not in shared memory; %s:%d", name, at.file, at.line);
    check_address(name, p, bytes, at);
}

// Every lane learns the row addresses of all: lane 8*i + j gives row j of matrix i.
template <int n>
const Gathered& gather_rows(const char* name, const void* row, At at) {
    static_assert(n == 1 || n == 2 || n == 4);
    if (running->lane < 8 * n) check_shared(name, row, 16, at);
    const uint64_t word = reinterpret_cast<uintptr_t>(row);
    return gather(name, ~0u, &word, 1, at, Form::aligned);
}
inline uint16_t* element(const Gathered& rows, int matrix, unsigned row, unsigned column) {
    return reinterpret_cast<uint16_t*>(rows.value[8 * unsigned(matrix) + row][0]) + column;
}
// Where the lane's first (half 0) and second element of a matrix are.
inline uint16_t* element_of_lane(const Gathered& rows, int matrix, unsigned half, bool transposed) {
    const unsigned g = running->lane / 4, t = running->lane % 4;
    return transposed ? element(rows, matrix, 2 * t + half, g) : element(rows, matrix, g, 2 * t + half);
}
template <int n>
void load_matrices(const char* name, uint32_t (&r)[n], const void* row, bool transposed, At at) {
    const Gathered& rows = gather_rows<n>(name, row, at);
    for (int i = 0; i < n; i++)
        r[i] = *element_of_lane(rows, i, 0, transposed) | uint32_t(*element_of_lane(rows, i, 1, transposed)) << 16;
}
template <int n>
void store_matrices(const char* name, void* row, const uint32_t (&r)[n], bool transposed, At at) {
    const Gathered& rows = gather_rows<n>(name, row, at);
    for (int i = 0; i < n; i++)
        for (unsigned half = 0; half < 2; half++)
            *element_of_lane(rows, i, half, transposed) = uint16_t(r[i] >> 16 * half);
}
inline float bf16_at(uint64_t word, unsigned quarter) {
    return __builtin_bit_cast(float, uint32_t(word >> 16 * quarter & 0xffff) << 16);
}
}  // namespace simt

template <int n>
void ldmatrix(uint32_t (&r)[n], const void* row, SIMT_HERE) {
    simt::load_matrices("ldmatrix", r, row, false, at);
}
template <int n>
void ldmatrix_transposed(uint32_t (&r)[n], const void* row, SIMT_HERE) {
    simt::load_matrices("ldmatrix.trans", r, row, true, at);
}
template <int n>
void stmatrix(void* row, const uint32_t (&r)[n], SIMT_HERE) {
    simt::store_matrices("stmatrix", row, r, false, at);
}
template <int n>
void stmatrix_transposed(void* row, const uint32_t (&r)[n], SIMT_HERE) {
    simt::store_matrices("stmatrix.trans", row, r, true, at);
}

// Lane 4*(row % 8) + k / 2 % 4 holds A[row][k] in register row / 8 + 2 * (k / 8), and the same lane holds B[k][n = row]
// in register k / 8. The hardware's order of summation is not specified; here k goes up.
inline void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4], SIMT_HERE) {
    const uint64_t words[] = {a[0] | uint64_t(a[2]) << 32, a[1] | uint64_t(a[3]) << 32, b[0] | uint64_t(b[1]) << 32};
    const simt::Gathered& all = simt::gather("mma", ~0u, words, 3, at, simt::Form::aligned);
    const unsigned g = simt::running->lane / 4, t = simt::running->lane % 4;
    float sum[4] = {c[0], c[1], c[2], c[3]};
    for (unsigned k = 0; k < 16; k++) {
        const unsigned owner = k / 2 % 4, quarter = k / 8 * 2 + k % 2;
        const float upper = simt::bf16_at(all.value[4 * g + owner][0], quarter),
                    lower = simt::bf16_at(all.value[4 * g + owner][1], quarter);
        const float left = simt::bf16_at(all.value[4 * (2 * t) + owner][2], quarter);
        const float right = simt::bf16_at(all.value[4 * (2 * t + 1) + owner][2], quarter);
        sum[0] += upper * left, sum[1] += upper * right;
        sum[2] += lower * left, sum[3] += lower * right;
    }
    for (int i = 0; i < 4; i++) d[i] = sum[i];
}

// The copy happens at the wait: as late as the rules allow. Until then the destination holds NaNs.
template <int bytes>
void copy_async(void* shared, const void* global, int valid = bytes, SIMT_HERE) {
    static_assert(bytes == 4 || bytes == 8 || bytes == 16);
    simt::check_shared("cp.async", shared, bytes, at);
    simt::check_address("cp.async", global, bytes, at);
    if (valid < 0 || valid > bytes)
        simt::fail(719, "cp.async: %d valid bytes of %d; %s:%d", valid, bytes, at.file, at.line);
    for (int i = 0; i < bytes / 4; i++) static_cast<uint32_t*>(shared)[i] = ~0u;
    // Nobody may write the source before the wait either: read it now for ThreadSanitizer, and again then.
    for (int i = 0; i < valid; i++) (void)static_cast<const volatile char*>(global)[i];
    simt::copy_later({shared, global, bytes, valid});
}
inline void copy_async_commit() { simt::commit_copies(); }
template <int pending>
void copy_async_wait() {
    simt::PendingCopy copy;
    while (simt::next_due_copy(pending, copy))
        for (int i = 0; i < copy.bytes; i++)
            static_cast<char*>(copy.to)[i] = i < copy.valid ? static_cast<const char*>(copy.from)[i] : 0;
}

inline void named_barrier_sync(int id, int threads, SIMT_HERE) {
    simt::barrier_sync("bar.sync", id, threads, false, simt::Reach::anywhere, at);
}
inline void named_barrier_arrive(int id, int threads, SIMT_HERE) { simt::barrier_arrive(id, threads, at); }

inline float exp2_approximate(float x) { return exp2f(x); }
inline float reciprocal_approximate(float x) {
    const float y = 1 / x;
    return y > -0x1p-126f && y < 0x1p-126f ? 0 : y;
}
inline uint32_t pack_bf16(float low, float high) { return simt_bf16_bits(low) | uint32_t(simt_bf16_bits(high)) << 16; }
inline uint64_t multiply_wide(uint32_t x, uint32_t y) { return uint64_t(x) * y; }
inline uint32_t byte_signs(uint32_t x, unsigned from) {
    uint32_t signs = 0;
    for (int i = 0; i < 4; i++) signs |= (x >> (8 * (from >> 4 * i & 3) + 7) & 1) * 0xffu << 8 * i;
    return signs;
}
inline unsigned opaque(unsigned x) { return x; }
inline void prefetch_l2(const void* p) { (void)*static_cast<const volatile char*>(p); }  // must be there
inline uint4 load_words(const void* p) {
    uint4 words;
    std::memcpy(&words, __builtin_assume_aligned(p, 16), sizeof words);
    return words;
}
inline uint4 load_once(const uint4* p) { return *p; }

inline bool elect_one(SIMT_HERE) {
    const simt::Gathered& all = simt::gather("elect", ~0u, nullptr, 0, at);
    return simt::elected_lane(all.lanes) == simt::running->lane;
}
