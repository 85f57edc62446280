// Cross-entropy and its gradient, which replaces the logits: the definition of the fused kernel.
//   logits (N,P), in: logits, out: d_logits   target (N)   loss, lse (N)
#pragma once
#include "cross_entropy.h"

template <class T>
void cross_entropy_fused(T* loss, T* lse, T* logits, const T* d_loss, const int* target, int N, int V, int P, Cpu<T>) {
    parallel_for(N, [=](int n) {
        T* row = logits + size_t(n) * P;
        cross_entropy_row(loss[n], lse[n], row, target[n], V);
        cross_entropy_row_backward(row, *d_loss, row, lse[n], target[n], V, P);
    });
}
