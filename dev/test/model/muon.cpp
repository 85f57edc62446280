// Muon on the CPU against PyTorch's, and what it does to singular values.
#include "host/model/tables.h"
#include "muon_golden.h"

namespace {

TEST(muon, golden) {
    muon_golden::compare(Cpu<double>(), 1e-6);  // of floats: lr, momentum, ...
    muon_golden::compare(Cpu<float>(), 1e-5);
}

}  // namespace
