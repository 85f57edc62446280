// Tensor maps: what cuTensorMapEncodeTiled writes into 128 opaque bytes, and the boxes that copies move.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace simt {

struct TensorMapData {
    uint64_t magic;
    char* data;
    uint64_t sizes[5], strides[4];  // elements; bytes
    uint32_t box[5];
    uint8_t rank, element_bytes, swizzle_bits;

    size_t box_elements() const;
    size_t box_bytes() const { return box_elements() * element_bytes; }
    size_t extent() const;  // bytes from the first element to the end of the last
};
static_assert(sizeof(TensorMapData) <= 128);
constexpr uint64_t tensor_map_magic = 0x70616d20726f736e;

// Byte i of a box, as if it lay in shared memory linearly, is at this place there.
inline size_t swizzled(size_t address, unsigned bits) { return address ^ (address >> 7 & ((1u << bits) - 1)) << 4; }

struct Box {
    TensorMapData map;
    int c[5];

    // Calls row(offset in the box, address in the tensor, elements to skip, elements inside) for each innermost row;
    // none inside: the address is null.
    template <class F>
    void for_each_row(F f) const {
        const size_t rows = map.box_elements() / map.box[0], row_bytes = size_t(map.box[0]) * map.element_bytes;
        for (size_t r = 0; r < rows; r++) {
            bool inside = true;
            int64_t offset = 0;
            size_t rest = r;
            for (int axis = 1; axis < map.rank; axis++) {
                const int64_t at = int64_t(c[axis]) + int64_t(rest % map.box[axis]);
                rest /= map.box[axis];
                inside = inside && at >= 0 && uint64_t(at) < map.sizes[axis];
                offset += at * int64_t(map.strides[axis - 1]);
            }
            const int64_t first = c[0], last = first + map.box[0];
            const int64_t from = first < 0 ? 0 : first,
                          to = last < int64_t(map.sizes[0]) ? last : int64_t(map.sizes[0]);
            if (!inside || from >= to) f(r * row_bytes, static_cast<char*>(nullptr), size_t(0), size_t(0));
            else
                f(r * row_bytes, map.data + offset + from * map.element_bytes, size_t(from - first), size_t(to - from));
        }
    }
};

int encode_tiled(void* map, int type, uint32_t rank, void* data, const uint64_t* sizes, const uint64_t* strides,
                 const uint32_t* box, const uint32_t* steps, int interleave, int swizzle, int l2, int fill);

}  // namespace simt
