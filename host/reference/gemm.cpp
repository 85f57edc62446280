// The fast version: c is made in blocks of a strip's rows by a panel's columns, which the registers hold while k runs.
// Panels of b and strips of a transposed a are packed first, so that they are read in the order of memory, where enough
// blocks use them to pay for it.
// (Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", 2008)
#include "gemm.h"
#include <array>
#include <cstring>
#include <memory>
#include <utility>

namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, strip_rows = 8;  // 16 of 32 registers: an addition's latency is 4
#elif defined(__AVX__)
constexpr int vector_bytes = 32, strip_rows = 6;  // 12 of 16 registers
#else
constexpr int vector_bytes = 16, strip_rows = 6;
#endif
// What is packed at a time stays in the second-level cache; so does this much of b without being packed.
constexpr int deep = 384, wide = 384;
constexpr size_t near_bytes = 256 << 10;

template <class T>
struct Simd {
    typedef T Vector __attribute__((vector_size(vector_bytes)));
    typedef T Unaligned __attribute__((vector_size(vector_bytes), aligned(alignof(T)), may_alias));
    static constexpr int width = vector_bytes / sizeof(T), panel = 2 * width;
};

// c (rows, vectors * width) = or += a . b, a (rows, depth) or transposed, b (depth, vectors * width).
template <int rows, int vectors, Op op_a, class T>
void multiply_block(int depth, const T* a, int lda, const T* b, int ldb, Into into, T* c, int ldc) {
    using S = Simd<T>;
    const auto at = [=](int i, int j) {
        return reinterpret_cast<typename S::Unaligned*>(c + size_t(i) * ldc + j * S::width);
    };
    typename S::Vector sum[rows][vectors] = {};
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) __builtin_prefetch(at(i, j), 1);
    for (int k = 0; k < depth; k++) {
        typename S::Vector y[vectors];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++)
            y[j] = *reinterpret_cast<const typename S::Unaligned*>(b + size_t(k) * ldb + j * S::width);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            const T x = op_a == Op::none ? a[size_t(i) * lda + k] : a[size_t(k) * lda + i];
#pragma GCC unroll 2
            for (int j = 0; j < vectors; j++) sum[i][j] += x * y[j];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) *at(i, j) = into == Into::add ? *at(i, j) + sum[i][j] : sum[i][j];
}

// The same for every number of rows up to a strip's.
template <class T>
using Multiply = void (*)(int, const T*, int, const T*, int, Into, T*, int);
template <class T, int vectors, Op op_a, int... i>
constexpr std::array<Multiply<T>, strip_rows> by_rows(std::integer_sequence<int, i...>) {
    return {multiply_block<i + 1, vectors, op_a, T>...};
}
template <class T>
Multiply<T> multiply_for(Op op_a, int vectors, int rows) {
    constexpr auto up_to = std::make_integer_sequence<int, strip_rows>();
    static constexpr std::array<Multiply<T>, strip_rows> all[2][2] = {
        {by_rows<T, 1, Op::none>(up_to), by_rows<T, 2, Op::none>(up_to)},
        {by_rows<T, 1, Op::transpose>(up_to), by_rows<T, 2, Op::transpose>(up_to)}};
    return all[op_a == Op::transpose][vectors - 1][rows - 1];
}

// A strip of a transposed a: (depth, strip_rows), of which `rows` count.
template <class T>
void pack_strip(T* strip, const T* a, int lda, int rows, int depth) {
    for (int k = 0; k < depth; k++) {
        const T* from = a + size_t(k) * lda;
        if (rows == strip_rows) std::memcpy(strip + k * strip_rows, from, strip_rows * sizeof(T));  // a move or two
        else std::copy_n(from, rows, strip + k * strip_rows);
    }
}

// Panels of b, each (depth, panel) and one row apart, of which `columns` columns count. Rows are read whole: that is
// what the hardware expects and fetches ahead.
template <class T>
void pack_panels(T* panels, const T* b, int ldb, int columns, int depth) {
    constexpr int panel = Simd<T>::panel;
    for (int k = 0; k < depth; k++)
        for (int n = 0; n < columns; n += panel) {
            T* to = panels + n * (depth + 1) + k * panel;
            const T* from = b + size_t(k) * ldb + n;
            if (columns - n >= panel) std::memcpy(to, from, panel * sizeof(T));
            else std::fill(std::copy_n(from, columns - n, to), to + panel, T(0));
        }
}

// Exchanges the two squares of h by h that lie beside the diagonal of every square of 2h by 2h, then the smaller ones.
template <int h, class Vector, int... i>
void transpose(Vector* row, std::integer_sequence<int, i...> all) {
    constexpr int width = sizeof...(i);
#pragma GCC unroll 16
    for (int r = 0; r < width; r++) {
        if (r & h) continue;
        const Vector a = row[r], b = row[r + h];
        row[r] = __builtin_shufflevector(a, b, (i & h ? i + width - h : i)...);
        row[r + h] = __builtin_shufflevector(a, b, (i & h ? i + width : i + h)...);
    }
    if constexpr (h > 1) transpose<h / 2>(row, all);
}

