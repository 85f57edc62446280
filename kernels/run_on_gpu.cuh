// train, sample and eval with the model on a GPU in one storage type: a source file for each, as each takes a minute.
#pragma once
#include "available_memory.cuh"
#include "exchange.cuh"
#include "host/commands/run_on_gpu.h"
#include "host/evaluate/eval_command.h"
#include "host/generate/sample_command.h"
#include "host/run/gpu_health.h"
#include "host/run/train_command.h"
#include "instances.cuh"
#include "self_check.cuh"

// Lets the GPU use what its kernels are good for. A fault is said every time, and found once.
template <class T>
void check_kernels(Gpu<T>& gpu, const Options& options, const std::string& dtype) {
    if (options.self_check == SelfCheckWhen::off) return;
    CheckedOn on{find_gpu().text, 0, 0, this_build(), dtype, name_of(gpu.gemm)};
    CUDA(cudaDriverGetVersion(&on.driver));
    CUDA(cudaRuntimeGetVersion(&on.runtime));
    std::optional<std::vector<KernelFault>> faults;
    if (options.self_check != SelfCheckWhen::force) faults = recall_check(on);
    if (!faults) remember_check(on, *(faults = SelfCheck<T>(gpu.gemm).run()));
    for (const KernelFault& fault : *faults) {
        warn(name_of(fault.kernels) + (": on this GPU not what the plain kernel gives, which is taken instead (" +
                                       fault.text + "); please report"));
        gpu.distrust(fault.kernels);
    }
}

// Ranks on one machine take its GPUs in turn. Where a launcher gave each process one of its own, that is all it sees.
inline int gpu_of(const World& world) {
    int count = 1;
    CUDA(cudaGetDeviceCount(&count));
    if (count > 1 && world.neighbours() > count)
        throw Error(Exit::device, "--ranks",
                    std::to_string(world.neighbours()) + " on a machine that has " + std::to_string(count) + " GPUs",
                    "give at most one for each, or --device cpu");
    return world.place() % count;
}

// One algorithm and one protocol sum in one order, unless the user has chosen others.
inline void pin_collectives(const Options& options) {
    if (options.fast_collectives) return;
    setenv("NCCL_ALGO", "Ring", 0);
    setenv("NCCL_PROTO", "Simple", 0);
}

// Before a run of days begins.
inline void warn_of_gpu() {
    int gpu = 0;
    char bus[32] = "";
    CUDA(cudaGetDevice(&gpu));
    CUDA(cudaDeviceGetPCIBusId(bus, sizeof bus, gpu));
    // Nothing of ours is there yet but the driver's context and the self-check's little.
    for (const std::string& line : gpu_problems(installed_management_library(), bus, 0)) warn(line);
}

template <class T>
Exit run_on_gpu(const Options& options, const std::string& dtype, const World& world) {
    Gpu<T> gpu(gpu_of(world));
    pin_collectives(options);
    const GpuFound found = find_gpu();
    gpu.gemm = settle_gemm(options.gemm, installed_cublas, [&](const std::string& line) {
        if (found.kind == GpuFound::Kind::real) warn(line);
    });
    check_kernels(gpu, options, dtype);
    if (options.command == Command::sample) return sample(options, gpu);
    if (options.command == Command::eval) return eval(options, gpu);
    if (found.kind == GpuFound::Kind::real) warn_of_gpu();
    if (!world.alone()) {
        gpu.template kept<GpuRanks>(world);  // says what is missing before a run begins
        // The GPU is left to the end of the process: who is to say which rank is lost must not wait until it is idle.
        static_cast<void>(new Gpu<T>(gpu));
    }
    const std::string ranks = world.alone() ? "" : std::to_string(world.size()) + " ranks, each on ";
    return train(options, gpu, ranks + found.text + ", " + std::to_string(gpu.sm_count) + " multiprocessors, " + dtype,
                 world);
}
