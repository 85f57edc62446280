// The matmul of linear.cuh for few rows, as in generation: out (N,OC) = inp . weight^T, N <= 16. Time is that of
// reading the weights once. A row's result has the same bits however many rows there are.
//
// bf16, rows of whole vectors: a block owns 16 outputs, and its warps share k, 32 at a time in turns. Tensor cores
// multiply 16 rows of weight with 8 of inp. Any permutation of k works if both sides use it, so a lane loads 8
// neighbours of a row as one vector, straight from memory, as fragments. The warps' sums are added in order.
// Else: a warp owns 4 outputs, and its lanes share k.
#pragma once
#include "host/reference/linear.h"
#include "linear_epilogue.cuh"
#include "linear_operand.cuh"

struct LinearFew {
    static constexpr int outputs = 16, warps = 8, threads = warps * warp_size, k = 32, ahead = 4;
    static constexpr int pitch = outputs + 4;  // of sums in shared memory
};

// tiles: of 8 rows of inp.
template <int tiles, class Weight, class Epilogue>
__global__ void __launch_bounds__(LinearFew::threads)
    linear_few_kernel(Epilogue epilogue, const bf16* inp, Weight weight, int N, int K) {
    constexpr int step = LinearFew::warps * LinearFew::k, ahead = LinearFew::ahead, pitch = LinearFew::pitch;
    __shared__ __align__(16) float sums[LinearFew::warps][8 * tiles][pitch];
    const int warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size, g = lane / 4, t = lane % 4;
    const int o0 = blockIdx.x * LinearFew::outputs;
    const auto load_row = [=](const bf16* row, int k, bool inside) {  // 8 of them
        return inside && k < K ? load_once(reinterpret_cast<const uint4*>(row + k)) : uint4{};
    };
    const bf16 *low = weight.data + size_t(weight.order.of(o0 + g)) * weight.ld,
               *high = weight.data + size_t(weight.order.of(o0 + g + 8)) * weight.ld;
    const bool has_low = o0 + g < weight.outers, has_high = o0 + g + 8 < weight.outers;

    float sum[tiles][4] = {};
    for (int k0 = warp * LinearFew::k + 8 * t; k0 - 8 * t < K; k0 += ahead * step) {
        uint4 a[ahead][2], b[ahead][tiles];
        UNROLL
        for (int i = 0; i < ahead; i++) {
            a[i][0] = load_row(low, k0 + i * step, has_low);
            a[i][1] = load_row(high, k0 + i * step, has_high);
        }
        UNROLL
        for (int i = 0; i < ahead; i++) {
            UNROLL
            for (int j = 0; j < tiles; j++)
                b[i][j] = k0 + i * step < K && 8 * j + g < N
                              ? *reinterpret_cast<const uint4*>(inp + size_t(8 * j + g) * K + k0 + i * step)
                              : uint4{};
        }
        __syncwarp();  // or the compiler saves registers by loading each step between the mma's
        UNROLL
        for (int i = 0; i < ahead; i++) {
            UNROLL
            for (int j = 0; j < tiles; j++) {
                const uint4 &x = a[i][0], &y = a[i][1], &z = b[i][j];
                mma(sum[j], {x.x, y.x, x.y, y.y}, {z.x, z.y}, sum[j]);
                mma(sum[j], {x.z, y.z, x.w, y.w}, {z.z, z.w}, sum[j]);
            }
        }
    }

    // The lane has outputs g and g + 8 of two rows.
    UNROLL
    for (int j = 0; j < tiles; j++)
        for (int i = 0; i < 4; i++) sums[warp][8 * j + 2 * t + i % 2][g + i / 2 * 8] = sum[j][i];
    __syncthreads();
    constexpr int width = 8 * Epilogue::vectors, across = LinearFew::outputs / width;
    const int n = threadIdx.x / across, column = threadIdx.x % across * width;
    if (n >= N || o0 + column >= weight.outers) return;
    Vec<width> all = {};
    for (int w = 0; w < LinearFew::warps; w++) {
        const Vec<width> part = load<width>(&sums[w][n][column]);
        for (int i = 0; i < width; i++) all[i] += part[i];
    }
    linear_finish(epilogue, all, n, o0 + column);
}

template <class Weight, class Epilogue>
void linear_few_product(const Epilogue& epilogue, const bf16* inp, const Weight& weight, int N, int K,
                        const Gpu<bf16>& on) {
    const auto rows = [&](auto tiles) {
        launch(linear_few_kernel<tiles, Weight, Epilogue>, ceil_div(weight.outers, LinearFew::outputs),
               LinearFew::threads, 0, on, epilogue, inp, weight, N, K);
    };
    if (N <= 8) rows(std::integral_constant<int, 1>{});
    else rows(std::integral_constant<int, 2>{});
}

// rows: so many of inp, at most.
constexpr int linear_dots_outputs = 4, linear_dots_warps = 4, linear_dots_block = linear_dots_warps * warp_size;
template <int W, int rows, class T>
__global__ void __launch_bounds__(linear_dots_block)
    linear_dots_kernel(T* out, const T* inp, const T* weight, const T* bias, int N, int C, int OC) {
    constexpr int O = linear_dots_outputs;
    const int lane = threadIdx.x % warp_size, o0 = (blockIdx.x * linear_dots_warps + threadIdx.x / warp_size) * O;
    float sum[rows][O] = {};
    for (int c = lane * W; c < C; c += warp_size * W) {
        Vec<W> w[O];
        UNROLL
        for (int o = 0; o < O; o++)  // beyond the last output, the last once more
            w[o] = load<W>(weight + size_t(std::min(o0 + o, OC - 1)) * C + c);
        UNROLL
        for (int n = 0; n < rows; n++) {
            if (n >= N) break;
            const Vec<W> x = load<W>(inp + size_t(n) * C + c);
            for (int o = 0; o < O; o++)
                for (int i = 0; i < W; i++) sum[n][o] = fmaf(x[i], w[o][i], sum[n][o]);
        }
    }
    UNROLL
    for (int n = 0; n < rows; n++) {
        if (n >= N) break;
        for (int o = 0; o < O; o++) {
            const float all = warp_sum(sum[n][o]);
            if (lane == 0 && o0 + o < OC) out[size_t(n) * OC + o0 + o] = T(all + (bias ? float(bias[o0 + o]) : 0.0f));
        }
    }
}

template <class T>
void linear_dots(T* out, const T* inp, const T* weight, const T* bias, int N, int C, int OC, const Gpu<T>& on) {
    by_width(C, {inp, weight}, [&](auto W) {
        const auto at_most = [&](auto rows) {
            launch(linear_dots_kernel<W, rows, T>, ceil_div(OC, linear_dots_warps * linear_dots_outputs),
                   linear_dots_block, 0, on, out, inp, weight, bias, N, C, OC);
        };
        if (N == 1) at_most(std::integral_constant<int, 1>{});
        else at_most(std::integral_constant<int, linear_few>{});
    });
}
