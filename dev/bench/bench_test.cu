// The benchmarks themselves, at sizes that dev/simt can do.      ./test_gpt --gtest_filter='bench_test*'
#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <thread>
#include "bench.h"
#include "bench_clock.cuh"
#include "bench_gpu.h"
#include "bench_kernels.cuh"
#include "dev/test/support/captured.h"
#include "dev/test/support/temporary_directory.h"
#include "host/commands/commands.h"
#include "host/plan/plan.h"
#include "host/plan/step_work.h"

namespace {

constexpr int toy_batch = 2;

// Every tensor is a multiple of 128 elements, so no gaps lie between the weights.
Config toy_gpt2() { return {.T = 4, .V = 128, .L = 1, .C = 128, .NH = 2, .NKV = 2, .HS = 64, .F = 128}; }
Config toy_qwen() {
    Config c = toy_gpt2();
    c.norm = Norm::rmsnorm, c.position = Position::rope, c.activation = Activation::swiglu;
    c.qkv_bias = c.proj_bias = c.ffn_bias = c.norm_bias = false;
    c.NKV = 1, c.HS = 128, c.qk_norm = true;
    return c;
}

using Access = BenchMemory::Access;
using Type = BenchMemory::Type;
using Bytes = std::vector<std::byte>;

// A row's kernel, run on numbers of its own.
struct Trial {
    Gpu<bf16> on;
    BenchMemory m{&on};
    BenchLaunch work;
    explicit Trial(const BenchRow& row) : work(row.declare(m)) {}

