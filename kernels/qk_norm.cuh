// QK-norm: RMSNorm of every query head and every key head, before RoPE (Qwen3); values pass through.
//
//   out[n,h] = rmsnorm(inp[n,h]) * (h < NH ? q_weight : k_weight)        d_inp = rmsnorm's gradient, assigned
//   d_q_weight, d_k_weight += the gains' gradients, summed over tokens and heads
//
//   inp, out (N,NH+2*NKV,HS)   q_weight, k_weight (HS)   rstd (N,NH+NKV)   d_inp may be d_out
//
// A team owns a head: a power of two of lanes of a warp with a vector each (K vectors where W = 1); a warp holds
// several. Heads of all tokens are rows of one tensor.
#pragma once
#include <numeric>
#include "host/reference/qk_norm.h"
#include "kernels/tools/common.cuh"

constexpr int qk_norm_block = 128, qk_norm_max = warp_size * 8;  // HS at most

enum class QkNormHead { query, key, value };
__device__ inline QkNormHead qk_norm_head(int h, int NH, int NKV) {
    return h < NH ? QkNormHead::query : h < NH + NKV ? QkNormHead::key : QkNormHead::value;
}

// The lanes for a head of HS channels, W * K each.
inline int qk_norm_team(int HS, int each) {
    int team = 1;
    while (team * each < HS) team *= 2;
    return team;
}
__device__ inline float qk_norm_team_sum(float x, int team) {
    for (int offset = team / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(~0u, x, offset);
    return x;
}

// The norm of a head whose channels the team holds: what is beyond HS holds zeros. Returns rstd.
template <int W, int K>
__device__ float qk_norm_scale(const Vec<W> (&x)[K], float eps, int team, int HS) {
    float squares = 0;
    for (int k = 0; k < K; k++)
        for (int i = 0; i < W; i++) squares += x[k][i] * x[k][i];
    return rsqrtf(qk_norm_team_sum(squares, team) / HS + eps);
}

// d becomes d_inp, where x is inp and w the weight, whose gradient is added to d_w. All lanes of the warp must call:
// the sums of its teams are done together.
template <int W, int K>
__device__ void qk_norm_gradient(Vec<W> (&d)[K], Vec<W> (&d_w)[K], const Vec<W> (&x)[K], const Vec<W> (&w)[K],
                                 float rstd, int team, int HS) {
    float dot = 0;
    for (int k = 0; k < K; k++)
        for (int i = 0; i < W; i++) {
            d_w[k][i] += d[k][i] * x[k][i] * rstd;
            d[k][i] *= w[k][i];
            dot += d[k][i] * x[k][i];
        }
    const float mean = qk_norm_team_sum(dot, team) * rstd / HS;
    for (int k = 0; k < K; k++)
        for (int i = 0; i < W; i++) d[k][i] = rstd * (d[k][i] - x[k][i] * rstd * mean);
}

// Backward: a team keeps one head and walks over the tokens, `tokens` at a time. In place only Q and K heads need work,
// so only they (`walked` of them) get a team. All teams of a block iterate equally often, past the last token if need
// be, because reductions use full-warp shuffles.
struct QkNormWalk {
    int n, h, tokens, turns;
    __device__ QkNormWalk(int team, int walked, int N) {
        const int teams = qk_norm_block / team, index = blockIdx.x * teams + threadIdx.x / team;
        n = index / walked, h = index % walked, tokens = gridDim.x * teams / walked;
        turns = ceil_div(N, tokens);
    }
};
// The number of teams in the grid is a multiple of the number of heads.
template <class T, class... P>
int qk_norm_blocks(void (*kernel)(P...), int N, int walked, int team, const Gpu<T>& on) {
    const int teams = qk_norm_block / team, unit = walked / std::gcd(walked, teams);
    const int most = std::max(resident_blocks(kernel, qk_norm_block, 0, on) / unit * unit, unit);
    return std::min(round_up(ceil_div(N * walked, teams), unit), most);
}

// Vector k of a head, and its place in it, for member `lane` of a team; zeros beyond HS, or where no head is.
template <int W>
__device__ int qk_norm_channel(int k, int lane, int team) {
    return (k * team + lane) * W;
}
template <int W, int K, class T>
__device__ void qk_norm_load(Raw<W, T> (&x)[K], const T* head, bool there, int lane, int team, int HS) {
    UNROLL
    for (int k = 0; k < K; k++) {
        const int c = qk_norm_channel<W>(k, lane, team);
        x[k] = there && c < HS ? load_raw<W>(head + c) : Raw<W, T>{};
    }
}
template <int W, int K, class T>
__device__ void qk_norm_floats(Vec<W> (&x)[K], const Raw<W, T> (&raw)[K]) {
    for (int k = 0; k < K; k++) x[k] = floats(raw[k]);
}
template <int W, int K, class T>
__device__ void qk_norm_store(T* head, const Vec<W> (&x)[K], int lane, int team, int HS) {
    UNROLL
    for (int k = 0; k < K; k++) {
        const int c = qk_norm_channel<W>(k, lane, team);
        if (c < HS) store<W>(head + c, x[k]);
    }
}

template <int W, int K, class T>
__global__ void qk_norm_forward_kernel(T* out, float* rstd, const T* inp, const T* q_weight, const T* k_weight,
                                       float eps, int N, int NH, int NKV, int HS, int team) {
    const int lane = threadIdx.x % team, heads = NH + 2 * NKV;
    const int row = blockIdx.x * (qk_norm_block / team) + threadIdx.x / team, h = row % heads;
    const bool active = row < N * heads, normed = active && h < NH + NKV;
    Raw<W, T> inp_row[K], raw_weight[K];
    qk_norm_load(inp_row, inp + size_t(row) * HS, active, lane, team, HS);
    qk_norm_load(raw_weight, h < NH ? q_weight : k_weight, normed, lane, team, HS);
    Vec<W> x[K], w[K];
    qk_norm_floats(x, inp_row);
    const float scale = qk_norm_scale(x, eps, team, HS);  // all lanes of the warp take part
    if (!active) return;
    if (normed) {
        qk_norm_floats(w, raw_weight);
        for (int k = 0; k < K; k++)
            for (int i = 0; i < W; i++) x[k][i] *= scale * w[k][i];
        if (lane == 0) rstd[size_t(row / heads) * (NH + NKV) + h] = scale;
    }
    qk_norm_store(out + size_t(row) * HS, x, lane, team, HS);
}

// Shared memory for (teams, HS), at most: the same for every call below.
__device__ inline float* qk_norm_rows() {
    constexpr int most = 16;  // channels a lane holds
    __shared__ __align__(16) float rows[qk_norm_block * most];
    return rows;
}

// out[c] = the sum over the block's teams with this kind of head, in order, for the channels c of a head; `put(row)`
// writes the team's own to a row.
template <class Put>
__device__ void qk_norm_store_sum(float* out, bool of_this_kind, int team, int HS, Put put) {
    float* rows = qk_norm_rows();
    const int teams = qk_norm_block / team, own = threadIdx.x / team * HS;
    __syncthreads();  // the last call's readers are done
    if (of_this_kind) put(rows + own);
    else
        for (int c = threadIdx.x % team; c < HS; c += team) rows[own + c] = 0;
    __syncthreads();
    for (int c = threadIdx.x; c < HS; c += qk_norm_block) {
        float total = 0;
        for (int t = 0; t < teams; t++) total += rows[t * HS + c];
        out[c] = total;
    }
}

// partial (2, gridDim.x, HS): the blocks' shares of d_q_weight and d_k_weight.
template <int W, int K, class T>
__global__ void qk_norm_backward_kernel(T* d_inp, float* partial, const T* d_out, const T* inp, const T* q_weight,
                                        const T* k_weight, const float* rstd, int N, int NH, int NKV, int HS, int team,
                                        int walked) {
    const int lane = threadIdx.x % team, heads = NH + 2 * NKV;
    QkNormWalk walk(team, walked, N);
    const int h = walk.h;
    const QkNormHead head = qk_norm_head(h, NH, NKV);
    const bool normed = head != QkNormHead::value;
    Vec<W> d_weight[K] = {}, w[K];
    Raw<W, T> raw_weight[K];
    qk_norm_load(raw_weight, head == QkNormHead::query ? q_weight : k_weight, normed, lane, team, HS);
    qk_norm_floats(w, raw_weight);
    for (int turn = 0; turn < walk.turns; turn++, walk.n += walk.tokens) {
        const bool inside = walk.n < N, turns = inside && normed;
        const size_t at = (size_t(walk.n) * heads + h) * HS;
        Raw<W, T> d_out_row[K], inp_row[K];
        qk_norm_load(d_out_row, d_out + at, inside, lane, team, HS);
        qk_norm_load(inp_row, inp + at, turns, lane, team, HS);
        const float scale = turns ? rstd[size_t(walk.n) * (NH + NKV) + h] : 0;
        Vec<W> d[K], x[K];
        qk_norm_floats(d, d_out_row);
        qk_norm_floats(x, inp_row);
        if (inside && !normed) qk_norm_store(d_inp + at, d, lane, team, HS);
        qk_norm_gradient(d, d_weight, x, w, scale, team, HS);
        if (turns) qk_norm_store(d_inp + at, d, lane, team, HS);
    }
    float *q_share = partial + size_t(blockIdx.x) * HS, *k_share = q_share + size_t(gridDim.x) * HS;
    const auto put = [&](float* to) { qk_norm_store(to, d_weight, lane, team, HS); };
    qk_norm_store_sum(q_share, head == QkNormHead::query, team, HS, put);
    qk_norm_store_sum(k_share, head == QkNormHead::key, team, HS, put);
}

// Calls `then` with W, K and the team's size.
template <class Then>
void by_head(const char* layer, int N, int heads, int HS, Pointers pointers, Then then) {
    check_limit(layer, "HS", HS, qk_norm_max);
    check_limit(layer, "tokens * heads", long(N) * heads, 1 << 30);  // rows are counted in an int
    by_width(HS, pointers, [&](auto W) {
        constexpr int K = 8 / W;
        then(W, std::integral_constant<int, K>{}, qk_norm_team(HS, 8));
    });
}

template <class T>
void qk_norm_forward(T* out, float* rstd, const T* inp, const T* q_weight, const T* k_weight, float eps, int N, int NH,
                     int NKV, int HS, Gpu<T> on) {
    by_head("qk_norm", N, NH + 2 * NKV, HS, {out, inp, q_weight, k_weight}, [&](auto W, auto K, int team) {
        const int blocks = ceil_div(N * (NH + 2 * NKV), qk_norm_block / team);
        launch(qk_norm_forward_kernel<W, K, T>, blocks, qk_norm_block, 0, on, out, rstd, inp, q_weight, k_weight, eps,
               N, NH, NKV, HS, team);
    });
}

template <class T>
void qk_norm_backward(T* d_inp, float* d_q_weight, float* d_k_weight, const T* d_out, const T* inp, const T* q_weight,
                      const T* k_weight, const float* rstd, int N, int NH, int NKV, int HS, Gpu<T> on) {
    by_head("qk_norm", N, NH + 2 * NKV, HS, {d_inp, d_out, inp, q_weight, k_weight}, [&](auto W, auto K, int team) {
        const auto kernel = qk_norm_backward_kernel<W, K, T>;
        const int walked = NH + (d_inp == d_out ? 1 : 2) * NKV, blocks = qk_norm_blocks(kernel, N, walked, team, on);
        float* partial = on.template scratch<float>(2 * size_t(blocks) * HS);
        launch(kernel, blocks, qk_norm_block, 0, on, d_inp, partial, d_out, inp, q_weight, k_weight, rstd, N, NH, NKV,
               HS, team, walked);
        column_sum(d_q_weight, partial, blocks, HS, on);
        column_sum(d_k_weight, partial + size_t(blocks) * HS, blocks, HS, on);
    });
}
