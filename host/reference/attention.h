// Attention: every query averages the values of the keys it may see, weighted by softmax of the scaled dot products.
//
//   score[t,s] = q[t] . k[s] / sqrt(HS)  for first[t] <= s <= t      lse[t] = log sum_s exp(score[t,s])
//   prob[t,s]  = exp(score[t,s] - lse[t])                            out[t] = sum_s drop[t,s] prob[t,s] v[s]
//
//   d_v[s] = sum_t drop prob d_out[t]    d_prob = drop (d_out[t] . v[s])    delta[t] = d_out[t] . out[t]
//   d_score = prob (d_prob - delta) / sqrt(HS)     d_q[t] = sum_s d_score k[s]     d_k[s] = sum_t d_score q[t]
//
//   qkv (B,T,NH+2*NKV,HS)   out (B,T,NH,HS)   lse (B,NH,T)   first (B,T) or null (= 0: causal)
//   Query head h reads key/value head h*NKV/NH. A thread owns a sequence's key/value head and holds a strip of scores.
//   Where AttentionHead has a divisor, it stands beside every sqrt(HS).
#pragma once
#include <cmath>
#include "gemm.h"
#include "math.h"
#include "parallel.h"
#include "philox.h"

constexpr int attention_strip = 32;

// The first key that a query at p sees through a window of that many, its own included; 0: through none.
constexpr int first_in_window(int p, int window) { return window > 0 && p >= window ? p - window + 1 : 0; }

// Places of one key/value head's tensors; consecutive tokens are `row` (or `out_row`) elements apart.
struct AttentionHead {
    int B, T, NH, NKV, HS;
    int divisor = 1;  // of the scores, beside sqrt(HS): Config::scores_by_layer
    int window = 0;   // keys that attention_decode's query sees, its own included; 0: all. The others go by `first`.
    constexpr int row() const { return (NH + 2 * NKV) * HS; }
    constexpr int out_row() const { return NH * HS; }
    constexpr size_t token(int b, int t) const { return size_t(b) * T + t; }
    constexpr size_t query(int b, int t, int h) const { return token(b, t) * row() + size_t(h) * HS; }
    constexpr size_t key(int b, int kv) const { return token(b, 0) * row() + size_t(NH + kv) * HS; }
    constexpr size_t value(int b, int kv) const { return token(b, 0) * row() + size_t(NH + NKV + kv) * HS; }
    constexpr size_t out(int b, int t, int h) const { return token(b, t) * out_row() + size_t(h) * HS; }
    constexpr size_t lse(int b, int h, int t) const { return (size_t(b) * NH + h) * T + t; }
    constexpr int first_key(int p) const { return first_in_window(p, window); }  // of the query at p
    template <class Number = float>
    Number scale() const {
        return Number(1) / (std::sqrt(Number(HS)) * Number(divisor));
    }
};

// The dropout factors of probabilities (b,h,t,0..t): one random word per element, rows padded to whole Philox calls.
template <class Real>
void attention_dropout(Real* factor, const Dropout& drop, const AttentionHead& at, int b, int h, int t) {
    const uint64_t row = (drop.noise->row + at.token(b, t)) * at.NH + h;
    dropout_factors(factor, drop, row * ((at.T + 3) / 4 * 4), t + 1);
}

template <class Real>
void attention_forward(Real* out, Real* lse, const Real* qkv, const int* first, const Dropout& drop,
                       const AttentionHead& heads, Cpu<Real> on) {
    const AttentionHead at = heads;
    const int T = at.T, NH = at.NH, NKV = at.NKV, HS = at.HS;
    const Real scale = at.scale<Real>();
    parallel_for(at.B * NH, [=](int i) {
        const int b = i / NH, h = i % NH;
        Real* score = on.scratch(size_t(attention_strip + 1) * T);
        Real* keep = score + size_t(attention_strip) * T;
        const int kv = h * NKV / NH;
        for (int t0 = 0; t0 < T; t0 += attention_strip) {
            const int rows = std::min(attention_strip, T - t0), keys = t0 + rows;
            gemm(Op::none, Op::transpose, rows, keys, HS, qkv + at.query(b, t0, h), at.row(), qkv + at.key(b, kv),
                 at.row(), Into::assign, score, keys);
            for (int t = t0; t < keys; t++) {
                Real* p = score + size_t(t - t0) * keys;
                const int from = first ? first[at.token(b, t)] : 0;
                std::fill(p, p + from, Real(0));
                std::fill(p + t + 1, p + keys, Real(0));
                const Real max = largest(p + from, t + 1 - from);
                Real sum = 0;
                for (int s = from; s <= t; s++) sum += p[s] = exp_of((p[s] - max) * scale);
                const Real inverse = Real(1) / sum;
                for (int s = from; s <= t; s++) p[s] *= inverse;
                if (drop.p > 0) {
                    attention_dropout(keep, drop, at, b, h, t);
                    for (int s = from; s <= t; s++) p[s] *= keep[s];
                }
                lse[at.lse(b, h, t)] = max * scale + std::log(sum);
            }
            gemm(Op::none, Op::none, rows, HS, keys, score, keys, qkv + at.value(b, kv), at.row(), Into::assign,
                 out + at.out(b, t0, h), at.out_row());
        }
    });
}

