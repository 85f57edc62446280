// Cross-entropy and its gradient in one pass over the logits, which the gradient replaces: cross_entropy.cuh, forward
// then backward, for training, where d_loss is known beforehand.
//
//   logits (N,P), in: logits, out: d_logits   target (N)   loss, lse (N)
//
// A block owns a row and keeps as much of it as fits in shared memory between the pass that sums and the pass that
// writes: GPT-2's whole row in bf16 takes 100 KB. What does not fit is read twice. Rows go from last to first: the
// matmul that follows starts at the first, and finds it in the cache.
#pragma once
#include "cross_entropy.cuh"
#include "host/reference/cross_entropy_fused.h"

constexpr int cross_entropy_fused_block = 768;  // two of them fit every multiprocessor since sm_80

// Starts to copy the vectors first, first + step, ... below `end`.
template <int W, class T>
__device__ void cross_entropy_copy(T* to, const T* from, int first, int end, int step) {
    for (int v = first; v < end; v += step)
        if constexpr (W == 1) to[v] = from[v];
        else
            for (int i = 0; i < W; i += 16 / sizeof(T)) copy_async<16>(to + v + i, from + v + i);
    copy_async_commit();
}

// Columns below `kept`, a multiple of W, stay in shared memory. All copies, in two halves, are issued before the first
// read. A thread reads only what it copied itself.
template <int W, class T>
__global__ void __launch_bounds__(cross_entropy_fused_block)
    cross_entropy_fused_kernel(float* loss, float* lse, T* logits, const float* d_loss, const int* target, int V, int P,
                               int kept) {
    const int step = blockDim.x * W, first = threadIdx.x * W, second_half = first + kept / 2 / step * step;
    T* row = dynamic_shared<T>();
    const size_t n = gridDim.x - 1 - blockIdx.x;
    T* x = logits + n * P;
    const int rest = first + round_up(std::max(kept - first, 0), step);  // what does not fit begins here

    SoftmaxSum mine;
    cross_entropy_copy<W>(row, x, first, std::min(second_half, kept), step);
    cross_entropy_copy<W>(row, x, second_half, kept, step);
    for (int v = rest; v < P; v += step) prefetch_line(x + v);
    copy_async_wait<1>();
    for (int v = first; v < P; v += step) {
        if (v == second_half) copy_async_wait<0>();
        mine.add(v < kept ? load<W>(row + v) : load<W>(x + v), V - v);
    }
    const int wanted = target[n];
    const float at_target = wanted == ignored_target ? 0 : float(x[wanted]);  // before anyone overwrites it
    const SoftmaxSum sum = softmax_block_sum(mine);
    const float log_sum = sum.max + logf(sum.sum);
    if (threadIdx.x == 0) {
        lse[n] = log_sum;
        loss[n] = wanted == ignored_target ? 0 : log_sum - at_target;
    }

    const float scale = wanted == ignored_target ? 0 : *d_loss;
    for (int v = first; v < P; v += step) {
        const Vec<W> part = v < kept ? load<W>(row + v) : load<W>(x + v);
        store<W>(x + v, cross_entropy_gradient(part, v, log_sum, wanted, scale, V));
    }
}

// Elements of a row that a block keeps. Where half of a multiprocessor's shared memory holds all, two blocks do: while
// one reads, the other writes. `reserved`: the static kind, and what the system takes.
template <class T>
int cross_entropy_kept(int P, const Gpu<T>& on) {
    const auto elements = [](int bytes) { return bytes / 32 * 32 / int(sizeof(T)); };
    constexpr int reserved = 2048;
    const int half = elements(on.shared_limit / 2 - reserved);
    return std::min(P, P <= half ? half : elements(on.shared_limit - reserved));
}

template <class T>
void cross_entropy_fused(float* loss, float* lse, T* logits, const float* d_loss, const int* target, int N, int V,
                         int P, Gpu<T> on) {
    const int kept = cross_entropy_kept(P, on);
    by_width(P, {logits}, [&](auto W) {
        launch(cross_entropy_fused_kernel<W, T>, N, cross_entropy_threads(P, W, cross_entropy_fused_block),
               kept * sizeof(T), on, loss, lse, logits, d_loss, target, V, P, kept);
    });
}
