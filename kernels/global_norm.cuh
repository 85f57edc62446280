// Global norm: norm = sqrt(sum_i x[i]^2), in a fixed order: the same GPU gives the same bits.       x (n)   norm (1)
//
// Every block sums its share, thread t of the grid the vectors t, t + threads, ...; then one block sums the shares.
#pragma once
#include "host/reference/global_norm.h"
#include "kernels/tools/common.cuh"

constexpr int global_norm_block = 512;

template <int W>
__global__ void global_norm_partial_kernel(float* partial, const float* x, size_t n) {
    const size_t step = size_t(gridDim.x) * global_norm_block * W;
    float sum = 0;
    for (size_t i = (size_t(blockIdx.x) * global_norm_block + threadIdx.x) * W; i < n; i += step) {
        const Vec<W> part = load<W>(x + i);
        for (int k = 0; k < W; k++) sum += part[k] * part[k];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <int threads>
__global__ void global_norm_kernel(float* norm, const float* partial, int blocks) {
    float sum = 0;
    for (int b = threadIdx.x; b < blocks; b += threads) sum += partial[b];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *norm = sqrtf(sum);
}

template <class T>
void global_norm(float* norm, const float* x, size_t n, Gpu<T> on) {
    by_width(n, {x}, [&](auto W) {
        const int blocks = std::min<size_t>(ceil_div(n, size_t(global_norm_block) * W), 4 * on.sm_count);
        float* partial = on.template scratch<float>(blocks);
        launch(global_norm_partial_kernel<W>, blocks, global_norm_block, 0, on, partial, x, n);
        launch(global_norm_kernel<global_norm_block>, 1, global_norm_block, 0, on, norm, partial, blocks);
    });
}