// The same of a transposed b, in squares of a vector's width.
template <class T>
void pack_panels_transposed(T* panels, const T* b, int ldb, int columns, int depth) {
    using S = Simd<T>;
    constexpr int width = S::width, panel = S::panel;
    for (int n = 0; n < (columns + panel - 1) / panel * panel; n += width) {
        T* to = panels + n / panel * panel * (depth + 1) + n % panel;
        int k = 0;
        if (n + width <= columns)
            for (; k + width <= depth; k += width) {
                typename S::Vector row[width];
#pragma GCC unroll 16
                for (int i = 0; i < width; i++)
                    row[i] = *reinterpret_cast<const typename S::Unaligned*>(b + size_t(n + i) * ldb + k);
                transpose<width / 2>(row, std::make_integer_sequence<int, width>());
#pragma GCC unroll 16
                for (int i = 0; i < width; i++) *reinterpret_cast<typename S::Vector*>(to + (k + i) * panel) = row[i];
            }
        for (; k < depth; k++)
            for (int i = 0; i < width; i++) to[k * panel + i] = n + i < columns ? b[size_t(n + i) * ldb + k] : T(0);
    }
}

// Memory of the calling thread for packed panels.
template <class T>
T* memory_for_panels() {
    constexpr size_t bytes = sizeof(T) * (deep + 1) * wide;
    thread_local std::unique_ptr<void, void (*)(void*)> memory{std::aligned_alloc(vector_bytes, bytes), std::free};
    REQUIRE(memory);
    return static_cast<T*>(memory.get());
}

template <class T>
void multiply(Op op_a, Op op_b, int M, int N, int K, const T* a, int lda, const T* b, int ldb, Into into, T* c,
              int ldc) {
    using S = Simd<T>;
    const bool pack_a = op_a == Op::transpose && N >= wide / 2;  // enough panels to pay for it
    const bool pack_b = op_b == Op::transpose || N % S::width || size_t(K) * N * sizeof(T) > near_bytes;
    T* const panels = memory_for_panels<T>();
    alignas(vector_bytes) T packed_strip[strip_rows * deep], edge[strip_rows * S::panel];
    for (int n0 = 0; n0 < N; n0 += wide)
        for (int k0 = 0; k0 < K; k0 += deep) {
            const int columns = std::min(wide, N - n0), depth = std::min(deep, K - k0);
            const Into how = k0 > 0 ? Into::add : into;
            const T* here = b + (op_b == Op::none ? size_t(k0) * ldb + n0 : size_t(n0) * ldb + k0);
            if (op_b == Op::transpose) pack_panels_transposed(panels, here, ldb, columns, depth);
            else if (pack_b) pack_panels(panels, here, ldb, columns, depth);
            for (int m = 0; m < M; m += strip_rows) {
                const int rows = std::min(strip_rows, M - m);
                const T* strip = a + (op_a == Op::none ? size_t(m) * lda + k0 : size_t(k0) * lda + m);
                if (pack_a) {
                    pack_strip(packed_strip, strip, lda, rows, depth);
                    strip = packed_strip;
                }
                for (int n = 0; n < columns; n += S::panel) {
                    const int some = std::min(S::panel, columns - n), vectors = some > S::width ? 2 : 1;
                    const T* part = pack_b ? panels + n * (depth + 1) : here + n;
                    const auto block = [&](Into into, T* out, int ldc) {
                        multiply_for<T>(op_a, vectors, rows)(depth, strip, pack_a ? strip_rows : lda, part,
                                                             pack_b ? S::panel : ldb, into, out, ldc);
                    };
                    T* out = c + size_t(m) * ldc + n0 + n;
                    if (some == vectors * S::width) {
                        block(how, out, ldc);
                        continue;
                    }
                    block(Into::assign, edge, S::panel);
                    for (int i = 0; i < rows; i++)
                        for (int j = 0; j < some; j++) {
                            T& x = out[size_t(i) * ldc + j];
                            x = how == Into::add ? x + edge[i * S::panel + j] : edge[i * S::panel + j];
                        }
                }
            }
        }
}

}  // namespace

void gemm(Op op_a, Op op_b, int M, int N, int K, const float* a, int lda, const float* b, int ldb, Into into, float* c,
          int ldc) {
    multiply(op_a, op_b, M, N, K, a, lda, b, ldb, into, c, ldc);
}
void gemm(Op op_a, Op op_b, int M, int N, int K, const double* a, int lda, const double* b, int ldb, Into into,
          double* c, int ldc) {
    multiply(op_a, op_b, M, N, K, a, lda, b, ldb, into, c, ldc);
}
