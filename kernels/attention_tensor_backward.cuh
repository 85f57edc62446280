// Attention on tensor cores, backward: the equations of attention.cuh, the shapes and tiles of attention_tensor.cuh.
//
// Two kernels, so that nothing is added across blocks and every sum has one order: the first owns queries and leaves
// d_q and delta, the second owns keys, walks over the queries of all heads of its group that see them, and leaves d_k
// and d_v. Each computes the scores anew: seven matmuls instead of five.
#pragma once
#include "attention_tensor_backward_key.cuh"
#include "attention_tensor_backward_query.cuh"

// False, and nothing is done, for head sizes that are no multiples of 8.
template <class T>
bool attention_tensor_backward(T* d_qkv, float* delta, const T* d_out, const T* out, const float* lse, const T* qkv,
                               const int* first, const Dropout& drop, const AttentionHead& at, const Gpu<T>& on) {
    return by_tensor_heads(at.HS, drop, [&](auto HS, auto heads) {
        using Query = AttentionTensorQuery<HS, heads>;
        launch(attention_tensor_query_kernel<HS, heads>, dim3(ceil_div(at.T, Query::rows), at.NH, at.B), Query::threads,
               Query::bytes, on, d_qkv, delta, d_out, out, lse, qkv, first, drop, at, at.scale());
        if constexpr (heads == Heads::exact && HS <= 128) {
            using Key = AttentionTensorKey<HS>;
            launch(attention_tensor_key_kernel<HS>, dim3(ceil_div(at.T, Key::keys), at.NKV, at.B), Key::threads,
                   Key::bytes, on, d_qkv, delta, d_out, lse, qkv, first, at, at.scale());
        } else {
            using Key = AttentionTensorPaired<HS>;
            launch(attention_tensor_paired_key_kernel<HS, heads>, dim3(ceil_div(at.T, Key::keys), at.NKV, at.B),
                   Key::threads, Key::bytes, on, d_qkv, delta, d_out, lse, qkv, first, drop, at, at.scale());
        }
    });
}
