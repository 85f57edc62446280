// Repetition penalty (Keskar et al. 2019, CTRL, section 4.1): tokens that the text already has become less likely.
//
//   seen[b,token[b]] = 1       logits[b,v] = logits[b,v] > 0 ? logits[b,v] / penalty : logits[b,v] * penalty where seen
//
//   logits (B,P), columns V..P-1 padding   seen (B,V), 0 or 1   token (B)
//
// A thread owns a token of the vocabulary: few logits change, so they are not worth vectors.
#pragma once
#include "host/reference/repetition.h"
#include "kernels/tools/common.cuh"

template <class T>
__global__ void repetition_kernel(T* logits, unsigned char* seen, const int* token, float penalty, int V, int P) {
    const int v = int(flat_index<1>()), b = blockIdx.y;
    if (v >= V) return;
    unsigned char& mine = seen[size_t(b) * V + v];
    if (v == token[b]) mine = 1;
    else if (!mine) return;
    T* logit = logits + size_t(b) * P + v;
    const float x = float(*logit);
    *logit = T(x > 0 ? x / penalty : x * penalty);
}

template <class T>
void repetition_forward(T* logits, unsigned char* seen, const int* token, float penalty, int B, int V, int P,
                        Gpu<T> on) {
    const unsigned blocks = flat_grid<1>(V).x;
    launch(repetition_kernel<T>, dim3(blocks, B), flat_block, 0, on, logits, seen, token, penalty, V, P);
}
