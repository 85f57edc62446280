// Launches: checks what a GPU would check, then runs the blocks of a grid in a permuted order, spread over OS threads.
#include <omp.h>
#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <unordered_map>
#include "block.h"
#include "broken.h"
#include "device_memory.h"
#include "fault.h"
#include "include/cuda_profiler_api.h"
#include "include/cuda_runtime.h"
#include "kernels.h"
#include "report.h"
#include "shared_memory.h"
#include "stream.h"
#include "symbols.h"

namespace simt {
namespace {

struct Kernel {
    const void* function = nullptr;
    KernelCode code;
    std::string name;
    std::optional<size_t> asked;  // by cudaFuncSetAttribute
    bool large_clusters = false;  // the same: more blocks than every GPU with clusters takes
    size_t static_bytes() const { return code.static_shared_bytes + called_shared_bytes(function); }
    size_t dynamic_limit() const {
        const size_t all = asked ? device_shared_limit() : static_shared_limit,
                     rest = all - std::min(static_bytes(), all);
        return std::min(asked.value_or(rest), rest);
    }
};
Kernel& kernel_of(const void* function) {
    static std::unordered_map<const void*, Kernel> kernels;
    const StateLock lock;
    if (const auto known = kernels.find(function); known != kernels.end()) return known->second;
    Kernel k;
    k.function = function;
    k.code = kernel_owner().code_of(function);
    k.name = Symbols::readable(k.code.mangled);
    return kernels[function] = std::move(k);
}

std::atomic<bool> profiling = false;
std::atomic<uint64_t> profiled = 0;

cudaError_t check(const cudaLaunchConfig_t& config, const Kernel& kernel) {
    const dim3 &g = config.gridDim, &b = config.blockDim;
    if (!g.x || !g.y || !g.z || !b.x || !b.y || !b.z) return cudaErrorInvalidConfiguration;
    if (g.x > 0x7fffffff || g.y > 65535 || g.z > 65535) return cudaErrorInvalidConfiguration;
    if (b.x > 1024 || b.y > 1024 || b.z > 64 || b.x * b.y * b.z > 1024) return cudaErrorInvalidConfiguration;
    if (b.x * b.y * b.z > unsigned(kernel.code.max_threads)) return cudaErrorInvalidValue;
    if (config.dynamicSmemBytes > kernel.dynamic_limit()) return cudaErrorInvalidValue;
    return cudaSuccess;
}

bool is_known(const cudaLaunchAttribute& attribute) {
    switch (attribute.id) {
        case cudaLaunchAttributeIgnore:
        case cudaLaunchAttributeClusterDimension:
        case cudaLaunchAttributeProgrammaticStreamSerialization: return true;  // it may begin early, but need not
        default: return false;
    }
}

// A launch is refused rather than done otherwise than it was meant.
cudaError_t check_attributes(const cudaLaunchConfig_t& config, const Kernel& kernel) {
    for (unsigned i = 0; i < config.numAttrs; i++) {
        const cudaLaunchAttribute& attribute = config.attrs[i];
        if (is_known(attribute)) continue;
        say(kernel.name + ": launched with launch attribute " + std::to_string(int(attribute.id)) +
            ", which this runtime does not know");
        return cudaErrorNotSupported;
    }
    return cudaSuccess;
}

// What the launch asks for, or what the kernel was compiled for.
cudaError_t choose_cluster(const cudaLaunchConfig_t& config, const Kernel& kernel, dim3& cluster) {
    const unsigned* own = kernel.code.cluster;
    if (own[0]) cluster = dim3(own[0], own[1], own[2]);
    for (unsigned i = 0; i < config.numAttrs; i++) {
        if (config.attrs[i].id != cudaLaunchAttributeClusterDimension) continue;
        const auto& asked = config.attrs[i].val.clusterDim;
        if (own[0] && (asked.x != own[0] || asked.y != own[1] || asked.z != own[2])) return cudaErrorInvalidClusterSize;
        cluster = dim3(asked.x, asked.y, asked.z);
    }
    const uint64_t blocks = uint64_t(cluster.x) * cluster.y * cluster.z;
    const dim3& g = config.gridDim;
    if (blocks == 1) return cudaSuccess;
    if (!blocks || blocks > (kernel.large_clusters ? most_cluster_blocks : most_portable_cluster_blocks))
        return cudaErrorInvalidClusterSize;
    if (kernel_owner().capability() < 90 || !kernel_owner().has_clusters) {
        say(kernel.name + ": launched with clusters of several blocks, which this runtime or its GPU does not have");
        return cudaErrorNotSupported;
    }
    return g.x % cluster.x || g.y % cluster.y || g.z % cluster.z ? cudaErrorInvalidClusterSize : cudaSuccess;
}

}  // namespace

// Clusters one after the other: their blocks are on OS threads of their own.
static cudaError_t run_clusters(const Launch& l) {
    const dim3 &g = l.grid, &c = l.cluster;
    const uint64_t x = g.x / c.x, y = g.y / c.y, count = x * y * (g.z / c.z);
    const Permutation order(l.order, 0, count);
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t n = order(i);
        try {
            Cluster(l, dim3(unsigned(n % x) * c.x, unsigned(n / x % y) * c.y, unsigned(n / (x * y)) * c.z)).run();
        } catch (const Failure& failure) {
            say(failure.message);
            return cudaError_t(failure.error);
        }
    }
    return cudaSuccess;
}

static cudaError_t check_damage(const Launch& l) {
    const std::string damage = damaged_device_memory();
    if (damage.empty()) return cudaSuccess;
    say(l.kernel + ": " + damage);
    return cudaErrorIllegalAddress;
}

