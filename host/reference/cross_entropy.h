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
void cross_entropy_row(T& loss, T& lse, const T* x, int target, int V) {
    const T max = largest(x, V);
    T sum = 0;
    for (int v = 0; v < V; v++) sum += exp_of(x[v] - max);
    lse = max + std::log(sum);
    loss = target == ignored_target ? T(0) : lse - x[target];
}
template <class T>
void cross_entropy_row_backward(T* d, T d_loss, const T* x, T lse, int target, int V, int P) {
    const T scale = target == ignored_target ? T(0) : d_loss;
#pragma omp simd
    for (int v = 0; v < V; v++) d[v] = scale * exp_of(x[v] - lse);
    for (int v = V; v < P; v++) d[v] = 0;
    if (target != ignored_target) d[target] -= scale;
}

template <class T>
void cross_entropy_forward(T* loss, T* lse, const T* logits, const int* target, int N, int V, int P, Cpu<T>) {
    parallel_for(N, [=](int n) { cross_entropy_row(loss[n], lse[n], logits + size_t(n) * P, target[n], V); });
}

template <class T>
void cross_entropy_backward(T* d_logits, const T* d_loss, const T* logits, const T* lse, const int* target, int N,
                            int V, int P, Cpu<T>) {
    parallel_for(N, [=](int n) {
        const size_t row = size_t(n) * P;
        cross_entropy_row_backward(d_logits + row, *d_loss, logits + row, lse[n], target[n], V, P);
    });
}
