// The plan against published parameter counts, against hand-computed products, and against what a trainer allocates.
#include "host/plan/plan.h"

#include <gtest/gtest.h>

#include <random>

#include "dev/test/support/captured.h"
#include "dev/test/support/text_search.h"
#include "host/base/error.h"
#include "host/commands/commands.h"
#include "host/options/model_options.h"
#include "host/options/options_parse.h"
#include "host/plan/plan_command.h"
#include "host/plan/plan_text.h"
#include "host/training/trainer.h"

namespace {

constexpr uint64_t GiB = uint64_t(1) << 30;

Plan plan_of(const std::string& name, int context = 0, Dtype dtype = Dtype::fp32) {
    Config c = *find_preset(name);
    if (context) c.T = context;
    return make_plan(c, 1, dtype, Recompute::none);
}

TEST(plan, parameters_are_the_published_ones) {
    const std::pair<const char*, uint64_t> table[] = {
        {"gpt2", 124439808},          {"gpt2-medium", 354823168},  {"gpt2-large", 774030080},
        {"gpt2-xl", 1557611200},      {"cs336-xl", 2127057600},    {"llama2-7b", 6738415616},
        {"mistral-7b", 7241732096},   {"llama3-8b", 8030261248},   {"llama3.1-8b", 8030261248},
        {"llama3.2-1b", 1235814400},  {"llama3.2-3b", 3212749824}, {"qwen2.5-0.5b", 494032768},
        {"qwen2.5-1.5b", 1543714304}, {"qwen2.5-3b", 3085938688},  {"qwen2.5-7b", 7615616512},
        {"qwen3-0.6b", 596049920},    {"qwen3-1.7b", 1720574976},  {"qwen3-4b", 4022468096},
        {"qwen3-8b", 8190735360}};
    for (const auto& [name, parameters] : table) EXPECT_EQ(plan_of(name, 1024).parameters(), parameters) << name;
    // nanoGPT counts 10.65M for its Shakespeare model of 65 characters, leaving out the positions.
    const Plan baby = plan_of("baby");
    EXPECT_EQ(baby.parameters() - baby.positions.parameters - (256 - 65) * 384, 10646784u);
}

TEST(plan, course_model_s_products) {
    const Plan p = plan_of("cs336-xl");
    EXPECT_EQ(p.projections.layer_flops, 20971520000u);
    EXPECT_EQ(p.attention.layer_flops, 6710886400u);
    EXPECT_EQ(p.ffn.layer_flops, 62914560000u);
    EXPECT_EQ(p.layer_flops(), 90596966400u);
    EXPECT_EQ(p.head.flops, 164682137600u);
    EXPECT_EQ(p.forward_flops(), 48 * 90596966400u + 164682137600u);
    EXPECT_EQ(p.training_flops(), 3 * p.forward_flops());

    const std::string text = plan_text("cs336-xl", p);
    for (const char* part :
         {"2,127,057,600", "8.51 GB", "90,596,966,400", "20,971,520,000", "6,710,886,400", "62,914,560,000",
          "164,682,137,600", "4.5133e12", "1.495e14 FLOPs  55% attention matmuls"}) {
        EXPECT_TRUE(has(text, part)) << part << "\n" << text;
    }
    const Plan longer = plan_of("cs336-xl", 16384);
    EXPECT_EQ(longer.parameters(), 2127057600u);
    EXPECT_TRUE(has(plan_text("", longer), "1.495e14 FLOPs  55% attention matmuls"));
}

TEST(plan, text_of_the_known_models) {
    EXPECT_TRUE(has(plan_text("qwen3-8b", plan_of("qwen3-8b", 1024)), "qwen3-8b: 8,190,735,360 parameters"));
    EXPECT_TRUE(has(plan_text("qwen3-8b", plan_of("qwen3-8b", 1024)), "16.4 GB in bf16"));
    EXPECT_TRUE(has(plan_text("gpt2", plan_of("gpt2")), "gpt2: 124,439,808 parameters"));
    EXPECT_TRUE(has(plan_text("gpt2-xl", plan_of("gpt2-xl")), "gpt2-xl: 1,557,611,200 parameters"));
}

TEST(plan, table_has_a_row_for_every_relative) {
    const std::string text = family_text("gpt2-large", plan_of("gpt2-large"));
    for (const char* part : {"  tiny ", "  gpt2 ", " *gpt2-large ", "  gpt2-xl ", "1,557,611,200"})
        EXPECT_TRUE(has(text, part)) << text;
    EXPECT_FALSE(has(text, "qwen"));
    EXPECT_EQ(family_text("some/directory", plan_of("gpt2")), "");
}

// Any shape: 2mnk for each product of the diagram.
TEST(plan, flops_of_odd_shapes) {
    Config c{.T = 10, .V = 17, .L = 3, .C = 24, .NH = 6, .NKV = 2, .HS = 5, .F = 7};
    Plan p = make_plan(c, 4, Dtype::fp32, Recompute::none);
    EXPECT_EQ(p.projections.flops, 3u * 2 * 10 * (24 * (6 + 4) * 5 + 6 * 5 * 24));
    EXPECT_EQ(p.attention.flops, 3u * 2 * 6 * 2 * 10 * 10 * 5);
    EXPECT_EQ(p.ffn.flops, 3u * 2 * 10 * 2 * 24 * 7);
    EXPECT_EQ(p.head.flops, 2u * 10 * 24 * 17);
    EXPECT_EQ(p.kv_cache, 3u * 10 * 2 * 2 * 5 * 4);
    EXPECT_EQ(p.checkpoint, p.parameters() * 12);
    EXPECT_EQ(p.repeated, 0u);
    EXPECT_EQ(make_plan(c, 4, Dtype::bf16, Recompute::none).checkpoint, p.parameters() * 14);
    EXPECT_EQ(make_plan(c, 4, Dtype::bf16, Recompute::none).kv_cache, p.kv_cache / 2);
    EXPECT_EQ(make_plan(c, 4, Dtype::fp32, Recompute::block).repeated, 2 * p.layer_flops());
    c.activation = Activation::swiglu;
    p = make_plan(c, 4, Dtype::fp32, Recompute::mlp);
    EXPECT_EQ(p.ffn.flops, 3u * 2 * 10 * 3 * 24 * 7);
    EXPECT_EQ(p.repeated, 2u * 2 * 10 * 24 * 14);
}

// Stands for a device: counts what a trainer asks for.
struct Two {
    uint16_t bits = 0;
    Two() = default;
    Two(double) {}
};
template <class T>
struct Counting {
    using Real = T;
    using Stat = float;
    static constexpr int vocab_multiple = 1, steps_ahead = 0;
    struct Mark {};
    struct Recording {};
    std::shared_ptr<uint64_t> bytes = std::make_shared<uint64_t>(0);
    std::shared_ptr<std::vector<std::unique_ptr<char[]>>> blocks =
        std::make_shared<std::vector<std::unique_ptr<char[]>>>();

