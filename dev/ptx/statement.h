// The parts that a line of PTX consists of.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>
#include "dev/simt/include/simt/simt.h"

namespace ptx {

// One line that says what is wrong, and where.
struct TextError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Operand {
    enum class Kind { none, reg, number, symbol, address, list };
    Kind kind = Kind::none;
    int reg = -1;          // of a register, and of an address the register it starts from, if any
    int second = -1;       // of a pair such as %r1|%p2
    bool negated = false;  // !%p1
    uint64_t bits = 0;     // of a number: of a whole one its 64-bit two's complement, else a float's or double's bits
    int number_bits = 0;   // 32 or 64 of those that are written as bits, 0 of whole numbers
    std::string symbol;    // a label, a variable or a parameter; of an address the one it starts from, if any
    int64_t offset = 0;    // of an address
    std::vector<Operand> list;  // of {...}; of an address what follows its first part
};

struct Statement {
    std::string opcode;  // with all its parts: "ld.global.v4.u32"
    std::vector<Operand> operands;
    int guard = -1;  // the register of @%p1
    bool guard_negated = false;
    simt::At at{};
    std::string_view text;  // all of it, within its module's
};

}  // namespace ptx
