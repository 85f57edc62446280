// Cross-entropy and its gradient, which replaces the logits: the definition of the fused kernel.
//   logits (N,P), in: logits, out: d_logits   target (N)   loss, lse (N)
#pragma once
#include "cross_entropy.h"

template <class T>
void cross_entropy_fused(T* loss, T* lse, T* logits, const T* d_loss, const int* target, int N, int V, int P,
                         Cpu<T> on) {
    cross_entropy_forward(loss, lse, logits, target, N, V, P, on);
    cross_entropy_backward(logits, d_loss, logits, lse, target, N, V, P, on);
}
