// Calls (PTX ISA 9.7.12.6). nvcc inlines functions; what is left is the device's own __assertfail behind assert().
#include <cstring>
#include "decoder.h"
#include "memory.h"

namespace ptx {
namespace {

constexpr int assertion_failed = 710;  // cudaErrorAssert

template <class T>
T argument(Warp& w, const Instruction& i, unsigned lane, size_t which) {
    T value;
    std::memcpy(&value, resolve(w, i, lane, Space::local, i.more[which], sizeof value, 1), sizeof value);
    return value;
}
std::string string_argument(Warp& w, const Instruction& i, unsigned lane, size_t which) {
    std::string text;
    for (auto address = argument<uint64_t>(w, i, lane, which);; address++) {
        const char c = *resolve(w, i, lane, Space::generic, address, 1, 1);
        if (!c) return text;
        text += c;
    }
}

// __assertfail(expression, file, line, function, bytes of a character)
void assertion(Warp& w, const Instruction& i, Mask m) {
    const auto lane = unsigned(__builtin_ctz(m));
    fail(w, lane, i, assertion_failed,
         "assert(" + string_argument(w, i, lane, 0) + ") failed at " + string_argument(w, i, lane, 1) + ':' +
             std::to_string(argument<uint32_t>(w, i, lane, 2)));
}

}  // namespace

// call.uni (result), function, (arguments), without the lists that are empty
bool decode_call(Decoder& d, const Statement& s, Instruction& i) {
    if (s.opcode != "call" && s.opcode != "call.uni") return false;
    const bool has_result = s.operands.at(0).kind == Operand::Kind::list;
    const std::string& function = s.operands.at(has_result).symbol;
    if (function != "__assertfail")
        d.fail(s, "this machine cannot call " + (function.empty() ? "through a pointer" : function));
    std::vector<Place> places;
    for (const Operand& o : s.operands.at(has_result + 1).list) places.push_back(Place(d.local_address(o)));
    if (places.size() != 5) d.fail(s, "__assertfail with other than five arguments");
    i.more = d.list(places);
    i.execute = assertion;
    return true;
}

}  // namespace ptx
