// The words that CUDA adds to C++.
#pragma once
#include "simt.h"

// A kernel is marked by its symbol's visibility: the loader's symbol table then tells which shared variables are a
// kernel's own and which belong to functions that any kernel may call (../symbols.cpp).
#define __global__ __attribute__((visibility("protected")))
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __managed__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __maxnreg__(registers)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __builtin_align__(bytes) __align__(bytes)
#define __cluster_dims__(...)

// Shared memory is thread-local: a block runs on one OS thread. The tag lets the scheduler find every shared variable
// in the symbol table, to fill it with NaNs before each block. Under AddressSanitizer the alignment, larger than any
// static shared variable may be, leaves a gap after each, which is poisoned.
#if defined(__SANITIZE_ADDRESS__) || defined(SIMT_ASAN)
#define __shared__ thread_local __attribute__((abi_tag("shared"), aligned(65536)))
#else
#define __shared__ thread_local __attribute__((abi_tag("shared"), aligned(16)))
#endif

// Where the running CUDA thread is; the scheduler sets them (../block.cpp). A debugger shows them as any variable.
extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

inline void __syncthreads(simt::At at = simt::At::here()) {
    simt::barrier_sync("__syncthreads", 0, simt::all_threads, false, simt::Reach::same_line, at);
}
inline int __syncthreads_count(int predicate, simt::At at = simt::At::here()) {
    const auto same = simt::Reach::same_line;
    return simt::barrier_sync("__syncthreads_count", 0, simt::all_threads, predicate, same, at).nonzero;
}
inline int __syncthreads_or(int predicate, simt::At at = simt::At::here()) {
    const auto same = simt::Reach::same_line;
    return simt::barrier_sync("__syncthreads_or", 0, simt::all_threads, predicate, same, at).nonzero != 0;
}
inline int __syncthreads_and(int predicate, simt::At at = simt::At::here()) {
    const auto same = simt::Reach::same_line;
    const simt::Votes votes = simt::barrier_sync("__syncthreads_and", 0, simt::all_threads, predicate, same, at);
    return votes.nonzero == votes.arrived;
}
inline void __syncwarp(unsigned mask = ~0u, simt::At at = simt::At::here()) {
    simt::gather("__syncwarp", mask, nullptr, 0, at, simt::Form::anywhere, simt::Orders::memory);
}

inline void __threadfence() { simt::fence(); }
inline void __threadfence_system() { simt::fence(); }
inline void __threadfence_block() { simt::fence(); }
[[noreturn]] inline void __trap() { simt::fail(719, "__trap()"); }
inline void __nanosleep(unsigned) {}
inline long long clock64() { return __builtin_ia32_rdtsc(); }
