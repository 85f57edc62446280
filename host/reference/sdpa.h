// Scaled dot-product attention as the textbook has it: any queries and keys, an optional mask, all probabilities kept.
//
//   prob[t,s] = softmax_s(q[t] . k[s] / sqrt(HS)) over the s with mask[t,s]      out[t] = sum_s prob[t,s] v[s]
//   d_v[s] = sum_t prob d_out[t]    d_prob = d_out[t] . v[s]    d_score = prob (d_prob - sum_s prob d_prob) / sqrt(HS)
//   d_q[t] = sum_s d_score k[s]       d_k[s] = sum_t d_score q[t]                 a row with no true mask gives zeros
//
//   q (B,T,HS)   k (B,S,HS)   v (B,S,VS)   out (B,T,VS)   prob (B,T,S)   mask (T,S), true = may look, or null
//   B counts batch x heads
#pragma once
#include <cmath>
#include "cpu.h"
#include "math.h"
#include "threads.h"

template <class Real>
void sdpa_forward(Real* out, Real* prob, const Real* q, const Real* k, const Real* v, const bool* mask, int B, int T,
                  int S, int HS, int VS, Cpu<Real>) {
    const Real scale = Real(1) / std::sqrt(Real(HS));
    parallel_for(B * T, [=](int i) {
        const int b = i / T, t = i % T;
        Real *p = prob + (size_t(b) * T + t) * S, *o = out + (size_t(b) * T + t) * VS, sum = 0;
        auto sees = [=](int s) { return !mask || mask[size_t(t) * S + s]; };
        double max = -1e300;
        for (int s = 0; s < S; s++) {
            p[s] = 0;
            for (int i = 0; i < HS; i++) p[s] += q[(size_t(b) * T + t) * HS + i] * k[(size_t(b) * S + s) * HS + i];
            p[s] *= scale;
            if (sees(s)) max = std::max(max, double(std::real(p[s])));
        }
        for (int s = 0; s < S; s++) sum += p[s] = sees(s) ? exp_of(p[s] - Real(max)) : Real(0);
        for (int s = 0; s < S; s++)
            if (sees(s)) p[s] /= sum;
        std::fill_n(o, VS, Real(0));
        for (int s = 0; s < S; s++)
            for (int i = 0; i < VS; i++) o[i] += p[s] * v[(size_t(b) * S + s) * VS + i];
    });
}

template <class Real>
void sdpa_backward(Real* d_q, Real* d_k, Real* d_v, const Real* d_out, const Real* prob, const Real* q, const Real* k,
                   const Real* v, int B, int T, int S, int HS, int VS, Cpu<Real> on) {
    const Real scale = Real(1) / std::sqrt(Real(HS));
    on.zero(d_k, size_t(B) * S * HS);
    on.zero(d_v, size_t(B) * S * VS);
    on.zero(d_q, size_t(B) * T * HS);
    parallel_for(B, [=](int b) {
        for (int t = 0; t < T; t++) {
            const size_t row = size_t(b) * T + t;
            const Real *p = prob + row * S, *d_o = d_out + row * VS;
            Real* d_prob = on.scratch(S);
            Real dot = 0;
            for (int s = 0; s < S; s++) {
                d_prob[s] = 0;
                for (int i = 0; i < VS; i++) d_prob[s] += d_o[i] * v[(size_t(b) * S + s) * VS + i];
                dot += p[s] * d_prob[s];
            }
            for (int s = 0; s < S; s++) {
                const Real d_score = p[s] * (d_prob[s] - dot) * scale;
                for (int i = 0; i < HS; i++) {
                    d_q[row * HS + i] += d_score * k[(size_t(b) * S + s) * HS + i];
                    d_k[(size_t(b) * S + s) * HS + i] += d_score * q[row * HS + i];
                }
                for (int i = 0; i < VS; i++) d_v[(size_t(b) * S + s) * VS + i] += p[s] * d_o[i];
            }
        }
    });
}
