// Tensor maps, which tell Hopper's copy engine how a matrix lies in memory and which box of it to move.
#pragma once
#include <cuda_runtime.h>
#include <algorithm>
#include <initializer_list>
#include "cuda_error.cuh"
#include "gpu.cuh"
#include "ptx_hopper.cuh"

// cuTensorMapEncodeTiled and what of cuda.h it needs. The driver's library is not linked:
// the runtime hands the function over.
using EncodeTensorMap = int(TensorMap*, int type, uint32_t rank, void* data, const uint64_t* sizes,
                            const uint64_t* strides, const uint32_t* box, const uint32_t* steps, int interleave,
                            int swizzle, int l2, int fill);

inline EncodeTensorMap* tensor_map_encoder() {
    static EncodeTensorMap* const encoder = [] {
        void* found = nullptr;
        cudaDriverEntryPointQueryResult result = {};
#if CUDART_VERSION >= 12050
        CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result));
#else
        CUDA(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &found, cudaEnableDefault, &result));
#endif
        return reinterpret_cast<EncodeTensorMap*>(result == cudaDriverEntryPointSuccess ? found : nullptr);
    }();
    return encoder;
}

// Of bf16 at `data` (16-byte aligned), with `sizes` elements along each axis, innermost first. Axes from the second on
// lie `strides` elements apart, multiples of 8. A copy moves `box` elements: 64 of the innermost axis, at most 256 of
// the others, with 128-byte swizzle: vector v (8 elements) of row r, counted over all outer axes, lies at v ^ r % 8. (A
// narrower box would have gaps behind its rows.) Throws Error{device} where the driver refuses.
inline TensorMap tensor_map(const bf16* data, std::initializer_list<uint64_t> sizes,
                            std::initializer_list<uint64_t> strides, std::initializer_list<uint32_t> box) {
    REQUIRE(*box.begin() == 64);
    constexpr int bfloat16 = 9, not_interleaved = 0, swizzle_128 = 3, l2_128 = 2, zeros = 0;
    const uint32_t rank = uint32_t(sizes.size()), steps[5] = {1, 1, 1, 1, 1};
    uint64_t bytes[5] = {};
    std::transform(strides.begin(), strides.end(), bytes, [](uint64_t n) { return n * sizeof(bf16); });
    TensorMap map;
    EncodeTensorMap* const encode = tensor_map_encoder();
    if (!encode || encode(&map, bfloat16, rank, const_cast<bf16*>(data), sizes.begin(), bytes, box.begin(), steps,
                          not_interleaved, swizzle_128, l2_128, zeros))
        throw Error(Exit::device, "GPU", "the driver refuses a tensor map",
                    "CUDA_LAUNCH_BLOCKING=1 shows whether a kernel before it failed");
    return map;
}

// Whether Hopper's kernels can run: the GPU and its driver can, and the program, which may have been compiled for
// others only, has code with their bodies. As all of its kernels are compiled for the same,
// this one speaks for the others.
template <int threads>
__global__ void __launch_bounds__(hopper_threads(threads)) hopper_probe_kernel() {}
template <class T>
bool has_hopper(const Gpu<T>& on) {
    constexpr int threads = 128;
    return on.capability == 90 && on.code_of(hopper_probe_kernel<threads>).threads >= threads && tensor_map_encoder();
}
