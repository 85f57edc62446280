// Cross-entropy of the next token:  lse[n] = log sum_v exp(logits[n,v])      loss[n] = lse[n] - logits[n][target[n]]
//
//   d_logits[n,v] = d_loss (exp(logits[n,v] - lse[n]) - [v == target[n]])
//   d_loss = 1 / valid targets of the whole batch
//   target -1 is ignored: loss 0, gradient 0
//
//   logits, d_logits (N,P), may be the same; columns V..P-1 are padding: of no effect, gradient 0   target (N)
//   loss, lse (N)
//
// Forward, a block owns a row and reads it once (softmax.cuh). Backward, a thread owns 8 neighbouring columns of it.
#pragma once
#include "host/reference/cross_entropy.h"
#include "softmax.cuh"

constexpr int cross_entropy_block = 512;  // threads at most, of a row

// Threads for a row of P columns: no more than there are vectors of W.
inline int cross_entropy_threads(int P, int W, int most) { return std::min(round_up(ceil_div(P, W), warp_size), most); }

template <int W, class T>
__global__ void cross_entropy_forward_kernel(float* loss, float* lse, const T* logits, const int* target, int V,
                                             int P) {
    const size_t n = blockIdx.x;
    const T* x = logits + n * P;
    SoftmaxSum mine;
    for (int v = threadIdx.x * W; v < V; v += blockDim.x * W) mine.add(load<W>(x + v), V - v);
    const SoftmaxSum row = softmax_block_sum(mine);
    if (threadIdx.x > 0) return;
    lse[n] = row.max + logf(row.sum);
    loss[n] = target[n] == ignored_target ? 0 : lse[n] - float(x[target[n]]);
}

// The gradient of columns v .. v + W - 1 of a row from their logits. scale: d_loss, or 0 where the target is ignored.
template <int W>
__device__ Vec<W> cross_entropy_gradient(Vec<W> x, int v, float lse, int target, float scale, int V) {
    for (int i = 0; i < W; i++) x[i] = scale * exp_approximate(x[i] - lse);
    if (v <= target && target < v + W)
        for (int i = 0; i < W; i++)
            if (v + i == target) x[i] -= scale;
    if (v + W > V)
        for (int i = 0; i < W; i++)
            if (v + i >= V) x[i] = 0;
    return x;
}

// d_logits may be logits: a thread reads its columns, then writes them.
template <int W, class T>
__global__ void cross_entropy_backward_kernel(T* d_logits, const float* d_loss, const T* logits, const float* lse,
                                              const int* target, int V, int P) {
    const size_t n = blockIdx.x;
    const float scale = target[n] == ignored_target ? 0 : *d_loss;
    for (int v = threadIdx.x * W; v < P; v += blockDim.x * W)
        store<W>(d_logits + n * P + v,
                 cross_entropy_gradient(load<W>(logits + n * P + v), v, lse[n], target[n], scale, V));
}

template <class T>
void cross_entropy_forward(float* loss, float* lse, const T* logits, const int* target, int N, int V, int P,
                           Gpu<T> on) {
    by_width(P, {logits}, [&](auto W) {
        launch(cross_entropy_forward_kernel<W, T>, N, cross_entropy_threads(P, W, cross_entropy_block), 0, on, loss,
               lse, logits, target, V, P);
    });
}

template <class T>
void cross_entropy_backward(T* d_logits, const float* d_loss, const T* logits, const float* lse, const int* target,
                            int N, int V, int P, Gpu<T> on) {
    by_width(P, {d_logits, logits}, [&](auto W) {
        launch(cross_entropy_backward_kernel<W, T>, N, cross_entropy_threads(P, W, cross_entropy_block), 0, on,
               d_logits, d_loss, logits, lse, target, V, P);
    });
}
