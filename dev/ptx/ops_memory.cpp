// Loads and stores, atomics, addresses (PTX ISA 9.7.9, 9.7.13).
#include <cstring>
#include "decoder.h"
#include "dev/simt/block.h"
#include "memory.h"
#include "shadow.h"

namespace ptx {
namespace {

// ---- Loads and stores: i.number registers at i.more, i.count of them ----

template <class Memory, class Register, Space space, bool wide>
void load(Warp& w, const Instruction& i, Mask m) {
    const unsigned bytes = sizeof(Memory) * i.count;
    for_each_lane(w, m, [&](unsigned l) {
        const char* p = readable(w, i, l, space, address_of<wide>(w, i, l), bytes, bytes);
        for (unsigned k = 0; k < i.count; k++) {
            Memory value;
            std::memcpy(&value, p + k * sizeof value, sizeof value);
            w.at<Register>(i.more[k])[l] = Register(std::make_signed_t<Register>(value));
        }
    });
}

template <class Memory, class Register, Space space, bool wide>
void store(Warp& w, const Instruction& i, Mask m) {
    const unsigned bytes = sizeof(Memory) * i.count;
    for_each_lane(w, m, [&](unsigned l) {
        Memory values[4];
        for (unsigned k = 0; k < i.count; k++) values[k] = Memory(w.at<Register>(i.more[k])[l]);
        write(w, i, l, space, address_of<wide>(w, i, l), values, bytes);
    });
}

template <class Memory, class Register, bool loads>
Execute for_space(Space space, bool wide) {
    const auto pick = [&]<Space s>(std::integral_constant<Space, s>) -> Execute {
        if (loads) return wide ? load<Memory, Register, s, true> : load<Memory, Register, s, false>;
        return wide ? store<Memory, Register, s, true> : store<Memory, Register, s, false>;
    };
    switch (space) {
        case Space::generic: return pick(std::integral_constant<Space, Space::generic>());
        case Space::global:
        case Space::constant: return pick(std::integral_constant<Space, Space::global>());
        case Space::shared: return pick(std::integral_constant<Space, Space::shared>());
        case Space::local: return pick(std::integral_constant<Space, Space::local>());
        case Space::parameter: return pick(std::integral_constant<Space, Space::parameter>());
    }
    return nullptr;
}
template <class Memory, bool loads>
Execute for_register(Width width, Space space, bool wide) {
    switch (width) {
        case Width::half:
            if constexpr (sizeof(Memory) <= 2) return for_space<Memory, uint16_t, loads>(space, wide);
            else return nullptr;
        case Width::word:
            if constexpr (sizeof(Memory) <= 4) return for_space<Memory, uint32_t, loads>(space, wide);
            else return nullptr;
        case Width::double_word: return for_space<Memory, uint64_t, loads>(space, wide);
        case Width::predicate: break;
    }
    return nullptr;
}
template <bool loads>
Execute for_type(std::string_view type, Width width, Space space, bool wide) {
    if (type == "u8" || type == "b8") return for_register<uint8_t, loads>(width, space, wide);
    if (type == "s8") return for_register<int8_t, loads>(width, space, wide);
    if (type == "u16" || type == "b16" || type == "f16" || type == "bf16")
        return for_register<uint16_t, loads>(width, space, wide);
    if (type == "s16") return for_register<int16_t, loads>(width, space, wide);
    if (type == "u32" || type == "b32" || type == "f32") return for_register<uint32_t, loads>(width, space, wide);
    if (type == "s32") return for_register<int32_t, loads>(width, space, wide);
    if (type == "u64" || type == "b64" || type == "f64") return for_register<uint64_t, loads>(width, space, wide);
    if (type == "s64") return for_register<int64_t, loads>(width, space, wide);
    return nullptr;
}

Space space_of(const std::vector<std::string_view>& parts) {
    for (const std::string_view part : parts) {
        if (part == "global") return Space::global;
        if (part.starts_with("shared")) return Space::shared;
        if (part == "local") return Space::local;
        if (part.starts_with("param")) return Space::parameter;
        if (part == "const") return Space::constant;
    }
    return Space::generic;
}

bool known_hints(const std::vector<std::string_view>& parts) {
    constexpr std::string_view known[] = {"global",   "shared",  "shared::cta", "shared::cluster",
                                          "cluster",  "local",   "param",       "param::entry",
                                          "const",    "v2",      "v4",          "nc",
                                          "volatile", "relaxed", "weak",        "acquire",
                                          "release",  "cta",     "gpu",         "sys",
                                          "ca",       "cg",      "cs",          "lu",
                                          "cv",       "wb",      "wt"};
    for (size_t k = 1; k + 1 < parts.size(); k++)
        if (std::find(std::begin(known), std::end(known), parts[k]) == std::end(known) &&
            !parts[k].starts_with("L1::") && !parts[k].starts_with("L2::"))
            return false;
    return true;
}

// Sets i.a and i.offset; true when the base register is a 64-bit one.
bool take_address(Decoder& d, const Operand& o, Instruction& i) {
    d.address(o, i.a, i.offset);
    return d.is_wide(o);
}

unsigned bytes_of_number(std::string_view type) {
    return type.ends_with("64") ? 8 : type.ends_with("32") ? 4 : type.ends_with("16") ? 2 : 1;
}

bool decode_access(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    const bool loads = parts[0] == "ld";
    if (!known_hints(parts)) d.fail(s, "this machine does not know the instruction " + s.opcode);
    const Operand &values = s.operands.at(loads ? 0 : 1), &place = s.operands.at(loads ? 1 : 0);
    const std::vector<Operand> list = values.kind == Operand::Kind::list ? values.list : std::vector{values};
    const std::string_view type = parts.back();
    const bool wide = take_address(d, place, i);
    // A number that is stored is as wide as its type.
    const Width by_type = type.ends_with("64") ? Width::double_word : type.ends_with("32") ? Width::word : Width::half;
    Width width = by_type;
    for (const Operand& o : list)
        if (o.kind == Operand::Kind::reg) width = d.width(o);
    std::vector<Place> places;
    for (const Operand& o : list) places.push_back(loads ? d.target(o, width) : d.source(o, width));
    i.more = d.list(places);
    i.count = unsigned(places.size());
    Space space = space_of(parts);
    if (space == Space::parameter && !place.symbol.empty() && !d.is_parameter(place.symbol))
        space = Space::local;  // of a call
    for (const char* word : {"volatile", "relaxed", "acquire", "release"}) i.is_strong |= has_part(parts, word);
    i.reads_constant = has_part(parts, "nc");
    i.counted = loads ? Counted::load : Counted::store;
    i.space = space, i.wide = wide;
    i.counted_bytes = uint8_t(bytes_of_number(type) * places.size());
    if (places.size() > 4) d.fail(s, "more than four values");
    i.execute = loads ? for_type<true>(type, width, space, wide) : for_type<false>(type, width, space, wide);
    if (!i.execute) d.fail(s, s.opcode + " with registers of another width");
    return true;
}

// ---- Atomics ----

enum class Atomic { add, exchange, minimum, maximum, all_bits, any_bits, other_bits, compare, up, down };

template <class T>
T combined(Atomic what, T old, T x, T swap) {
    switch (what) {
        case Atomic::add: return T(old + x);
        case Atomic::exchange: return x;
        case Atomic::minimum: return x < old ? x : old;
        case Atomic::maximum: return x > old ? x : old;
        case Atomic::compare: return old == x ? swap : old;
        case Atomic::up: return old >= x ? T(0) : T(old + 1);
        case Atomic::down: return old == 0 || old > x ? x : T(old - 1);
        default: break;
    }
    if constexpr (std::is_integral_v<T>)
        return what == Atomic::all_bits ? T(old & x) : what == Atomic::any_bits ? T(old | x) : T(old ^ x);
    return x;
}

template <class T, bool wide>
void atomic(Warp& w, const Instruction& i, Mask m) {
    using U = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
    const auto what = Atomic(i.number & 15);
    const auto space = Space(i.number >> 4);
    for_each_lane(w, m, [&](unsigned l) {
        auto* p = reinterpret_cast<U*>(resolve(w, i, l, space, address_of<wide>(w, i, l), sizeof(T), sizeof(T)));
        if (w.shadow) w.shadow->atomic(w, i, l, reinterpret_cast<const char*>(p), sizeof(T));
        const T x = __builtin_bit_cast(T, w.at<U>(i.b)[l]);
        const T swap = i.c == nowhere ? T() : __builtin_bit_cast(T, w.at<U>(i.c)[l]);
        U old = __atomic_load_n(p, __ATOMIC_SEQ_CST);
        while (!__atomic_compare_exchange_n(p, &old,
                                            __builtin_bit_cast(U, combined(what, __builtin_bit_cast(T, old), x, swap)),
                                            false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
        if (i.d != nowhere) w.at<U>(i.d)[l] = old;
    });
}
template <class T>
Execute atomic_of(bool wide) {
    return wide ? atomic<T, true> : atomic<T, false>;
}

bool decode_atomic(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    constexpr std::pair<std::string_view, Atomic> names[] = {
        {"add", Atomic::add},      {"exch", Atomic::exchange}, {"min", Atomic::minimum},    {"max", Atomic::maximum},
        {"and", Atomic::all_bits}, {"or", Atomic::any_bits},   {"xor", Atomic::other_bits}, {"cas", Atomic::compare},
        {"inc", Atomic::up},       {"dec", Atomic::down}};
    const size_t first = parts[0] == "atom" ? 1 : 0;
    const std::string_view type = parts.back();
    const Width width = type.ends_with("64") ? Width::double_word : Width::word;
    const bool wide = take_address(d, s.operands.at(first), i);
    const auto name =
        std::find_if(std::begin(names), std::end(names), [&](auto& n) { return has_part(parts, n.first); });
    if (name == std::end(names)) d.fail(s, "this machine does not know the instruction " + s.opcode);
    i.space = space_of(parts), i.wide = wide;
    i.counted = Counted::update;
    i.counted_bytes = uint8_t(bytes_of(width));
    i.number = int64_t(name->second) | int64_t(i.space) << 4;
    if (first && s.operands[0].kind != Operand::Kind::none) i.d = d.target(s.operands[0], width);
    i.b = d.source(s.operands.at(first + 1), width);
    if (name->second == Atomic::compare) i.c = d.source(s.operands.at(first + 2), width);
    if (type == "u32" || type == "b32") i.execute = atomic_of<uint32_t>(wide);
    else if (type == "s32") i.execute = atomic_of<int32_t>(wide);
    else if (type == "u64" || type == "b64") i.execute = atomic_of<uint64_t>(wide);
    else if (type == "s64") i.execute = atomic_of<int64_t>(wide);
    else if (type == "f32") i.execute = atomic_of<float>(wide);
    else if (type == "f64") i.execute = atomic_of<double>(wide);
    else d.fail(s, "this machine does not know the instruction " + s.opcode);
    return true;
}

// ---- Addresses of one space as another's ----

template <Space space>
void to_generic(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        const uint64_t a = w.at<uint64_t>(i.a)[l];
        const SharedWindow& s = shared_window();
        if (space == Space::parameter) w.at<uint64_t>(i.d)[l] = uint64_t(w.parameters) + a;
        else if (space == Space::local) w.at<uint64_t>(i.d)[l] = uint64_t(w.local + l * w.code->local_bytes) + a;
        else w.at<uint64_t>(i.d)[l] = uint64_t(s.dynamic) + a;
    });
}
template <Space space>
void from_generic(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        const uint64_t a = w.at<uint64_t>(i.a)[l];
        if (space == Space::local) w.at<uint64_t>(i.d)[l] = a - uint64_t(w.local + l * w.code->local_bytes);
        else w.at<uint64_t>(i.d)[l] = shared_address(w, i, l, reinterpret_cast<const void*>(a));
    });
}

