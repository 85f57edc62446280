// Steps computed twice, on the kernels.      ./test_gpt --gtest_filter='inspect_step*'
#include "inspect_step.h"
#include "kernels/exchange.cuh"
#include "kernels/instances.cuh"

TEST(inspect_step_gpu, finds_flipped_bits) {
    inspect_step_case::finds_flipped_bits<Gpu<float>>();
    inspect_step_case::finds_flipped_bits<Gpu<bf16>>();
}
TEST(inspect_step_gpu, names_the_first_that_is_not_finite) {
    inspect_step_case::names_the_first_that_is_not_finite<Gpu<float>>();
    inspect_step_case::names_the_first_that_is_not_finite<Gpu<bf16>>();
}
