// Writing text on the CPU: tokens a second beside what reading the weights once per token allows, with the bandwidth
// measured in the same run; and what the cache saves.      ./test_gpt --bench generate
#include "bench_generate.h"
#include <fmt/core.h>
#include <omp.h>
#include "bench_gpu.h"

namespace {

using Device = Cpu<float>;

void fill(Gpt<Device>& model) {
    model.allocate(Use::infer);
#pragma omp parallel for
    for (size_t i = 0; i < model.weights.size; i++) model.w.data[i] = 0.02f * (float(i * 2654435761u % 1024) / 512 - 1);
}

// Bytes a second that all threads together read.
double read_bandwidth() {
    const size_t n = size_t(1) << 28, part = size_t(1) << 16;
    const Device on;
    const float* x = on.allocate<float>(n);
    float all = 0;
    const auto read = [&] {
#pragma omp parallel for schedule(static) reduction(+ : all)
        for (size_t first = 0; first < n; first += part) all += dot(x + first, x + first, int(part));
    };
    const double best = shortest(5, read)[0];
    REQUIRE(all == 0);  // so that the sum is needed
    return n * sizeof(float) / best;
}

void measure(const char* name, const Config& c, int B, double bandwidth) {
    Gpt<Device> model(c, 64, Recompute::block, Device(), B);
    fill(model);
    const int prompt = 32, tokens = 24;
    const double step = time_writing(model, B, prompt, tokens).shortest;
    const double bytes = bytes_of_step(c, sizeof(float), B, prompt + tokens / 2), limit = bytes / bandwidth;
    fmt::print("{:<26} {:>5} {:>9.0f} {:>10.1f} {:>9.1f} {:>10.1f} {:>9.0f}%\n", name, B, bytes / 1e6, B / step,
               step * 1e3, limit * 1e3, 100 * limit / step);
    std::fflush(stdout);
    bench_json()["generate_cpu"].push_back({{"model", name},
                                            {"B", B},
                                            {"bytes", bytes},
                                            {"ms", step * 1e3},
                                            {"limit_ms", limit * 1e3},
                                            {"threads", omp_get_max_threads()}});
}

// What the cache saves: for the token after 512, and for all of the first 512,
// whose times without it come from five lengths.
void measure_cache(const char* name, const Config& c) {
    const int tokens = 512, parts = 4, more = 8;
    Gpt<Device> model(c, tokens + more, Recompute::block, Device(), 1);
    fill(model);
    const double next = time_writing(model, 1, tokens, more).shortest,
                 all = tokens * time_writing(model, 1, 1, tokens).step;
    const BatchBuffer<Device> buffer(tokens, model.c.window, model.on);
    double all_again = 0, next_again = 0;
    for (int i = 0; i <= parts; i++) {
        const std::vector<int> text(std::max(1, tokens * i / parts), 1);
        next_again = shortest(2, [&] { next_logits(model, buffer, text); })[0];
        all_again += tokens * next_again * (i == 0 || i == parts ? 0.5 : 1.0) / parts;
    }
    const auto line = [&](const char* what, double cached, double again) {
        fmt::print(
            "{}, {:<28} {:>8.0f} ms; computing all of the text again for every token {:>8.0f} ms, {:.0f} times as "
            "long\n",
            name, what, cached * 1e3, again * 1e3, again / cached);
    };
    line("the token after 512 cached:", next, next_again);
    line("512 tokens from the first on:", all, all_again);
    bench_json()["generate_cpu_cache"] = {
        {"model", name}, {"next_s", next}, {"next_again_s", next_again}, {"all_s", all}, {"all_again_s", all_again}};
}

}  // namespace

BENCH(generate_cpu) {
    const double bandwidth = read_bandwidth();
    fmt::print("{} threads read {:.1f} GB/s\n", omp_get_max_threads(), bandwidth / 1e9);
    fmt::print("{:<26} {:>5} {:>9} {:>10} {:>9} {:>10} {:>10}\n", "", "texts", "MB", "tokens/s", "ms", "limit ms",
               "of limit");
    measure("gpt2 (124M)", *find_preset("gpt2"), 1, bandwidth);
    for (const int B : {1, 16}) measure("gpt2-medium (355M)", *find_preset("gpt2-medium"), B, bandwidth);
    measure("qwen3-0.6b", with_context(*find_preset("qwen3-0.6b"), 1024), 1, bandwidth);
    measure_cache("gpt2 (124M)", *find_preset("gpt2"));
}
