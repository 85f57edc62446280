// QK-norm and the RoPE after it in one pass over the heads: qk_norm.cuh, then rope.cuh.
//
//   out[n,h] = rope(rmsnorm(inp[n,h]) * weight)          d_inp = qk_norm's gradient of (d_out rotated back), assigned
//   d_q_weight, d_k_weight += the gains' gradients
//
//   inp, out (N,NH+2*NKV,HS)   q_weight, k_weight (HS)   rstd (N,NH+NKV)   position (N)   cos, sin (T,HS/2)
//   d_inp may be d_out
//
// A team of lanes owns a head, as in qk_norm.cuh, and a lane W pairs of channels (K times where W = 1), as in rope.cuh.
// The value between the two is never rounded to the storage type.
#pragma once
#include "host/reference/qk_norm_rope.h"
#include "qk_norm.cuh"
#include "rope.cuh"

// The head's vectors of this lane, and the angles of its pairs, as they lie in memory; zeros beyond the head, or where
// there is none.
template <int W, int K, RopePairs pairs, class T>
struct QkNormRopeRaw {
    RopeRaw<W, T> part[K];
    __device__ QkNormRopeRaw(const T* head, bool there, int lane, int team, int HS) {
        UNROLL
        for (int k = 0; k < K; k++) {
            const int i = qk_norm_channel<W>(k, lane, team);
            part[k] = there && i < HS / 2 ? rope_load<W, pairs>(head, i, HS) : RopeRaw<W, T>{};
        }
    }
};
template <int W, int K>
struct QkNormRopeAngles {
    RopeAngles<W> part[K];
    __device__ QkNormRopeAngles(const float* cos, const float* sin, bool there, int lane, int team, int HS) {
        UNROLL
        for (int k = 0; k < K; k++) {
            const int i = qk_norm_channel<W>(k, lane, team);
            part[k] = there && i < HS / 2 ? rope_angles<W>(cos, sin, i) : RopeAngles<W>{};
        }
    }
};

// First members of pairs in v[0..K), second members in v[K..2K).
template <int W, int K, RopePairs pairs>
struct QkNormRopePart {
    Vec<W> v[2 * K] = {};
    template <class T>
    __device__ void get(const QkNormRopeRaw<W, K, pairs, T>& raw) {
        UNROLL
        for (int k = 0; k < K; k++) {
            RopePart<W, pairs> pair;
            pair.get(raw.part[k]);
            v[k] = pair.x;
            v[K + k] = pair.y;
        }
    }
    template <class T>
    __device__ void put(T* head, int lane, int team, int HS) const {
        UNROLL
        for (int k = 0; k < K; k++) {
            const int i = qk_norm_channel<W>(k, lane, team);
            if (i < HS / 2) RopePart<W, pairs>{v[k], v[K + k]}.put(head, i, HS);
        }
    }
    __device__ void rotate(const QkNormRopeAngles<W, K>& angles, float sign) {
        UNROLL
        for (int k = 0; k < K; k++) {
            RopePart<W, pairs> pair{v[k], v[K + k]};
            pair.rotate(angles.part[k], sign);
            v[k] = pair.x;
            v[K + k] = pair.y;
        }
    }
};

template <int W, int K, RopePairs pairs, class T>
__global__ void qk_norm_rope_forward_kernel(T* out, float* rstd, const T* inp, const T* q_weight, const T* k_weight,
                                            const int* position, const float* cos, const float* sin, float eps, int N,
                                            int NH, int NKV, int HS, int team) {
    const int lane = threadIdx.x % team, heads = NH + 2 * NKV;
    const int row = blockIdx.x * (qk_norm_block / team) + threadIdx.x / team, h = row % heads, n = row / heads;
    const bool active = row < N * heads, normed = active && h < NH + NKV;
    using Rows = QkNormRopeRaw<W, K, pairs, T>;
    const Rows inp_row(inp + size_t(row) * HS, active, lane, team, HS);
    const Rows weight_rows(h < NH ? q_weight : k_weight, normed, lane, team, HS);
    const size_t angles = normed ? size_t(position[n]) * (HS / 2) : 0;
    const QkNormRopeAngles<W, K> turn(cos + angles, sin + angles, normed, lane, team, HS);
    QkNormRopePart<W, K, pairs> x, w;
    x.get(inp_row);
    const float scale = qk_norm_scale(x.v, eps, team, HS);  // all lanes of the warp take part
    if (!active) return;
    if (normed) {
        w.get(weight_rows);
        for (int k = 0; k < 2 * K; k++)
            for (int i = 0; i < W; i++) x.v[k][i] *= scale * w.v[k][i];
        x.rotate(turn, 1);
        if (lane == 0) rstd[size_t(n) * (NH + NKV) + h] = scale;
    }
    x.put(out + size_t(row) * HS, lane, team, HS);
}

