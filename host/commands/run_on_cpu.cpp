#include "run_on_cpu.h"
#include <fmt/core.h>
#include <omp.h>
#include "host/evaluate/eval_command.h"
#include "host/generate/sample_command.h"
#include "host/run/train_command.h"

Exit run_on_cpu(const Options& options, const std::string& why, const World& world) {
    if (options.dtype == Dtype::bf16 && options.resume)
        throw Error(Exit::device, *options.resume, "this run is in bf16, which needs a GPU (" + why + ")",
                    "resume it on one, or start an fp32 run from its weights: --model " + *options.resume);
    if (options.dtype == Dtype::bf16)
        throw Error(Exit::device, "--dtype bf16", "needs a GPU (" + why + ")", "the CPU trains in fp32: leave it out");
    if (options.gemm == Gemm::cublas)
        throw Error(Exit::device, "--gemm cublas", "needs a GPU (" + why + ")",
                    "the CPU has products of its own: leave it out");
    if (options.command == Command::sample) return sample(options, Cpu<float>());
    if (options.command == Command::eval) return eval(options, Cpu<float>());
    const std::string ranks = world.alone() ? "" : fmt::format("{} ranks of ", world.size());
    return train(options, Cpu<float>(),
                 fmt::format("CPU, {}{} threads, fp32 (no GPU: {})", ranks, omp_get_max_threads(), why), world);
}
