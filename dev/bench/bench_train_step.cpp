// A whole training step on the CPU (forward, backward, norm, AdamW) beside the time its matmuls would take alone at the
// rate of one big matmul, measured in the same run.
#include <fmt/core.h>
#include "bench.h"
#include "bench_table.h"
#include "host/training/trainer.h"

namespace {

struct Shape {
    const char* name;
    int B;
    Config config;
};

Config gpt2() {
    Config c;
    c.T = 64;
    return c;
}
Config without_bias(int L, int C, int NH, int T, int V) {
    Config c;
    c.L = L, c.C = C, c.NH = c.NKV = NH, c.HS = C / NH, c.F = 4 * C, c.T = T, c.V = V;
    c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = false;
    return c;
}

// Multiplications and additions of the linear layers' products: 2 forward and 4 backward per weight and token.
double product_operations(const Gpt<Cpu<float>>& model, int N) {
    double weights = double(model.V) * model.C;  // the head
    for (const BlockWeights& b : model.wb)
        for (const LinearWeights* p : {&b.qkv, &b.proj, &b.up, &b.down}) weights += double(p->C) * p->OC;
    return 6 * weights * N;
}

void measure(const Shape& shape) {
    const auto& [name, B, c] = shape;
    const int N = B * c.T, n = 1536;
    Trainer<Cpu<float>> trainer(c, B, c.T, Recompute::none, 0.1f, Cpu<float>());
    trainer.initialise(1);
    HostBatch batch{B, c.T, {}, {}, {}, {}};
    for (int i = 0; i < N; i++) {
        batch.token.push_back(i * 7919 % c.V);
        batch.target.push_back((i + 1) * 7919 % c.V);
        batch.position.push_back(i % c.T);
    }
    const std::vector<float> a(size_t(n) * n, 0.5f), b(size_t(n) * n, 0.25f);
    std::vector<float> out(size_t(n) * n);
    const auto step = [&] {
        trainer.accumulate(batch, N, {}, c.dropout);
        trainer.step({1e-4f, 0.9f, 0.95f, 1e-8f, 1.0f, 0.1f, 0.05f});
    };
    const auto big_product = [&] {
#ifdef GPT_DNNL
        gemm(Op::none, Op::none, n, n, n, a.data(), n, b.data(), n, Into::assign, out.data(), n);  // over all threads
#else
        parallel_gemm(Op::none, Op::none, n, n, n, a.data(), n, b.data(), n, Into::assign, out.data(), n,
                      [](int, int, int, int) {});
#endif
    };
    step();
    const auto best = shortest(8, big_product, step);
    const double rate = 2.0 * n * n * n / best[0], operations = product_operations(trainer.model, N);
    fmt::print("{:<34} {:>9.1f} {:>11.0f} {:>9.0f} {:>9.0f} {:>13.1f} {:>7.2f}\n", name, best[1] * 1e3, N / best[1],
               operations / best[1] / 1e9, rate / 1e9, operations / rate * 1e3, best[1] / (operations / rate));
    bench_json()["train_step_cpu"].push_back({{"model", name},
                                              {"ms", best[1] * 1e3},
                                              {"tokens_per_s", N / best[1]},
                                              {"products_ms", operations / rate * 1e3},
                                              {"threads", omp_get_max_threads()}});
}

}  // namespace

BENCH(train_step_cpu) {
    const Shape shapes[] = {{"gpt2 (124M) B4 T64", 4, gpt2()},
                            {"baby L6 C384 B8 T256 V256", 8, without_bias(6, 384, 6, 256, 256)},
                            {"L4 C128 B12 T64 V65", 12, without_bias(4, 128, 4, 64, 65)}};
    fmt::print("{:<34} {:>9} {:>11} {:>9} {:>9} {:>13} {:>7}\n", fmt::format("{} threads", omp_get_max_threads()), "ms",
               "tokens/s", "GFLOP/s", "product's", "products ms", "ratio");
    for (const Shape& shape : shapes) measure(shape);
}
