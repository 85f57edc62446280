// The driver's function that encodes tensor maps, by the rules of cuda.h, and how a program gets at it.
#include "tensor_map.h"
#include <cstring>
#include "include/simt/runtime_api.h"
#include "stream.h"

namespace simt {

size_t TensorMapData::box_elements() const {
    size_t n = 1;
    for (int i = 0; i < rank; i++) n *= box[i];
    return n;
}
size_t TensorMapData::extent() const {
    size_t bytes = sizes[0] * element_bytes;
    for (int i = 1; i < rank; i++) bytes += (sizes[i] - 1) * strides[i - 1];
    return bytes;
}

int encode_tiled(void* map, int type, uint32_t rank, void* data, const uint64_t* sizes, const uint64_t* strides,
                 const uint32_t* box, const uint32_t* steps, int interleave, int swizzle, int l2, int fill) {
    constexpr int invalid = 1, not_supported = 801;
    constexpr uint8_t bytes_of[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};  // CUtensorMapDataType
    const auto aligned = [](const void* p, size_t to) { return p && reinterpret_cast<uintptr_t>(p) % to == 0; };
    if (!aligned(map, 64) || !aligned(data, 16) || !sizes || !box || !steps || rank < 1 || rank > 5) return invalid;
    if (type < 0 || type > 12 || swizzle < 0 || swizzle > 3 || l2 < 0 || l2 > 3 || fill < 0 || fill > 1) return invalid;
    if (interleave || fill) return not_supported;
    TensorMapData m{};
    m.magic = tensor_map_magic;
    m.data = static_cast<char*>(data);
    m.rank = uint8_t(rank);
    m.element_bytes = bytes_of[type];
    m.swizzle_bits = uint8_t(swizzle);
    for (uint32_t i = 0; i < rank; i++) {
        if (sizes[i] < 1 || sizes[i] > uint64_t(1) << 32 || box[i] < 1 || box[i] > 256) return invalid;
        if (steps[i] < 1 || steps[i] > 8) return invalid;
        if (steps[i] > 1) return not_supported;
        m.sizes[i] = sizes[i];
        m.box[i] = box[i];
        if (i == 0) continue;
        if (!strides || (!strides[i - 1] && sizes[i] > 1) || strides[i - 1] % 16 || strides[i - 1] >= uint64_t(1) << 40)
            return invalid;
        m.strides[i - 1] = strides[i - 1];
    }
    const size_t row = size_t(box[0]) * m.element_bytes, span = size_t(16) << swizzle;
    if (row % 16 || (swizzle && row > span)) return invalid;
    if (swizzle && row < span) return not_supported;  // there would be gaps behind the rows in shared memory
    std::memset(map, 0, 128);
    std::memcpy(map, &m, sizeof m);
    return 0;
}

}  // namespace simt

// For programs that are linked with the driver's library.
extern "C" int cuTensorMapEncodeTiled(void* map, int type, uint32_t rank, void* data, const uint64_t* sizes,
                                      const uint64_t* strides, const uint32_t* box, const uint32_t* steps,
                                      int interleave, int swizzle, int l2, int fill) {
    return simt::encode_tiled(map, type, rank, data, sizes, strides, box, steps, interleave, swizzle, l2, fill);
}

cudaError_t cudaGetDriverEntryPoint(const char* name, void** function, unsigned long long,
                                    cudaDriverEntryPointQueryResult* result) {
    SIMT_CALL();
    const bool found = !std::strcmp(name, "cuTensorMapEncodeTiled");
    *function = found ? reinterpret_cast<void*>(simt::encode_tiled) : nullptr;
    if (result) *result = found ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned version,
                                             unsigned long long flags, cudaDriverEntryPointQueryResult* result) {
    SIMT_CALL();
    if (version >= 12000) return cudaGetDriverEntryPoint(name, function, flags, result);
    *function = nullptr;
    if (result) *result = cudaDriverEntryPointVersionNotSufficent;
    return cudaSuccess;
}
