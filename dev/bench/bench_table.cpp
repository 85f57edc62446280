#include "bench_table.h"
#include <fmt/core.h>
#include <numeric>

Json& bench_json() {
    static Json all = Json::object();
    return all;
}

namespace {

const char* bound(const Work& w, double products, double memory, double exponentials) {
    const double most = limit_seconds(w, products, memory, exponentials);
    return most == w.bytes / memory ? "memory" : most == w.products / products ? "matmuls" : "exp";
}

std::string rate(const Work& w, double seconds) {
    return w.products > 0 ? fmt::format("{:.0f} TFLOP/s", w.products / seconds * 1e-12)
                          : fmt::format("{:.0f} GB/s", w.bytes / seconds * 1e-9);
}

// The GPUs predictions are printed for.
std::vector<const Peaks*> named() {
    return {find_peaks("NVIDIA H200"), find_peaks("NVIDIA H100 80GB HBM3"), find_peaks("NVIDIA A100-SXM4-80GB")};
}

void add_state(Json& json, const GpuState& state) {
    if (state.sm_mhz) json["sm_mhz"] = state.sm_mhz, json["watts"] = state.watts, json["held_back"] = state.held_back;
}

double prediction(const KernelTime& row, const Peaks& p) { return predicted_seconds(row.work, p); }

Json to_json(const std::string& model, const KernelTime& row) {
    Json json = {{"model", model},
                 {"kernel", row.kernel},
                 {"shape", row.shape},
                 {"per_step", row.per_step},
                 {"bytes", row.work.bytes},
                 {"products", row.work.products},
                 {"exponentials", row.work.exponentials}};
    if (row.seconds > 0) json["us"] = row.seconds * 1e6;
    add_state(json, row.state);
    if (row.ours > 0)
        json["beside"] = {{"library", row.rival}, {"ours_us", row.ours * 1e6}, {"theirs_us", row.theirs * 1e6}};
    if (!row.left_out.empty()) json["left_out"] = row.left_out;
    for (const Peaks* p : named()) json["predicted_us"][p->name] = prediction(row, *p) * 1e6;
    return json;
}

void predictions(const std::string& model, const std::vector<KernelTime>& rows) {
    fmt::print("{:<28} {:<40} {:>5} {:>9} {:>9}", model, "predicted, us:", "times", "MB", "GFLOP");
    for (const Peaks* p : named()) fmt::print(" {:>14}", p->name);
    fmt::print("  bound\n");
    std::vector<double> step(named().size());
    for (const KernelTime& row : rows) {
        fmt::print("{:<28} {:<40} {:>5} {:>9.1f} {:>9.1f}", row.kernel, row.shape, row.per_step, row.work.bytes * 1e-6,
                   row.work.products * 1e-9);
        for (size_t i = 0; i < step.size(); i++) {
            const double seconds = prediction(row, *named()[i]);
            step[i] += row.per_step * seconds;
            fmt::print(" {:>14.1f}", seconds * 1e6);
        }
        const Peaks& first = *named()[0];
        fmt::print("  {}\n", bound(row.work, reachable_products * first.products, reachable_memory * first.memory,
                                   first.exponentials));
    }
    fmt::print("{:<28} {:<40} {:>5} {:>9} {:>9}", "a step, ms", "", "", "", "");
    for (const double seconds : step) fmt::print(" {:>14.1f}", seconds * 1e3);
    fmt::print("\n");
}

void measurements(const std::string& model, const std::vector<KernelTime>& rows, const Ceilings& gpu) {
    const Peaks* peaks = find_peaks(gpu.gpu);
    fmt::print("{:<28} {:<40} {:>5} {:>10} {:>14} {:>8} {:>10} {:>12}  {:<8}  {}\n", model, "", "times", "us", "rate",
               "of limit", "predicted", "ours is", "bound", "clock and power");
    double step = 0, limits = 0;
    for (const KernelTime& row : rows) {
        const double exponentials = peaks ? peaks->exponentials : 1e30;
        const double limit = limit_seconds(row.work, gpu.products, gpu.memory, exponentials);
        limits += row.per_step * limit;
        fmt::print("{:<28} {:<40} {:>5} ", row.kernel, row.shape, row.per_step);
        if (row.seconds <= 0) {
            fmt::print("left out: {}\n", row.left_out);
            continue;
        }
        step += row.per_step * row.seconds;
        fmt::print("{:>10.1f} {:>14} {:>7.0f}% {:>10} {:>12}  {:<8}  {}{}\n", row.seconds * 1e6,
                   rate(row.work, row.seconds), 100 * limit / row.seconds,
                   peaks ? fmt::format("{:.1f}", prediction(row, *peaks) * 1e6) : "",
                   row.ours > 0 ? fmt::format("{:.0f}% {}", 100 * row.theirs / row.ours, row.rival) : "",
                   bound(row.work, gpu.products, gpu.memory, exponentials), to_text(row.state),
                   row.left_out.empty() ? "" : "  (left out: " + row.left_out + ")");
    }
    fmt::print("a step of these rows: {:.1f} ms; their limit by this run's ceilings: {:.1f} ms\n", step * 1e3,
               limits * 1e3);
}

}  // namespace

