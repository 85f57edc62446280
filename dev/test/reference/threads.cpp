// The number of threads does not change a bit: neither of a loss, nor of a gradient, nor of the weights after a step.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <cstdio>
#include <cstring>
#include "dev/test/support/golden.h"
#include "host/base/files.h"
#include "host/training/trainer.h"

namespace {

struct Outcome {
    std::vector<float> losses, gradients, weights;
};

HostBatch batch_of(int B, int T, int V) {
    HostBatch b{B, T, drawn_integers("threads/token", B * T, V), drawn_integers("threads/target", B * T, V), {}, {}};
    for (int i = 0; i < B * T; i++) b.position.push_back(i % T);
    return b;
}

Outcome train(const Config& c, int B, float dropout, int threads) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    Trainer<Cpu<float>> trainer(c, B, c.T, Recompute::none, 0.1f, Cpu<float>());
    auto& model = trainer.model;
    trainer.initialise(7);
    const HostBatch batch = batch_of(B, c.T, c.V);
    trainer.accumulate(batch, batch.valid(), {.seed = 3, .step = 1, .row = 0}, dropout);
    const float *losses = model.stat[model.losses], *gradients = model.dw.data, *weights = model.w.data;
    Outcome outcome{{losses, losses + batch.token.size()}, {gradients, gradients + model.weights.size}, {}};
    trainer.step({1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.1f, 0.05f});
    outcome.weights.assign(weights, weights + model.weights.size);
    omp_set_num_threads(before);
    return outcome;
}

void expect_same_bits(const std::vector<float>& one, const std::vector<float>& many, const char* what) {
    ASSERT_EQ(one.size(), many.size());
    for (size_t i = 0; i < one.size(); i++)
        ASSERT_EQ(std::bit_cast<uint32_t>(one[i]), std::bit_cast<uint32_t>(many[i])) << what << " " << i;
}

}  // namespace

TEST(threads, same_bits) {
    Config gpt2;  // sizes at which every product has several tiles, some of them ragged
    gpt2.T = 100, gpt2.V = 1001, gpt2.L = 2, gpt2.C = 192, gpt2.NH = gpt2.NKV = 3, gpt2.HS = 64, gpt2.F = 776;
    Config llama = gpt2;
    llama.norm = Norm::rmsnorm, llama.position = Position::rope, llama.activation = Activation::swiglu;
    llama.NKV = 1, llama.qk_norm = true, llama.tied = false, llama.qkv_bias = false;
    for (const Config& c : {gpt2, llama})
        for (const float dropout : {0.0f, 0.2f}) {
            const Outcome one = train(c, 5, dropout, 1);
            for (const int threads : {2, 3, 4}) {
                SCOPED_TRACE("with " + std::to_string(threads) + " threads");
                const Outcome many = train(c, 5, dropout, threads);
                expect_same_bits(one.losses, many.losses, "loss");
                expect_same_bits(one.gradients, many.gradients, "gradient");
                expect_same_bits(one.weights, many.weights, "weight");
            }
        }
}

namespace {

// A model whose products have several tiles.
Config small_gpt2() {
    Config c;
    c.T = 100, c.V = 1001, c.L = 1, c.C = 192, c.NH = c.NKV = 3, c.HS = 64, c.F = 776;
    return c;
}

uint64_t hash_of(const Outcome& o) {
    const auto bytes = [](const std::vector<float>& x) {
        return std::string(reinterpret_cast<const char*>(x.data()), x.size() * sizeof(float));
    };
    return files::hash(bytes(o.losses) + bytes(o.gradients) + bytes(o.weights));
}

// What the test below prints where these variables are set before the program starts.
std::string printed_under(const std::string& variables) {
    const std::string command = "env -u GTEST_TOTAL_SHARDS -u GTEST_SHARD_INDEX " + variables + " /proc/" +
                                std::to_string(getpid()) +
                                "/exe --gtest_also_run_disabled_tests --gtest_filter=threads.DISABLED_prints_its_hash";
    FILE* pipe = popen(command.c_str(), "r");
    std::string all;
    for (char part[256]; pipe && fgets(part, sizeof part, pipe);) all += part;
    const int code = pipe ? pclose(pipe) : -1;
    const size_t at = all.find("hash ");
    return code || at == all.npos ? "failed: " + all : all.substr(at, all.find('\n', at) - at);
}

}  // namespace

// Run by the next one.
TEST(threads, DISABLED_prints_its_hash) {
    fmt::print("hash {}\n", files::hex(hash_of(train(small_gpt2(), 2, 0.2f, omp_get_max_threads()))));
    std::fflush(stdout);
}

// A library that trusts the number of threads it asked for leaves out parts of a product when it gets fewer.
TEST(threads, same_bits_whatever_OMP_variables_say) {
    const std::string right = "hash " + files::hex(hash_of(train(small_gpt2(), 2, 0.2f, 1)));
    for (const char* variables :
         {"OMP_NUM_THREADS=4", "OMP_NUM_THREADS=4 OMP_DYNAMIC=true", "OMP_NUM_THREADS=4 OMP_THREAD_LIMIT=1",
          "OMP_NUM_THREADS=4 OMP_THREAD_LIMIT=2", "OMP_NUM_THREADS=2,2 OMP_MAX_ACTIVE_LEVELS=2",
          "OMP_NUM_THREADS=3 OMP_PROC_BIND=close OMP_PLACES=cores", "OMP_NUM_THREADS=3 OMP_SCHEDULE=guided,7"})
        EXPECT_EQ(printed_under(variables), right) << variables;
}
