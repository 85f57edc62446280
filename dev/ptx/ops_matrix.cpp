// Matrices of a warp: ldmatrix, stmatrix, mma (PTX ISA 9.7.14.5).
#include <cstring>
#include "decoder.h"
#include "memory.h"
#include "shadow.h"

namespace ptx {
namespace {

// Lane 8 i + j names row j of matrix i. Each lane has two neighbours of a row, or of a column.
template <bool stores, bool transposed, bool wide>
void move_matrices(Warp& w, const Instruction& i, Mask) {
    for (unsigned k = 0; k < i.count; k++) {
        char* rows[8];
        for (unsigned r = 0; r < 8; r++) {
            const unsigned lane = 8 * k + r;
            const uint64_t address = address_of<wide>(w, i, lane);
            rows[r] = resolve(w, i, lane, Space::shared, address, 16, 16);
            if (w.shadow && stores) w.shadow->write(w, i, lane, rows[r], 16);
            else if (w.shadow) w.shadow->read(w, i, lane, rows[r], 16);
        }
        uint32_t* registers = w.at<uint32_t>(i.more[k]);
        for (unsigned lane = 0; lane < warp_lanes; lane++) {
            const unsigned g = lane / 4, t = lane % 4;
            char* first = transposed ? rows[2 * t] + 2 * g : rows[g] + 4 * t;
            char* second = transposed ? rows[2 * t + 1] + 2 * g : rows[g] + 4 * t + 2;
            uint16_t low = uint16_t(registers[lane]), high = uint16_t(registers[lane] >> 16);
            if (stores) {
                std::memcpy(first, &low, 2);
                std::memcpy(second, &high, 2);
            } else {
                std::memcpy(&low, first, 2);
                std::memcpy(&high, second, 2);
                registers[lane] = low | uint32_t(high) << 16;
            }
        }
    }
}
template <bool stores, bool transposed>
Execute moves(bool wide) {
    return wide ? move_matrices<stores, transposed, true> : move_matrices<stores, transposed, false>;
}

float low_half(uint32_t x) { return __builtin_bit_cast(float, x << 16); }
float high_half(uint32_t x) { return __builtin_bit_cast(float, x & 0xffff0000); }

// d = a b + c of 16 x 8 x 16. Lane 4 (row % 8) + k / 2 % 4 holds A[row][k] in register row / 8 + 2 (k / 8), and the
// same lane holds B[k][column = row] in register k / 8. The order of hardware's sum is not specified; here k goes up.
void multiply(Warp& w, const Instruction& i, Mask) {
    float a[16][16], b[16][8], sum[16][8];
    for (unsigned lane = 0; lane < warp_lanes; lane++) {
        const unsigned g = lane / 4, t = lane % 4;
        for (unsigned r = 0; r < 4; r++) {
            const uint32_t x = w.at<uint32_t>(i.more[4 + r])[lane];
            a[g + 8 * (r % 2)][2 * t + 8 * (r / 2)] = low_half(x);
            a[g + 8 * (r % 2)][2 * t + 8 * (r / 2) + 1] = high_half(x);
        }
        for (unsigned r = 0; r < 2; r++) {
            const uint32_t x = w.at<uint32_t>(i.more[8 + r])[lane];
            b[2 * t + 8 * r][g] = low_half(x);
            b[2 * t + 8 * r + 1][g] = high_half(x);
        }
        for (unsigned r = 0; r < 4; r++)
            sum[g + 8 * (r / 2)][2 * t + r % 2] = __builtin_bit_cast(float, w.at<uint32_t>(i.more[10 + r])[lane]);
    }
    for (unsigned row = 0; row < 16; row++)
        for (unsigned k = 0; k < 16; k++)
            for (unsigned column = 0; column < 8; column++) sum[row][column] += a[row][k] * b[k][column];
    for (unsigned lane = 0; lane < warp_lanes; lane++)
        for (unsigned r = 0; r < 4; r++)
            w.at<uint32_t>(i.more[r])[lane] =
                __builtin_bit_cast(uint32_t, sum[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2]);
}

bool decode_move(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    const bool stores = parts[0] == "stmatrix", transposed = has_part(parts, "trans");
    if (!has_part(parts, "m8n8") || parts.back() != "b16") return false;
    const Operand &values = s.operands.at(stores ? 1 : 0), &place = s.operands.at(stores ? 0 : 1);
    std::vector<Place> places;
    for (const Operand& o : values.kind == Operand::Kind::list ? values.list : std::vector{values})
        places.push_back(d.target(o, Width::word));
    i.more = d.list(places);
    i.count = unsigned(places.size());
    d.address(place, i.a, i.offset);
    const bool wide = d.is_wide(place);
    i.counted = Counted::matrices, i.wide = wide;
    if (stores) i.execute = transposed ? moves<true, true>(wide) : moves<true, false>(wide);
    else i.execute = transposed ? moves<false, true>(wide) : moves<false, false>(wide);
    return true;
}

}  // namespace

bool decode_matrix(Decoder& d, const Statement& s, Instruction& i) {
    const auto parts = parts_of(s.opcode);
    if ((parts[0] == "ldmatrix" || parts[0] == "stmatrix") && decode_move(d, s, i, parts)) {
        i.meeting = Meeting::of_warp;
        return true;
    }
    if (s.opcode != "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32") return false;
    std::vector<Place> places;
    constexpr size_t sizes[] = {4, 4, 2, 4};
    for (size_t k = 0; k < 4; k++) {
        if (s.operands.at(k).list.size() != sizes[k]) d.fail(s, "an operand of mma of another size");
        for (const Operand& o : s.operands[k].list)
            places.push_back(k ? d.source(o, Width::word) : d.target(o, Width::word));
    }
    i.more = d.list(places);
    i.meeting = Meeting::of_warp;
    i.operations = 2 * 16 * 8 * 16;
    i.execute = multiply;
    return true;
}

}  // namespace ptx
