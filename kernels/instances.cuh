// The layers' functions, compiled once for each storage type in instances/: whoever includes this calls them, and
// compiles none. Each takes up to a minute, and a dozen source files use them.
#pragma once
#include "all.cuh"

// clang-format off
#define INSTANCES_OF_ATTENTION(declare, T)                                                                            \
    declare template void attention_forward(T*, float*, const T*, const int*, const Dropout&, const AttentionHead&,   \
        Gpu<T>);                                                                                                      \
    declare template void attention_backward(T*, const T*, const T*, const float*, const T*, const int*,              \
        const Dropout&, const AttentionHead&, Gpu<T>);                                                                \
    declare template void attention_keep(T*, T*, const T*, int, int, int, int, int, Gpu<T>);                          \
    declare template void attention_decode(T*, T*, T*, const T*, const int*, int, const AttentionHead&, Gpu<T>);

#define INSTANCES_OF_LINEAR(declare, T)                                                                               \
    declare template void linear_forward(T*, const T*, const T*, const T*, int, int, int, Gpu<T>);                    \
    declare template void linear_backward(T*, float*, float*, const T*, const T*, const T*, int, int, int, Gpu<T>);   \
    declare template void linear_backward_input(T*, const T*, const T*, int, int, int, Gpu<T>);                       \
    declare template void linear_backward_weight(float*, float*, const T*, const T*, int, int, int, Gpu<T>);          \
    declare template void linear_gelu_forward(T*, T*, const T*, const T*, const T*, int, int, int, Gpu<T>);           \
    declare template void linear_swiglu_forward(T*, T*, const T*, const T*, const T*, int, int, int, Gpu<T>);         \
    declare template void gelu_linear_backward(T*, float*, float*, float*, const T*, const T*, const T*, const T*,    \
        int, int, int, Gpu<T>);                                                                                       \
    declare template void swiglu_linear_backward(T*, float*, float*, const T*, const T*, const T*, const T*, int,     \
        int, int, Gpu<T>);

#define INSTANCES_OF_LAYERS(declare, T)                                                                               \
    declare template void adamw_update(T*, float*, float*, float*, const float*, const float*, const AdamwStep*,      \
        const AdamwSegment*, int, Gpu<T>);                                                                            \
    declare template void cross_entropy_forward(float*, float*, const T*, const int*, int, int, int, Gpu<T>);         \
    declare template void cross_entropy_backward(T*, const float*, const T*, const float*, const int*, int, int,      \
        int, Gpu<T>);                                                                                                 \
    declare template void cross_entropy_fused(float*, float*, T*, const float*, const int*, int, int, int, Gpu<T>);   \
    declare template void dropout_forward(T*, const T*, const Dropout&, int, int, Gpu<T>);                            \
    declare template void dropout_backward(T*, const T*, const Dropout&, int, int, Gpu<T>);                           \
    declare template void embedding_forward(T*, const int*, const int*, const T*, const T*, int, int, Gpu<T>);        \
    declare template void embedding_backward(float*, float*, const T*, const int*, const int*, int, int, int, int,    \
        Gpu<T>);                                                                                                      \
    declare template void gelu_forward(T*, const T*, size_t, Gpu<T>);                                                 \
    declare template void gelu_backward(T*, const T*, const T*, size_t, Gpu<T>);                                      \
    declare template void global_norm(float*, const float*, size_t, Gpu<T>);                                          \
    declare template void layernorm_forward(T*, float*, float*, const T*, const T*, const T*, float, int, int,        \
        Gpu<T>);                                                                                                      \
    declare template void layernorm_backward(T*, float*, float*, float*, const T*, const T*, const T*, const float*,  \
        const float*, int, int, Gpu<T>);                                                                              \
    declare template void muon_momentum(float*, float*, const float*, const float*, const MuonStep*, size_t,          \
        Gpu<T>);                                                                                                      \
    declare template void muon_direction(T*, const float*, const float*, const float*, const float*,                  \
        const MuonStep*, size_t, Gpu<T>);                                                                             \
    declare template void muon_polynomial(T*, const T*, const T*, int, Gpu<T>);                                       \
    declare template void muon_round(T*, const float*, size_t, Gpu<T>);                                               \
    declare template void muon_update(T*, float*, const T*, const float*, const MuonStep*, float, float, size_t,      \
        Gpu<T>);                                                                                                      \
    declare template void qk_norm_forward(T*, float*, const T*, const T*, const T*, float, int, int, int, int,        \
        Gpu<T>);                                                                                                      \
    declare template void qk_norm_backward(T*, float*, float*, const T*, const T*, const T*, const T*,                \
        const float*, int, int, int, int, Gpu<T>);                                                                    \
    declare template void qk_norm_rope_forward(T*, float*, const T*, const T*, const T*, const int*, const float*,    \
        const float*, RopePairs, float, int, int, int, int, Gpu<T>);                                                  \
    declare template void qk_norm_rope_backward(T*, float*, float*, const T*, const T*, const T*, const T*,           \
        const float*, const int*, const float*, const float*, RopePairs, int, int, int, int, Gpu<T>);                 \
    declare template void relu_forward(T*, const T*, size_t, Gpu<T>);                                                 \
    declare template void relu_backward(T*, const T*, const T*, size_t, Gpu<T>);                                      \
    declare template void repetition_forward(T*, unsigned char*, const int*, float, int, int, int, Gpu<T>);           \
    declare template void residual_forward(T*, const T*, const T*, size_t, Gpu<T>);                                   \
    declare template void residual_layernorm_forward(T*, T*, float*, float*, const T*, const T*, const T*,            \
        const T*, float, int, int, Gpu<T>);                                                                           \
    declare template void residual_rmsnorm_forward(T*, T*, float*, const T*, const T*, const T*, float, int, int,     \
        Gpu<T>);                                                                                                      \
    declare template void rmsnorm_forward(T*, float*, const T*, const T*, float, int, int, Gpu<T>);                   \
    declare template void rmsnorm_backward(T*, float*, const T*, const T*, const T*, const float*, int, int,          \
        Gpu<T>);                                                                                                      \
    declare template void rope_forward(T*, const int*, const float*, const float*, RopePairs, int, int, int, int,     \
        Gpu<T>);                                                                                                      \
    declare template void rope_backward(T*, const int*, const float*, const float*, RopePairs, int, int, int, int,    \
        Gpu<T>);                                                                                                      \
    declare template void sampling_forward(int*, int*, const T*, const float*, const Sampling&, int, int, int,        \
        Gpu<T>);                                                                                                      \
    declare template void swiglu_forward(T*, const T*, int, int, Gpu<T>);                                             \
    declare template void swiglu_backward(T*, const T*, const T*, int, int, Gpu<T>);
// clang-format on

#define INSTANCES(declare, T)          \
    INSTANCES_OF_ATTENTION(declare, T) \
    INSTANCES_OF_LINEAR(declare, T)    \
    INSTANCES_OF_LAYERS(declare, T)
INSTANCES(extern, float)
INSTANCES(extern, bf16)
