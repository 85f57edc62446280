// A PTX module as it is written: what nvcc's output consists of (PTX ISA, chapters 4 and 5), and no more.
#pragma once
#include <cstdint>
#include <map>
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

enum class Width : uint8_t { predicate, half, word, double_word };
constexpr int bytes_of(Width w) { return w == Width::double_word ? 8 : w == Width::half ? 2 : 4; }

struct Parameter {
    std::string name;
    size_t offset, bytes;
};
struct Variable {
    std::string name, space;  // "shared", "local", "global", "const"
    size_t align, bytes;      // of dynamic shared memory 0 bytes
    std::vector<char> data;   // as it is initialised; zeros follow
};

struct EntryText {
    std::string name;
    std::vector<Parameter> parameters;
    size_t parameter_bytes = 0;
    int max_threads = 1024;
    std::vector<Width> registers;
    std::vector<Variable> variables;  // those that its body declares
    std::vector<Statement> statements;
    std::map<std::string, size_t> labels;  // the statement that follows each
};

class ModuleText {
public:
    std::string target;
    std::vector<Variable> variables;

    // Throws TextError. Bodies of entries are only found, not read.
    ModuleText(std::string text, std::string origin);
    std::vector<std::string> entries() const;
    bool has(const std::string& entry) const { return places.contains(entry); }
    EntryText read(const std::string& entry) const;

private:
    struct Place {
        size_t begin, end;  // of ".entry", and after its "}"
    };
    std::string text, origin;
    std::map<std::string, Place, std::less<>> places;
    std::map<size_t, size_t> places_by_begin;  // their ends
    std::map<int, std::string> files;
    size_t end_of_body(size_t) const;
    void find_entries();
    void find_files();
    void find_variables();
    friend class Reader;
};

}  // namespace ptx
