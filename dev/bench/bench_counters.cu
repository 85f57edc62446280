#include <algorithm>
#include <numeric>
#include "bench_counters.h"
#include "bench_kernels.cuh"
#include "host/commands/commands.h"

// Undefined, and null, where dev/ptx is not part of the program.
namespace ptx {
__attribute__((weak)) void start_counting(std::vector<Extent>);
__attribute__((weak)) std::vector<KernelCounts> stop_counting();
__attribute__((weak)) const char* name_of(Kind);
}  // namespace ptx

bool can_count() { return ptx::start_counting != nullptr; }

std::vector<BenchModel> counted_models() {
    Config gpt2 = *find_preset("gpt2"), qwen = *find_preset("qwen3-0.6b");
    gpt2.T = 128, gpt2.V = 496, gpt2.L = 1, gpt2.C = 256, gpt2.NH = gpt2.NKV = 4, gpt2.F = 1024;
    qwen.T = 128, qwen.V = 496, qwen.L = 1, qwen.C = 256, qwen.NH = 4, qwen.NKV = 2, qwen.F = 512;
    return {{"gpt2, small", 2, gpt2}, {"qwen3, small", 2, qwen}};
}

static CountedRow count_row(const BenchRow& row) {
    const Gpu<bf16> on;
    BenchMemory m(&on);
    const BenchLaunch work = row.declare(m);
    m.fill();
    CUDA(cudaStreamSynchronize(on.stream));
    std::vector<ptx::Extent> tensors;
    for (const BenchMemory::Tensor& t : m.tensors) tensors.push_back({t.data, t.n * t.element});
    ptx::start_counting(tensors);
    work(on);
    CUDA(cudaStreamSynchronize(on.stream));
    CountedRow counted{row.kernel, row.shape, m.work, ptx::stop_counting(), {}, {}};
    for (const ptx::KernelCounts& k : counted.kernels) counted.all.add(k.all), counted.main_loops.add(k.main_loops);
    return counted;
}

std::vector<CountedRow> count_rows(const BenchModel& model, std::string_view name) {
    std::vector<CountedRow> all;
    for (const BenchRow& row : BenchRows(model.config, model.B).rows)
        if (row.kernel.find(name) != row.kernel.npos) all.push_back(count_row(row));
    return all;
}

// ---- The table ----

namespace {

std::string share(double part, double whole) {
    char text[32];
    if (whole <= 0) return "-";
    std::snprintf(text, sizeof text, "%.1f%%", 100 * part / whole);
    return text;
}

void print_line(const std::string& what, const ptx::Counts& c, const ptx::Counts* main_loops) {
    const std::string loops = main_loops ? std::to_string(main_loops->conflicts()) : "";
    std::printf("    %-44s %12zu %6.1f %10.1f %10.1f %8s %8zu %8s %10.1f %9s\n", what.c_str(), size_t(c.instructions),
                c.instructions ? double(c.lanes) / double(c.instructions) : 0, double(c.read.bytes()) * 1e-3,
                double(c.written.bytes()) * 1e-3,
                share(double(c.read.useful + c.written.useful), double(c.read.bytes() + c.written.bytes())).c_str(),
                size_t(c.conflicts()), loops.c_str(), double(c.operations) * 1e-6,
                share(double(c.divergent), double(c.branches)).c_str());
}

void print_kinds(const ptx::KernelCounts& k) {
    const uint64_t sum = std::accumulate(std::begin(k.kinds), std::end(k.kinds), uint64_t(0));
    std::printf("        ");
    for (size_t i = 0; i < std::size(k.kinds); i++)
        if (k.kinds[i] * 200 >= sum)
            std::printf("%s %s  ", ptx::name_of(ptx::Kind(i)), share(double(k.kinds[i]), double(sum)).c_str());
    std::printf("\n");
}

uint64_t weight(const ptx::Counts& c) { return c.read.sectors + c.written.sectors + c.wavefronts + c.instructions; }

void print_lines(ptx::KernelCounts k) {
    constexpr size_t shown = 12;
    std::ranges::sort(k.lines, [](const auto& a, const auto& b) { return weight(a.counts) > weight(b.counts); });
    if (k.lines.size() > shown) k.lines.resize(shown);
    for (const ptx::LineCounts& l : k.lines)
        print_line("    " + l.file.substr(l.file.rfind('/') + 1) + ':' + std::to_string(l.line), l.counts, nullptr);
}

void print(const CountedRow& row, bool lines) {
    std::printf("%s %s\n", row.kernel.c_str(), row.shape.c_str());
    std::printf(
        "    its row claims %.1f kB and %.1f Mflop; counted, each sector once a launch: %.1f kB (%s), "
        "%.1f kB of scratch, %.1f Mflop\n",
        row.claimed.bytes * 1e-3, row.claimed.products * 1e-6, row.bytes() * 1e-3,
        share(row.bytes(), row.claimed.bytes).c_str(), double(row.all.read.scratch + row.all.written.scratch) * 1e-3,
        double(row.all.operations) * 1e-6);
    for (const ptx::KernelCounts& k : row.kernels) {
        std::string name = k.kernel.substr(0, 40);
        if (k.launches > 1) name += " x" + std::to_string(k.launches);
        print_line(name, k.all, &k.main_loops);
        print_kinds(k);
        if (lines) print_lines(k);
    }
}

}  // namespace

int run_counters(const std::vector<std::string_view>& arguments) {
    if (!can_count()) throw Error(Exit::usage, "--counters", "this program runs no PTX", "make test_gpt_ptx");
    const bool lines = std::ranges::count(arguments, "--lines");
    std::vector<std::string_view> names;
    for (const std::string_view a : arguments)
        if (a != "--lines") names.push_back(a);
    if (names.empty()) names.push_back("");
    size_t found = 0;
    for (const BenchModel& model : counted_models()) {
        std::printf("%s\n    %-44s %12s %6s %10s %10s %8s %8s %8s %10s %9s\n", model.name.c_str(), "", "instructions",
                    "lanes", "read, kB", "written", "useful", "conflicts", "in loops", "Mflop", "divergent");
        for (const std::string_view name : names)
            for (const CountedRow& row : count_rows(model, name)) found++, print(row, lines);
    }
    if (!found) throw Error(Exit::usage, "--counters", "no row has such a name", "without names it counts all");
    return 0;
}
