// Checks kernels/residual.cuh.      ./test_gpt --gtest_filter='residual.*'
#include "harness.h"
#include "kernels/residual.cuh"

namespace {

template <class T>
void check_residual(size_t n) {
    Case<T> c("residual", {{"n", long(n)}});
    auto inp = c.template random<T>("inp", n), branch = c.template random<T>("branch", n),
         out = c.template fresh<T>("out", n);
    c.run([&](auto on) {
        residual_forward(out(on), inp(on), branch(on), n, on);
        residual_forward(inp(on), inp(on), branch(on), n, on);  // in place
    });
    c.expect(out, 1);
    c.expect(inp, 1);
}

TEST(residual, kernels) {
    for (size_t n : {1, 8, 1003, 2048, 70000}) {
        check_residual<float>(n);
        check_residual<bf16>(n);
    }
}

}  // namespace
