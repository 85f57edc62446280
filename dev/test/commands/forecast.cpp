// `train_gpt plan --gpu` and --batch auto as a user meets them.      ./test_gpt --gtest_filter='forecast_command*'
#include "host/plan/forecast.h"
#include <fmt/core.h>
#include <random>
#include "expect_refusal.h"
#include "host/plan/automatic_batch.h"
#include "host/plan/forecast_command.h"
#include "run_case.h"

namespace {

const Args cluster = {"plan",    "--model", "gpt2",   "--gpu",   "H100",     "--ranks", "64",
                      "--nodes", "8",       "--link", "400Gb/s", "--tokens", "100e9"};

Args with(Args args, const Args& more) {
    args.insert(args.end(), more.begin(), more.end());
    return args;
}

TEST(forecast_command, says_what_it_takes) {
    const Outcome o = run(cluster);
    ASSERT_EQ(o.code, Exit::done) << o.error;
    const Options options = parse(cluster);
    const Training t = training_of(options, *find_preset("gpt2"));
    EXPECT_EQ(t.sequences, 512);
    EXPECT_EQ(t.link, 50e9);
    EXPECT_EQ(t.per_node, 8);
    const Forecast f = *forecast(t, 64);
    for (const std::string& part :
         {std::string("forecast: 64 H100 on 8 nodes, 400 Gb/s from each to the others\n"),
          fmt::format("{:.2f} ms  the limit is {}\n", f.step() * 1e3, f.limit()),
          fmt::format("MFU {:.1f}%\n", 100 * f.mfu()), std::string("of 85.9 GB\n"),
          fmt::format("{:.2f} h  {:.1f} GPU-hours, 190,734 steps\n", f.hours(100e9), f.hours(100e9) * 64),
          std::string("--recompute none, each of 64 ranks\n")})
        EXPECT_TRUE(has(o.out, part)) << part << "\n" << o.out;
    for (const int ranks : {1, 2, 4, 8, 16, 32, 64}) EXPECT_TRUE(has(o.out, fmt::format("\n  {:>5}", ranks))) << ranks;
    EXPECT_FALSE(has(o.out, " \n"));
    // More adapters, less waiting; fewer GPUs, none of it.
    const auto link = [&](const char* speed) {
        Options other = options;
        other.link->bytes = std::stod(speed) / 8;
        return forecast(training_of(other, t.config), 64)->seconds.link();
    };
    EXPECT_LT(link("3200e9"), link("400e9"));
    EXPECT_LT(link("400e9"), link("100e9"));
    EXPECT_EQ(forecast(t, 1)->seconds.link(), 0);
}

TEST(forecast_command, measured_speed_of_one_gpu) {
    const Options o = parse(with(cluster, {"--measured", "300000", "--batch", "8", "--recompute", "none"}));
    const Training t = training_of(o, *find_preset("gpt2"));
    EXPECT_NEAR(forecast(t, 1)->tokens_per_second(), 300000, 1);
    EXPECT_LT(forecast(t, 64)->tokens_per_second(), 64 * 300000);
}

TEST(forecast_command, bad_lines) {
    const struct {
        Args args, parts;
    } refused[] = {
        {{"--gpu", "H100", "--ranks", "64", "--nodes", "7", "--link", "400Gb/s"},
         {"--nodes: 7 do not divide --ranks 64; give --ranks 70"}},
        {{"--gpu", "H100", "--ranks", "8", "--nodes", "2"}, {"--link: is missing;", "example: --link 400Gb/s"}},
        {{"--gpu", "H100", "--link", "1Gb/s"}, {"--link: is between nodes, and there is one"}},
        {{"--gpu", "H100", "--tokens", "0"}, {"--tokens: must be at least 1", "not 0; example: --tokens 100e9"}},
        {{"--gpu", "H100", "--measured", "0"}, {"--measured: must be more than 0"}},
        {{"--gpu", "H100", "--dtype", "fp32"}, {"--dtype: the rates of kernels", "leave it out"}},
        {{"--gpu", "H100", "--ranks", "3", "--total-batch", "4096"},
         {"--ranks: 3 do not divide the 32 sequences of a step; nearest: 2 or 4 ranks"}},
        {{"--tokens", "1e9"}, {"--tokens: is of a forecast; on which GPUs? example: --gpu H100"}},
        {{"--total-batch", "4096"}, {"--total-batch: is shared out by --batch auto, or a forecast"}},
        {{"--batch", "auto"}, {"--batch: auto, in how much memory? example: --memory 24GiB"}},
        {{"--batch", "auto", "--memory", "1GB", "--total-batch", "100"}, {"--total-batch: 100 is not a multiple of"}},
        {{"--batch", "automatic"}, {"--batch: \"automatic\" is not a whole number"}},
        {{"--batch", "0"}, {"--batch: must be at least 1, not 0"}}};
    for (const auto& [args, parts] : refused) expect_refusal(with({"plan"}, args), parts);
    for (const char* link :
         {"400", "400gb/s", "0Gb/s", "-1Gb/s", "x400Gb/s", "0x400Gb/s", "8x", "8 x400Gb/s", "infGb/s"})
        expect_refusal({"plan", "--gpu", "H100", "--ranks", "4", "--nodes", "2", "--link", link},
                       {"--link: ", " is no speed of links", "example: --link 400Gb/s"});
    const struct {
        Args args;
        Exit code;
        std::string line;
    } failing[] = {
        {{"--gpu", "H1000"},
         Exit::usage,
         "--gpu: \"H1000\" is none whose data sheet is known here; one of H200 NVL, H200, H100 PCIe, H100 NVL, H100, "},
        {{"--gpu", "a100 80gb"},
         Exit::usage,
         "--gpu: \"a100 80gb\" could be several; one of A100-SXM4-80GB, A100 80GB PCIe"},
        {{"--gpu", "RTX 4090", "--model", "qwen3-8b", "--ranks", "8", "--context", "1024"},
         Exit::device,
         "memory: training on 8 RTX 4090 needs at least 62.3 GB of each, which has 25.8 GB; every rank has all "
         "weights"},
        {{"--gpu", "H100", "--svg", "/"},
         Exit::usage,
         "--svg /: is a directory: it is not replaced; choose another --svg"},
        {{"--batch", "auto", "--memory", "1MB"},
         Exit::device,
         "--batch auto: training needs at least 12.6 MB of 1.00 MB; weights, gradients and optimiser alone"}};
    for (const auto& [args, code, line] : failing) {
        const Outcome o = run(with({"plan"}, args));
        EXPECT_EQ(o.code, code) << line;
        EXPECT_TRUE(has(o.error, line)) << o.error;
        EXPECT_FALSE(has(o.error, "\n") || has(o.out, "forecast:")) << o.error << o.out;
    }
}

TEST(forecast_command, speeds_of_links) {
    const std::pair<const char*, double> table[] = {{"400Gb/s", 50e9}, {"8x400Gb/s", 400e9}, {"3.2Tb/s", 400e9},
                                                    {"50GB/s", 50e9},  {"1e2Mb/s", 12.5e6},  {"2x100MB/s", 200e6}};
    for (const auto& [text, bytes] : table)
        EXPECT_EQ(parse({"plan", "--gpu", "H100", "--ranks", "4", "--nodes", "2", "--link", text}).link->bytes, bytes)
            << text;
}

TEST(forecast_command, gpus_by_their_names) {
    const std::pair<const char*, const char*> table[] = {
        {"H100", "H100"},           {"h100", "H100"},  {"NVIDIA H100 80GB HBM3", "H100"},
        {"4090", "RTX 4090"},       {"A100", "A100"},  {"a100 sxm4", "A100-SXM4-80GB"},
        {"H100 PCIe", "H100 PCIe"}, {"200 nvl h", "?"}};
    for (const auto& [given, meant] : table) {
        std::string found = "?";
        try {
            found = named_gpu(given).name;
        } catch (const Error& error) { EXPECT_EQ(error.code, Exit::usage); }
        EXPECT_EQ(found, meant) << given;
    }
    for (const Peaks& p : peaks()) EXPECT_EQ(&named_gpu(p.name), &p);
}

TEST(forecast_command, draws_a_picture) {
    const Temporary at;
    const std::string file = at / "forecast.svg";
    ASSERT_EQ(run(with(cluster, {"--svg", file})).code, Exit::done);
    const std::string svg = files::read_file(file, 1 << 20);
    EXPECT_TRUE(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
    EXPECT_EQ(count(svg, "<circle"), 7);            // points
    EXPECT_EQ(count(svg, "<rect"), 1 + 6 + 6 * 7);  // paper, legend, shares of bars
    EXPECT_EQ(count(svg, "<text"), count(svg, "</text>"));
    EXPECT_TRUE(has(svg, "prefers-color-scheme: dark") && has(svg, ">64</text>") && !has(svg, "nan"));
    EXPECT_EQ(run(with(cluster, {"--svg", file})).code, Exit::done);  // its own picture is replaced
    overwrite(file, "a letter to a friend");
    EXPECT_EQ(run(with(cluster, {"--svg", file})).code, Exit::usage);
    EXPECT_EQ(files::read_file(file, 1 << 20), "a letter to a friend");
}

// ---- arrangements ----

// Whatever fits, none costs less.
TEST(forecast_command, cheapest_arrangement) {
    for (const uint64_t gigabytes : {4, 9, 16, 24, 40, 80})
        for (const int ranks : {1, 8}) {
            const Arrange wanted{*find_preset("gpt2"), Dtype::bf16, ranks, 96, gigabytes * 1000000000};
            const auto cost = [](const Plan& p) {
                return forecast(make_plan(p.config, p.batch, p.dtype, p.recompute), {.gpu = find_peaks("H100")}, 1)
                           .step() /
                       p.batch;
            };
            double least = 1e300;
            for (const Recompute r : {Recompute::none, Recompute::mlp, Recompute::block})
                for (int batch = 1; batch <= 96 / ranks; batch++) {
                    const Plan plan = make_plan(wanted.config, batch, wanted.dtype, r, ranks);
                    if (96 / ranks % batch == 0 && fits(plan, wanted.bytes)) least = std::min(least, cost(plan));
                }
            const std::optional<Plan> found = cheapest(wanted, cost);
            ASSERT_TRUE(found) << gigabytes;
            EXPECT_TRUE(fits(*found, wanted.bytes));
            EXPECT_EQ(96 / ranks % found->batch, 0);
            EXPECT_NEAR(cost(*found) / least, 1, 0.002) << gigabytes << " " << ranks;
        }
    EXPECT_FALSE(cheapest({*find_preset("gpt2"), Dtype::bf16, 1, 96, 1000000000}, [](const Plan&) { return 1.0; }));
}

// The largest micro-batch that divides a rank's share, without recomputation as long as anything fits.
TEST(forecast_command, automatic_batch_on_cpus) {
    const Config c = *find_preset("gpt2");
    const auto chosen = [&](double gigabytes, int ranks = 1) {
        return automatic_plan({c, Dtype::fp32, ranks, 48, uint64_t(gigabytes * 1e9)});
    };
    const auto none = [&](int batch) { return make_plan(c, batch, Dtype::fp32, Recompute::none); };
    for (const double gigabytes : {4.0, 8.0, 16.0, 30.0, 60.0}) {
        const Plan plan = chosen(gigabytes);
        EXPECT_EQ(plan.recompute, Recompute::none) << gigabytes;
        for (const int larger : {1, 2, 3, 4, 6, 8, 12, 16, 24, 48}) {
            if (larger > plan.batch) { EXPECT_FALSE(fits(none(larger), uint64_t(gigabytes * 1e9))) << larger; }
        }
        const Plan again = chosen(gigabytes);
        EXPECT_TRUE(again.batch == plan.batch && again.recompute == plan.recompute);
    }
    EXPECT_EQ(chosen(60).batch, 48);
    EXPECT_EQ(chosen(60, 16).batch, 3);
    const double least = double(none(1).memory.total()) * 1e-9;
    EXPECT_NE(chosen(least).recompute, Recompute::none);  // a twentieth is kept free
    EXPECT_THROW(chosen(1.9), Error);
}

TEST(forecast_command, plan_says_what_auto_is) {
    const Outcome o = run({"plan", "--model", "gpt2", "--batch", "auto", "--memory", "24GB", "--total-batch", "65536"});
    ASSERT_EQ(o.code, Exit::done) << o.error;
    EXPECT_TRUE(has(o.out, "--batch auto\n  64 sequences a step: 32 at a time, 2 times with --recompute none\n"))
        << o.out;
    EXPECT_TRUE(has(o.out, "memory to train: bf16, 32 sequences of 1,024 tokens, --recompute none\n")) << o.out;
    EXPECT_TRUE(has(o.out, "it fits: ")) << o.out;
    const Outcome usual = run({"plan", "--batch", "auto", "--memory", "24GB", "--ranks", "2"});
    EXPECT_TRUE(has(usual.out, "  16 sequences a step on 2 ranks: 8 at a time with --recompute none\n")) << usual.out;
    const Outcome fixed = run({"plan", "--batch", "auto", "--memory", "24GB", "--recompute", "block"});
    EXPECT_TRUE(has(fixed.out, "16 at a time with --recompute block\n")) << fixed.out;
}

}  // namespace