void report_ceilings(const Ceilings& gpu) {
    bench_json()["ceilings"] = {{"gpu", gpu.gpu}, {"copy_bytes_per_s", gpu.memory}, {"products_per_s", gpu.products}};
    add_state(bench_json()["ceilings"], gpu.state);
    const Peaks* p = find_peaks(gpu.gpu);
    const auto share = [&](double x, double peak) {
        return p ? fmt::format(" ({:.0f}% of the data sheet)", 100 * x / peak) : "";
    };
    fmt::print("{}: copies {:.2f} TB/s{}, bf16 products {:.0f} TFLOP/s{} at {}; the ceilings of what follows\n",
               gpu.gpu, gpu.memory * 1e-12, share(gpu.memory, p ? p->memory : 1), gpu.products * 1e-12,
               share(gpu.products, p ? p->products : 1), gpu.state.sm_mhz ? to_text(gpu.state) : "an unknown clock");
}

void report_kernels(const std::string& model, const std::vector<KernelTime>& rows, const std::optional<Ceilings>& gpu) {
    for (const KernelTime& row : rows) bench_json()["kernels"].push_back(to_json(model, row));
    fmt::print("\n");
    if (gpu) measurements(model, rows, *gpu);
    else predictions(model, rows);
    std::fflush(stdout);
}

void report_step(const std::string& model, const std::vector<StepShare>& shares, double step, double limit,
                 const GpuState& state) {
    const double busy = std::accumulate(shares.begin(), shares.end(), 0.0,
                                        [](double sum, const StepShare& s) { return sum + s.seconds; });
    Json json = {{"model", model}, {"step_ms", step * 1e3}, {"kernels_ms", busy * 1e3}, {"limit_ms", limit * 1e3}};
    add_state(json, state);
    fmt::print("\n{}: {:.2f} ms a step  {}\n{:<34} {:>6} {:>10} {:>7}\n", model, step * 1e3, to_text(state),
               "kernels of", "times", "ms", "");
    for (const StepShare& s : shares) {
        fmt::print("{:<34} {:>6} {:>10.3f} {:>6.1f}%\n", s.name, s.count, s.seconds * 1e3, 100 * s.seconds / step);
        json["shares"].push_back({{"name", s.name}, {"count", s.count}, {"ms", s.seconds * 1e3}});
    }
    fmt::print("{:<34} {:>6} {:>10.3f} {:>6.1f}%\n", "between kernels", "", (step - busy) * 1e3,
               100 * (step - busy) / step);
    if (limit > 0)
        fmt::print("the limit of its rows: {:.2f} ms, {:.0f}% of the step\n", limit * 1e3, 100 * limit / step);
    bench_json()["step_profiles"].push_back(json);
}

void report_end_to_end(const EndToEnd& row, const std::optional<Ceilings>& gpu) {
    Json json = {{"model", row.model},
                 {"dtype", row.dtype},
                 {"batch", row.B},
                 {"context", row.T},
                 {"tokens_per_s", row.tokens_per_second}};
    fmt::print("{:<12} {:>4} x {:<5} {}", row.model, row.B, row.T, row.dtype);
    if (row.tokens_per_second <= 0) {
        fmt::print("  left out: {}\n", row.note);
        json["left_out"] = row.note;
    } else {
        const Peaks* p = gpu ? find_peaks(gpu->gpu) : nullptr;
        fmt::print("  {:>10.0f} tokens/s", row.tokens_per_second);
        const auto mfu = [&](const char* of, double peak) {
            const double causal = 100 * row.tokens_per_second * row.causal / peak,
                         palm = 100 * row.tokens_per_second * row.palm / peak;
            fmt::print("  MFU {:.1f}% causal, {:.1f}% PaLM, of {}", causal, palm, of);
            json["mfu"][of] = {{"causal", causal}, {"palm", palm}};
        };
        if (p) mfu("the data sheet", p->products);
        if (gpu) mfu("measured products", gpu->products);
        add_state(json, row.state);
        fmt::print("  {}{}\n", to_text(row.state), row.note.empty() ? "" : "  (" + row.note + ")");
    }
    bench_json()["end_to_end"].push_back(json);
}

void report_writing(const std::vector<WritingRow>& rows, const std::optional<Ceilings>& gpu) {
    fmt::print("{:<12} {:>5} {:>8} {:>9}", "text, bf16", "texts", "tokens", "MB");
    if (gpu) fmt::print(" {:>10} {:>10} {:>10}\n", "tokens/s", "limit", "of limit");
    else
        for (const Peaks* p : named()) fmt::print(" {:>22}", std::string(p->name) + ", at most");
    if (!gpu) fmt::print("\n");
    for (const WritingRow& row : rows) {
        Json json = {{"model", row.model}, {"texts", row.B}, {"tokens", row.length}, {"bytes", row.bytes}};
        fmt::print("{:<12} {:>5} {:>8} {:>9.0f}", row.model, row.B, row.length, row.bytes * 1e-6);
        if (gpu) {
            const double limit = row.B * gpu->memory / row.bytes, reached = row.B / row.seconds;
            fmt::print(" {:>10.0f} {:>10.0f} {:>9.0f}%", reached, limit, 100 * reached / limit);
            json["tokens_per_s"] = reached;
        } else {
            for (const Peaks* p : named())
                fmt::print(" {:>12.0f} tokens/s", row.B * reachable_memory * p->memory / row.bytes);
        }
        fmt::print("\n");
        bench_json()["generate_gpu"].push_back(json);
    }
}
