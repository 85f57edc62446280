// Cross-entropy of the next token:  lse[n] = log sum_v exp(logits[n,v])      loss[n] = lse[n] - logits[n][target[n]]
//
//   d_logits[n,v] = d_loss (exp(logits[n,v] - lse[n]) - [v == target[n]])
//   d_loss = 1 / valid targets of the whole batch          target -1 is ignored: loss 0, gradient 0
//
//   logits, d_logits (N,P), may be the same; columns V..P-1 are padding: not read, gradient 0
//   target, loss, lse (N)
#pragma once
#include "cpu.h"
#include "math.h"
#include "parallel.h"

constexpr int ignored_target = -1;

template <class T>
void cross_entropy_forward(T* loss, T* lse, const T* logits, const int* target, int N, int V, int P, Cpu<T>) {
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++) {
        const T* x = logits + size_t(n) * P;
        const T max = largest(x, V);
        T sum = 0;
        for (int v = 0; v < V; v++) sum += exp_of(x[v] - max);
        lse[n] = max + std::log(sum);
        loss[n] = target[n] == ignored_target ? T(0) : lse[n] - x[target[n]];
    }
}

template <class T>
void cross_entropy_backward(T* d_logits, const T* d_loss, const T* logits, const T* lse, const int* target, int N,
                            int V, int P, Cpu<T>) {
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++) {
        const T *x = logits + size_t(n) * P, scale = target[n] == ignored_target ? T(0) : *d_loss, log_sum = lse[n];
        T* d = d_logits + size_t(n) * P;
#pragma omp simd
        for (int v = 0; v < V; v++) d[v] = scale * exp_of(x[v] - log_sum);
        for (int v = V; v < P; v++) d[v] = 0;
        if (target[n] != ignored_target) d[target[n]] -= scale;
    }
}