    template <class U>
    U* allocate(size_t n) const {
        *bytes += n * sizeof(U);
        blocks->push_back(std::make_unique<char[]>(n * sizeof(U)));
        return reinterpret_cast<U*>(blocks->back().get());
    }
    template <class U>
    void upload(U*, const U*, size_t) const {}
};

template <class T>
uint64_t allocated(const Config& c, Recompute recompute, const World& world, std::optional<MuonScale> muon = {}) {
    Counting<T> device;
    const Trainer<Counting<T>> trainer(c, 3, c.T, recompute, 0.1f, device, world, muon);
    return *device.bytes;
}

template <class T>
void expect_as_allocated(const Config& c, Dtype dtype, Recompute recompute) {
    for (const int ranks : {1, 2, 3, 8}) {
        const double planned = double(make_plan(c, 3, dtype, recompute, ranks).memory.total());
        const double real = double(allocated<T>(c, recompute, World(ranks - 1, ranks)));
        EXPECT_NEAR(planned / real, 1, 0.02)
            << name_of(dtype) << " " << name_of(recompute) << " L" << c.L << " C" << c.C << " " << ranks << " ranks";
    }
}

// Of Muon's matrices one moment, and what they are orthogonalised in.
TEST(plan, memory_with_muon_is_what_a_trainer_allocates) {
    const Config tiny = *find_preset("tiny");
    const auto check = [&]<class T>(T, Dtype dtype) {
        const Plan muon = make_plan(tiny, 3, dtype, Recompute::none, 1, Optimizer::muon),
                   adamw = make_plan(tiny, 3, dtype, Recompute::none);
        EXPECT_NEAR(double(muon.memory.total()) / double(allocated<T>(tiny, Recompute::none, {}, MuonScale::rms)), 1,
                    0.005)
            << name_of(dtype);
        const uint64_t matrices = 3 * (4 * 128 * 128 + 2 * 128 * 512);
        EXPECT_EQ(adamw.memory.moments - muon.memory.moments, 4 * matrices);
        EXPECT_EQ(adamw.checkpoint - muon.checkpoint, 4 * matrices);
        EXPECT_EQ(adamw.moments - muon.moments, matrices);
        EXPECT_EQ(adamw.memory.total() - muon.memory.total(), 4 * matrices - muon.memory.muon);
        // Of (128,128): 3 products of 2 128^3 in each of 5 iterations; of (128,512) and (512,128) 9 of them.
        EXPECT_EQ(muon.muon_flops, 3u * 5 * 2 * 128 * 128 * 128 * (4 * 3 + 2 * 9));
        EXPECT_EQ(adamw.muon_flops, 0u);
        EXPECT_TRUE(has(plan_text("tiny", muon), "Muon's scratch")) << plan_text("tiny", muon);
        EXPECT_TRUE(has(plan_text("tiny", muon), "a step, whatever its tokens"));
        EXPECT_FALSE(has(plan_text("tiny", adamw), "Muon"));
    };
    check(float(), Dtype::fp32);
    check(Two(), Dtype::bf16);
}

TEST(plan, memory_is_what_a_trainer_allocates) {
    Config llama{.T = 48, .V = 301, .L = 4, .C = 64, .NH = 4, .NKV = 2, .HS = 16, .F = 176};
    llama.norm = Norm::rmsnorm, llama.position = Position::rope, llama.activation = Activation::swiglu;
    llama.qkv_bias = llama.proj_bias = llama.ffn_bias = llama.norm_bias = llama.tied = false;
    for (const Config& c : {*find_preset("tiny"), llama}) {
        for (const Recompute r : {Recompute::none, Recompute::mlp, Recompute::block}) {
            expect_as_allocated<float>(c, Dtype::fp32, r);
            expect_as_allocated<Two>(c, Dtype::bf16, r);
        }
    }
}

// Of moments and master weights each of R ranks allocates 1/R, and saves the rest of what one alone has.
TEST(plan, ranks_share_the_optimiser_s_memory) {
    const Config c = *find_preset("tiny");
    const Plan fp32 = make_plan(c, 3, Dtype::fp32, Recompute::none),
               bf16 = make_plan(c, 3, Dtype::bf16, Recompute::none);
    for (const int ranks : {2, 4, 8})
        for (int rank = 0; rank < ranks; rank++) {
            const World one, world(rank, ranks);
            const auto saved = [&]<class T>(T) {
                return double(allocated<T>(c, Recompute::none, one) - allocated<T>(c, Recompute::none, world));
            };
            const double rest = double(ranks - 1) / ranks;
            EXPECT_NEAR(saved(float()) / (rest * double(fp32.memory.moments)), 1, 0.01) << ranks;
            EXPECT_NEAR(saved(Two()) / (rest * double(bf16.memory.moments + bf16.memory.master)), 1, 0.01) << ranks;
        }
}

TEST(plan, of_several_ranks) {
    const Plan plan = make_plan(*find_preset("gpt2"), 4, Dtype::bf16, Recompute::none, 8);
    const uint64_t n = Shards::padded(124440576, 8);  // with what aligns the tensors
    EXPECT_EQ(plan.memory.moments, 8 * n / 8);
    EXPECT_EQ(plan.traffic.gradients, 7 * n / 8 * 4);
    EXPECT_EQ(plan.traffic.weights, 7 * n / 8 * 2);
    const std::string text = plan_text("gpt2", plan);
    EXPECT_TRUE(has(text, "4 sequences of 1,024 tokens, --recompute none, each of 8 ranks")) << text;
    EXPECT_TRUE(has(text, "between ranks, what each sends in a step")) << text;
    EXPECT_FALSE(has(plan_text("gpt2", plan_of("gpt2")), "ranks"));
}

TEST(plan, remedies_fit_and_ask_for_no_more_than_they_must) {
    const Plan plan = make_plan(*find_preset("gpt2"), 64, Dtype::fp32, Recompute::none);
    const uint64_t memory = 24 * GiB;
    ASSERT_FALSE(fits(plan, memory));
    const std::vector<Remedy> found = remedies(plan, memory);
    ASSERT_EQ(found.size(), 3u);
    for (const Remedy& r : found) EXPECT_TRUE(fits(r.plan, memory)) << r.flags;
    auto again = [&](int batch, int T, Recompute recompute) {
        Config c = plan.config;
        c.T = T;
        return make_plan(c, batch, plan.dtype, recompute);
    };
    const Plan &smaller = found[0].plan, &recomputed = found[1].plan, &shorter = found[2].plan;
    EXPECT_EQ(found[0].flags, "--batch " + std::to_string(smaller.batch));
    EXPECT_FALSE(fits(again(smaller.batch + 1, 1024, Recompute::none), memory));
    EXPECT_EQ(found[1].flags, "--recompute block");
    EXPECT_EQ(recomputed.batch, 64);
    EXPECT_FALSE(fits(again(64, 1024, Recompute::mlp), memory));
    EXPECT_EQ(found[2].flags, "--context " + std::to_string(shorter.config.T));
    EXPECT_FALSE(fits(again(64, shorter.config.T + 64, Recompute::none), memory));

    EXPECT_TRUE(fits(again(64, 1024, Recompute::mlp), 40 * GiB));
    EXPECT_EQ(remedies(plan, 40 * GiB)[1].flags, "--recompute mlp");
    EXPECT_EQ(remedies(plan, 16 * GiB)[1].flags.find("--recompute block --batch "), 0u);
    EXPECT_TRUE(remedies(plan, 1 * GiB).empty());  // weights, gradients and moments are more
}

std::string run(const std::vector<std::string>& args, Exit expected) {
    Options o = parse(args);
    o.dtype = dtype_on(Processor::cpu, o.dtype);
    Captured printed;
    Exit got = Exit::done;
    std::string message;
    try {
        run_plan(o, model_config(o));
    } catch (const Error& e) { got = e.code, message = e.what(); }
    EXPECT_EQ(got, expected) << message;
    return printed.take() + message;
}

TEST(plan, command_says_whether_it_fits) {
    EXPECT_TRUE(has(run({"plan", "--model", "gpt2", "--batch", "4", "--memory", "24GiB"}, Exit::done), "it fits: "));
    const std::string no = run({"plan", "--model=gpt2", "--batch=64", "--memory=24GiB"}, Exit::device);
    EXPECT_TRUE(has(no, "it does not fit: ")) << no;
    EXPECT_TRUE(has(
        no,
        "memory: training needs 51.3 GB of 25.8 GB; it fits with --batch 26, or --recompute block, or --context 384"))
        << no;
    EXPECT_TRUE(has(run({"plan", "--model=gpt2-xl", "--memory=8GiB"}, Exit::device), "choose a smaller --model"));
    const std::string plain = run({"plan"}, Exit::done);
    EXPECT_FALSE(has(plain, "\033"));  // not a terminal
    EXPECT_FALSE(has(plain, " \n"));
    EXPECT_TRUE(has(plain, "tiny: 644,224 parameters"));
}

// As training would be here, or on the GPU that --memory speaks of.
TEST(plan, dtype_auto) {
    const auto planned = [](const std::vector<std::string>& args) {
        Captured printed;
        run_command(parse(args));
        return printed.take();
    };
    const bool gpu = find_gpu().kind == GpuFound::Kind::real;
    EXPECT_TRUE(has(planned({"plan"}), gpu ? "memory to train: bf16" : "memory to train: fp32"));
    EXPECT_TRUE(has(planned({"plan", "--memory", "24GiB"}), "memory to train: bf16"));
    EXPECT_TRUE(has(planned({"plan", "--memory", "24GiB", "--dtype", "fp32"}), "memory to train: fp32"));
}

}  // namespace
