// Checks kernels/muon.cuh.      ./test_gpt --gtest_filter='muon*'
#include "harness.h"
#include "kernels/muon.cuh"

namespace {

template <class T>
void check_step(size_t n, float norm_value, float clip) {
    Case<T> c("muon", {{"n", long(n)}, {"norm", long(norm_value)}, {"clip", long(clip)}});
    auto master = c.template random<float>("master", n), m = c.template random<float>("m", n),
         d_weight = c.template random<float>("d_weight", n, 2);
    auto norm = c.template fill<float>("norm", 1, norm_value), size = c.template fresh<float>("size", 1);
    auto weight = c.template random<T>("weight", n), x = c.template random<T>("x", n);
    auto step = c.values("step", std::vector<MuonStep>{{3e-2f, 0.75f, clip}});
    c.run([&](auto on) { muon_momentum(m(on), size(on), d_weight(on), norm(on), step(on), n, on); });
    c.expect(m, 10);
    c.expect(size, n);
    c.share(m), c.share(size);
    c.run([&](auto on) { muon_direction(x(on), m(on), d_weight(on), size(on), norm(on), step(on), n, on); });
    c.expect(x, 10);
    c.share(x);
    c.run([&](auto on) { muon_update(weight(on), master(on), x(on), norm(on), step(on), 1.5f, 0.25f, n, on); });
    c.expect(weight, 10);
    c.expect(master, 10);
}

TEST(muon, kernels) {
    for (const size_t n : {1, 8, 1003, 2048, 70000})
        for (const float norm : {0.5f, 2.0f})
            for (const float clip : {0.0f, 1.0f}) {
                check_step<float>(n, norm, clip);
                check_step<bf16>(n, norm, clip);
            }
}

// A norm that is not finite changes nothing, and leaves nothing that is not finite behind.
TEST(muon, kernels_leave_a_step_out) {
    for (const float norm : {NAN, INFINITY}) {
        check_step<float>(1003, norm, 1);
        check_step<bf16>(2048, norm, 0);
    }
}

// Of a matrix that has no gradient and no momentum the direction is 0, whatever eps is for.
TEST(muon, kernels_of_nothing) {
    Case<float> c("muon", {{"n", 100}});
    auto m = c.fill<float>("m", 100, 0), d_weight = c.fill<float>("d_weight", 100, 0),
         norm = c.fill<float>("norm", 1, 1), size = c.fresh<float>("size", 1), x = c.fresh<float>("x", 100);
    auto step = c.values("step", std::vector<MuonStep>{{3e-2f, 0.75f, 0}});
    c.run([&](auto on) {
        muon_momentum(m(on), size(on), d_weight(on), norm(on), step(on), 100, on);
        muon_direction(x(on), m(on), d_weight(on), size(on), norm(on), step(on), 100, on);
    });
    c.expect(size, 1);
    c.expect(x, 1);
}

template <class T>
void check_polynomial(int k) {
    Case<T> c("muon", {{"k", k}});
    const size_t n = size_t(k) * k;
    auto gram = c.template random<T>("gram", n), square = c.template random<T>("square", n),
         out = c.template fresh<T>("out", n);
    auto sums = c.template random<float>("sums", n);
    auto rounded = c.template fresh<T>("rounded", n);
    c.run([&](auto on) {
        muon_polynomial(out(on), gram(on), square(on), k, on);
        muon_polynomial(gram(on), gram(on), square(on), k, on);  // in place
        muon_round(rounded(on), sums(on), n, on);
    });
    c.expect(out, 3);
    c.expect(gram, 3);
    c.expect(rounded, 1);
}

TEST(muon, kernels_of_the_polynomial) {
    for (const int k : {1, 7, 8, 64, 129, 768}) {
        check_polynomial<float>(k);
        check_polynomial<bf16>(k);
    }
}

}  // namespace