// A query's probabilities and the gradients of its scores, in place of the dot products q.k and d_out.v.
template <class Real>
void attention_row_backward(Real* prob, Real* d_score, Real* keep, const Real* d_out, const Real* out, Real lse,
                            const int from, const Dropout& drop, const AttentionHead& at, int b, int h, int t,
                            int keys) {
    const Real scale = at.scale<Real>();
    Real delta = 0;
    for (int i = 0; i < at.HS; i++) delta += d_out[i] * out[i];
    for (int s = 0; s < from; s++) prob[s] = d_score[s] = 0;
    for (int s = t + 1; s < keys; s++) prob[s] = d_score[s] = 0;
    if (drop.p > 0) {
        attention_dropout(keep, drop, at, b, h, t);
#pragma omp simd
        for (int s = from; s <= t; s++) {
            const Real full = exp_of(prob[s] * scale - lse);
            d_score[s] = full * (d_score[s] * keep[s] - delta) * scale;
            prob[s] = full * keep[s];
        }
    } else {
#pragma omp simd
        for (int s = from; s <= t; s++) {
            prob[s] = exp_of(prob[s] * scale - lse);
            d_score[s] = prob[s] * (d_score[s] - delta) * scale;
        }
    }
}

template <class Real>
void attention_backward(Real* d_qkv, const Real* d_out, const Real* out, const Real* lse, const Real* qkv,
                        const int* first, const Dropout& drop, const AttentionHead& heads, Cpu<Real> on) {
    const AttentionHead at = heads;
    const int T = at.T, NKV = at.NKV, HS = at.HS, group = at.NH / NKV;
    parallel_for(at.B * NKV, [=](int i) {
        const int b = i / NKV, kv = i % NKV;
        Real* prob = on.scratch((2 * size_t(attention_strip) + 1) * T);
        Real *d_score = prob + size_t(attention_strip) * T, *keep = d_score + size_t(attention_strip) * T;
        const Real *k = qkv + at.key(b, kv), *v = qkv + at.value(b, kv);
        Real *d_k = d_qkv + at.key(b, kv), *d_v = d_qkv + at.value(b, kv);
        for (int t = 0; t < T; t++) {
            std::fill_n(d_k + size_t(t) * at.row(), HS, Real(0));
            std::fill_n(d_v + size_t(t) * at.row(), HS, Real(0));
        }
        for (int h = kv * group; h < (kv + 1) * group; h++)
            for (int t0 = 0; t0 < T; t0 += attention_strip) {
                const int rows = std::min(attention_strip, T - t0), keys = t0 + rows;
                const Real *q = qkv + at.query(b, t0, h), *d_o = d_out + at.out(b, t0, h);
                gemm(Op::none, Op::transpose, rows, keys, HS, q, at.row(), k, at.row(), Into::assign, prob, keys);
                gemm(Op::none, Op::transpose, rows, keys, HS, d_o, at.out_row(), v, at.row(), Into::assign, d_score,
                     keys);
                for (int t = t0; t < keys; t++) {
                    const size_t row = size_t(t - t0) * keys, o = at.out(b, t, h);
                    attention_row_backward(prob + row, d_score + row, keep, d_out + o, out + o, lse[at.lse(b, h, t)],
                                           first ? first[at.token(b, t)] : 0, drop, at, b, h, t, keys);
                }
                gemm(Op::none, Op::none, rows, HS, keys, d_score, keys, k, at.row(), Into::assign,
                     d_qkv + at.query(b, t0, h), at.row());
                gemm(Op::transpose, Op::none, keys, HS, rows, d_score, keys, q, at.row(), Into::add, d_k, at.row());
                gemm(Op::transpose, Op::none, keys, HS, rows, prob, keys, d_o, at.out_row(), Into::add, d_v, at.row());
            }
    });
}
