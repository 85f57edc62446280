// Matrix multiplication for the references, row-major: its definition for any T,
// and a fast version for float and double.
#pragma once
#include <cstddef>
#include "cpu.h"
#include "threads.h"

enum class Op { none, transpose };

// c (M,N) = a (M,K) . b (K,N), or += it. `transpose` says that the operand is stored the other way round.
// ld is the distance between stored rows. Runs on the calling thread. An element of c is a sum over k in one fixed
// order, whatever M and N are: a part of a product has the bits of the whole.
template <class T>
void gemm(Op op_a, Op op_b, int M, int N, int K, const T* a, int lda, const T* b, int ldb, Into into, T* c, int ldc) {
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            T sum = into == Into::add ? c[size_t(m) * ldc + n] : T(0);
            for (int k = 0; k < K; k++)
                sum += (op_a == Op::none ? a[size_t(m) * lda + k] : a[size_t(k) * lda + m]) *
                       (op_b == Op::none ? b[size_t(k) * ldb + n] : b[size_t(n) * ldb + k]);
            c[size_t(m) * ldc + n] = sum;
        }
}
void gemm(Op op_a, Op op_b, int M, int N, int K, const float* a, int lda, const float* b, int ldb, Into into, float* c,
          int ldc);
void gemm(Op op_a, Op op_b, int M, int N, int K, const double* a, int lda, const double* b, int ldb, Into into,
          double* c, int ldc);

// How a product is cut for threads: enough tiles for several, as long as they stay efficient.
struct Tiles {
    int M, N, rows, columns;

    Tiles(int M, int N) : M(M), N(N) {
        constexpr int enough = 12, least_rows = 96, least_columns = 64;
        int down = (M + 383) / 384, across = (N + 383) / 384;
        while (down * across < enough) {
            if (N / (across + 1) >= least_columns) across++;
            else if (M / (down + 1) >= least_rows) down++;
            else break;
        }
        rows = ((M + down - 1) / down + 23) / 24 * 24;         // whole strips,
        columns = ((N + across - 1) / across + 31) / 32 * 32;  // and whole panels, of the fast version's
    }
    int across() const { return (N + columns - 1) / columns; }
    int count() const { return (M + rows - 1) / rows * across(); }
};

// A product as a loop over its tiles. `finish(m, n, rows, columns)` runs on each tile of c while it is in cache.
template <class T, class Finish>
struct TiledProduct {
    Op op_a, op_b;
    int M, N, K;
    const T* a;
    int lda;
    const T* b;
    int ldb;
    Into into;
    T* c;
    int ldc;
    Finish finish;
    Tiles tiles{M, N};

    int count() const { return tiles.count(); }
    void operator()(int tile) const {
        const int m = tile / tiles.across() * tiles.rows, n = tile % tiles.across() * tiles.columns;
        const int rows = std::min(tiles.rows, M - m), columns = std::min(tiles.columns, N - n);
        gemm(op_a, op_b, rows, columns, K, a + (op_a == Op::none ? size_t(m) * lda : size_t(m)), lda,
             b + (op_b == Op::none ? size_t(n) : size_t(n) * ldb), ldb, into, c + size_t(m) * ldc + n, ldc);
        finish(m, n, rows, columns);
    }
};
template <class T, class Finish>
TiledProduct(Op, Op, int, int, int, const T*, int, const T*, int, Into, T*, int, Finish) -> TiledProduct<T, Finish>;

// The whole product, over all threads.
template <class T, class Finish>
void parallel_gemm(Op op_a, Op op_b, int M, int N, int K, const T* a, int lda, const T* b, int ldb, Into into, T* c,
                   int ldc, Finish finish) {
    const TiledProduct<T, Finish> product{op_a, op_b, M, N, K, a, lda, b, ldb, into, c, ldc, finish};
    parallel_for(product.count(), product);
}
