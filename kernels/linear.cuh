// Linear: out = inp . weight^T + bias
//
//   d_inp     = d_out . weight
//   d_weight += d_out^T . inp                 (= with Into::assign)
//   d_bias   += sum over n of d_out[n]
//
//   inp (N,C)   weight (OC,C)   bias (OC) or null   out (N,OC)
//
// All three are c (M,N) = a . b over k. bf16 goes to the tensor cores (linear_bf16.cuh) or to cuBLASLt. The plain
// kernel here, for fp32 and ragged rows: a block owns 64 x 64 of c and walks over k, 32 at a time, through two tiles in
// shared memory; a thread owns 4 rows x 8 columns in registers. Tiles are stored k by k, whichever way their matrix is.
#pragma once
#include "host/reference/linear.h"
#include "linear_bf16.cuh"
#include "linear_cublas.cuh"

constexpr int linear_tile = 64, linear_k = 32, linear_rows = 4, linear_columns = 8;
constexpr int linear_block = linear_tile / linear_rows * (linear_tile / linear_columns);

// Element (k, outer) of a tile. The exclusive-or spreads 8 rows x 4 vectors along k over all banks.
__device__ inline int linear_at(int k, int outer) { return k * linear_tile + (outer ^ k / 8 % 4 * 8); }

// Beyond the matrix there are zeros.
template <int W, class T, Along along>
__device__ void linear_load(float* tile, const LinearOperand<T, along>& x, int first, int k0, int K) {
    for (int v = threadIdx.x; v < linear_tile * linear_k / W; v += linear_block) {
        constexpr int across = (along == Along::k ? linear_k : linear_tile) / W;
        const int slow = v / across, fast = v % across * W;
        const int k = along == Along::k ? fast : slow, outer = along == Along::k ? slow : fast;
        const bool inside = first + outer < x.outers && k0 + k < K;
        const size_t at =
            along == Along::k ? size_t(first + outer) * x.ld + k0 + k : size_t(k0 + k) * x.ld + first + outer;
        const Vec<W> part = inside ? load<W>(x.data + at) : Vec<W>{};
        if constexpr (along == Along::outer) store<W>(tile + linear_at(k, outer), part);
        else
            for (int i = 0; i < W; i++) tile[linear_at(k + i, outer)] = part[i];
    }
}

template <int W, class A, class B, class Out, class T>
__global__ void __launch_bounds__(linear_block) linear_kernel(Out* c, A a, B b, const T* bias, Into into, int K) {
    __shared__ __align__(16) float a_tile[linear_k * linear_tile], b_tile[linear_k * linear_tile];
    const int M = a.outers, N = b.outers, across = ceil_div(N, linear_tile);
    const int m0 = blockIdx.x / across * linear_tile, n0 = blockIdx.x % across * linear_tile;
    constexpr int columns = linear_tile / linear_columns;
    const int row = threadIdx.x / columns * linear_rows, column = threadIdx.x % columns * linear_columns;

    Vec<linear_columns> sum[linear_rows] = {};
    for (int k0 = 0; k0 < K; k0 += linear_k) {
        __syncthreads();  // the last step's readers are done
        linear_load<W>(a_tile, a, m0, k0, K);
        linear_load<W>(b_tile, b, n0, k0, K);
        __syncthreads();
#pragma unroll 8
        for (int k = 0; k < linear_k; k++) {
            const Vec<linear_rows> x = load<linear_rows>(a_tile + linear_at(k, row));
            const Vec<linear_columns> y = load<linear_columns>(b_tile + linear_at(k, column));
            for (int i = 0; i < linear_rows; i++)
                for (int j = 0; j < linear_columns; j++) sum[i][j] += x[i] * y[j];
        }
    }

    // Write, or add, in vectors that are inside as a whole or not at all.
    for (int i = 0; i < linear_rows && m0 + row + i < M; i++)
        for (int j = 0; j < linear_columns && n0 + column + j < N; j += W) {
            Vec<W> x = {};
            for (int w = 0; w < W; w++) x[w] = sum[i][j + w];
            Out* to = c + size_t(m0 + row + i) * N + n0 + column + j;
            if (bias || into == Into::add) {
                const Vec<W> y = into == Into::add ? load<W>(to) : load<W>(bias + n0 + column + j);
                for (int w = 0; w < W; w++) x[w] += y[w];
            }
            store<W>(to, x);
        }
}

template <int W, class A, class B, class Out, class T>
void linear_product(Out* c, A a, B b, const T* bias, Into into, int K, const Gpu<T>& on) {
    const int tiles = ceil_div(a.outers, linear_tile) * ceil_div(b.outers, linear_tile);
    launch(linear_kernel<W, A, B, Out, T>, tiles, linear_block, 0, on, c, a, b, bias, into, K);
}