// partial (2, gridDim.x, HS): the blocks' shares of d_q_weight and d_k_weight.
template <int W, int K, RopePairs pairs, class T>
__global__ void qk_norm_rope_backward_kernel(T* d_inp, float* partial, const T* d_out, const T* inp, const T* q_weight,
                                             const T* k_weight, const float* rstd, const int* position,
                                             const float* cos, const float* sin, int N, int NH, int NKV, int HS,
                                             int team, int walked) {
    const int lane = threadIdx.x % team, heads = NH + 2 * NKV;
    QkNormWalk walk(team, walked, N);
    const int h = walk.h;
    const QkNormHead head = qk_norm_head(h, NH, NKV);
    const bool normed = head != QkNormHead::value;
    using Rows = QkNormRopeRaw<W, K, pairs, T>;
    QkNormRopePart<W, K, pairs> d_weight, w;
    w.get(Rows(head == QkNormHead::query ? q_weight : k_weight, normed, lane, team, HS));
    // The position is loaded an iteration ahead, so that all loads of a token are in flight together.
    const auto position_of = [=](int n) { return normed && n < N ? position[n] : 0; };
    int at_position = position_of(walk.n);
    for (int turn = 0; turn < walk.turns; turn++, walk.n += walk.tokens) {
        const bool inside = walk.n < N, turns = inside && normed;
        const size_t at = (size_t(walk.n) * heads + h) * HS, next = size_t(walk.tokens) * heads * HS;
        const size_t angles = size_t(at_position) * (HS / 2);
        const Rows d_out_row(d_out + at, inside, lane, team, HS), inp_row(inp + at, turns, lane, team, HS);
        const QkNormRopeAngles<W, K> angle(cos + angles, sin + angles, turns, lane, team, HS);
        const float scale = turns ? rstd[size_t(walk.n) * (NH + NKV) + h] : 0;
        at_position = position_of(walk.n + walk.tokens);
        if (const int channel = 2 * W * lane; normed && walk.n + walk.tokens < N && channel < HS) {  // a lane has 2 W
            prefetch_line(d_out + at + next + channel);
            prefetch_line(inp + at + next + channel);
        }
        QkNormRopePart<W, K, pairs> d, x;
        d.get(d_out_row);
        x.get(inp_row);
        if (inside && !normed) d.put(d_inp + at, lane, team, HS);
        d.rotate(angle, -1);
        qk_norm_gradient(d.v, d_weight.v, x.v, w.v, scale, team, HS);
        if (turns) d.put(d_inp + at, lane, team, HS);
    }
    float *q_share = partial + size_t(blockIdx.x) * HS, *k_share = q_share + size_t(gridDim.x) * HS;
    const auto put = [&](float* to) { d_weight.put(to, lane, team, HS); };
    qk_norm_store_sum(q_share, head == QkNormHead::query, team, HS, put);
    qk_norm_store_sum(k_share, head == QkNormHead::key, team, HS, put);
}

// Calls `then` with W, K and the team's size.
template <class Then>
void by_paired_head(int N, int heads, int HS, RopePairs pairs, Pointers pointers, Then then) {
    check_limit("qk_norm_rope", "HS", HS, qk_norm_max);
    check_limit("qk_norm_rope", "tokens * heads", long(N) * heads, 1 << 30);
    by_pairs(HS, pairs, pointers, [&](auto W, auto which) {
        constexpr int K = 8 / W;
        then(W, std::integral_constant<int, K>{}, which, qk_norm_team(HS / 2, 8));
    });
}

template <class T>
void qk_norm_rope_forward(T* out, float* rstd, const T* inp, const T* q_weight, const T* k_weight, const int* position,
                          const float* cos, const float* sin, RopePairs pairs, float eps, int N, int NH, int NKV,
                          int HS, Gpu<T> on) {
    by_paired_head(N, NH + 2 * NKV, HS, pairs, {out, inp, q_weight, k_weight, cos, sin},
                   [&](auto W, auto K, auto which, int team) {
                       const int blocks = ceil_div(N * (NH + 2 * NKV), qk_norm_block / team);
                       launch(qk_norm_rope_forward_kernel<W, K, which, T>, blocks, qk_norm_block, 0, on, out, rstd, inp,
                              q_weight, k_weight, position, cos, sin, eps, N, NH, NKV, HS, team);
                   });
}

template <class T>
void qk_norm_rope_backward(T* d_inp, float* d_q_weight, float* d_k_weight, const T* d_out, const T* inp,
                           const T* q_weight, const T* k_weight, const float* rstd, const int* position,
                           const float* cos, const float* sin, RopePairs pairs, int N, int NH, int NKV, int HS,
                           Gpu<T> on) {
    by_paired_head(N, NH + 2 * NKV, HS, pairs, {d_inp, d_out, inp, q_weight, k_weight, cos, sin},
                   [&](auto W, auto K, auto which, int team) {
                       const auto kernel = qk_norm_rope_backward_kernel<W, K, which, T>;
                       const int walked = NH + (d_inp == d_out ? 1 : 2) * NKV,
                                 blocks = qk_norm_blocks(kernel, N, walked, team, on);
                       float* partial = on.template scratch<float>(2 * size_t(blocks) * HS);
                       launch(kernel, blocks, qk_norm_block, 0, on, d_inp, partial, d_out, inp, q_weight, k_weight,
                              rstd, position, cos, sin, N, NH, NKV, HS, team, walked);
                       column_sum(d_q_weight, partial, blocks, HS, on);
                       column_sum(d_k_weight, partial + size_t(blocks) * HS, blocks, HS, on);
                   });
}