    Bytes download(const BenchMemory::Tensor& t) const {
        Bytes bytes(t.n * t.element);
        on.download(bytes.data(), t.data, bytes.size());
        return bytes;
    }
    // Everything the kernel leaves behind, when its outputs held `before` and `change` was made to its inputs.
    template <class Change>
    std::vector<Bytes> results(int before, Change change) const {
        m.fill();
        for (const auto& t : m.tensors)
            if (t.access == Access::out) CUDA(cudaMemsetAsync(t.data, before, t.n * t.element, on.stream));
        change();
        work(on);
        std::vector<Bytes> all;
        for (const auto& t : m.tensors)
            if (t.access != Access::in) all.push_back(download(t));
        return all;
    }
    // Element i becomes another number, far away.
    void disturb(const BenchMemory::Tensor& t, size_t i) const {
        const auto change = [&](auto* p, auto other) {
            std::remove_reference_t<decltype(*p)> value;  // p is the device's
            on.download(&value, p + i, 1);
            value = other(value);
            on.upload(p + i, &value, 1);
        };
        if (t.type == Type::bf16)
            change(reinterpret_cast<bf16*>(t.data), [](bf16 x) { return bf16(float(x) > 0 ? -40.0f : 40.0f); });
        if (t.type == Type::fp32)
            change(reinterpret_cast<float*>(t.data), [](float x) { return x > 0 ? -40.0f : 40.0f; });
        if (t.type == Type::integer)
            change(reinterpret_cast<int*>(t.data), [&](int x) { return (x + 1) % int(t.values.high); });
    }
};

// What is declared written is written, all of it; what is declared read is read, to its first and last element; and
// nothing else changes. dev/simt ends a kernel that reaches beyond a tensor, so the bytes counted are those moved.
void check(const BenchRow& row) {
    SCOPED_TRACE(row.kernel + " " + row.shape);
    const Trial trial(row);
    const auto nothing = [] {};
    const std::vector<Bytes> results = trial.results(0xff, nothing);
    EXPECT_EQ(results, trial.results(0x5a, nothing)) << "not all of an output is written";
    trial.m.fill();
    std::vector<Bytes> before;
    for (const auto& t : trial.m.tensors) before.push_back(trial.download(t));
    trial.work(trial.on);
    for (size_t i = 0; i < trial.m.tensors.size(); i++) {
        const auto& t = trial.m.tensors[i];
        SCOPED_TRACE("tensor " + std::to_string(i));
        const Bytes after = trial.download(t);
        if (t.access != Access::out) {
            EXPECT_EQ(after == before[i], t.access == Access::in) << "changes, or does not";
        }
        if (t.access == Access::update && t.whole()) {
            EXPECT_FALSE(std::equal(after.end() - t.element, after.end(), before[i].end() - t.element)) << "at its end";
        }
        if (t.access != Access::in || t.type == Type::constant) continue;
        for (const size_t at : {size_t(0), t.n - 1}) {
            const auto change = [&] { t.whole() ? trial.disturb(t, at) : trial.m.refill(t, 99); };
            EXPECT_FALSE(results == trial.results(0xff, change)) << "does not depend on element " << at;
        }
    }
}

TEST(bench_test, rows_move_the_bytes_they_count) {
    for (const Config& c : {toy_gpt2(), toy_qwen()})
        for (const BenchRow& row : BenchRows(c, toy_batch).rows) check(row);
}

// Bytes per element, and of statistics per row, as the layers' equations say.
std::map<std::string, Work> expect_bytes(const BenchModel& model, const std::map<std::string, double>& want) {
    std::map<std::string, Work> all;
    for (const BenchRow& row : BenchRows(model.config, model.B).rows) {
        BenchMemory m(nullptr);
        row.declare(m);
        all[row.kernel] = m.work;
    }
    for (const auto& [kernel, bytes] : want) EXPECT_EQ(all[kernel].bytes, bytes) << kernel;
    return all;
}

TEST(bench_test, bytes_of_gpt2) {
    const double N = 64 * 1024, C = 768, F = 3072, V = 50257, P = 50304, n = N * C;
    auto work = expect_bytes(bench_models().at(0), {{"embedding_forward", 2 * n + 8 * N + 2 * V * C + 2 * 1024 * C},
                                                    {"layernorm_forward", 4 * n + 8 * N + 4 * C},
                                                    {"layernorm_backward", 8 * n + 8 * N + 2 * C + 24 * C},
                                                    {"residual_layernorm_forward", 8 * n + 8 * N + 4 * C},
                                                    {"residual_forward", 6 * n},
                                                    {"gelu_forward", 4 * N * F},
                                                    {"gelu_backward", 6 * N * F},
                                                    {"cross_entropy_forward", 2 * N * V + 12 * N},
                                                    {"cross_entropy_backward", 4 * N * P + 8 * N + 4},
                                                    {"cross_entropy_fused", 4 * N * P + 12 * N + 4},
                                                    {"attention_forward", 8 * n + 4 * N * 12},
                                                    {"linear_forward up", 2 * n + 2 * N * F + 2 * C * F + 2 * F}});
    EXPECT_EQ(work["attention_forward"].products, 4 * N * 1024 / 2 * C);
    EXPECT_EQ(work["linear_backward up"].products, 4 * N * F * C);
    EXPECT_EQ(work["gelu_forward"].products, 0);
}

// Forecasts (host/plan/step_work.h) count what these rows declare, kernel by kernel.
TEST(bench_test, forecasts_count_the_same_work) {
    Config relu = toy_gpt2(), rope = toy_qwen();
    relu.activation = Activation::relu, rope.qk_norm = false, rope.L = 3;
    std::vector<BenchModel> models = bench_models();
    models.push_back({"relu", 2, relu}), models.push_back({"rope", 2, rope});
    for (const BenchModel& model : models) {
        std::map<std::string, std::pair<int, Work>> counted;
        const auto add = [&](const std::vector<StepKernel>& kernels, int times) {
            for (const StepKernel& k : kernels) counted[k.name].first += times, counted[k.name].second = k.work;
        };
        const StepWork step = step_work(model.config, model.B, Recompute::none);
        const Plan plan = make_plan(model.config, 1, Dtype::bf16, Recompute::none);
        add(step.embedding, 1), add(step.head, 1), add(step.last_norm, 1), add(step.embedding_backward, 1);
        add(step.block, model.config.L), add(step.block_backward, model.config.L);
        add(optimizer_work(double(plan.memory.weights) / 2, 1), 1);
        for (const BenchRow& row : BenchRows(model.config, model.B).rows) {
            if (row.per_step == 0) continue;
            SCOPED_TRACE(model.name + " " + row.kernel);
            BenchMemory m(nullptr);
            row.declare(m);
            const auto found = counted.find(row.kernel);
            ASSERT_NE(found, counted.end());
            const auto& [times, work] = found->second;
            EXPECT_EQ(times, row.per_step);
            EXPECT_EQ(work.products, m.work.products);
            EXPECT_EQ(work.exponentials, m.work.exponentials);
            const bool optimizer = row.kernel == "adamw" || row.kernel == "global_norm";  // and a table of tensors
            EXPECT_NEAR(work.bytes, m.work.bytes, optimizer ? 2e-2 * m.work.bytes : 0);
            counted.erase(found);
        }
        for (const auto& [name, work] : counted) ADD_FAILURE() << model.name << ": no row " << name;
    }
}

// Of 32 heads of 128 the 24 of queries and keys turn; values are only copied.
TEST(bench_test, bytes_of_qwen3) {
    const double N = 32 * 2048, tables = 2 * 4.0 * 2048 * 64;
    expect_bytes(bench_models().at(2),
                 {{"rope_forward", 4 * N * 24 * 128 + 4 * N + tables},
                  {"qk_norm_rope_forward", 4 * N * 32 * 128 + 4 * N * 24 + 4 * 128 + 4 * N + tables},
                  {"qk_norm_rope_backward", 6 * N * 24 * 128 + 16 * 128 + 4 * 128 + 4 * N * 24 + 4 * N + tables}});
}

// Predictions add up to steps of a believable length: the H200's limit for GPT-2 124M is near 76 ms.
TEST(bench_test, predictions) {
    const Ceilings h200{"NVIDIA H200", 4.3e12, 790e12};
    EXPECT_NEAR(step_limit(bench_models().at(0), h200), 0.076, 0.002);
    EXPECT_EQ(find_peaks("NVIDIA H100 PCIe")->products, 756e12);
    EXPECT_EQ(find_peaks("NVIDIA H100 80GB HBM3")->memory, 3.35e12);
    for (const char* other :
         {"CPU, 2 threads, fp32", "NVIDIA RTX A1000", "NVIDIA GH200 480GB", "NVIDIA GeForce RTX 4090 Laptop GPU"})
        EXPECT_EQ(find_peaks(other), nullptr) << other;
    const Work half{.bytes = 4.8e12 * 0.9 / 2, .products = 1, .exponentials = 1};
    EXPECT_DOUBLE_EQ(predicted_seconds(half, *find_peaks("NVIDIA H200")), 0.5);
}

// Rows of dev/doc's tables that begin with a kernel and a shape say what is predicted of an H200.
TEST(bench_test, figures_of_the_book) {
    namespace fs = std::filesystem;
    if (!fs::exists("dev/doc")) GTEST_SKIP() << "the book is not here";
    const Peaks& h200 = *find_peaks("NVIDIA H200");
    std::set<std::string> figures;
    for (const BenchModel& model : bench_models())
        for (const BenchRow& row : BenchRows(model.config, model.B).rows) {
            BenchMemory m(nullptr);
            row.declare(m);
            const double seconds = predicted_seconds(m.work, h200);
            const bool memory = seconds == m.work.bytes / (reachable_memory * h200.memory);
            char numbers[64];
            std::snprintf(numbers, sizeof numbers, " | %.1f | %.1f | ", m.work.bytes * 1e-6, seconds * 1e6);
            figures.insert("| " + row.kernel + " | " + row.shape + numbers + (memory ? "memory |" : "matmuls |"));
        }
    const std::regex figure(R"(\| [a-z_]+( [a-z]+)? \| (B|N|parameters )\d.*)");
    int found = 0;
    for (const auto& entry : fs::directory_iterator("dev/doc")) {
        std::ifstream page(entry.path());
        for (std::string line; std::getline(page, line);) {
            if (!std::regex_match(line, figure)) continue;
            EXPECT_TRUE(figures.contains(line)) << entry.path() << ": " << line;
            found++;
        }
    }
    EXPECT_GE(found, 20);
}

// The kernels that a row stands for, and how often each is launched at a time: forward's products are of few rows here.
std::vector<std::pair<std::string, int>> launches_of(const BenchRow& row, const Config& c) {
    const Gpu<bf16> on;
    const std::string name = row.kernel.substr(0, row.kernel.find(' '));
    if (name == "embedding_backward") return {{"embedding_chunk", c.position == Position::learned ? 2 : 1}};
    if (name == "attention_forward")
        return {{attention_has_hopper(c.HS, on) ? "attention_hopper_forward" : "attention_tensor_forward", 1}};
    if (name == "attention_backward") {
        if (attention_backward_has_hopper(c.HS, on)) return {{"attention_hopper_backward", 2}};
        return {{"attention_tensor_query", 1}, {"attention_tensor_key", 1}};
    }
    if (name.starts_with("linear") && name.ends_with("forward")) return {{"linear_few", 1}};
    if (name == "swiglu_linear_backward" && !linear_fuses_swiglu(2 * c.C, on)) return {{"swiglu_backward", 1}};
    if (name == "gelu_linear_backward" && uses_cublas(on) && !cublas_fuses_gelu(on)) return {{"gelu_backward", 1}};
    if (name.ends_with("linear_backward")) return {{"linear_tensor", 2}};
    return {{name, 1}};
}

// The rows of a step are what a step launches.
TEST(bench_test, a_step_has_the_rows_kernels) {
    for (const Config& c : {toy_gpt2(), toy_qwen()}) {
        const BenchModel model{"toy", toy_batch, c};
        const StepProfile profile = profile_step(model);
        EXPECT_GT(profile.seconds, 0);
        std::map<std::string, int> launched, wanted;
        for (const StepShare& s : profile.shares) {
            const bool hopper = s.name == "linear_hopper" || s.name == "linear_pingpong";  // instead of the other
            launched[hopper ? "linear_tensor" : s.name] += s.count;
        }
        for (const BenchRow& row : BenchRows(c, toy_batch).rows)
            for (const auto& [kernel, times] : launches_of(row, c)) wanted[kernel] += row.per_step * times;
        if (installed_cublas().table) wanted.erase("linear_tensor");  // which does some of them
        for (const auto& [kernel, count] : wanted) EXPECT_EQ(launched[kernel], count) << kernel;
    }
}

// Whatever refuses a row or ends a benchmark, the rest is measured and written.
TEST(bench_test, a_row_that_is_refused_is_left_out) {
    const auto refuse = [](auto&&) -> BenchLaunch { throw Error(Exit::device, "cuDNN", "no plan"); };
    for (BenchRow row : BenchRows(toy_gpt2(), toy_batch).rows) {
        if (row.kernel != "residual_forward") continue;
        row.cudnn = refuse;
        const KernelTime refused = measure(row);
        EXPECT_GT(refused.seconds, 0);
        EXPECT_TRUE(refused.left_out == "cuDNN: no plan" && !refused.failed) << refused.left_out;
        EXPECT_TRUE(refused.ours == 0 && refused.theirs == 0 && refused.rival.empty());
        row.declare = [=](BenchMemory&) { return refuse; };
        const KernelTime none = measure(row);
        EXPECT_EQ(none.seconds, 0);
        EXPECT_TRUE(none.left_out == "cuDNN: no plan" && none.failed) << none.left_out;
        return;
    }
    FAIL() << "there is no such row";
}

TEST(bench_test, a_benchmark_that_fails_loses_no_other) {
    const Temporary at;
    const std::string file = at / "bench.json";
    benchmarks().push_back({"bench_test_fails", [] { throw Error(Exit::device, "GPU", "it fell off"); }});
    benchmarks().push_back({"bench_test_throws", [] { throw std::runtime_error("what"); }});
    benchmarks().push_back({"bench_test_works", [] { bench_json()["bench_test"] = 7; }});
    Captured out, error(Captured::Stream::error);
    EXPECT_EQ(run_benchmarks({"--json", file, "bench_test_fails", "bench_test_works"}), int(Exit::device));
    EXPECT_EQ(run_benchmarks({"bench_test_throws"}), int(Exit::internal));
    EXPECT_EQ(run_benchmarks({"bench_test_works"}), 0);
    EXPECT_EQ(error.take(), "error: bench_test_fails: GPU: it fell off\nerror: bench_test_throws: what\n");
    const Json written = read_json(file);
    EXPECT_EQ(written["bench_test"], 7);
    EXPECT_EQ(written["failed"]["bench_test_fails"], "GPU: it fell off");
    benchmarks().erase(benchmarks().end() - 3, benchmarks().end());
    bench_json().erase("bench_test"), bench_json().erase("failed");
}

// A benchmark's own name is not also part of another's.
TEST(bench_test, an_exact_name_means_one_benchmark) {
    static std::string ran;
    benchmarks().push_back({"bench_test_name", [] { ran += "name "; }});
    benchmarks().push_back({"bench_test_name_longer", [] { ran += "longer "; }});
    const Captured out;
    EXPECT_EQ(run_benchmarks({"bench_test_name"}), 0);
    EXPECT_EQ(ran, "name ");
    EXPECT_EQ(run_benchmarks({"bench_test_nam"}), 0);
    EXPECT_EQ(ran, "name name longer ");
    benchmarks().erase(benchmarks().end() - 2, benchmarks().end());
}

// What is done once, the first time, is not measured.
TEST(bench_test, the_first_run_is_not_timed) {
    const Gpu<bf16> on;
    const GpuClock clock(on);
    int runs = 0;
    const auto work = [&] {
        if (!runs++) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    };
    EXPECT_LT(clock.median(work, GpuClock::Cache::warm, 0.001).seconds, 0.2);
    EXPECT_GE(runs, 3);
}

TEST(bench_test, clock_and_power_stand_beside_figures) {
    EXPECT_EQ(to_text(GpuState{}), "");
    EXPECT_EQ(to_text(GpuState{.sm_mhz = 1755, .watts = 611.6}), "1755 MHz 612 W");
    EXPECT_EQ(to_text(GpuState{.sm_mhz = 1380, .watts = 699, .held_back = true}), "1380 MHz 699 W held back");
    EXPECT_EQ(gpu_state("no GPU is there").sm_mhz, 0);
    if (find_gpu().kind == GpuFound::Kind::real) { EXPECT_GT(gpu_state_now().sm_mhz, 0); }
}

TEST(bench_test, end_to_end) {
    const EndToEnd row = train_end_to_end({"toy", toy_batch, toy_gpt2()}, 0);
    EXPECT_GT(row.tokens_per_second, 0);
    EXPECT_EQ(row.B, toy_batch);
    const double weights = 128 * (384 + 128 + 128 + 128 + 128);  // of products: every one but embeddings
    EXPECT_EQ(row.palm, 6 * weights + 12 * 4 * 128);
    EXPECT_EQ(row.causal, 6 * weights + 6 * 4 * 128);
}

}  // namespace
