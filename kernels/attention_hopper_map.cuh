// How tensor copies see attention's tensors.
#pragma once
#include "host/reference/attention.h"
#include "kernels/tools/tensor_map.cuh"

// Of (B,T,heads,HS): a box is `tokens` rows of a head, 64 channels of them.
inline TensorMap attention_map(const bf16* x, int heads, uint32_t tokens, const AttentionHead& at) {
    const uint64_t HS = at.HS, row = heads * HS, T = at.T, B = at.B;
    return tensor_map(x, {HS, uint64_t(heads), T, B}, {HS, row, row * T}, {64, 1, tokens, 1});
}
