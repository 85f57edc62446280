// Checks kernels/sampling.cuh.      ./test_gpt --gtest_filter='sampling*'
#include "harness.h"
#include "kernels/sampling.cuh"

namespace {

// Every u between two steps of the distribution must give the reference's token; B rows try B values of u. `shape`
// changes the logits, normally distributed, as it likes.
template <class T, class Shape>
void check_sampling(int B, int V, int P, const Sampling& how, double spread, Shape shape) {
    Case<T> c("sampling", {{"B", B},
                           {"V", V},
                           {"P", P},
                           {"percent", long(100 * how.temperature)},
                           {"top_k", how.top_k},
                           {"top_p%", long(100 * how.top_p)},
                           {"min_p%", long(100 * how.min_p)}});
    auto logits = c.template random<T>("logits", size_t(B) * P, spread);
    for (int b = 0; b < B; b++) {
        double* row = logits.host.get() + size_t(b) * P;
        for (int v = 0; v < V; v++) row[v] = shape(v, row[v]);
        for (int v = V; v < P; v++) row[v] = v % 2 ? 100 : NAN;  // padding, never picked
    }
    c.share(logits);
    std::vector<float> values;
    for (int b = 0; b < B; b++) values.push_back(std::floor(float(b) / float(B) * 0x1p24f) * 0x1p-24f);
    auto u = c.template values<float>("u", values);
    auto token = c.integers("token", B, 1), broken = c.integers("broken", B, 1);
    c.run([&](auto on) {
        const float* uniforms = std::is_same_v<decltype(on), Gpu<T>> ? u.device : values.data();  // not doubles
        sampling_forward(token(on), broken(on), logits(on), uniforms, how, B, V, P, on);
    });
    c.expect(token, 0);
    c.expect(broken, 0);
}
template <class T>
void check_sampling(int B, int V, int P, const Sampling& how, double spread) {
    const bool ties = std::is_same_v<T, float>;  // bf16 has some
    check_sampling<T>(B, V, P, how, spread, [=](int v, double x) { return ties && v % 3 == 0 ? std::round(x) : x; });
}

TEST(sampling, kernels) {
    struct Shape {
        int B, V, P;
    };
    const std::vector<Sampling> hows = {{0, 1, 0, 0},         {1, 1, 0, 0},    {0.7f, 1, 0, 1},
                                        {1.5f, 1, 0, 40},     {1, 0.9f, 0, 0}, {1, 0.5f, 0.05f, 0},
                                        {0.8f, 0.95f, 0, 50}, {1, 1, 0.1f, 0}, {1, 0, 0, 0}};
    for (const Sampling& how : hows) {
        check_sampling<float>(7, 65, 128, how, 3);
        check_sampling<bf16>(3, 257, 259, how, 3);
    }
    for (const int i : {0, 6}) {
        const Shape shapes[] = {{1, 1, 1}, {1, 5000, 5120}};
        for (auto [B, V, P] : shapes) {
            check_sampling<float>(B, V, P, hows[i], 3);
            check_sampling<bf16>(B, V, P, hows[i], 3);
        }
    }
}

// Rows of more than one slice, the last of them short.
TEST(sampling, long_rows) {
    const int V = 2 * sampling_slice + 77, P = round_up(V, 128);
    const Sampling hows[] = {{0, 1, 0, 0}, {1, 1, 0, 0}, {1, 0.9f, 0, 300}, {1, 1, 0.02f, 0}};
    for (const Sampling& how : hows) {
        check_sampling<float>(2, V, P, how, 3);
        check_sampling<bf16>(2, V, P, how, 3);
    }
    check_sampling<bf16>(1, V, V, {1, 0.95f, 0, 0}, 3);
}

// What is unlike a model's logits: all of them equal, which leaves nothing but ids to tell them apart, two values,
// hidden tokens, and differences and temperatures beyond float's range.
TEST(sampling, odd_rows) {
    const auto everywhere = [](const Sampling& how, double spread, auto shape) {
        check_sampling<float>(3, 1501, 1504, how, spread, shape);
        check_sampling<bf16>(3, 1501, 1504, how, spread, shape);
    };
    const Sampling hows[] = {{0, 1, 0, 0}, {1, 0.3f, 0, 0},       {1, 1, 1, 0},
                             {1, 1, 0, 0}, {1, 0.5f, 0.5f, 1200}, {1, 1, 1e-30f, 0}};
    for (int i = 0; i < 6; i++) {
        const Sampling& how = hows[i];
        everywhere(how, 1, [](int, double) { return -7.5; });
        if (i < 3) continue;
        everywhere(how, 1, [](int v, double) { return v % 2 ? 0.0 : -0.0; });
        everywhere(how, 1, [](int v, double) { return v % 7 == 3 ? 1.0 : 0.5; });
        everywhere(how, 3, [](int v, double x) { return v % 400 == 9 ? x : -INFINITY; });
        everywhere(how, 1, [](int, double x) { return std::copysign(3e38, x); });
    }
    for (const float temperature : {1e-40f, 1e-10f, 1e10f, 3e38f})
        everywhere({temperature, 1, 0, 0}, 1, [](int, double x) { return x; });
}

// token (B), broken (B)
template <class Real, class Device>
std::vector<int> sampled(const Device& on, const std::vector<double>& logits, const Sampling& how,
                         const std::vector<float>& u) {
    const int B = int(u.size()), V = int(logits.size()) / B;
    std::vector<Real> rows;
    for (const double x : logits) rows.push_back(Real(float(x)));
    Real* const device_rows = on.template allocate<Real>(rows.size());
    float* const device_u = on.template allocate<float>(B);
    int* const token = on.template allocate<int>(2 * B);
    on.upload(device_rows, rows.data(), rows.size());
    on.upload(device_u, u.data(), B);
    sampling_forward(token, token + B, device_rows, device_u, how, B, V, V, on);
    std::vector<int> got(2 * B);
    on.download(got.data(), token, got.size());
    return got;
}
template <class Check>
void on_all_devices(Check check) {
    check.template operator()<float>(Cpu<float>());
    check.template operator()<double>(Cpu<double>());
    check.template operator()<float>(Gpu<float>());
    check.template operator()<bf16>(Gpu<bf16>());
}

// How many of the likeliest tokens are kept: just below 1 comes the last of them.
TEST(sampling, thresholds_that_floats_cannot_hold) {
    struct Row {
        std::vector<double> probabilities;
        Sampling how;
        int kept;
        bool in_bf16;
    };
    const std::vector<double> equal(5, 0.2), falling = {0.5, 0.3, 0.1, 0.05, 0.05},
                                             powers = {0.5, 0.25, 0.125, 0.0625, 0.0625};
    const Row rows[] = {{equal, {1, 0.2f, 0, 0}, 1, true},      {equal, {1, 0.4f, 0, 0}, 2, true},
                        {equal, {1, 0.6f, 0, 0}, 3, true},      {equal, {1, 0.8f, 0, 0}, 4, true},
                        {equal, {1, 0.41f, 0, 0}, 3, true},     {falling, {1, 0.5f, 0, 0}, 1, false},
                        {falling, {1, 0.8f, 0, 0}, 2, false},   {falling, {1, 0.9f, 0, 0}, 3, false},
                        {falling, {1, 0.801f, 0, 0}, 3, false}, {powers, {1, 0.75f, 0, 0}, 2, false},
                        {falling, {1, 1, 0.6f, 0}, 2, false},   {falling, {1, 1, 0.1f, 0}, 5, false},
                        {falling, {1, 1, 0.2f, 0}, 3, false},   {falling, {1, 1, 0.21f, 0}, 2, false},
                        {equal, {1, 1, 1, 0}, 5, true}};
    on_all_devices([&]<class Real>(const auto& on) {
        for (const Row& row : rows) {
            if (std::is_same_v<Real, bf16> && !row.in_bf16) continue;
            std::vector<double> logits;
            for (const double p : row.probabilities) logits.push_back(std::log(p));
            EXPECT_EQ(sampled<Real>(on, logits, row.how, {1 - 0x1p-24f})[0] + 1, row.kept)
                << row.probabilities[0] << " top_p " << row.how.top_p << " min_p " << row.how.min_p;
        }
    });
}

// No token can be drawn: one that exists, and word of it, which the other rows do not hear.
TEST(sampling, broken_rows) {
    const int V = sampling_slice + 100, B = 3;
    struct Row {
        const char* name;
        int at;
        double value;
        bool alone;
    };
    const Row rows[] = {{"first NaN", 0, NAN, false},       {"last NaN", V - 1, NAN, false},
                        {"negative NaN", 700, -NAN, false}, {"infinity", V - 1, INFINITY, false},
                        {"all NaN", 5, NAN, true},          {"all hidden", 5, -INFINITY, true}};
    const Sampling hows[] = {{0, 1, 0, 0}, {1, 1, 0, 0}, {1, 0.9f, 0.1f, 40}};
    for (const Sampling& how : hows)
        on_all_devices([&]<class Real>(const auto& on) {
            for (const Row& row : rows) {
                std::vector<double> logits(size_t(B) * V, 0.5);
                for (int v = 0; v < V; v++)
                    if (row.alone || v == row.at) logits[V + v] = row.value;
                const std::vector<int> got = sampled<Real>(on, logits, how, std::vector<float>(B, 0.5f));
                EXPECT_EQ(std::vector<int>(got.begin() + B, got.end()), (std::vector<int>{0, 1, 0})) << row.name;
                EXPECT_EQ(got[1], 0) << row.name;
                EXPECT_EQ(got[0], got[2]) << row.name;
                EXPECT_LT(got[0], V) << row.name;
            }
        });
}

}  // namespace