bool decode_address(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    const Space space = space_of(parts);
    const bool to = has_part(parts, "to");
    i.d = d.target(s.operands.at(0), Width::double_word);
    i.a = d.source(s.operands.at(1), Width::double_word);
    if (space == Space::global || space == Space::constant) i.execute = operations().at("mov.b64").execute;
    else if (space == Space::shared) i.execute = to ? from_generic<Space::shared> : to_generic<Space::shared>;
    else if (space == Space::local) i.execute = to ? from_generic<Space::local> : to_generic<Space::local>;
    else if (space == Space::parameter && !to) i.execute = to_generic<Space::parameter>;
    else d.fail(s, "this machine does not know the instruction " + s.opcode);
    return true;
}

// ---- cp.async: dev/simt copies as late as the rules allow ----

template <bool wide>
void copy_async(Warp& w, const Instruction& i, Mask m) {
    const auto bytes = unsigned(i.number);
    for_each_lane(w, m, [&](unsigned l) {
        char* to = resolve(w, i, l, Space::shared, address_of<wide>(w, i, l), bytes, bytes);
        const uint32_t valid = i.c == nowhere ? bytes : w.at<uint32_t>(i.c)[l];
        if (valid > bytes) fail(w, l, i, 719, std::to_string(valid) + " valid bytes of " + std::to_string(bytes));
        const uint64_t from = w.at<uint64_t>(i.b)[l] + uint64_t(i.count);
        const char* source =
            valid ? readable(w, i, l, Space::global, from, valid, bytes) : reinterpret_cast<const char*>(from);
        std::memset(to, 0xff, bytes);
        w.as(l, [&] { simt::copy_later({to, source, int(bytes), int(valid)}); });
    });
}
void commit_copies(Warp& w, const Instruction&, Mask m) {
    for_each_lane(w, m, [&](unsigned l) { w.as(l, simt::commit_copies); });
}
void wait_for_copies(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        w.as(l, [&] {
            for (simt::PendingCopy copy; simt::next_due_copy(unsigned(i.number), copy);) {
                std::memcpy(copy.to, copy.from, size_t(copy.valid));
                std::memset(static_cast<char*>(copy.to) + copy.valid, 0, size_t(copy.bytes - copy.valid));
                if (w.shadow) w.shadow->write(w, i, l, static_cast<const char*>(copy.to), unsigned(copy.bytes));
            }
        });
    });
}
void wait_for_all_copies(Warp& w, const Instruction& i, Mask m) {  // those that no group has been made of too
    commit_copies(w, i, m);
    wait_for_copies(w, i, m);
}

