// Checks kernels/attention*.cuh at 16k tokens, against formulas that need no T x T numbers.
//   ./test_gpt --gtest_filter='attention_long_context*'
#include "harness.h"
#include "kernels/attention.cuh"
#include "kernels/tools/device.cuh"

namespace {

// All queries are the same vector q, and all gradients of outputs the same vector g. A key j then has one weight
// w_j = exp(q k_j / sqrt(HS)) for all queries, and everything is made of running sums over what a query or key sees:
//
//   S_t = sum of w_j,  out_t = sum of w_j v_j / S_t,  D_t = g out_t,  dS_tj = w_j (g v_j - D_t) / S_t
//   dq_t = sum over j of dS_tj k_j / sqrt(HS),  dk_j = sum over t of dS_tj q / sqrt(HS)
//   dv_j = sum over t of w_j / S_t g
struct LongCase {
    int T, HS;
    std::vector<bf16> query, gradient, qkv;  // (HS), (HS), (T,3,HS)
    std::vector<int> first;                  // (T)

    LongCase(int T, int HS, int visible) : T(T), HS(HS) {
        std::mt19937 random(4);
        std::normal_distribution<float> normal;
        const auto vector = [&] {
            std::vector<bf16> v(HS);
            for (bf16& x : v) x = normal(random);
            return v;
        };
        query = vector(), gradient = vector();
        for (int t = 0; t < T; t++) {
            for (const std::vector<bf16>& part : {query, vector(), vector()})
                qkv.insert(qkv.end(), part.begin(), part.end());
            first.push_back(std::max(0, t + 1 - visible));
        }
    }
    double key(int t, int i) const { return double(float(qkv[(size_t(t) * 3 + 1) * HS + i])); }
    double value(int t, int i) const { return double(float(qkv[(size_t(t) * 3 + 2) * HS + i])); }
};

double dot(const std::vector<bf16>& x, auto y) {  // y(i)
    double sum = 0;
    for (size_t i = 0; i < x.size(); i++) sum += double(float(x[i])) * y(int(i));
    return sum;
}

// Running sums of rows of `width` numbers, from which sum(from, to) is the one over from .. to - 1.
class RunningSums {
public:
    RunningSums(int T, int width, auto number) : width(width), sums(size_t(T + 1) * width) {  // number(t, i)
        for (int t = 0; t < T; t++)
            for (int i = 0; i < width; i++) at(t + 1, i) = at(t, i) + number(t, i);
    }
    double sum(int from, int to, int i = 0) const {
        return sums[size_t(to) * width + i] - sums[size_t(from) * width + i];
    }

private:
    int width;
    std::vector<double> sums;
    double& at(int t, int i) { return sums[size_t(t) * width + i]; }
};

struct Wanted {
    std::vector<double> out, lse, d_qkv;  // (T,HS), (T), (T,3,HS)
};

Wanted wanted(const LongCase& c) {
    const int T = c.T, HS = c.HS;
    const double scale = 1 / std::sqrt(double(HS));
    std::vector<double> w(T), gv(T), S(T), D(T);
    for (int t = 0; t < T; t++) {
        w[t] = std::exp(dot(c.query, [&](int i) { return c.key(t, i); }) * scale);
        gv[t] = dot(c.gradient, [&](int i) { return c.value(t, i); });
    }
    const RunningSums weights(T, 1, [&](int t, int) { return w[t]; }),
        values(T, HS, [&](int t, int i) { return w[t] * c.value(t, i); }),
        keys(T, HS, [&](int t, int i) { return w[t] * c.key(t, i); }),
        keys_gv(T, HS, [&](int t, int i) { return w[t] * gv[t] * c.key(t, i); });
    Wanted want = {std::vector<double>(size_t(T) * HS), std::vector<double>(T),
                   std::vector<double>(size_t(T) * 3 * HS)};
    for (int t = 0; t < T; t++) {
        const int from = c.first[t];
        S[t] = weights.sum(from, t + 1);
        want.lse[t] = std::log(S[t]);
        double* const out = &want.out[size_t(t) * HS];
        for (int i = 0; i < HS; i++) out[i] = values.sum(from, t + 1, i) / S[t];
        D[t] = dot(c.gradient, [&](int i) { return out[i]; });
        for (int i = 0; i < HS; i++)
            want.d_qkv[size_t(t) * 3 * HS + i] =
                scale * (keys_gv.sum(from, t + 1, i) - D[t] * keys.sum(from, t + 1, i)) / S[t];
    }
    const RunningSums shares(T, 1, [&](int t, int) { return 1 / S[t]; }),
        shares_D(T, 1, [&](int t, int) { return D[t] / S[t]; });
    for (int j = 0, end = 0; j < T; j++) {  // queries j .. end - 1 see key j
        while (end < T && c.first[end] <= j) end++;
        const double share = w[j] * shares.sum(j, end), d_score = gv[j] * share - w[j] * shares_D.sum(j, end);
        double* const d_key = &want.d_qkv[(size_t(j) * 3 + 1) * HS];
        for (int i = 0; i < HS; i++) {
            d_key[i] = scale * d_score * double(float(c.query[i]));
            d_key[HS + i] = share * double(float(c.gradient[i]));
        }
    }
    return want;
}

void check(int T, int HS, int visible) {
    const LongCase c(T, HS, visible);
    const Wanted want = wanted(c);
    const Gpu<bf16> on;
    const auto upload = [&](const auto& host) {
        auto* device = on.allocate<std::decay_t<decltype(host[0])>>(host.size());
        on.upload(device, host.data(), host.size());
        return device;
    };
    const auto download = [&](const auto* device, size_t n) {
        std::vector<std::decay_t<decltype(*device)>> host(n);
        on.download(host.data(), device, n);
        return host;
    };
    std::vector<bf16> gradients;
    for (int t = 0; t < T; t++) gradients.insert(gradients.end(), c.gradient.begin(), c.gradient.end());
    bf16 *qkv = upload(c.qkv), *d_out = upload(gradients), *out = on.allocate<bf16>(want.out.size()),
         *d_qkv = on.allocate<bf16>(want.d_qkv.size());
    int* first = upload(c.first);
    float* lse = on.allocate<float>(T);
    attention_forward(out, lse, qkv, first, {}, {1, T, 1, 1, HS}, on);
    attention_backward(d_qkv, d_out, out, lse, qkv, first, {}, {1, T, 1, 1, HS}, on);

    const double allowed = tolerance<bf16>(visible + HS) + Rounded{1}.tolerance<bf16>();
    EXPECT_EQ(mismatch(download(out, want.out.size()).data(), want.out.data(), want.out.size(), allowed, HS), "");
    EXPECT_EQ(mismatch(download(lse, T).data(), want.lse.data(), T, tolerance<float>(visible + HS)), "");
    EXPECT_EQ(mismatch(download(d_qkv, want.d_qkv.size()).data(), want.d_qkv.data(), want.d_qkv.size(), allowed, HS),
              "");
}

// The two ways in which the kernels keep keys.
TEST(attention_long_context, window) {
    check(16384, 64, 300);
    check(16384, 128, 300);
}

TEST(attention_long_context, all) {
    const int T = on_simulated_device() ? 2048 : 16384;  // which needs minutes for 16k
    for (int HS : {64, 128}) check(T, HS, T);
}

}  // namespace
