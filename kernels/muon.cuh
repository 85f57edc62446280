// Muon: one step of a matrix along its momentum, whose singular values are all made about 1 (Jordan et al. 2024).
//
//   g = d_weight * min(1, clip / norm)       m = momentum m + (1 - momentum) g       u = momentum m + (1 - momentum) g
//   X = u / max(|u|, eps),   |u| its Frobenius norm
//   five times (Newton-Schulz):   A = X X^T,   X = (a I + b A + c A^2) X           by linear.cuh's matmuls
//   master -= lr (scale X + decay master)        weight = master
//
//   A norm that is not finite changes nothing.
//   weight, master, m, d_weight, x (n), of one matrix       gram, square (k,k)
//   norm, step, size in device memory, so that a captured step replays with new numbers
//
// Everything here is elementwise: a thread owns 8 neighbouring elements. Only |u| is a sum: threads of the grid walk
// over the matrix, every block leaves its share, and one block sums the shares (global_norm.cuh).
#pragma once
#include "global_norm.cuh"
#include "host/reference/muon.h"

__device__ inline float muon_clip_of(const MuonStep& s, float norm) {
    return s.clip > 0 && norm > s.clip ? s.clip / norm : 1;
}

template <int W>
__global__ void muon_momentum_kernel(float* m, float* partial, const float* d_weight, const float* norm,
                                     const MuonStep* step, size_t n) {
    const MuonStep s = *step;
    const float clip = muon_clip_of(s, *norm);
    const size_t stride = size_t(gridDim.x) * global_norm_block * W;
    float sum = 0;
    for (size_t i = (size_t(blockIdx.x) * global_norm_block + threadIdx.x) * W; i < n && isfinite(*norm); i += stride) {
        const Raw<W, float> raw_g = load_raw<W>(d_weight + i), raw_m = load_raw<W>(m + i);
        const Vec<W> g = floats(raw_g);
        Vec<W> mean = floats(raw_m);
        for (int k = 0; k < W; k++) {
            mean[k] = s.momentum * mean[k] + (1 - s.momentum) * (g[k] * clip);
            const float u = s.momentum * mean[k] + (1 - s.momentum) * (g[k] * clip);
            sum += u * u;
        }
        store<W>(m + i, mean);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class T>
void muon_momentum(float* m, float* size, const float* d_weight, const float* norm, const MuonStep* step, size_t n,
                   Gpu<T> on) {
    by_width(n, {m, d_weight}, [&](auto W) {
        const int blocks = std::min<size_t>(ceil_div(n, size_t(global_norm_block) * W), 4 * on.sm_count);
        float* partial = on.template scratch<float>(blocks);
        launch(muon_momentum_kernel<W>, blocks, global_norm_block, 0, on, m, partial, d_weight, norm, step, n);
        launch(global_norm_kernel<global_norm_block>, 1, global_norm_block, 0, on, size, partial, blocks);
    });
}

template <int W, class T>
__global__ void muon_direction_kernel(T* x, const float* m, const float* d_weight, const float* size, const float* norm,
                                      const MuonStep* step, size_t n) {
    const size_t i = flat_index<W>();
    if (i >= n) return;
    const Raw<W, float> raw_g = load_raw<W>(d_weight + i), raw_m = load_raw<W>(m + i);
    const MuonStep s = *step;
    const float clip = muon_clip_of(s, *norm), scale = 1 / fmaxf(*size, muon_eps);
    const Vec<W> g = floats(raw_g), mean = floats(raw_m);
    Vec<W> out;
    for (int k = 0; k < W; k++) {
        const float u = s.momentum * mean[k] + (1 - s.momentum) * (g[k] * clip);
        out[k] = isfinite(*norm) ? u * scale : 0;
    }
    store<W>(x + i, out);
}

template <class T>
void muon_direction(T* x, const float* m, const float* d_weight, const float* size, const float* norm,
                    const MuonStep* step, size_t n, Gpu<T> on) {
    by_width(n, {x, m, d_weight}, [&](auto W) {
        launch(muon_direction_kernel<W, T>, flat_grid<W>(n), flat_block, 0, on, x, m, d_weight, size, norm, step, n);
    });
}

template <int W, class T>
__global__ void muon_polynomial_kernel(T* out, const T* gram, const T* square, int k) {
    const size_t i = flat_index<W>();
    if (i >= size_t(k) * k) return;
    const int row = int(i / k), column = int(i % k);
    const Raw<W, T> raw_gram = load_raw<W>(gram + i), raw_square = load_raw<W>(square + i);
    const Vec<W> first = floats(raw_gram), second = floats(raw_square);
    Vec<W> sum;
    for (int j = 0; j < W; j++) {
        sum[j] = muon_b * first[j] + muon_c * second[j];
        if (column + j == row) sum[j] += muon_a;
    }
    store<W>(out + i, sum);
}

template <class T>
void muon_polynomial(T* out, const T* gram, const T* square, int k, Gpu<T> on) {
    by_width(k, {out, gram, square}, [&](auto W) {
        launch(muon_polynomial_kernel<W, T>, flat_grid<W>(size_t(k) * k), flat_block, 0, on, out, gram, square, k);
    });
}

template <int W, class T>
__global__ void muon_round_kernel(T* out, const float* x, size_t n) {
    const size_t i = flat_index<W>();
    if (i < n) store<W>(out + i, load<W>(x + i));
}

template <class T>
void muon_round(T* out, const float* x, size_t n, Gpu<T> on) {
    by_width(n, {out, x},
             [&](auto W) { launch(muon_round_kernel<W, T>, flat_grid<W>(n), flat_block, 0, on, out, x, n); });
}

template <int W, class T>
__global__ void muon_update_kernel(T* weight, float* master, const T* x, const float* norm, const MuonStep* step,
                                   float scale, float decay, size_t n) {
    const size_t i = flat_index<W>();
    if (i >= n) return;
    const Raw<W, T> raw_x = load_raw<W>(x + i);
    const Raw<W, float> raw_master = load_raw<W>(master + i);
    if (!isfinite(*norm)) return;
    const float lr = step->lr;
    const Vec<W> direction = floats(raw_x);
    Vec<W> value = floats(raw_master);
    for (int k = 0; k < W; k++) value[k] -= lr * (scale * direction[k] + decay * value[k]);
    store<W>(master + i, value);
    store<W>(weight + i, value);
}

template <class T>
void muon_update(T* weight, float* master, const T* x, const float* norm, const MuonStep* step, float scale,
                 float decay, size_t n, Gpu<T> on) {
    by_width(n, {weight, master, x}, [&](auto W) {
        launch(muon_update_kernel<W, T>, flat_grid<W>(n), flat_block, 0, on, weight, master, x, norm, step, scale,
               decay, n);
    });
}