static cudaError_t run_grid(const Launch& l) {
    static std::atomic<unsigned> runs = 0;
    l.run = ++runs;
    if (profiling) profiled++;
    if (l.cluster.x * l.cluster.y * l.cluster.z > 1) {
        const cudaError_t error = run_clusters(l);
        return error ? error : check_damage(l);
    }
    const uint64_t blocks = uint64_t(l.grid.x) * l.grid.y * l.grid.z;
    const Permutation block_order(l.order, 0, blocks);
    const int os_threads =
        thread_sanitizer || omp_in_parallel() ? 1 : int(std::min<uint64_t>(blocks, uint64_t(omp_get_max_threads())));
    const uint64_t share = std::max<uint64_t>(1, blocks / uint64_t(os_threads) / 32);
    std::atomic<uint64_t> next = 0;
    std::atomic<int> error = 0;
    if (is_broken(l.kernel, Broken::Way::breaks_down)) return cudaErrorIllegalAddress;
    const bool incomplete = is_broken(l.kernel, Broken::Way::leaves_out_a_block);
    __tsan_release(&l.begins);
    auto work = [&] {
        for (uint64_t first; !error && (first = next.fetch_add(share)) < blocks;)
            for (uint64_t i = first; i < std::min(first + share, blocks) && !error; i++) {
                const uint64_t b = block_order(i);
                if (b == 0 && incomplete) continue;
                const dim3 index(unsigned(b % l.grid.x), unsigned(b / l.grid.x % l.grid.y),
                                 unsigned(b / (uint64_t(l.grid.x) * l.grid.y)));
                try {
                    Block::mine().run(l, index, b);
                } catch (const Failure& failure) {
                    if (!error.exchange(failure.error)) say(failure.message);
                }
            }
    };
    if (os_threads == 1) {
        work();
    } else {
#pragma omp parallel num_threads(os_threads)
        work();
    }
    __tsan_acquire(&l.ends);
    if (const cudaError_t damaged = check_damage(l)) return damaged;
    return cudaError_t(error.load());
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* function, Call call) {
    SIMT_CALL();
    catch_faults();
    const Kernel& kernel = kernel_of(function);
    if (const cudaError_t error = check(config, kernel)) return remember(error);
    if (const cudaError_t error = check_attributes(config, kernel)) return remember(error);
    if (is_broken(kernel.name, Broken::Way::is_refused)) return remember(cudaErrorInvalidValue);
    dim3 cluster(1, 1, 1);
    if (const cudaError_t error = choose_cluster(config, kernel, cluster)) return remember(error);
    Launch l{kernel.name,
             kernel.code.mangled,
             function,
             config.gridDim,
             config.blockDim,
             cluster,
             config.dynamicSmemBytes,
             order(),
             std::move(call),
             0,
             0,
             0};
    return submit(config.stream, [l = std::move(l), kernel] {
        const cudaError_t error = run_grid(l);
        // What the functions that it calls declare is known only now: a GPU, which knows before,
        // would not have started it.
        if (error || l.shared_bytes <= kernel.dynamic_limit()) return error;
        say(l.kernel + ": no GPU launches it with " + std::to_string(l.shared_bytes) +
            " bytes of dynamic shared memory beside " + std::to_string(kernel.static_bytes()) + " static ones, " +
            (kernel.asked ? "by what it asked for" : "unless it asks first"));
        return cudaErrorInvalidValue;
    });
}

uint64_t profiled_launches() { return profiled; }

}  // namespace simt

using namespace simt;

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
    SIMT_CALL();
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;  // a hint
    if (attribute == cudaFuncAttributeNonPortableClusterSizeAllowed)
        return kernel_of(function).large_clusters = value, cudaSuccess;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return remember(cudaErrorNotSupported);
    Kernel& k = kernel_of(function);
    if (value < 0 || size_t(value) + k.static_bytes() > device_shared_limit()) return remember(cudaErrorInvalidValue);
    k.asked = size_t(value);
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* out, const void* function) {
    SIMT_CALL();
    const Kernel& k = kernel_of(function);
    *out = {};
    out->sharedSizeBytes = k.static_bytes();
    out->maxThreadsPerBlock = k.code.max_threads;
    out->maxDynamicSharedSizeBytes = int(k.dynamic_limit());
    out->ptxVersion = out->binaryVersion = kernel_owner().capability();
    return cudaSuccess;
}

cudaError_t cudaFuncGetName(const char** mangled, const void* function) {
    *mangled = kernel_of(function).code.mangled.c_str();
    return **mangled ? cudaSuccess : remember(cudaErrorInvalidDeviceFunction);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int threads,
                                                          size_t dynamic_bytes) {
    SIMT_CALL();
    const Kernel& k = kernel_of(function);
    if (threads < 1 || threads > k.code.max_threads) return remember(cudaErrorInvalidValue);
    const size_t bytes = k.static_bytes() + dynamic_bytes + 1024;
    const size_t by_threads = size_t(2048 / ((threads + 31) / 32 * 32));
    *blocks = int(std::min<size_t>({by_threads, 32, (device_shared_limit() + 1024) / bytes}));
    return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* function, int threads,
                                                                   size_t dynamic_bytes, unsigned) {
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, dynamic_bytes);
}

cudaError_t cudaProfilerStart() {
    SIMT_CALL();
    return profiling = true, cudaSuccess;
}
cudaError_t cudaProfilerStop() {
    SIMT_CALL();
    return profiling = false, cudaSuccess;
}
