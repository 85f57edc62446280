// Muon by the kernels against PyTorch's: in fp32 as near as the CPU is, in bf16 as near as PyTorch's own bf16.
#include "kernels/instances.cuh"
#include "muon_golden.h"

namespace {

TEST(muon, golden_kernels) { muon_golden::compare(Gpu<float>(), 1e-5); }

TEST(muon, kernels_in_bf16_err_as_pytorch_does) {
    const auto exact = muon_golden::first_directions(Cpu<double>());
    const auto rounded = muon_golden::first_directions(Gpu<bf16>());
    for (const Parameter& p : exact.rows.parameters) {
        const double theirs = muon_golden::answers().tensors.at("bf16_error/" + p.name).at(0);
        const double ours = muon_golden::relative_error(rounded.get(rounded.master, p), exact.get(exact.master, p));
        RecordProperty(p.name, std::to_string(ours));
        EXPECT_LE(ours, 1.5 * theirs) << p.name;
    }
}

}  // namespace
