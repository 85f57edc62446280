// Checks kernels/adamw.cuh.      ./test_gpt --gtest_filter='adamw*'
#include "harness.h"
#include "kernels/adamw.cuh"

namespace {

// Segments that begin and end anywhere, with gaps between them that nothing may touch.
template <class T>
void check_adamw(const std::vector<AdamwSegment>& table, float norm_value, float clip) {
    const size_t n = table.back().begin + table.back().size + 3;
    Case<T> c("adamw", {{"segments", long(table.size())}, {"n", long(n)}, {"clip", long(clip)}});
    auto weight = c.template random<T>("weight", n);
    auto master = c.template random<float>("master", n), m = c.template random<float>("m", n),
         v = c.template random<float>("v", n);
    for (size_t i = 0; i < n; i++) v.host[i] = v.host[i] * v.host[i];  // of what is squared, the mean
    c.share(v);
    auto d_weight = c.template random<float>("d_weight", n), norm = c.template fill<float>("norm", 1, norm_value);
    auto step = c.values("step", std::vector<AdamwStep>{{3e-2f, 0.9f, 0.95f, 1e-8f, clip, 1 - 0.9f * 0.9f * 0.9f,
                                                         1 - 0.95f * 0.95f * 0.95f}});
    auto segments = c.values("segments", table);
    c.run([&](auto on) {
        adamw_update(weight(on), master(on), m(on), v(on), d_weight(on), norm(on), step(on), segments(on),
                     int(table.size()), on);
    });
    c.expect(weight, 10);
    c.expect(master, 10);
    c.expect(m, 10);
    c.expect(v, 10);
}

TEST(adamw, kernels) {
    const std::vector<std::vector<AdamwSegment>> tables = {
        {{0, 1, 0.1f}},
        {{0, 100, 0.1f}, {128, 8, 0}, {256, 1003, 0.2f}},
        {{3, 2, 0.5f}, {5, 1, 0}, {6, 7, 1}, {20, 0, 1}, {21, 40, 0.3f}},
        {{0, 30000, 0.1f}, {30080, 5, 0}, {30208, 4100, 0.1f}}};
    for (const auto& table : tables)
        for (float norm : {0.5f, 2.0f})
            for (float clip : {0.0f, 1.0f}) {
                check_adamw<float>(table, norm, clip);
                check_adamw<bf16>(table, norm, clip);
            }
    check_adamw<bf16>(tables[1], NAN, 1);
    check_adamw<bf16>(tables[1], INFINITY, 0);
}

// fp32: the weights are their own master copy.
TEST(adamw, weight_is_master) {
    Case<float> c("adamw", {{"n", 1000}});
    auto weight = c.random<float>("weight", 1000), m = c.random<float>("m", 1000), v = c.fill<float>("v", 1000, 1);
    auto d_weight = c.random<float>("d_weight", 1000), norm = c.fill<float>("norm", 1, 1);
    auto step = c.values("step", std::vector<AdamwStep>{{3e-2f, 0.9f, 0.95f, 1e-8f, 1, 0.1f, 0.05f}});
    auto segments = c.values("segments", std::vector<AdamwSegment>{{0, 1000, 0.1f}});
    c.run([&](auto on) {
        adamw_update(weight(on), weight(on), m(on), v(on), d_weight(on), norm(on), step(on), segments(on), 1, on);
    });
    c.expect(weight, 10);
}

}  // namespace
