// What a command refuses before it begins.      ./test_gpt --gtest_filter='commands*'
#include "../host/commands.h"
#include "expect_error.h"
#include "harness.h"

TEST(commands, cublas_where_there_is_none) {
    expect_error(Exit::device, {"--gemm cublas", "needs a GPU"}, [] {
        run_command(parse({"--device", "cpu", "--gemm", "cublas"}));
    });
    if (cublas_built) return;
    expect_error(Exit::device, {"--gemm cublas", "this build has no cuBLAS"}, [] {
        run_on_gpu(parse({"--gemm", "cublas"}));
    });
}
