// Residual and the norm after it in one pass:  sum = inp + branch,   out = norm(sum) by rmsnorm.cuh or layernorm.cuh
//
//   Backward is the norm's own: it adds the norm's share to the residual stream's gradient, which passes through.
//
//   sum, out, inp, branch (N,C)   sum may be inp or branch
//
// The statistics are those of the sum as it is stored, which backward reads again.
#pragma once
#include "host/reference/residual_norm.h"
#include "layernorm.cuh"
#include "rmsnorm.cuh"

template <int W, int K, class T>
__device__ void residual_row(Vec<W> (&x)[K], T* sum, const Raw<W, T> (&inp)[K], const Raw<W, T> (&branch)[K], int C) {
    for (int k = 0; k < K; k++) {
        const Vec<W> a = floats(inp[k]), b = floats(branch[k]);
        for (int i = 0; i < W; i++) x[k][i] = float(T(a[i] + b[i]));
    }
    store_row(sum, x, C);
}

template <int W, int K, class T>
__global__ void __launch_bounds__(row_threads)
    residual_layernorm_forward_kernel(T* sum, T* out, float* mean, float* rstd, const T* inp, const T* branch,
                                      const T* weight, const T* bias, float eps, int N, int C) {
    const int n = blockIdx.x * blockDim.y + threadIdx.y;
    if (n >= N) return;  // the whole team
    const size_t row = size_t(n) * C;
    Raw<W, T> inp_row[K], branch_row[K], w[K], b[K];
    load_row(inp_row, inp + row, C);
    load_row(branch_row, branch + row, C);
    load_row(w, weight, C);
    load_row(b, bias, bias ? C : 0);
    Vec<W> x[K];
    residual_row(x, sum + row, inp_row, branch_row, C);
    layernorm_row(out + row, mean + n, rstd + n, x, w, b, eps, C);
}

template <int W, int K, class T>
__global__ void __launch_bounds__(row_threads)
    residual_rmsnorm_forward_kernel(T* sum, T* out, float* rstd, const T* inp, const T* branch, const T* weight,
                                    float eps, int N, int C) {
    const int n = blockIdx.x * blockDim.y + threadIdx.y;
    if (n >= N) return;
    const size_t row = size_t(n) * C;
    Raw<W, T> inp_row[K], branch_row[K], w[K];
    load_row(inp_row, inp + row, C);
    load_row(branch_row, branch + row, C);
    load_row(w, weight, C);
    Vec<W> x[K];
    residual_row(x, sum + row, inp_row, branch_row, C);
    rmsnorm_row(out + row, rstd + n, x, w, eps, C);
}

template <class T>
void residual_layernorm_forward(T* sum, T* out, float* mean, float* rstd, const T* inp, const T* branch,
                                const T* weight, const T* bias, float eps, int N, int C, Gpu<T> on) {
    by_parameter("residual_norm", C, {sum, out, inp, branch, weight, bias}, [&](auto W, auto K) {
        const dim3 block = row_block<W, K>(C);
        launch(residual_layernorm_forward_kernel<W, K, T>, ceil_div(N, block.y), block, 0, on, sum, out, mean, rstd,
               inp, branch, weight, bias, eps, N, C);
    });
}

template <class T>
void residual_rmsnorm_forward(T* sum, T* out, float* rstd, const T* inp, const T* branch, const T* weight, float eps,
                              int N, int C, Gpu<T> on) {
    by_parameter("residual_norm", C, {sum, out, inp, branch, weight}, [&](auto W, auto K) {
        const dim3 block = row_block<W, K>(C);
        launch(residual_rmsnorm_forward_kernel<W, K, T>, ceil_div(N, block.y), block, 0, on, sum, out, rstd, inp,
               branch, weight, eps, N, C);
    });
}