// The bias's gradient: a block owns 32 * W columns and every gridDim.y-th set of 8 rows, and leaves its sums in partial
// (gridDim.y,OC).
constexpr int linear_bias_rows = 8;
template <int W, class T>
__global__ void linear_bias_kernel(float* partial, const T* d_out, int N, int OC) {
    __shared__ __align__(16) float sums[linear_bias_rows][warp_size * W];
    const int o = (blockIdx.x * warp_size + threadIdx.x) * W;
    Vec<W> sum = {};
    constexpr int ahead = 4;  // rows in flight at once
    const int step = gridDim.y * linear_bias_rows;
    for (int n = blockIdx.y * linear_bias_rows + threadIdx.y; n < N && o < OC; n += ahead * step) {
        Vec<W> x[ahead];
        UNROLL
        for (int u = 0; u < ahead; u++)
            x[u] = n + u * step < N ? load<W>(d_out + size_t(n + u * step) * OC + o) : Vec<W>{};
        for (int u = 0; u < ahead; u++)
            for (int i = 0; i < W; i++) sum[i] += x[u][i];
    }
    store<W>(&sums[threadIdx.y][threadIdx.x * W], sum);
    __syncthreads();
    if (threadIdx.y > 0 || o >= OC) return;
    for (int y = 1; y < linear_bias_rows; y++)
        for (int i = 0; i < W; i++) sum[i] += sums[y][threadIdx.x * W + i];
    store<W>(partial + size_t(blockIdx.y) * OC + o, sum);
}

template <int W, class T>
void linear_bias_by(float* d_bias, const T* d_out, int N, int OC, const Gpu<T>& on) {
    const auto kernel = linear_bias_kernel<W, T>;
    const dim3 block(warp_size, linear_bias_rows);
    const int across = ceil_div(OC, warp_size * W),
              down =
                  std::max(1, std::min(resident_blocks(kernel, block, 0, on) / across, ceil_div(N, linear_bias_rows)));
    float* partial = on.template scratch<float>(size_t(down) * OC);
    launch(kernel, dim3(across, down), block, 0, on, partial, d_out, N, OC);
    column_sum(d_bias, partial, down, OC, on);
}

// d_bias may be null.
template <class T>
void linear_bias(float* d_bias, const T* d_out, int N, int OC, const Gpu<T>& on) {
    if (d_bias) by_width(OC, {d_out}, [&](auto W) { linear_bias_by<W>(d_bias, d_out, N, OC, on); });
}

// Rows of whole vectors, which cuBLAS's and the tensor cores' matmuls need.
inline bool linear_fits(int C, int OC, Pointers pointers) {
    return C % 8 == 0 && OC % 8 == 0 && std::all_of(pointers.begin(), pointers.end(), aligned);
}

template <class T>
using AlongK = LinearOperand<T, Along::k>;
template <class T>
using Across = LinearOperand<T, Along::outer>;

template <class T>
void linear_forward(T* out, const T* inp, const T* weight, const T* bias, int N, int C, int OC, Gpu<T> on) {
    const AlongK<T> a{inp, C, N}, b{weight, C, OC};
    if (linear_fits(C, OC, {out, inp, weight, bias})) {
        if constexpr (std::is_same_v<T, bf16>)
            if (linear_hopper(LinearOut{out, bias, OC}, a, b, C, on)) return;
        if (linear_cublas(out, a, b, C, LinearThen<T>{.bias = bias}, on)) return;
        if constexpr (std::is_same_v<T, bf16>)
            if (linear_bf16(LinearOut{out, bias, OC}, a, b, C, on)) return;
    }
    if (N <= linear_few) return linear_dots(out, inp, weight, bias, N, C, OC, on);
    by_width(std::gcd(C, OC), {out, inp, weight, bias},
             [&](auto W) { linear_product<W>(out, a, b, bias, Into::assign, C, on); });
}

template <class T>
void linear_backward_input(T* d_inp, const T* d_out, const T* weight, int N, int C, int OC, Gpu<T> on) {
    const AlongK<T> a{d_out, OC, N};
    const Across<T> b{weight, C, C};
    if (linear_fits(C, OC, {d_inp, d_out, weight})) {
        if constexpr (std::is_same_v<T, bf16>)
            if (linear_hopper(LinearGradient{d_inp, C}, a, b, OC, on)) return;
        if (linear_cublas(d_inp, a, b, OC, LinearThen<T>{}, on)) return;
        if constexpr (std::is_same_v<T, bf16>)
            if (linear_bf16(LinearGradient{d_inp, C}, a, b, OC, on)) return;
    }
    by_width(std::gcd(C, OC), {d_inp, d_out, weight},
             [&](auto W) { linear_product<W>(d_inp, a, b, static_cast<const T*>(nullptr), Into::assign, OC, on); });
}

// d_bias may be null.
template <class T>
void linear_backward_weight(float* d_weight, float* d_bias, const T* d_out, const T* inp, int N, int C, int OC,
                            Gpu<T> on) {
    const Across<T> a{d_out, OC, OC}, b{inp, C, C};
    const bool fits = linear_fits(C, OC, {d_weight, d_out, inp});
    if constexpr (std::is_same_v<T, bf16>)
        if (fits && linear_hopper_sum(d_weight, d_bias, a, b, N, on)) return;
    const auto product = [&] {
        if (fits) {
            if (linear_cublas(d_weight, a, b, N, LinearThen<T>{.into = on.into}, on)) return;
            if constexpr (std::is_same_v<T, bf16>)
                if (linear_bf16_sum(d_weight, a, b, N, on)) return;
        }
        by_width(std::gcd(C, OC), {d_weight, d_out, inp},
                 [&](auto W) { linear_product<W>(d_weight, a, b, static_cast<const T*>(nullptr), on.into, N, on); });
    };
    product();
    linear_bias(d_bias, d_out, N, OC, on);
}

// d_bias may be null.
template <class T>
void linear_backward(T* d_inp, float* d_weight, float* d_bias, const T* d_out, const T* inp, const T* weight, int N,
                     int C, int OC, Gpu<T> on) {
    linear_backward_input(d_inp, d_out, weight, N, C, OC, on);
    linear_backward_weight(d_weight, d_bias, d_out, inp, N, C, OC, on);
}
