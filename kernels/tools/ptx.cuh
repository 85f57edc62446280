// Instructions that CUDA C++ has no function for. All inline PTX of the project is in this file and, for instructions
// that only Hopper has, in ptx_hopper.cuh. Where a kernel runs on the CPU, dev/simt supplies the same functions. Names
// and register layouts are those of the PTX manual (Warp-level Matrix Instructions, Asynchronous Data Copies). Matrix
// fragments are two bf16 to a register, the lower column in the lower half.
//
//   In a warp, lane = 4*g + t.  An 8x8 matrix of bf16: lane holds row g, columns 2t and 2t+1.
//   mma: a = 16x16 as four 8x8 (rows 0-7 | 8-15, then columns 8-15), b = 16x8 by columns, c = 16x8 floats: (g,2t)
//   (g,2t+1) (g+8,2t) (g+8,2t+1)
#pragma once
#include <cstdint>
#ifndef __CUDACC__
#include <simt/ptx.h>
#else

// The block's dynamic shared memory, 1024-byte aligned, all of it: callers divide it among themselves.
template <class T>
__device__ T* dynamic_shared() {
    extern __shared__ __align__(1024) unsigned char dynamic_shared_memory[];
    return reinterpret_cast<T*>(dynamic_shared_memory);
}

__device__ inline unsigned shared_address(const void* p) { return unsigned(__cvta_generic_to_shared(p)); }

// ---- Matrices: shared memory <-> registers <-> tensor cores. All lanes of the warp, converged. ----

// n 8x8 matrices. Lane 8*i + j gives the 16-byte aligned address of row j of matrix i (other lanes' are ignored).
template <int n>
__device__ void ldmatrix(uint32_t (&r)[n], const void* row) {
    static_assert(n == 1 || n == 2 || n == 4);
    const unsigned p = shared_address(row);
    if constexpr (n == 1)
        asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(p) : "memory");
    else if constexpr (n == 2)
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                     : "=r"(r[0]), "=r"(r[1])
                     : "r"(p)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(p)
                     : "memory");
}

// The same, each matrix transposed: lane gets rows 2t and 2t+1 of column g.
template <int n>
__device__ void ldmatrix_transposed(uint32_t (&r)[n], const void* row) {
    static_assert(n == 1 || n == 2 || n == 4);
    const unsigned p = shared_address(row);
    if constexpr (n == 1)
        asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(p) : "memory");
    else if constexpr (n == 2)
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                     : "=r"(r[0]), "=r"(r[1])
                     : "r"(p)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(p)
                     : "memory");
}

// d = a * b + c, m16n8k16. d may be c.
__device__ inline void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, "
        "%12, %13};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

// ---- cp.async: global -> shared memory while the thread continues ----

// 16 bytes bypass L1, 4 and 8 go through it. The bytes after the first `valid` become zero; valid = 0 reads nothing.
// Both addresses are multiples of `bytes`. Neither side may be touched before the wait; others need a barrier after it.
template <int bytes>
__device__ void copy_async(void* shared, const void* global, int valid = bytes) {
    static_assert(bytes == 4 || bytes == 8 || bytes == 16);
    if constexpr (bytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
                     "r"(valid)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)), "l"(global),
                     "n"(bytes), "r"(valid)
                     : "memory");
}
__device__ inline void copy_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}  // closes this thread's group
template <int pending>  // until at most so many groups are
__device__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// ---- Barriers 1 to 15, of `threads` threads (whole warps): some may only arrive while others wait ----

__device__ inline void named_barrier_sync(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ inline void named_barrier_arrive(int id, int threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// ---- Numbers ----

__device__ inline float exp2_approximate(float x) {  // relative error 2^-22
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ inline float reciprocal_approximate(float x) {  // relative error 2^-23; what would be below 2^-126 is 0
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ inline uint32_t pack_bf16(float low, float high) {
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

// All 64 bits of a 32 x 32 multiplication. In C++ the compiler may multiply the upper halves of widened factors, too.
__device__ inline uint64_t multiply_wide(uint32_t x, uint32_t y) {
    uint64_t product;
    asm("mul.wide.u32 %0, %1, %2;" : "=l"(product) : "r"(x), "r"(y));
    return product;
}

// Byte i of the result is a byte's upper bit, eight times: nibble i of `from`, 8 to 11, says of which of x, 0 to 3.
__device__ inline uint32_t byte_signs(uint32_t x, unsigned from) {
    uint32_t signs;
    asm("prmt.b32 %0, %1, 0, %2;" : "=r"(signs) : "r"(x), "r"(from));
    return signs;
}

// The same number, hidden from the compiler, which then cannot take apart what depends on it. Address arithmetic that
// ends as `register + constant` then stays so, instead of growing a register per address.
__device__ inline unsigned opaque(unsigned x) {
    asm("" : "+r"(x));
    return x;
}

// ---- Loads: 16 bytes of anything; and with a hint, as data that is read once leaves L1 to others ----

__device__ inline uint4 load_words(const void* p) { return *static_cast<const uint4*>(p); }

__device__ inline uint4 load_once(const uint4* p) {
    uint4 v;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}

// Prefetches the line that holds p into the L2 cache. No register waits for it.
__device__ inline void prefetch_l2(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

// ---- Hopper and later ----
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

// The inverse of ldmatrix: the same addresses, the same layout.
template <int n>
__device__ void stmatrix(void* row, const uint32_t (&r)[n]) {
    static_assert(n == 1 || n == 2 || n == 4);
    const unsigned p = shared_address(row);
    if constexpr (n == 1)
        asm volatile("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%0], {%1};" ::"r"(p), "r"(r[0]) : "memory");
    else if constexpr (n == 2)
        asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1, %2};" ::"r"(p), "r"(r[0]), "r"(r[1])
                     : "memory");
    else
        asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(p), "r"(r[0]), "r"(r[1]),
                     "r"(r[2]), "r"(r[3])
                     : "memory");
}
template <int n>
__device__ void stmatrix_transposed(void* row, const uint32_t (&r)[n]) {
    static_assert(n == 1 || n == 2 || n == 4);
    const unsigned p = shared_address(row);
    if constexpr (n == 1)
        asm volatile("stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%0], {%1};" ::"r"(p), "r"(r[0]) : "memory");
    else if constexpr (n == 2)
        asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(p), "r"(r[0]), "r"(r[1])
                     : "memory");
    else
        asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(p), "r"(r[0]),
                     "r"(r[1]), "r"(r[2]), "r"(r[3])
                     : "memory");
}

// True in one lane of the (converged) warp: which one is the hardware's choice.
__device__ inline bool elect_one() {
    uint32_t elected;
    asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; selp.u32 %0, 1, 0, p; }" : "=r"(elected));
    return elected;
}
#endif

#endif  // __CUDACC__
