// NCCL where the kernels run on the CPU (dev/simt, dev/ptx): the same calls, done by MPI when their stream comes to
// them, or become part of the graph that is being recorded. So the order of streams and what a graph holds are those of
// GPUs, and only what carries the bytes is not.
#pragma once
#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>
#include "host/world/world.h"
#include "kernels/tools/nccl.cuh"

struct SimulatedComm {
    const World world;
    std::vector<std::unique_ptr<std::function<void()>>> calls;  // a graph may repeat them as long as this lives
    std::vector<float> received;

    NcclStatus submit(cudaStream_t stream, std::function<void()> call) {
        calls.push_back(std::make_unique<std::function<void()>>(std::move(call)));
        const auto run = [](void* data) { (*static_cast<std::function<void()>*>(data))(); };
        return cudaLaunchHostFunc(stream, run, calls.back().get()) == cudaSuccess ? nccl_success : 1;
    }

    // In the order of ranks, as on CPUs (host/world/exchange.h).
    void reduce_scatter(const void* send, void* receive, size_t n) {
        received.resize(n * size_t(world.size()));
        world.mpi().all_to_all(received.data(), send, n * sizeof(float));
        for (int r = 1; r < world.size(); r++)
            for (size_t i = 0; i < n; i++) received[i] += received[size_t(r) * n + i];
        std::copy_n(received.data(), n, static_cast<float*>(receive));
    }
    void all_gather(const void* send, void* receive, size_t bytes) {
        char* const mine = static_cast<char*>(receive) + bytes * size_t(world.rank());
        if (mine != send) std::memcpy(mine, send, bytes);
        world.mpi().all_gather(receive, bytes);
    }

    static SimulatedComm& of(NcclComm comm) { return *reinterpret_cast<SimulatedComm*>(comm); }
};

// All but `join`, which needs the world: its communicator is a SimulatedComm.
inline const Nccl simulated_nccl = {
    .status_text = [](NcclStatus) { return "a host function was refused"; },
    .new_id = [](NcclId*) { return nccl_success; },
    .join = nullptr,
    .leave =
        [](NcclComm comm) {
            delete &SimulatedComm::of(comm);
            return nccl_success;
        },
    .reduce_scatter =
        [](const void* send, void* receive, size_t n, NcclType, int, NcclComm comm, cudaStream_t stream) {
            SimulatedComm& c = SimulatedComm::of(comm);
            return c.submit(stream, [=, &c] { c.reduce_scatter(send, receive, n); });
        },
    .all_gather =
        [](const void* send, void* receive, size_t n, NcclType type, NcclComm comm, cudaStream_t stream) {
            SimulatedComm& c = SimulatedComm::of(comm);
            const size_t bytes = n * (type == NcclType::fp32 ? 4 : 2);
            return c.submit(stream, [=, &c] { c.all_gather(send, receive, bytes); });
        }};
