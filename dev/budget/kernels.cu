// Instantiates every kernel once per storage type, for the compiler's register counts and the machine code (budget.sh).
#include "kernels/all.cuh"

template <class T>
void instantiate(const Gpu<T>& on) {
    T* x = nullptr;
    float* f = nullptr;
    int* i = nullptr;
    const RopePairs half = RopePairs::half;
    adamw_update(x, f, f, f, f, f, nullptr, nullptr, 1, on);
    attention_forward(x, f, x, i, {}, 1, 1, 1, 1, 1, on);
    attention_backward(x, x, x, f, x, i, {}, 1, 1, 1, 1, 1, on);
    attention_decode(x, x, x, x, i, 1, 1, 1, 1, 1, on);
    attention_keep(x, x, x, 1, 1, 1, 1, 1, on);
    cross_entropy_forward(f, f, x, i, 1, 1, 1, on);
    cross_entropy_backward(x, f, x, f, i, 1, 1, 1, on);
    cross_entropy_fused(f, f, x, f, i, 1, 1, 1, on);
    dropout_forward(x, x, {}, 1, 1, on);
    embedding_forward(x, i, i, x, x, 1, 1, on);
    embedding_backward(f, f, x, i, i, 1, 1, 1, 1, on);
    gelu_forward(x, x, 1, on);
    gelu_backward(x, x, x, 1, on);
    global_norm(f, f, 1, on);
    layernorm_forward(x, f, f, x, x, x, 0, 1, 1, on);
    layernorm_backward(x, f, f, x, x, x, f, f, 1, 1, on);
    linear_forward(x, x, x, x, 1, 1, 1, on);
    linear_backward(x, f, f, x, x, x, 1, 1, 1, on);
    linear_gelu_forward(x, x, x, x, x, 1, 1, 1, on);
    linear_swiglu_forward(x, x, x, x, x, 1, 1, 1, on);
    gelu_linear_backward(x, f, f, x, x, x, x, 1, 1, 1, on);
    swiglu_linear_backward(x, f, f, x, x, x, x, 1, 1, 1, on);
    qk_norm_forward(x, f, x, x, x, 0, 1, 1, 1, 1, on);
    qk_norm_backward(x, f, f, x, x, x, x, f, 1, 1, 1, 1, on);
    qk_norm_rope_forward(x, f, x, x, x, i, f, f, half, 0, 1, 1, 1, 2, on);
    qk_norm_rope_backward(x, f, f, x, x, x, x, f, i, f, f, half, 1, 1, 1, 2, on);
    relu_forward(x, x, 1, on);
    relu_backward(x, x, x, 1, on);
    repetition_forward(x, nullptr, i, 1, 1, 1, 1, on);
    residual_forward(x, x, x, 1, on);
    residual_layernorm_forward(x, x, f, f, x, x, x, x, 0, 1, 1, on);
    residual_rmsnorm_forward(x, x, f, x, x, x, 0, 1, 1, on);
    rmsnorm_forward(x, f, x, x, 0, 1, 1, on);
    rmsnorm_backward(x, f, x, x, x, f, 1, 1, on);
    rope_forward(x, i, f, f, half, 1, 1, 1, 2, on);
    rope_backward(x, i, f, f, half, 1, 1, 1, 2, on);
    sampling_forward(i, i, x, f, {}, 1, 1, 1, on);
    sdpa_forward(x, x, x, x, x, static_cast<bool*>(nullptr), 1, 1, 1, 1, 1, on);
    sdpa_backward(x, x, x, x, x, x, x, x, 1, 1, 1, 1, 1, on);
    softmax_forward(x, x, 1, 1, on);
    softmax_backward(x, x, x, 1, 1, on);
    swiglu_forward(x, x, 1, 1, on);
    swiglu_backward(x, x, x, 1, 1, on);
}
template void instantiate(const Gpu<float>&);
template void instantiate(const Gpu<bf16>&);
