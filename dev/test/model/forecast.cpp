// Forecasts against what was measured: our kernels and steps on the H100 (dev/results/h100.json), a simulation of the
// exchange between ranks, and runs that others have published.      ./test_gpt --gtest_filter='forecast*'
#include "host/plan/forecast.h"
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <map>
#include <queue>
#include <random>
#include <set>
#include "host/base/files.h"
#include "host/base/json.h"
#include "host/model/gpt.h"
#include "host/plan/automatic_batch.h"
#include "host/plan/kernel_rates.h"
#include "host/world/shards.h"

namespace {

const Json& record() {
    static const Json all = parse_json(files::read_file("dev/results/h100.json", 1 << 24), "h100.json");
    return all;
}

// "linear_forward" of "linear_forward qkv"; of attention also its head size.
std::string rate_of(const Json& row) {
    const std::string name = row["kernel"], shape = row["shape"];
    if (!name.starts_with("attention")) return name.substr(0, name.find(' '));
    return name + " " + shape.substr(shape.find("HS"));
}
double context_of(const Json& row) {
    const std::string shape = row["shape"];
    return std::stod(shape.substr(shape.find(" T") + 2));
}

TEST(forecast, rates_are_those_on_record) {
    const Peaks& h100 = *find_peaks("H100");
    for (const KernelRate& rate : kernel_rates()) {
        struct Sum {
            double work = 0, seconds = 0;
        };
        std::map<std::string, Sum> in_steps, at_all;  // by model
        for (const Json& row : record()["kernels"]["kernels"]) {
            if (rate_of(row) != rate.kernel) continue;
            const bool attention = rate.beside > 0, products = rate.of == KernelRate::products;
            const double work = row[products ? "products" : "bytes"].get<double>() *
                                (attention ? 1 + rate.beside / context_of(row) : 1),
                         times = row["per_step"].get<double>(), seconds = row["us"].get<double>() * 1e-6;
            Sum &one = at_all[row["model"]], &many = in_steps[row["model"]];
            one.work += work, one.seconds += seconds;
            many.work += work * times, many.seconds += seconds * times;
        }
        double inverse = 0, models = 0;
        bool in_any = false;
        for (const auto& [model, sum] : in_steps) in_any |= sum.seconds > 0;
        for (const auto& [model, sum] : in_any ? in_steps : at_all)
            if (sum.seconds > 0) inverse += sum.seconds / sum.work, models++;
        ASSERT_GT(models, 0) << rate.kernel;
        EXPECT_NEAR(models / inverse / (rate.of == KernelRate::products ? h100.products : h100.memory), rate.share,
                    0.001)
            << rate.kernel;
    }
}

TEST(forecast, launches_are_those_of_a_step) {
    const StepWork work = step_work(*find_preset("gpt2"), 64, Recompute::none);
    int launches = 0, recorded = 0;
    const auto add = [&](const std::vector<StepKernel>& kernels, int times) {
        for (const StepKernel& k : kernels) launches += times * k.launches;
    };
    add(work.embedding, 1), add(work.block, 12), add(work.head, 1), add(work.last_norm, 1);
    add(work.block_backward, 12), add(work.embedding_backward, 1), add(optimizer_work(1, 1), 1);
    for (const Json& share : record()["step_profile"]["step_profiles"][0]["shares"]) recorded += int(share["count"]);
    EXPECT_NEAR(launches, recorded, 0.05 * recorded);
}

Forecast alone(const Config& config, int batch) {
    return forecast(make_plan(config, batch, Dtype::bf16, Recompute::none), {.gpu = find_peaks("H100")}, 1);
}

// Of two measurements of GPT-2, six per cent apart, the faster one; of `tiny` the wait for a launch was chosen by it.
TEST(forecast, steps_on_the_h100) {
    Config qwen = *find_preset("qwen3-0.6b"), tiny = *find_preset("tiny");
    qwen.T = 2048, tiny.V = 80;
    const struct {
        const char* name;
        Config config;
        int batch;
        double measured, within;
    } table[] = {{"GPT-2 124M", *find_preset("gpt2"), 64, 637379, 0.05},
                 {"GPT-2 1558M", *find_preset("gpt2-xl"), 16, 51155, 0.05},
                 {"Qwen3 0.6B", qwen, 16, 115118, 0.05},
                 {"tiny", tiny, 16, 4269736, 0.1}};
    for (const auto& [name, config, batch, measured, within] : table) {
        const double ours = alone(config, batch).tokens_per_second();
        fmt::print("{:<12} {:>10.0f} tokens/s, measured {:>8.0f}: {:+.1f}%\n", name, ours, measured,
                   100 * (ours / measured - 1));
        EXPECT_NEAR(ours / measured, 1, within) << name;
    }
}

// ---- the exchange, played ----

struct Operation {
    double ready, bytes;  // of the whole buffer
};

// One operation after the other, each in R - 1 steps: a rank sends a part of the buffer to the next one as soon as it
// has it and the link is free. A link is busy with one part at a time; a part arrives some time later. An operation
// begins when all ranks are through with the one before.
class RingPlay {
public:
    RingPlay(const Cluster& cluster, std::vector<Operation> operations)
        : c(cluster), all(std::move(operations)), free_at(size_t(c.ranks)) {}

