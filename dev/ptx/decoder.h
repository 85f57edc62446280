// Decodes an entry, a statement at a time.
#pragma once
#include "code.h"
#include "operations.h"

namespace ptx {

class Decoder {
public:
    Decoder(const EntryText&, const ModuleVariables&);
    std::unique_ptr<Code> decode();

    // ---- For those that read their own operands ----
    // Where a source is: a register's place, a number's in all lanes, or a variable's address in all lanes.
    Place source(const Operand&, Width);
    Place source(const Operand& o) { return source(o, width(o)); }
    Place target(const Operand&, Width);
    Place target(const Operand& o) { return target(o, width(o)); }
    Width width(const Operand&) const;  // of a register
    Place constant(uint64_t bits, Width);
    Place special(Special);
    // The register an address starts from, and the number it adds. `base` is `nowhere` when there is none.
    void address(const Operand&, Place& base, int64_t& offset);
    bool is_wide(const Operand& address) const {  // whether that register has 64 bits
        return address.reg >= 0 && text.registers[size_t(address.reg)] == Width::double_word;
    }
    // Of a result %r1|%p2: the place of the predicate, if it has one, which is taken off.
    Place second_target(Operand& result);
    uint64_t local_address(const Operand& o) { return value_of(o.symbol); }  // of a call's argument
    bool is_parameter(const std::string& symbol) const;
    const Place* list(const std::vector<Place>&);
    [[noreturn]] void fail(const Statement&, const std::string& what) const;

private:
    Instruction instruction(const Statement&);
    void decode(const Statement&, Instruction&);
    void decode_operation(const Statement&, Instruction&);
    bool decode_control(const Statement&, Instruction&);
    bool decode_conversion(const Statement&, Instruction&);
    bool decode_move(const Statement&, Instruction&);
    Place new_place(size_t bytes);
    uint64_t value_of(const std::string& symbol);
    void place(const Variable&);
    void place_variables();
    void collect_named(const Operand&, std::vector<const Variable*>&);

    const EntryText& text;
    const ModuleVariables& module;
    std::unique_ptr<Code> code;
    std::vector<Place> registers;
    std::map<std::pair<uint64_t, Width>, Place> constants;
    std::map<std::string, uint64_t> variables;  // of the entry: addresses
    const Statement* now = nullptr;
    Place result = nowhere;  // the first register that `now` writes
    Width result_width = Width::word;
};

std::vector<std::string_view> parts_of(std::string_view opcode);  // between its dots
bool has_part(const std::vector<std::string_view>& parts, std::string_view part);

}  // namespace ptx
