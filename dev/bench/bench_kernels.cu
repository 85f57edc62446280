// Every kernel at the shapes of training: its time beside the limit that this GPU's own copies and matmuls set, or,
// without a GPU, the time to expect of one.      ./test_gpt --bench kernels
#include "bench.h"
#include "bench_clock.cuh"
#include "bench_gpu.h"
#include "bench_kernels.cuh"
#include "dev/test/kernels/harness.h"
#include "host/commands/commands.h"
#include "speed_record.h"

namespace {

using On = const Gpu<bf16>&;

// Large enough for no cache, small enough for every GPU: 2 x 1 GiB, and 8192 x 8192 x 8192 where that takes no second.
Ceilings measure_ceilings(const std::string& name) {
    const Gpu<bf16> on;
    const GpuClock clock(on);
    BenchMemory m(&on);
    const size_t copied = size_t(1) << 29;
    bf16 *to = m.out<bf16>(copied), *from = m.in<bf16>(copied);
    m.fill();
    const GpuClock::Reading copy = clock.median(
        [&] { CUDA(cudaMemcpyAsync(to, from, copied * sizeof(bf16), cudaMemcpyDeviceToDevice, on.stream)); });
    const auto product = [&](int n) {
        const size_t size = size_t(n) * n;
        const bf16* none = nullptr;
        return clock.median([&] { linear_forward(to, from, from + size, none, n, n, n, on); }, GpuClock::Cache::warm,
                            0.5);
    };
    const auto rate = [](int n, const GpuClock::Reading& r) { return 2.0 * n * n * n / r.seconds; };
    const GpuClock::Reading small = product(4096);
    Ceilings reached{name, 2.0 * copied * sizeof(bf16) / copy.seconds, rate(4096, small), small.gpu};
    if (reached.products < 5e13) return reached;
    const GpuClock::Reading large = product(8192);
    if (rate(8192, large) > reached.products) reached.products = rate(8192, large), reached.state = large.gpu;
    return reached;
}

KernelTime count(const BenchRow& row) {
    BenchMemory m(nullptr);
    row.declare(m);
    return {row.kernel, row.shape, row.per_step, m.work};
}

void measure_ours(KernelTime& time, const BenchRow& row) {
    BenchMemory counted(nullptr);
    row.declare(counted);
    size_t free_bytes = 0, total = 0;
    CUDA(cudaMemGetInfo(&free_bytes, &total));
    if (double(counted.allocated) > 0.8 * double(free_bytes)) {
        time.left_out = "needs " + std::to_string(counted.allocated >> 20) + " MiB";
        return;
    }
    Gpu<bf16> on;
    BenchMemory m(&on);
    const BenchLaunch work = row.declare(m);
    m.fill();
    const GpuClock::Reading chosen = GpuClock(on).median([&] { work(on); });
    time.seconds = chosen.seconds, time.state = chosen.gpu;
    if (!uses_cublas(on) || !row.has_products()) return;
    const auto by = [&](Gemm gemm) { return [&, gemm] { on.gemm = gemm, work(on); }; };
    const std::vector<double> both = GpuClock(on).medians({by(Gemm::native), by(Gemm::cublas)});
    time.rival = "cuBLAS", time.ours = both[0], time.theirs = both[1];
}

void measure_cudnn(KernelTime& time, const BenchRow& row) {
    Gpu<bf16> on;
    BenchMemory m(&on);
    const BenchLaunch other = row.cudnn(m);
    m.fill();
    time.theirs = GpuClock(on).median([&] { other(on); }).seconds;
    time.rival = "cuDNN", time.ours = time.seconds;
}

}  // namespace

KernelTime measure(const BenchRow& row) {
    KernelTime time = count(row);
    try {  // whatever refuses one row, the others are timed
        measure_ours(time, row);
        if (row.cudnn && time.seconds > 0) measure_cudnn(time, row);
    } catch (const Error& error) { time.left_out = error.what(), time.failed = time.seconds == 0; }
    return time;
}

std::vector<BenchModel> bench_models() {
    return {{"gpt2", 64, *find_preset("gpt2")},
            {"gpt2-xl", 16, *find_preset("gpt2-xl")},
            {"qwen3-0.6b", 32, with_context(*find_preset("qwen3-0.6b"), 2048)}};
}

const std::optional<Ceilings>& ceilings() {
    static const std::optional<Ceilings> measured = []() -> std::optional<Ceilings> {
        const GpuFound gpu = find_gpu();
        if (gpu.kind == GpuFound::Kind::real) {
            const Ceilings reached = measure_ceilings(gpu.text);
            report_ceilings(reached);
            return reached;
        }
        std::printf("left out: every time on a GPU (%s)\n",
                    gpu.kind == GpuFound::Kind::none ? gpu.text.c_str() : "this build's kernels run on the CPU");
        return std::nullopt;
    }();
    return measured;
}

double step_limit(const BenchModel& model, const Ceilings& gpu) {
    const Peaks* peaks = find_peaks(gpu.gpu);
    double sum = 0;
    for (const BenchRow& row : BenchRows(model.config, model.B).rows)
        sum +=
            row.per_step * limit_seconds(count(row).work, gpu.products, gpu.memory, peaks ? peaks->exponentials : 1e30);
    return sum;
}

namespace {
// What is slower than on record may have been disturbed: the fastest of three counts.
void measure_again(SpeedRecord& record, const std::string& model, const BenchRow& row, KernelTime& time) {
    for (int again = 0; again < 2 && record.slower(model, time); again++) {
        const KernelTime other = measure(row);
        if (record.beside(model, other) > record.beside(model, time)) time = other;
    }
    record.judge(model, time);
}
}  // namespace

BENCH(kernels) {
    const std::optional<Ceilings>& gpu = ceilings();
    std::optional<SpeedRecord>& record = speed_record();
    if (record && !gpu)
        throw Error(Exit::device, "--against", "needs a GPU",
                    "without one dev/budget/budget.sh holds kernels to a model");
    if (record) record->require_gpu(gpu->gpu);
    if (gpu && !installed_cublas().table) std::printf("left out: cuBLAS (%s)\n", installed_cublas().reason.c_str());
    size_t failed = 0;
    for (const BenchModel& model : bench_models()) {
        std::vector<KernelTime> times;
        for (const BenchRow& row : BenchRows(model.config, model.B).rows) {
            times.push_back(gpu ? measure(row) : count(row));
            if (record) measure_again(*record, model.name, row, times.back());
        }
        report_kernels(model.name, times, gpu);
        failed += size_t(std::ranges::count_if(times, [](const KernelTime& t) { return t.failed; }));
    }
    if (failed) throw Error(Exit::device, std::to_string(failed) + " rows", "failed", "the table says why");
    if (record) record->conclude();
}
