// Scaled dot-product attention as the textbook writes it: any queries and keys, an optional mask, all probabilities
// kept. The readable baseline of attention.cuh, for any sizes.
//
//   prob[t,s] = softmax_s(q[t] . k[s] / sqrt(HS)) over the s with mask[t,s]      out[t] = sum_s prob[t,s] v[s]
//   d_v[s] = sum_t prob d_out[t]   d_score = prob (d_prob - sum_s prob d_prob) / sqrt(HS),   d_prob = d_out[t] . v[s]
//   d_q[t] = sum_s d_score k[s]       d_k[s] = sum_t d_score q[t]                 a row with no true mask gives zeros
//
//   q (B,T,HS)   k (B,S,HS)   v (B,S,VS)   out (B,T,VS)   prob (B,T,S)
//   mask (T,S), true = may look, or null; B: batch x heads
//
// A block owns a query (for d_k and d_v, a key): a warp owns a dot product, a thread owns a channel of a sum.
#pragma once
#include "host/reference/sdpa.h"
#include "kernels/tools/common.cuh"

constexpr int sdpa_block = 128;

template <class A, class B>
__device__ float sdpa_dot(const A* x, const B* y, int n) {  // of a warp
    float sum = 0;
    for (int i = threadIdx.x % warp_size; i < n; i += warp_size) sum += float(x[i]) * float(y[i]);
    return warp_sum(sum);
}

// scores (B,T,S): scratch.
template <class Real>
__global__ void sdpa_forward_kernel(Real* out, Real* prob, float* scores, const Real* q, const Real* k, const Real* v,
                                    const bool* mask, float scale, int T, int S, int HS, int VS) {
    const size_t row = blockIdx.x, b = row / T, t = row % T;
    float* score = scores + row * S;
    for (int s = threadIdx.x / warp_size; s < S; s += sdpa_block / warp_size) {
        const float dot = sdpa_dot(q + row * HS, k + (b * S + s) * HS, HS);
        if (threadIdx.x % warp_size == 0) score[s] = !mask || mask[t * S + s] ? dot * scale : -INFINITY;
    }
    __syncthreads();

    float max = -INFINITY, sum = 0;
    for (int s = threadIdx.x; s < S; s += sdpa_block) max = fmaxf(max, score[s]);
    max = block_max(max);
    for (int s = threadIdx.x; s < S; s += sdpa_block) sum += score[s] == -INFINITY ? 0 : __expf(score[s] - max);
    sum = block_sum(sum);
    for (int s = threadIdx.x; s < S; s += sdpa_block) {
        score[s] = score[s] == -INFINITY ? 0 : __expf(score[s] - max) / sum;
        prob[row * S + s] = Real(score[s]);
    }
    __syncthreads();

    for (int i = threadIdx.x; i < VS; i += sdpa_block) {
        float total = 0;
        for (int s = 0; s < S; s++) total += score[s] * float(v[(b * S + s) * VS + i]);
        out[row * VS + i] = Real(total);
    }
}

// d_scores (B,T,S): for the other kernel.
template <class Real>
__global__ void sdpa_backward_query_kernel(Real* d_q, float* d_scores, const Real* d_out, const Real* prob,
                                           const Real* k, const Real* v, float scale, int T, int S, int HS, int VS) {
    const size_t row = blockIdx.x, b = row / T;
    float* d_score = d_scores + row * S;
    for (int s = threadIdx.x / warp_size; s < S; s += sdpa_block / warp_size) {
        const float d_prob = sdpa_dot(d_out + row * VS, v + (b * S + s) * VS, VS);
        if (threadIdx.x % warp_size == 0) d_score[s] = d_prob;
    }
    __syncthreads();
    float dot = 0;
    for (int s = threadIdx.x; s < S; s += sdpa_block) dot += float(prob[row * S + s]) * d_score[s];
    dot = block_sum(dot);
    for (int s = threadIdx.x; s < S; s += sdpa_block)
        d_score[s] = float(prob[row * S + s]) * (d_score[s] - dot) * scale;
    __syncthreads();
    for (int i = threadIdx.x; i < HS; i += sdpa_block) {
        float total = 0;
        for (int s = 0; s < S; s++) total += d_score[s] * float(k[(b * S + s) * HS + i]);
        d_q[row * HS + i] = Real(total);
    }
}

template <class Real>
__global__ void sdpa_backward_key_kernel(Real* d_k, Real* d_v, const float* d_scores, const Real* d_out,
                                         const Real* prob, const Real* q, int T, int S, int HS, int VS) {
    const size_t key = blockIdx.x, b = key / S, s = key % S;
    for (int i = threadIdx.x; i < HS; i += sdpa_block) {
        float total = 0;
        for (size_t row = b * T; row < (b + 1) * T; row++) total += d_scores[row * S + s] * float(q[row * HS + i]);
        d_k[key * HS + i] = Real(total);
    }
    for (int i = threadIdx.x; i < VS; i += sdpa_block) {
        float total = 0;
        for (size_t row = b * T; row < (b + 1) * T; row++)
            total += float(prob[row * S + s]) * float(d_out[row * VS + i]);
        d_v[key * VS + i] = Real(total);
    }
}

template <class Real>
void sdpa_forward(Real* out, Real* prob, const Real* q, const Real* k, const Real* v, const bool* mask, int B, int T,
                  int S, int HS, int VS, Gpu<Real> on) {
    float* scores = on.template scratch<float>(size_t(B) * T * S);
    launch(sdpa_forward_kernel<Real>, B * T, sdpa_block, 0, on, out, prob, scores, q, k, v, mask,
           1 / std::sqrt(float(HS)), T, S, HS, VS);
}

template <class Real>
void sdpa_backward(Real* d_q, Real* d_k, Real* d_v, const Real* d_out, const Real* prob, const Real* q, const Real* k,
                   const Real* v, int B, int T, int S, int HS, int VS, Gpu<Real> on) {
    float* d_scores = on.template scratch<float>(size_t(B) * T * S);
    const float scale = 1 / std::sqrt(float(HS));
    launch(sdpa_backward_query_kernel<Real>, B * T, sdpa_block, 0, on, d_q, d_scores, d_out, prob, k, v, scale, T, S,
           HS, VS);
    launch(sdpa_backward_key_kernel<Real>, B * S, sdpa_block, 0, on, d_k, d_v, d_scores, d_out, prob, q, T, S, HS, VS);
}
