// Matrix products for the references, row-major: plain loops for any T, oneDNN for float when built with it (DNNL=1).
#pragma once
#include <cstddef>
#include "../device.h"

enum class Op { none, transpose };
enum class Into { assign, add };

// c (M,N) = a (M,K) . b (K,N), or += it. `transpose` says that the operand is stored the other way round.
// ld is the distance between stored rows. Runs on the calling thread; a sum over k has a fixed order.
template <class T>
void gemm(Op op_a, Op op_b, int M, int N, int K, const T* a, int lda, const T* b, int ldb, Into into, T* c, int ldc) {
    for (int m = 0; m < M; m++) {
        T* row = c + size_t(m) * ldc;
        if (into == Into::assign) for (int n = 0; n < N; n++) row[n] = T(0);
        for (int k = 0; k < K; k++) {
            const T x = op_a == Op::none ? a[size_t(m) * lda + k] : a[size_t(k) * lda + m];
            if (op_b == Op::none) for (int n = 0; n < N; n++) row[n] += x * b[size_t(k) * ldb + n];
            else                  for (int n = 0; n < N; n++) row[n] += x * b[size_t(n) * ldb + k];
        }
    }
}

#ifdef GPT_DNNL
void gemm(Op op_a, Op op_b, int M, int N, int K, const float* a, int lda, const float* b, int ldb, Into into, float* c, int ldc);
#endif

// The same over all threads, in tiles that depend on the sizes alone: the same bits for any number of threads.
// `finish(m, n, rows, columns)` runs on each tile of c while it is in cache.
template <class T, class Finish>
void parallel_gemm(Op op_a, Op op_b, int M, int N, int K, const T* a, int lda, const T* b, int ldb, Into into, T* c, int ldc,
                   Finish finish) {
    constexpr int tile_m = 256, tile_n = 256;
    const int across = (N + tile_n - 1) / tile_n, tiles = (M + tile_m - 1) / tile_m * across;
    #pragma omp parallel for schedule(dynamic)
    for (int tile = 0; tile < tiles; tile++) {
        const int m = tile / across * tile_m, n = tile % across * tile_n;
        const int rows = std::min(tile_m, M - m), columns = std::min(tile_n, N - n);
        gemm(op_a, op_b, rows, columns, K, a + (op_a == Op::none ? size_t(m) * lda : size_t(m)), lda,
             b + (op_b == Op::none ? size_t(n) : size_t(n) * ldb), ldb, into, c + size_t(m) * ldc + n, ldc);
        finish(m, n, rows, columns);
    }
}
