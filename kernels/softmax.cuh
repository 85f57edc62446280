// Softmax of every row:  out[n,v] = exp(inp[n,v]) / sum_v exp(inp[n,v])   d_inp = out (d_out - sum_v d_out out)   (N,V)
//
// A block owns a row. Its first pass finds the maximum and the sum at once, rescaling the sum where the maximum grows
// (Milakov & Gimelshein 2018); the second reads the row again, from the cache where it fits.
#pragma once
#include "host/reference/softmax.h"
#include "kernels/tools/common.cuh"

constexpr int softmax_block = 512;

// The maximum and sum of exp(x - max) of part of a row.
struct SoftmaxSum {
    float max = -INFINITY, sum = 0;
    template <int W>
    __device__ void add(Vec<W> x, int count) {  // the first `count` of x
        if (count < W)
            for (int i = 0; i < W; i++)
                if (i >= count) x[i] = -INFINITY;
        float top = max;
        for (int i = 0; i < W; i++) top = fmaxf(top, x[i]);
        if (top > max) sum *= exp_approximate(max - top), max = top;
        const float base = max == -INFINITY ? 0 : max;  // nothing but -inf and NaN yet, and NaN must show
        for (int i = 0; i < W; i++) sum += exp_approximate(x[i] - base);
    }
};

// Of the threads' parts together; every thread of the block must call, and gets it.
__device__ inline SoftmaxSum softmax_block_sum(const SoftmaxSum& mine) {
    const float max = block_max(mine.max);
    return {max, block_sum(mine.max == max ? mine.sum : mine.sum * exp_approximate(mine.max - max))};
}

template <int W, class T>
__global__ void softmax_forward_kernel(T* out, const T* inp, int V) {
    const T* x = inp + size_t(blockIdx.x) * V;
    SoftmaxSum mine;
    for (int v = threadIdx.x * W; v < V; v += softmax_block * W) mine.add(load<W>(x + v), W);
    const SoftmaxSum row = softmax_block_sum(mine);
    const float inverse = 1 / row.sum;
    for (int v = threadIdx.x * W; v < V; v += softmax_block * W) {
        Vec<W> y = load<W>(x + v);
        for (int i = 0; i < W; i++) y[i] = __expf(y[i] - row.max) * inverse;
        store<W>(out + size_t(blockIdx.x) * V + v, y);
    }
}

template <int W, class T>
__global__ void softmax_backward_kernel(T* d_inp, const T* d_out, const T* out, int V) {
    const size_t row = size_t(blockIdx.x) * V;
    float dot = 0;
    for (int v = threadIdx.x * W; v < V; v += softmax_block * W) {
        const Vec<W> y = load<W>(out + row + v), d = load<W>(d_out + row + v);
        for (int i = 0; i < W; i++) dot += d[i] * y[i];
    }
    dot = block_sum(dot);
    for (int v = threadIdx.x * W; v < V; v += softmax_block * W) {
        const Vec<W> y = load<W>(out + row + v);
        Vec<W> d = load<W>(d_out + row + v);
        for (int i = 0; i < W; i++) d[i] = y[i] * (d[i] - dot);
        store<W>(d_inp + row + v, d);
    }
}

template <class T>
void softmax_forward(T* out, const T* inp, int N, int V, Gpu<T> on) {
    by_width(V, {out, inp},
             [&](auto W) { launch(softmax_forward_kernel<W, T>, N, softmax_block, 0, on, out, inp, V); });
}

template <class T>
void softmax_backward(T* d_inp, const T* d_out, const T* out, int N, int V, Gpu<T> on) {
    by_width(V, {d_inp, d_out, out},
             [&](auto W) { launch(softmax_backward_kernel<W, T>, N, softmax_block, 0, on, d_inp, d_out, out, V); });
}
