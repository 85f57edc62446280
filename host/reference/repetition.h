// Repetition penalty (Keskar et al. 2019, CTRL, section 4.1): tokens that the text already has become less likely.
//
//   seen[b,token[b]] = 1       logits[b,v] = logits[b,v] > 0 ? logits[b,v] / penalty : logits[b,v] * penalty where seen
//
//   logits (B,P), columns V..P-1 padding   seen (B,V), 0 or 1   token (B)
#pragma once
#include "cpu.h"

template <class T>
void repetition_forward(T* logits, unsigned char* seen, const int* token, float penalty, int B, int V, int P, Cpu<T>) {
    for (int b = 0; b < B; b++) {
        unsigned char* mine = seen + size_t(b) * V;
        mine[token[b]] = 1;
        for (int v = 0; v < V; v++) {
            T& x = logits[size_t(b) * P + v];
            if (mine[v]) x = x > T(0) ? x / T(penalty) : x * T(penalty);
        }
    }
}
