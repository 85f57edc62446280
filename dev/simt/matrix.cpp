// Matrices in shared memory, as descriptors of 128-byte swizzle say they lie.
#include "matrix.h"
#include <cstring>

namespace simt {
namespace {

constexpr int panel_bytes = 128;

struct Descriptor {
    size_t start, leading, stride;
    explicit Descriptor(uint64_t word)
        : start((word & 0x3fff) << 4), leading((word >> 16 & 0x3fff) << 4), stride((word >> 32 & 0x3fff) << 4) {}
};

// Calls f(row, k, place in dynamic shared memory) for each 16 bytes: of 8 elements along k, or `across`, of 8 rows.
template <class F>
void for_each_vector(const Descriptor& d, bool across, unsigned first_row, unsigned rows, F f) {
    if (across)
        for (unsigned r = first_row; r < first_row + rows; r += 8)
            for (unsigned k = 0; k < 16; k++)
                f(r, k,
                  swizzled(d.start + r % 64 * 2 + r / 64 * d.leading + k % 8 * panel_bytes + k / 8 * d.stride, 3));
    else
        for (unsigned r = first_row; r < first_row + rows; r++)
            for (unsigned k = 0; k < 16; k += 8)
                f(r, k, swizzled(d.start + r % 8 * panel_bytes + r / 8 * d.stride + k * 2, 3));
}

}  // namespace

void read_matrix(uint64_t descriptor, bool across, unsigned first_row, unsigned rows, float* out, unsigned pitch) {
    for_each_vector(Descriptor(descriptor), across, first_row, rows, [&](unsigned r, unsigned k, size_t place) {
        uint16_t bits[8];
        std::memcpy(bits, SharedMemory::dynamic() + place, sizeof bits);
        for (unsigned i = 0; i < 8; i++) {
            const unsigned row = r - first_row + (across ? i : 0), column = k + (across ? 0 : i);
            out[column * pitch + row] = __builtin_bit_cast(float, uint32_t(bits[i]) << 16);
        }
    });
}

std::string wrong_descriptor(uint64_t word, bool across, unsigned rows, Chunks& chunks) {
    const Descriptor d(word);
    if ((word & ~(uint64_t(0x3fff) | uint64_t(0x3fff) << 16 | uint64_t(0x3fff) << 32)) != uint64_t(1) << 62)
        return "a descriptor has bits that no descriptor of 128-byte swizzle has";
    if (d.start & 0x380)
        return "a matrix begins at byte " + std::to_string(d.start) + ", within the 8 rows of a swizzle";
    if (d.stride % 1024 || (across && rows > 64 && d.leading % 1024))
        return "a descriptor's distances are no multiples of 1024";
    std::string wrong;
    for_each_vector(d, across, 0, rows, [&](unsigned, unsigned, size_t place) {
        if (SharedMemory::mine().contains_dynamic(SharedMemory::dynamic() + place, 16)) chunks.set(place / 16);
        else if (wrong.empty())
            wrong = "a matrix reaches byte " + std::to_string(place) + ", beyond dynamic shared memory";
    });
    return wrong;
}

// ---- What the headers declare ----

uint64_t matrix_descriptor(const void* shared, unsigned leading, unsigned stride, At at) {
    if (!SharedMemory::mine().contains_dynamic(shared, 16))
        fail(700, "a matrix descriptor: the address is not in dynamic shared memory; %s:%d", at.file, at.line);
    const size_t start = size_t(static_cast<const char*>(shared) - SharedMemory::dynamic());
    if (start % 16 || leading % 16 || stride % 16 || leading > 0x3fff0 || stride > 0x3fff0)
        fail(716, "a matrix descriptor: no multiples of 16 bytes, or too large; %s:%d", at.file, at.line);
    return start >> 4 | uint64_t(leading >> 4) << 16 | uint64_t(stride >> 4) << 32 | uint64_t(1) << 62;
}
uint64_t descriptor_at(uint64_t descriptor, unsigned bytes, At at) {
    if (bytes % 16) fail(716, "a matrix descriptor: %u bytes are no multiple of 16; %s:%d", bytes, at.file, at.line);
    return descriptor + (bytes >> 4);
}

}  // namespace simt
