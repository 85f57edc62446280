// What the ranks do with flat buffers (host/world/exchange.h), on GPUs: NCCL's collectives, in a stream of their own
// beside the one that computes. A call waits for what was computed before it; wait_for_exchange() makes what is
// computed after it wait. A graph that is being recorded records both streams.
//
// Sums are in the order of NCCL's algorithm, which is pinned: the same ranks give the same bits.
#pragma once
#include "exchange_simulated.cuh"
#include "host/world/exchange.h"
#include "kernels/tools/device.cuh"
#include "kernels/tools/gpu.cuh"

template <class T>
constexpr NcclType nccl_type_of = std::is_same_v<T, bf16> ? NcclType::bf16 : NcclType::fp32;

// This process's place among the GPUs.
class GpuRanks {
public:
    explicit GpuRanks(const World& world) : world(world) {
        if (on_simulated_device()) {
            nccl = &simulated_nccl;
            comm = reinterpret_cast<NcclComm>(new SimulatedComm{world, {}, {}});
        } else {
            const NcclFound& found = installed_nccl();
            if (!found.table)
                throw Error(Exit::device, "--ranks", "GPUs need NCCL: " + found.reason,
                            "install libnccl2, or name the file: GPT_NCCL=FILE");
            nccl = found.table.get();
            NcclId id = {};
            if (world.first()) check(nccl->new_id(&id), "ncclGetUniqueId");
            check(nccl->join(&comm, world.size(), world.of_first(id), world.rank()), "ncclCommInitRank");
        }
        CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        for (cudaEvent_t* event : {&before, &after}) CUDA(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
    }
    ~GpuRanks() {
        cudaStreamSynchronize(stream);
        nccl->leave(comm);
        cudaStreamDestroy(stream);
        for (cudaEvent_t event : {before, after}) cudaEventDestroy(event);
    }
    GpuRanks(const GpuRanks&) = delete;

    // Elements for each rank, by rank; this rank's sum is where its own are.
    void reduce_scatter(float* all, size_t n, cudaStream_t compute) {
        follow(stream, compute, before);
        check(nccl->reduce_scatter(all, all + n * size_t(world.rank()), n, NcclType::fp32, nccl_sum, comm, stream),
              "ncclReduceScatter");
    }
    template <class U>
    void all_gather(U* all, size_t n, cudaStream_t compute) {
        follow(stream, compute, before);
        check(nccl->all_gather(all + n * size_t(world.rank()), all, n, nccl_type_of<U>, comm, stream), "ncclAllGather");
    }
    void join(cudaStream_t compute) { follow(compute, stream, after); }

private:
    static void follow(cudaStream_t later, cudaStream_t earlier, cudaEvent_t event) {
        CUDA(cudaEventRecord(event, earlier));
        CUDA(cudaStreamWaitEvent(later, event, 0));
    }
    void check(NcclStatus status, const char* what) const {
        if (status != nccl_success)
            throw Error(Exit::device, what, nccl->status_text(status), "NCCL_DEBUG=INFO makes it say more");
    }

    World world;
    const Nccl* nccl;
    NcclComm comm = nullptr;
    cudaStream_t stream = nullptr;
    cudaEvent_t before = nullptr, after = nullptr;
};

template <class T>
void reduce_scatter(float* x, const Shards& shards, int b, const World& world, Gpu<T> on) {
    on.template kept<GpuRanks>(world).reduce_scatter(x + shards.bucket_begin(b), shards.piece_size(b), on.stream);
}
template <class T, class U>
void all_gather(U* x, const Shards& shards, int b, const World& world, Gpu<T> on) {
    on.template kept<GpuRanks>(world).all_gather(x + shards.bucket_begin(b), shards.piece_size(b), on.stream);
}
template <class T>
void all_gather(float* of_ranks, const World& world, Gpu<T> on) {
    on.template kept<GpuRanks>(world).all_gather(of_ranks, 1, on.stream);
}
template <class T>
void wait_for_exchange(const World& world, Gpu<T> on) {
    on.template kept<GpuRanks>(world).join(on.stream);
}
