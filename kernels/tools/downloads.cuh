// Copies to the host beside the work of the main stream: on a stream of their own, through two pieces of pinned memory,
// one of which fills while the other is emptied. For one thread at a time.
#pragma once
#include <cuda_runtime.h>
#include <algorithm>
#include <cstring>
#include "cuda_error.cuh"

class Downloads {
public:
    Downloads() { CUDA(cudaGetDevice(&gpu)); }
    Downloads(const Downloads&) = delete;
    ~Downloads() {
        if (!copies) return;
        cudaStreamSynchronize(copies);
        for (Piece& piece : pieces) cudaEventDestroy(piece.arrived), cudaFreeHost(piece.memory);
        cudaStreamDestroy(copies);
    }

    // Returns when the bytes are there. Nothing that runs meanwhile may change them on the device.
    void download(void* host, const void* device, size_t bytes) {
        prepare();
        const auto size_of = [&](size_t begin) { return std::min(piece_bytes, bytes - begin); };
        const auto fetch = [&](size_t begin) {
            Piece& piece = pieces[begin / piece_bytes % 2];
            CUDA(cudaMemcpyAsync(piece.memory, static_cast<const char*>(device) + begin, size_of(begin),
                                 cudaMemcpyDeviceToHost, copies));
            CUDA(cudaEventRecord(piece.arrived, copies));
        };
        if (bytes) fetch(0);
        for (size_t begin = 0; begin < bytes; begin += piece_bytes) {
            if (begin + piece_bytes < bytes) fetch(begin + piece_bytes);
            const Piece& piece = pieces[begin / piece_bytes % 2];
            CUDA(cudaEventSynchronize(piece.arrived));
            std::memcpy(static_cast<char*>(host) + begin, piece.memory, size_of(begin));
        }
    }

private:
    static constexpr size_t piece_bytes = size_t(4) << 20;
    struct Piece {
        void* memory = nullptr;
        cudaEvent_t arrived = nullptr;
    };

    void prepare() {
        CUDA(cudaSetDevice(gpu));  // every thread has one
        if (copies) return;
        for (Piece& piece : pieces) {
            CUDA(cudaMallocHost(&piece.memory, piece_bytes));
            CUDA(cudaEventCreateWithFlags(&piece.arrived, cudaEventDisableTiming));
        }
        CUDA(cudaStreamCreateWithFlags(&copies, cudaStreamNonBlocking));
    }

    int gpu = 0;
    cudaStream_t copies = nullptr;
    Piece pieces[2];
};
