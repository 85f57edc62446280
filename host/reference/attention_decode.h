// Attention of one new token of each of B sequences, over the keys and values kept of the tokens before it and its own.
//
//   p = position[b]:  keys[b,kv,p] = k of qkv[b]     values[b,kv,p] = v of qkv[b]     which stay for the next token
//   score[s] = q[b,h] . keys[b,kv,s] / sqrt(HS) for 0 <= s <= p       out[b,h] = sum_s softmax(score)[s] values[b,kv,s]
//   of which a sliding layer sees only the last `window` keys: p - window < s <= p
//
//   qkv (B,NH+2*NKV,HS)   keys, values (B,NKV,S,HS): S tokens fit   position (B) < S   out (B,NH,HS)
//   attention_keep does the first line for a prompt, qkv (T,NH+2*NKV,HS), at p = 0 .. T-1 of one sequence.
//   Query head h reads key/value head h*NKV/NH. A thread owns a sequence's key/value head.
#pragma once
#include "attention.h"

// The sum of n products.
inline float dot(const float* a, const float* b, int n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}
template <class Real>
Real dot(const Real* a, const Real* b, int n) {
    Real sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

template <class Real>
void attention_keep(Real* keys, Real* values, const Real* qkv, int T, int S, int NH, int NKV, int HS, Cpu<Real>) {
    const AttentionHead at{1, T, NH, NKV, HS};
    parallel_for(NKV * T, [=](int i) {
        const int kv = i / T, t = i % T;
        const size_t from = size_t(t) * at.row(), to = (size_t(kv) * S + t) * HS;
        std::copy_n(qkv + at.key(0, kv) + from, HS, keys + to);
        std::copy_n(qkv + at.value(0, kv) + from, HS, values + to);
    });
}

template <class Real>
void attention_decode(Real* out, Real* keys, Real* values, const Real* qkv, const int* position, int S,
                      const AttentionHead& heads, Cpu<Real> on) {
    const AttentionHead at = heads;  // of one token a sequence
    const Real scale = at.scale<Real>();
    const int NKV = at.NKV, HS = at.HS, group = at.NH / NKV;
    parallel_for(at.B * NKV, [=](int i) {
        const int b = i / NKV, kv = i % NKV;
        const int p = position[b], from = at.first_key(p), count = p + 1 - from;
        Real *k = keys + (size_t(b) * NKV + kv) * S * HS, *v = values + (size_t(b) * NKV + kv) * S * HS;
        std::copy_n(qkv + at.key(b, kv), HS, k + size_t(p) * HS);
        std::copy_n(qkv + at.value(b, kv), HS, v + size_t(p) * HS);
        const Real* q = qkv + at.query(b, 0, kv * group);
        Real *o = out + at.out(b, 0, kv * group), *prob = on.scratch(size_t(group) * count);
        for (int s = 0; s < count; s++)
            for (int g = 0; g < group; g++)
                prob[size_t(g) * count + s] = dot(q + g * HS, k + size_t(from + s) * HS, HS) * scale;
        for (int g = 0; g < group; g++) {
            Real *row = prob + size_t(g) * count, sum = 0;
            const Real max = largest(row, count);
            for (int s = 0; s < count; s++) sum += row[s] = exp_of(row[s] - max);
            for (int s = 0; s < count; s++) row[s] /= sum;
        }
        std::fill_n(o, size_t(group) * HS, Real(0));
        for (int s = 0; s < count; s++)
            for (int g = 0; g < group; g++) {
                const Real weight = prob[size_t(g) * count + s];
#pragma omp simd
                for (int i = 0; i < HS; i++) o[g * HS + i] += weight * v[size_t(from + s) * HS + i];
            }
    });
}
