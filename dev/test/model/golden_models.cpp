// The references against transformers.
#include "golden_models.h"

TEST(golden_models, logits_gradients_and_ten_steps) {
    for (const golden::Model& m : golden::models()) {
        golden::compare_with_golden(m, Cpu<float>());
        golden::compare_with_golden(m, Cpu<double>());
    }
}
