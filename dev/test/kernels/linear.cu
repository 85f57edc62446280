// Checks kernels/linear.cuh.      ./test_gpt --gtest_filter='linear*'
#include "harness.h"
#include "kernels/linear.cuh"

namespace {

enum class Bias { yes, no };

template <class T>
void check_linear(int N, int C, int OC, Bias has, Products by, Into into = Into::add) {
    Case<T> c("linear",
              {{"N", N}, {"C", C}, {"OC", OC}, {"bias", has == Bias::yes}, {"by", long(by)}, {"into", long(into)}});
    c.multiply_by(by);
    c.gpu.into = c.cpu.into = into;
    auto inp = c.template random<T>("inp", size_t(N) * C), weight = c.template random<T>("weight", size_t(OC) * C);
    auto bias = c.template random<T>("bias", OC), d_out = c.template random<T>("d_out", size_t(N) * OC);
    auto out = c.template fresh<T>("out", size_t(N) * OC), d_inp = c.template fresh<T>("d_inp", size_t(N) * C);
    const double before = into == Into::add ? 0.5 : NAN;
    auto d_weight = c.template fill<float>("d_weight", size_t(OC) * C, before),
         d_bias = c.template fill<float>("d_bias", OC, before);
    c.run([&](auto on) {
        linear_forward(out(on), inp(on), weight(on), has == Bias::yes ? bias(on) : nullptr, N, C, OC, on);
        linear_backward(d_inp(on), d_weight(on), has == Bias::yes ? d_bias(on) : nullptr, d_out(on), inp(on),
                        weight(on), N, C, OC, on);
    });
    c.expect(out, C);
    c.expect(d_inp, OC);
    c.expect(d_weight, N);
    if (has == Bias::yes) c.expect(d_bias, N);
}

TEST(linear, kernels) {
    struct Shape {
        int N, C, OC;
        Bias bias;
    };
    for (auto [N, C, OC, bias] : std::vector<Shape>{{1, 1, 1, Bias::yes},
                                                    {7, 72, 40, Bias::yes},
                                                    {65, 33, 129, Bias::no},
                                                    {100, 64, 192, Bias::yes},
                                                    {3, 256, 1024, Bias::no},
                                                    {40, 768, 24, Bias::yes}}) {
        for (const Products by : products()) {
            check_linear<float>(N, C, OC, bias, by);
            check_linear<bf16>(N, C, OC, bias, by);
        }
    }
}

// What the tensor cores do: around the edges of their tiles, and weights' gradients whose sum is split.
TEST(linear, tensor) {
    struct Shape {
        int N, C, OC;
    };
    for (auto [N, C, OC] :
         std::vector<Shape>{{17, 8, 8}, {128, 32, 128}, {129, 40, 264}, {31, 136, 8}, {2053, 8, 16}, {4100, 16, 8}})
        for (const Products by : products()) check_linear<bf16>(N, C, OC, Bias::yes, by);
}

// Gradients that take the place of what was there: plain, on tensor cores, and where their sum is split.
TEST(linear, assigned_gradients) {
    for (const Products by : products()) {
        check_linear<float>(7, 72, 40, Bias::yes, by, Into::assign);
        check_linear<bf16>(31, 136, 8, Bias::yes, by, Into::assign);
        check_linear<bf16>(4100, 16, 8, Bias::yes, by, Into::assign);
    }
}

// Few rows, as in generation: around the edges of a block's outputs and of the steps of its warps along k.
TEST(linear, few_rows) {
    struct Shape {
        int N, C, OC;
    };
    for (auto [N, C, OC] :
         std::vector<Shape>{{1, 8, 8}, {1, 33, 5}, {2, 1032, 24}, {8, 776, 40}, {9, 264, 72}, {linear_few, 2056, 16}})
        for (const Bias bias : {Bias::yes, Bias::no})
            for (const Products by : products()) {
                check_linear<float>(N, C, OC, bias, by);
                check_linear<bf16>(N, C, OC, bias, by);
            }
}

// A row gives the same bits alone, with others, and wherever it stands among them.
template <class T>
void check_rows_alone(int C, int OC) {
    const Gpu<T> on;
    std::mt19937 random(6);
    std::normal_distribution<float> normal;
    const auto upload = [&](size_t n) {
        std::vector<T> values(n);
        for (T& x : values) x = T(normal(random));
        T* p = on.template allocate<T>(n);
        on.upload(p, values.data(), n);
        return p;
    };
    const T *inp = upload(size_t(linear_few) * C), *weight = upload(size_t(OC) * C), *bias = upload(OC);
    T* out = on.template allocate<T>(size_t(linear_few) * OC);
    const auto product = [&](int first, int N) {
        linear_forward(out, inp + size_t(first) * C, weight, bias, N, C, OC, on);
        std::vector<T> rows(size_t(N) * OC);
        on.download(rows.data(), out, rows.size());
        return rows;
    };
    const std::vector<T> all = product(0, linear_few);
    for (int first = 0; first < linear_few; first++)
        for (int N : {1, 3, 8}) {
            if (first + N > linear_few) continue;
            const std::vector<T> rows = product(first, N);
            EXPECT_EQ(std::memcmp(rows.data(), all.data() + size_t(first) * OC, rows.size() * sizeof(T)), 0)
                << dtype_name<T> << " C=" << C << ": rows " << first << " to " << first + N - 1;
        }
}
TEST(linear, rows_alone) {
    for (const int C : {33, 264}) {
        check_rows_alone<float>(C, 24);
        check_rows_alone<bf16>(C, 24);
    }
}

// Both tiles, in all orientations, over several steps of their rings: right, and of the same bits, as the faster is
// taken. Of a sum that is split, too.
TEST(linear, both_tiles) {
    const int N = 140, C = 264, OC = 160;
    std::vector<std::vector<float>> bits[2];
    for (const bool wide : {false, true}) {
        Case<bf16> c("linear tile", {{"N", N}, {"C", C}, {"OC", OC}, {"wide", wide}});
        auto inp = c.random<bf16>("inp", size_t(N) * C), weight = c.random<bf16>("weight", size_t(OC) * C);
        auto d_out = c.random<bf16>("d_out", size_t(N) * OC);
        auto out = c.fresh<bf16>("out", size_t(N) * OC), d_inp = c.fresh<bf16>("d_inp", size_t(N) * C);
        auto d_weight = c.random<float>("d_weight", size_t(OC) * C),
             parts = c.fresh<float>("parts", size_t(3) * OC * C);
        c.run([&](auto on) {
            if constexpr (std::is_same_v<decltype(on), Gpu<bf16>>) {
                const auto product = [&](auto epilogue, auto a, auto b, int K, int k_of_block) {
                    with_linear_tile(wide, [&]<class Shape>(Shape) {
                        launch(linear_tensor_kernel<Shape, decltype(a), decltype(b), decltype(epilogue)>,
                               dim3(linear_tiles<Shape>(a.outers, b.outers), ceil_div(K, k_of_block)), Shape::threads,
                               Shape::bytes, on, epilogue, a, b, K, k_of_block);
                    });
                };
                product(LinearOut{out(on), nullptr, OC}, AlongK<bf16>{inp(on), C, N}, AlongK<bf16>{weight(on), C, OC},
                        C, C);
                product(LinearGradient{d_inp(on), C}, AlongK<bf16>{d_out(on), OC, N}, Across<bf16>{weight(on), C, C},
                        OC, OC);
                const Across<bf16> a{d_out(on), OC, OC}, b{inp(on), C, C};
                product(LinearSum{d_weight(on), 0, on.into, C}, a, b, N, N);
                product(LinearSum{parts(on), size_t(OC) * C, on.into, C}, a, b, N, 64);
            } else {
                double* none = nullptr;
                linear_forward(out(on), inp(on), weight(on), none, N, C, OC, on);
                linear_backward(d_inp(on), d_weight(on), none, d_out(on), inp(on), weight(on), N, C, OC, on);
            }
        });
        c.expect(out, C);
        c.expect(d_inp, OC);
        c.expect(d_weight, N);
        const auto keep = [&](auto t) {
            std::vector<std::remove_pointer_t<decltype(t.device)>> got(t.n);
            c.gpu.download(got.data(), t.device, t.n);
            bits[wide].emplace_back(got.begin(), got.end());
        };
        keep(out), keep(d_inp), keep(d_weight), keep(parts);
    }
    for (size_t i = 0; i < bits[0].size(); i++) EXPECT_TRUE(bits[0][i] == bits[1][i]) << "other bits in tensor " << i;
}

// The faster tile is taken, whichever it is, and measured once per shape and kind.
TEST(linear, tiles_are_measured_once) {
    const Gpu<bf16> on;
    const size_t n = 20000;
    uint32_t* x = on.allocate<uint32_t>(n);
    int runs = 0;
    const auto measured = [&](std::type_index kind, int N, bool wide_is_fast) {
        return linear_faster(
            kind, 64, N, 64,
            [&]<class Shape>(Shape) {
                runs++;
                const bool fast = std::is_same_v<Shape, LinearWide> == wide_is_fast;
                for (int i = 0; i < (fast ? 1 : 20); i++) on.zero(x, n);
            },
            on);
    };
    EXPECT_TRUE(measured(typeid(int), 8, true));
    EXPECT_FALSE(measured(typeid(int), 16, false));
    EXPECT_FALSE(measured(typeid(float), 8, false));
    const int once = runs;
    EXPECT_TRUE(measured(typeid(int), 8, false));
    EXPECT_EQ(runs, once);
}

// The tile's choice and the splitting, at the sizes of GPT-2 124M (64 x 1024 tokens) on 132 multiprocessors.
TEST(linear, plans) {
    struct Row {
        int M, N;
        bool wide;
    };
    const Row rows[] = {{65536, 2304, true},    {768, 768, true},           {128, 132 * 2 * 128, true},
                        {128, 133 * 128, true}, {1280, 132 * 13 * 2, true}, {128 * 133, 128, false}};
    for (auto [M, N, wide] : rows) EXPECT_EQ(linear_wide(M, N, 132), wide) << M << " " << N;
    EXPECT_EQ(linear_parts(18, 132, 65536), 7);       // 126 of 132 places
    EXPECT_EQ(linear_parts(1, 132, 300), 1);          // too short
    EXPECT_EQ(linear_parts(132 * 4, 132, 65536), 1);  // no idle place to fill
    EXPECT_EQ(linear_parts(1, 132, 4100), 3);

    // On Hopper: of each shape the fastest on an H100 (dev/doc/gemm.md), or nearly so.
    struct Sum {
        int M, N, K;
        bool wide;
        int parts;
    };
    const Sum sums[] = {{2304, 768, 65536, false, 7},  {768, 768, 65536, true, 7},    {3072, 768, 65536, false, 4},
                        {768, 3072, 65536, false, 4},  {50304, 768, 65536, true, 1},  {4096, 1024, 65536, true, 1},
                        {1024, 2048, 65536, true, 2},  {6144, 1024, 65536, true, 2},  {1024, 3072, 65536, false, 1},
                        {4800, 1600, 16384, false, 1}, {1600, 1600, 16384, false, 1}, {6400, 1600, 16384, false, 2},
                        {1600, 6400, 16384, true, 2},  {50304, 1600, 16384, false, 1}};
    for (const Sum& s : sums) {
        const HopperSumPlan plan = hopper_sum_plan(s.M, s.N, s.K, 132);
        EXPECT_TRUE(plan.wide == s.wide && plan.parts == s.parts) << s.M << " " << s.N << ": " << plan.parts;
    }
    EXPECT_EQ(hopper_sum_plan(8, 8, 300, 132).parts, 1);  // too short
    struct Product {
        int N, K;
        bool turns;
    };
    const Product products[] = {{768, 768, true},   {2304, 768, true},  {768, 3072, true},   {50304, 768, true},
                                {4096, 1024, true}, {2048, 1024, true}, {1024, 2048, false}, {1024, 6144, false}};
    for (const Product& p : products) EXPECT_EQ(hopper_takes_turns(65536, p.N, p.K, 132), p.turns) << p.N << " " << p.K;
    EXPECT_TRUE(hopper_fills(99, 132) && !hopper_fills(98, 132));
    Gpu<bf16> other;
    for (const int capability : {80, 100, 120}) {
        other.capability = capability;
        EXPECT_FALSE(linear_has_hopper(other)) << capability;
    }
}

}  // namespace
