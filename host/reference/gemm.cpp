#ifdef GPT_DNNL
#include "gemm.h"
#include <dnnl.h>

// oneDNN runs on one thread inside an OpenMP parallel region, which is where parallel_gemm and attention call it.
void gemm(Op op_a, Op op_b, int M, int N, int K, const float* a, int lda, const float* b, int ldb, Into into, float* c,
          int ldc) {
    const auto letter = [](Op op) { return op == Op::none ? 'N' : 'T'; };
    const float keep = into == Into::add ? 1.0f : 0.0f;
    const auto status = dnnl_sgemm(letter(op_a), letter(op_b), M, N, K, 1.0f, a, lda, b, ldb, keep, c, ldc);
    REQUIRE(status == dnnl_success);
}
#endif