bool decode_copy(Decoder& d, const Statement& s, Instruction& i) {
    if (s.opcode == "cp.async.commit_group") return i.execute = commit_copies, true;
    if (s.opcode == "cp.async.wait_all") return i.execute = wait_for_all_copies, i.number = 0, true;
    if (s.opcode == "cp.async.wait_group")
        return i.execute = wait_for_copies, i.number = int64_t(s.operands.at(0).bits), true;
    if (!s.opcode.starts_with("cp.async.c")) return false;
    const bool wide = take_address(d, s.operands.at(0), i);
    int64_t offset = 0;
    d.address(s.operands.at(1), i.b, offset);
    i.count = unsigned(offset);
    i.number = int64_t(s.operands.at(2).bits);
    i.counted = Counted::copy, i.wide = wide;
    i.counted_bytes = uint8_t(i.number);
    if (s.operands.size() > 3) i.c = d.source(s.operands[3], Width::word);
    i.execute = wide ? copy_async<true> : copy_async<false>;
    return true;
}

void nothing(Warp&, const Instruction&, Mask) {}

}  // namespace

bool decode_memory(Decoder& d, const Statement& s, Instruction& i) {
    const auto parts = parts_of(s.opcode);
    if (parts[0] == "ld" || parts[0] == "st") return decode_access(d, s, i, parts);
    if (parts[0] == "atom" || parts[0] == "red") return decode_atomic(d, s, i, parts);
    if (parts[0] == "cvta") return decode_address(d, s, i, parts);
    if (parts[0] == "cp") return decode_copy(d, s, i);
    if (parts[0] == "prefetch") return i.execute = nothing, true;
    if (parts[0] == "membar" || (parts[0] == "fence" && !has_part(parts, "proxy") && !has_part(parts, "mbarrier_init")))
        return i.execute = nothing, true;
    return false;
}

}  // namespace ptx
