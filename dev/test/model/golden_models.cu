// The kernels, in fp32, against transformers.      ./test_gpt --gtest_filter='golden_models_gpu*'
#include "golden_models.h"
#include "kernels/exchange.cuh"
#include "kernels/instances.cuh"

// One of every family: on the CPU a step takes seconds.
TEST(golden_models_gpu, logits_gradients_and_ten_steps) {
    const std::set<std::string> some{"gpt2-odd", "llama-3.1", "qwen2", "qwen3-odd", "cs336"};
    for (const golden::Model& m : golden::models())
        if (some.contains(m.name)) golden::compare_with_golden(m, Gpu<float>());
}
