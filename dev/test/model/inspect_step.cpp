// Steps computed twice, on the references.
#include "inspect_step.h"

TEST(inspect_step, finds_flipped_bits) { inspect_step_case::finds_flipped_bits<Cpu<float>>(); }
TEST(inspect_step, names_the_first_that_is_not_finite) {
    inspect_step_case::names_the_first_that_is_not_finite<Cpu<float>>();
}
