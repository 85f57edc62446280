// Matrix multiplication for the references, row-major: plain loops for any T, oneDNN for float when built with it
// (DNNL=1).
#pragma once
#include <cstddef>
#include "cpu.h"

enum class Op { none, transpose };

// c (M,N) = a (M,K) . b (K,N), or += it. `transpose` says that the operand is stored the other way round.
// ld is the distance between stored rows. Runs on the calling thread; a sum over k has a fixed order.
template <class T>
void gemm(Op op_a, Op op_b, int M, int N, int K, const T* a, int lda, const T* b, int ldb, Into into, T* c, int ldc) {
    constexpr int deep = 64, wide = 128;  // the part of b in use at one time: 32 KB of floats
    T turned[deep * wide];
    if (into == Into::assign)
        for (int m = 0; m < M; m++) std::fill_n(c + size_t(m) * ldc, N, T(0));
    for (int n0 = 0; n0 < N; n0 += wide)
        for (int k0 = 0; k0 < K; k0 += deep) {
            const int columns = std::min(wide, N - n0), depth = std::min(deep, K - k0);
            const T* part = b + size_t(k0) * ldb + n0;
            const int ld = op_b == Op::none ? ldb : wide;
            if (op_b == Op::transpose) {
                for (int n = 0; n < columns; n++)
                    for (int k = 0; k < depth; k++) turned[k * wide + n] = b[size_t(n0 + n) * ldb + k0 + k];
                part = turned;
            }
            for (int m = 0; m < M; m++) {
                T* row = c + size_t(m) * ldc + n0;
                const auto x = [=](int k) {
                    return op_a == Op::none ? a[size_t(m) * lda + k0 + k] : a[size_t(k0 + k) * lda + m];
                };
                int k = 0;
                for (; k + 4 <= depth; k += 4) {  // four rows of b for each pass over c
                    const T x0 = x(k), x1 = x(k + 1), x2 = x(k + 2), x3 = x(k + 3);
                    const T *b0 = part + size_t(k) * ld, *b1 = b0 + ld, *b2 = b1 + ld, *b3 = b2 + ld;
#pragma omp simd
                    for (int n = 0; n < columns; n++) row[n] += x0 * b0[n] + x1 * b1[n] + x2 * b2[n] + x3 * b3[n];
                }
                for (; k < depth; k++) {
                    const T x0 = x(k), *b0 = part + size_t(k) * ld;
#pragma omp simd
                    for (int n = 0; n < columns; n++) row[n] += x0 * b0[n];
                }
            }
        }
}

#ifdef GPT_DNNL
void gemm(Op op_a, Op op_b, int M, int N, int K, const float* a, int lda, const float* b, int ldb, Into into, float* c,
          int ldc);
#endif

// How parallel_gemm cuts c: from the sizes alone, never from the number of threads, which therefore cannot change a
// bit.
struct Tiles {
    int M, N, rows, columns;

    Tiles(int M, int N) : M(M), N(N) {
        int down = (M + 511) / 512, across = (N + 383) / 384;
        // work for several threads, as long as tiles stay efficient
        while (down * across < 8) {
            if (N / (across + 1) >= 192) across++;
            else if (M / (down + 1) >= 128) down++;
            else break;
        }
        rows = (M + down - 1) / down;
        columns = ((N + across - 1) / across + 47) / 48 * 48;  // oneDNN's kernel makes 48 columns at a time
    }
    int across() const { return (N + columns - 1) / columns; }
    int count() const { return (M + rows - 1) / rows * across(); }
};

// The same over all threads, tile by tile. `finish(m, n, rows, columns)` runs on each tile of c while it is in cache.
template <class T, class Finish>
void parallel_gemm(Op op_a, Op op_b, int M, int N, int K, const T* a, int lda, const T* b, int ldb, Into into, T* c,
                   int ldc, Finish finish) {
    const Tiles tiles(M, N);
#pragma omp parallel for schedule(dynamic)
    for (int tile = 0; tile < tiles.count(); tile++) {
        const int m = tile / tiles.across() * tiles.rows, n = tile % tiles.across() * tiles.columns;
        const int rows = std::min(tiles.rows, M - m), columns = std::min(tiles.columns, N - n);
        gemm(op_a, op_b, rows, columns, K, a + (op_a == Op::none ? size_t(m) * lda : size_t(m)), lda,
             b + (op_b == Op::none ? size_t(n) : size_t(n) * ldb), ldb, into, c + size_t(m) * ldc + n, ldc);
        finish(m, n, rows, columns);
    }
}
