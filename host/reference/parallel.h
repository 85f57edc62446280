// How loops are cut for threads: into blocks of a fixed size. So the number of threads changes no bit: neither through
// the order of a sum nor through which elements fall into the scalar rest of a vectorised loop, whose rounding differs.
#pragma once
#include <complex>
#include "cpu.h"
#include "threads.h"

// Calls block(first, last) for blocks of 0..n-1, each on some thread.
template <class Block>
void for_blocks(size_t n, Block block) {
    constexpr size_t size = 2048;
    parallel_for(int((n + size - 1) / size), [=](int b) { block(b * size, std::min(n, (b + 1) * size)); });
}

constexpr int rows_per_block = 32;

// Calls rows(first, last, sum) for every block of the rows 0..N-1, each on some thread; `sum` (width) starts at zero.
// Returns the sum of the blocks' sums (width), in the calling thread's scratch.
template <class T, class Rows>
const T* sum_over_rows(int N, int width, const Cpu<T>& on, Rows rows) {
    const int blocks = (N + rows_per_block - 1) / rows_per_block;
    T* sums = on.scratch(size_t(std::max(blocks, 1)) * width);
    std::fill_n(sums, width, T(0));
    parallel_for(blocks, [=](int b) {
        T* sum = sums + size_t(b) * width;
        std::fill_n(sum, width, T(0));
        rows(b * rows_per_block, std::min(N, (b + 1) * rows_per_block), sum);
    });
    for (int b = 1; b < blocks; b++)
        for (int i = 0; i < width; i++) sums[i] += sums[size_t(b) * width + i];
    return sums;
}

// out[i] += sums[i], or =, as on.into has it.
template <class T>
void put_sums(T* out, const T* sums, int n, const Cpu<T>& on) {
    if (on.into == Into::assign) std::copy_n(sums, n, out);
    else
        for (int i = 0; i < n; i++) out[i] += sums[i];
}

// The largest of n numbers, by their real part.
template <class T>
auto largest(const T* x, int n) {
    auto max = std::real(x[0]);
#pragma omp simd reduction(max : max)
    for (int i = 1; i < n; i++) max = std::max(max, std::real(x[i]));
    return max;
}
