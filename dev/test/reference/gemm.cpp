// Matrix products of every orientation against the sum that defines them, whole and in parallel_gemm's tiles.
#include "host/reference/gemm.h"
#include <gtest/gtest.h>
#include "dev/test/support/golden.h"

namespace {

struct Shape {
    int M, N, K;
};

// Rows are `gap` elements longer than they need be, and what lies between them must stay untouched.
template <class T, class Product>
void compare(const Shape& s, Op op_a, Op op_b, Into into, Product product) {
    constexpr int gap = 3;
    const auto [M, N, K] = s;
    const int lda = (op_a == Op::none ? K : M) + gap, ldb = (op_b == Op::none ? N : K) + gap, ldc = N + gap;
    const auto a = drawn<T>("gemm/a", size_t(lda) * std::max(M, K));
    const auto b = drawn<T>("gemm/b", size_t(ldb) * std::max(N, K));
    auto c = drawn<T>("gemm/c", size_t(ldc) * M);
    std::vector<double> want(c.begin(), c.end());
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            double sum = into == Into::add ? want[size_t(m) * ldc + n] : 0;
            for (int k = 0; k < K; k++)
                sum += double(a[op_a == Op::none ? size_t(m) * lda + k : size_t(k) * lda + m]) *
                       double(b[op_b == Op::none ? size_t(k) * ldb + n : size_t(n) * ldb + k]);
            want[size_t(m) * ldc + n] = sum;
        }
    product(op_a, op_b, M, N, K, a.data(), lda, b.data(), ldb, into, c.data(), ldc);
    EXPECT_EQ(mismatch(c.data(), want.data(), c.size(), tolerance<T>(K)), "")
        << "(" << M << "," << N << "," << K << ") a " << (op_a == Op::none ? "as is" : "transposed") << ", b "
        << (op_b == Op::none ? "as is" : "transposed") << (into == Into::add ? ", added" : "");
}

template <class T, class Product>
void compare_all(const std::vector<Shape>& shapes, Product product) {
    for (const Shape& s : shapes)
        for (const Op op_a : {Op::none, Op::transpose})
            for (const Op op_b : {Op::none, Op::transpose})
                for (const Into into : {Into::assign, Into::add}) compare<T>(s, op_a, op_b, into, product);
}

const std::vector<Shape> small = {{1, 1, 1}, {1, 130, 70}, {5, 3, 66}, {64, 128, 64}, {7, 257, 129}, {33, 1, 5}};
const std::vector<Shape> large = {{1, 50, 9}, {130, 200, 17}, {513, 385, 5}, {600, 48, 33}, {100, 1900, 8}};

}  // namespace

TEST(gemm, whole) {
    compare_all<double>(small, [](auto... arguments) { gemm(arguments...); });
    compare_all<float>(small, [](auto... arguments) { gemm(arguments...); });
    compare_all<float>(small, [](auto... arguments) { gemm<float>(arguments...); });  // the definition
}

TEST(gemm, tiles) {
    const auto nothing = [](int, int, int, int) {};
    compare_all<double>(large, [=](auto... arguments) { parallel_gemm(arguments..., nothing); });
    compare_all<float>(large, [=](auto... arguments) { parallel_gemm(arguments..., nothing); });
}

TEST(gemm, finishes_every_element_once) {
    for (const Shape& s : large) {
        const std::vector<float> a(s.M), b(s.N, 1.0f);
        std::vector<float> c(size_t(s.M) * s.N);
        parallel_gemm(Op::none, Op::none, s.M, s.N, 1, a.data(), 1, b.data(), s.N, Into::assign, c.data(), s.N,
                      [&](int m, int n, int rows, int columns) {
                          for (int i = m; i < m + rows; i++)
                              for (int j = n; j < n + columns; j++) c[size_t(i) * s.N + j] += 1;
                      });
        EXPECT_EQ(std::ranges::count(c, 1.0f), std::ranges::ssize(c)) << "(" << s.M << "," << s.N << ")";
    }
}
