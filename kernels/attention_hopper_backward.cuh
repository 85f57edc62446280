// Attention backward on Hopper's warpgroup products: bf16 heads of 64 or 128 channels without dropout. The equations of
// attention.cuh.
//
// Two kernels, as in attention_tensor_backward.cuh: blocks own 128 queries and leave d_q and delta, or 128 keys and
// leave d_k and d_v. Both make tiles of scores whose rows are their own and whose columns are the other side's:
//
//   own queries:  score = q k^T   d_prob = d_out v^T   d_q += d_score k
//   own keys:     score = k q^T   d_prob = v d_out^T   d_v += prob d_out   d_k += d_score q
//
// so that probabilities and gradients of scores, in registers, are left operands of the next product. Of three
// warpgroups two compute, each with 64 of the rows; the first brings what they need, slot by slot of a ring. A block
// stays for many blocks of rows, of which the ring brings the next while the last is being stored.
#pragma once
#include "attention_hopper_backward_key.cuh"
#include "attention_hopper_backward_query.cuh"
#include "attention_hopper_map.cuh"

// d_qkv: boxes of 16 tokens; the others: of Shape::columns.
template <int HS, Owns owns>
__global__ void __launch_bounds__(hopper_threads(AttentionHopperBackward<HS, owns>::threads), 1)
    attention_hopper_backward_kernel(const __grid_constant__ TensorMap d_qkv, const __grid_constant__ TensorMap qkv,
                                     const __grid_constant__ TensorMap d_out, const __grid_constant__ TensorMap out,
                                     float* delta, const float* lse, const int* first, AttentionHopperWork work,
                                     float scale) {
#if HOPPER
    using Shape = AttentionHopperBackward<HS, owns>;
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    if (threadIdx.x == 0) {
        for (int i = 0; i < Shape::slots; i++) {
            barrier_init(&shared.told[i], 1), barrier_init(&shared.empty[i], Shape::warps);
            barrier_init(&shared.full[i], 2);  // of copies and of the note
        }
        barrier_init(&shared.own_full, 1), barrier_init(&shared.own_empty, Shape::warps);
        barrier_init_fence();
    }
    __syncthreads();
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    if (group == 0) {
        registers_shrink<Shape::few_registers>();
        const int warp = threadIdx.x / warp_size;
        if (warp == 0) AttentionHopperDeliveries<Shape>{qkv, d_out, out, first, work, shared}.run();
        else AttentionHopperNotes<Shape>{lse, delta, first, work.at, shared}.run(warp - 1);
    } else {
        registers_grow<Shape::many_registers>();
        if constexpr (Shape::of_keys) AttentionHopperKeys<HS>{d_qkv, work, scale, group - 1, shared}.run();
        else AttentionHopperQueries<HS>{d_qkv, delta, work, scale, group - 1, shared}.run();
    }
#endif
}

// One of the two kernels.
template <int HS, Owns owns>
void attention_hopper_backward_side(bf16* d_qkv, float* delta, const bf16* d_out, const bf16* out, const float* lse,
                                    const bf16* qkv, const int* first, const AttentionHead& at, const Gpu<bf16>& on) {
    using Shape = AttentionHopperBackward<HS, owns>;
    const auto work = AttentionHopperWork::of(at, Shape::rows, owns, on.sm_count);
    const int packed = at.NH + 2 * at.NKV;
    const auto map = [&](const bf16* x, int heads, int tokens) { return attention_map(x, heads, tokens, at); };
    launch(attention_hopper_backward_kernel<HS, owns>, work.stride / 2, Shape::threads, sizeof(typename Shape::Shared),
           on, map(d_qkv, packed, 16), map(qkv, packed, Shape::columns), map(d_out, at.NH, Shape::columns),
           map(out, at.NH, Shape::columns), delta, lse, first, work, at.scale());
}

// For heads of HS channels without dropout.
inline bool attention_backward_has_hopper(int HS, const Gpu<bf16>& on) {
    return (HS == 64 || HS == 128) && on.trusts(Kernels::attention_hopper_backward) && has_hopper(on);
}
// False where these kernels are not for the GPU, the heads or the dropout: then nothing is done.
inline bool attention_hopper_backward(bf16* d_qkv, float* delta, const bf16* d_out, const bf16* out, const float* lse,
                                      const bf16* qkv, const int* first, const Dropout& drop, const AttentionHead& at,
                                      const Gpu<bf16>& on) {
    if (drop.p > 0 || !attention_backward_has_hopper(at.HS, on)) return false;
    const auto run = [&](auto HS) {
        attention_hopper_backward_side<HS, Owns::queries>(d_qkv, delta, d_out, out, lse, qkv, first, at, on);
        attention_hopper_backward_side<HS, Owns::keys>(d_qkv, delta, d_out, out, lse, qkv, first, at, on);
    };
    if (at.HS == 64) run(std::integral_constant<int, 64>{});
    else run(std::integral_constant<int, 128>{});
    return true;
}