    double end() {
        for (const Operation& operation : all) {
            for (int r = 0; r < c.ranks; r++) events.push({std::max(last, operation.ready) + 8.4e-6, r, 0});
            while (!events.empty()) {
                const Event e = events.top();
                events.pop();
                send(operation, e);
            }
        }
        return last;
    }

private:
    struct Event {
        double time;
        int rank, step;
        bool operator<(const Event& e) const {  // the earliest is on top
            return std::tie(time, step, rank) > std::tie(e.time, e.step, e.rank);
        }
    };
    void send(const Operation& operation, const Event& e) {
        const bool leaves = (e.rank + 1) % (c.ranks / c.nodes) == 0 && c.nodes > 1;
        const double part = operation.bytes / c.ranks, latency = leaves                        ? 9.6e-6
                                                                 : c.gpu->by == Inside::nvlink ? 3.4e-6
                                                                                               : 5.7e-6;
        double& link = free_at[size_t(e.rank)];
        link = std::max(link, e.time) + part / (leaves ? c.link : c.gpu->inside);
        if (e.step + 2 < c.ranks) events.push({link + latency, (e.rank + 1) % c.ranks, e.step + 1});
        last = std::max(last, link + latency);
    }

    Cluster c;
    std::vector<Operation> all;
    std::vector<double> free_at;
    std::priority_queue<Event> events;
    double last = 0;
};

TEST(forecast, exchange_takes_as_long_as_it_is_played) {
    const struct {
        const char *model, *gpu;
        int ranks, nodes, batch;
        double link;
    } table[] = {{"gpt2", "H100", 2, 1, 8, 0},          {"gpt2", "H100", 8, 1, 64, 0},
                 {"gpt2", "H100", 64, 8, 8, 50e9},      {"gpt2", "H100", 64, 8, 8, 400e9},
                 {"qwen3-0.6b", "H100", 16, 2, 2, 1e9}, {"gpt2-xl", "A100-SXM4-80GB", 32, 4, 1, 25e9},
                 {"gpt2-xl", "RTX 4090", 4, 1, 1, 0},   {"gpt2", "L40S", 4, 4, 16, 3e9},
                 {"tiny", "H100", 8, 1, 1, 0},          {"tiny", "RTX 4090", 8, 2, 1, 50e9}};
    for (const auto& [model, gpu, ranks, nodes, batch, link] : table) {
        Config config = *find_preset(model);
        config.T = std::string(model) == "tiny" ? 128 : 1024;
        const Cluster cluster{ranks, nodes, link, find_peaks(gpu)};
        const Plan plan = make_plan(config, batch, Dtype::bf16, Recompute::none, ranks);
        const BackwardSchedule s = backward_schedule(plan, cluster);
        const Shards shards(size_t(plan.memory.weights / 2), ranks);
        std::vector<Operation> operations;
        for (int b = shards.buckets(); b-- > 0;)  // those of gradients, from the last to the first
            operations.push_back(
                {s.buckets[size_t(shards.buckets() - 1 - b)].ready, 4.0 * double(shards.piece_size(b)) * ranks});
        ASSERT_EQ(operations.size(), s.buckets.size());
        const double ours = end_of_exchanges(s.buckets), played = RingPlay(cluster, operations).end();
        fmt::print("{:<11} {:>2} {:<15} {} nodes: {:8.3f} ms, played {:8.3f}, backward {:8.3f}\n", model, ranks, gpu,
                   nodes, ours * 1e3, played * 1e3, s.backward * 1e3);
        EXPECT_NEAR(ours / played, 1, 0.03) << model << " " << ranks << " " << gpu;
        EXPECT_TRUE(std::ranges::is_sorted(s.buckets, {}, &Exchange::ready));
        EXPECT_GE(s.buckets.front().ready, 0);
        EXPECT_DOUBLE_EQ(s.buckets.back().ready, s.backward);  // the embedding's gradients are the last
    }
}

// One link, busy or free, at random moments.
TEST(forecast, end_of_exchanges_is_that_of_a_queue) {
    std::mt19937 random(3);
    std::uniform_real_distribution<double> moment(0, 1);
    for (int trial = 0; trial < 200; trial++) {
        std::vector<Exchange> all(1 + random() % 20);
        double now = 0;
        for (Exchange& e : all) e = {now += moment(random), moment(random)};
        double busy_until = 0;
        for (const Exchange& e : all) busy_until = std::max(busy_until, e.ready) + e.seconds;
        EXPECT_NEAR(end_of_exchanges(all), busy_until, 1e-12);
    }
    EXPECT_EQ(end_of_exchanges({}), 0);
}

// Each bucket is begun after the block that a model's backward pass calls ready(): a real one, on the CPU.
TEST(forecast, buckets_are_ready_when_the_model_says) {
    Config c = *find_preset("tiny");
    c.T = 8, c.L = 5, c.V = 300;
    for (const bool tied : {true, false}) {
        c.tied = tied;
        Gpt<Cpu<float>> model(c, c.T, Recompute::none, Cpu<float>());
        model.allocate();
        *model.d_loss = 1;
        const std::vector<int> zeros(size_t(c.T));
        const Batch batch{1, c.T, zeros.data(), zeros.data(), zeros.data(), nullptr};
        std::vector<size_t> from;
        model.forward(batch, 0, Use::train, Into::assign);
        model.backward(batch, 0, Into::assign, [&](size_t first) { from.push_back(first); });
        ASSERT_EQ(from.size(), size_t(c.L) + 2);

        const int ranks = 4;
        const Cluster cluster{ranks, 1, 0, find_peaks("H100")};
        const Plan plan = make_plan(c, 64, Dtype::bf16, Recompute::none, ranks);
        const BackwardSchedule s = backward_schedule(plan, cluster);
        const StepWork work = step_work(c, 64, Recompute::none);
        const auto seconds = [&](const std::vector<StepKernel>& kernels) {
            double sum = 0;
            for (const StepKernel& k : kernels) sum += seconds_of(k, *cluster.gpu).seconds;
            return sum;
        };
        const Shards shards(Shards::padded(model.weights.size, ranks), ranks);
        ASSERT_EQ(s.buckets.size(), size_t(shards.buckets()));
        ASSERT_GT(shards.buckets(), 5);
        std::set<size_t> events;
        for (int b = shards.buckets(); b-- > 0;) {
            size_t event = 0;
            while (from[event] > shards.bucket_begin(b)) event++;
            const double blocks = std::min(double(event), double(c.L)) * seconds(work.block_backward),
                         embedding = event == from.size() - 1 ? seconds(work.embedding_backward) : 0;
            EXPECT_NEAR(s.buckets[size_t(shards.buckets() - 1 - b)].ready, seconds(work.last_norm) + blocks + embedding,
                        1e-12)
                << b;
            events.insert(event);
        }
        EXPECT_GT(events.size(), 3u);
    }
}

// The plan's formula is compared with the bytes that ranks count, to the byte (ranks.send_what_the_plan_says*).
TEST(forecast, buckets_are_the_bytes_of_the_plan) {
    for (const char* model : {"gpt2", "qwen3-0.6b", "tiny"})
        for (const int ranks : {2, 3, 8, 64}) {
            const Plan plan = make_plan(*find_preset(model), 1, Dtype::bf16, Recompute::none, ranks);
            const Cluster cluster{ranks, 1, 0, find_peaks("H100")};
            EXPECT_EQ(backward_schedule(plan, cluster).bytes, double(plan.traffic.gradients)) << model << ranks;
            const Forecast f = forecast(plan, cluster, 1);
            const Shards shards(size_t(plan.memory.weights / 2), ranks);
            const double waits = shards.buckets() * exchange_seconds(cluster, 0);
            EXPECT_NEAR((f.seconds.weights - waits) * cluster.bus() / double(plan.traffic.weights), 1, 1e-9);
            const Cluster spread{2 * ranks, 2, 1e6, cluster.gpu};  // so slow that it alone counts
            EXPECT_NEAR(exchange_seconds(spread, 1e9) / (1e3 * (2 * ranks - 1) / (2 * ranks)), 1, 1e-6);
        }
}

// ---- what others have published ----

// Their kernels are not ours. So what one of their GPUs reached goes in, and how many of them scale comes out.
TEST(forecast, published_scaling_of_llmq) {
    const struct {
        const char *model, *gpu, *dtype;
        int ranks, batch;
        double one, many;  // ms a step of 512 x 1024 tokens: medians of steps 1 to 5 of the log
    } table[] = {
        // IST-DASLab/llmq, benchmarks/H100x1.md and H100x8.md (22517208)
        {"qwen2.5-0.5b", "H100", "bf16", 8, 32, 3504, 446},
        {"qwen2.5-1.5b", "H100", "bf16", 8, 32, 8849, 1146},
        {"qwen2.5-3b", "H100", "bf16", 8, 16, 16959, 2185},
        {"qwen2.5-1.5b", "H100", "fp8", 8, 32, 7183, 929},
        {"qwen2.5-3b", "H100", "fp8", 8, 16, 12984, 1675},
        // benchmarks/4090x1.md and 4090x4.md (7f895bdb)
        {"qwen2.5-0.5b", "RTX 4090", "bf16", 4, 16, 13158, 3387},
        {"qwen2.5-0.5b", "RTX 4090", "fp8", 4, 16, 11004, 2886},
    };
    for (const auto& [model, gpu, dtype, ranks, batch, one, many] : table) {
        Training t{.config = *find_preset(model), .gpu = find_peaks(gpu), .sequences = 512, .per_node = ranks};
        t.config.T = 1024, t.capacity = uint64_t(1) << 50;  // what they keep where is theirs
        t.batch = batch, t.recompute = Recompute::none, t.measured = 512 * 1024 / one * 1e3;
        const double ours = forecast(t, ranks)->step() * 1e3;
        fmt::print("{:<13} {:<8} {:<4} {} GPUs: {:6.0f} ms, published {:5.0f}: {:+.1f}%\n", model, gpu, dtype, ranks,
                   ours, many, 100 * (ours / many - 1));
        EXPECT_NEAR(forecast(t, 1)->step() * 1e3 / one, 1, 1e-6);
        EXPECT_NEAR(ours / many, 1, 0.15) << model << " " << gpu;
    }
}

// OpenBMB/ForgeTrain (README.md, 4bf75d0a) says 44.13% MFU on 8 H100 and on 64, of MiniCPM4 0.5B, micro-batches of 10
// and 1280 sequences of 4096 a step. What connects its nodes it does not say; 400 Gb/s a GPU is what such nodes have.
TEST(forecast, published_scaling_of_forgetrain) {
    Config c{.T = 4096, .V = 73448, .L = 24, .C = 1024, .NH = 16, .NKV = 2, .HS = 64, .F = 4096};
    c.norm = Norm::rmsnorm, c.position = Position::rope, c.activation = Activation::swiglu;
    c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = false, c.tied = true;
    Training t{.config = c, .gpu = find_peaks("H100"), .sequences = 1280, .link = 8 * 50e9, .per_node = 8};
    t.capacity = uint64_t(1) << 50, t.batch = 10, t.recompute = Recompute::none, t.measured = 1e5;
    for (int i = 0; i < 20; i++) *t.measured *= 0.4413 / forecast(t, 8)->mfu();
    EXPECT_NEAR(forecast(t, 8)->mfu(), 0.4413, 1e-6);
    const double ours = forecast(t, 64)->mfu();
    fmt::print("MiniCPM4 0.5B on 64 H100: MFU {:.2f}%, published 44.13%\n", 100 * ours);
    EXPECT_NEAR(ours / 0.4413, 1, 0.15);
}

// Of llm.c no speed of one GPU is published with cuDNN, so what goes in are our kernels (of the 1558M model as slow as
// a whole step of it was, 51,155 tokens/s): this compares two programs, and shows that the forecast is of the right
// size.
TEST(forecast, beside_published_runs_of_llm_c) {
    const double slower = alone(*find_preset("gpt2-xl"), 16).tokens_per_second() / 51155;
    const struct {
        const char *model, *gpu, *source;
        int batch, times;
        double slower, published;
    } table[] = {{"gpt2-xl", "H100", "discussions/677: 2.749 s", 16, 8, slower, 1048576 / 2.749},
                 {"gpt2", "A100-SXM4-80GB", "scripts/run_gpt2_124M.sh: 300 ms", 64, 1, 1, 524288 / 0.300}};
    for (const auto& [model, gpu, source, batch, times, slower, published] : table) {
        const Plan plan = make_plan(*find_preset(model), batch, Dtype::bf16, Recompute::none, 8);
        const Cluster cluster{8, 1, 0, find_peaks(gpu)};
        EXPECT_TRUE(fits(plan, cluster.gpu->capacity)) << model;
        const double ours = forecast(plan, cluster, times, slower).tokens_per_second();
        fmt::print("{:<8} on 8 {:<15}: {:>9.0f} tokens/s, llm.c {:>9.0f} ({}): {:+.1f}%\n", model, gpu, ours, published,
                   source, 100 * (ours / published - 1));
        EXPECT_NEAR(ours / published, 1, 0.15) << model;
    }
}

}  // namespace
