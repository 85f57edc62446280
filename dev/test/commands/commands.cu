// What a command refuses before it begins.      ./test_gpt --gtest_filter='commands*'
#include "dev/test/kernels/harness.h"
#include "dev/test/support/expect_error.h"
#include "host/commands/commands.h"
#include "host/options/options_parse.h"

TEST(commands, cublas_where_there_is_none) {
    expect_error(Exit::device, {"--gemm cublas", "needs a GPU"}, [] {
        run_command(parse({"--device", "cpu", "--gemm", "cublas"}));
    });
    if (installed_cublas().table) return;
    expect_error(Exit::device, {"--gemm cublas", installed_cublas().reason, "GPT_CUBLASLT"}, [] {
        run_on_gpu(parse({"--gemm", "cublas"}));
    });
}
