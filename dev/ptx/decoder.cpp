#include "decoder.h"
#include <algorithm>
#include <atomic>
#include <utility>
#include "memory.h"

namespace ptx {

Execute integer_conversion(const std::string& to, const std::string& from, Width d, Width a);

namespace {

constexpr std::pair<const char*, Special> special_names[] = {
    {"%tid.x", Special::tid_x},
    {"%tid.y", Special::tid_y},
    {"%tid.z", Special::tid_z},
    {"%ntid.x", Special::ntid_x},
    {"%ntid.y", Special::ntid_y},
    {"%ntid.z", Special::ntid_z},
    {"%ctaid.x", Special::ctaid_x},
    {"%ctaid.y", Special::ctaid_y},
    {"%ctaid.z", Special::ctaid_z},
    {"%nctaid.x", Special::nctaid_x},
    {"%nctaid.y", Special::nctaid_y},
    {"%nctaid.z", Special::nctaid_z},
    {"%laneid", Special::laneid},
    {"%warpid", Special::warpid},
    {"%nwarpid", Special::nwarpid},
    {"%cluster_ctarank", Special::cluster_ctarank},
    {"%cluster_nctarank", Special::cluster_nctarank},
    {"%cluster_ctaid.x", Special::cluster_ctaid_x},
    {"%cluster_ctaid.y", Special::cluster_ctaid_y},
    {"%cluster_ctaid.z", Special::cluster_ctaid_z},
    {"%cluster_nctaid.x", Special::cluster_nctaid_x},
    {"%cluster_nctaid.y", Special::cluster_nctaid_y},
    {"%cluster_nctaid.z", Special::cluster_nctaid_z},
    {"%clusterid.x", Special::clusterid_x},
    {"%clusterid.y", Special::clusterid_y},
    {"%clusterid.z", Special::clusterid_z},
    {"%nclusterid.x", Special::nclusterid_x},
    {"%nclusterid.y", Special::nclusterid_y},
    {"%nclusterid.z", Special::nclusterid_z},
    {"%smid", Special::smid},
    {"%nsmid", Special::nsmid},
    {"%lanemask_lt", Special::lanemask_lt},
    {"%lanemask_le", Special::lanemask_le},
    {"%lanemask_eq", Special::lanemask_eq},
    {"%lanemask_gt", Special::lanemask_gt},
    {"%lanemask_ge", Special::lanemask_ge},
};

constexpr size_t most_static_shared_bytes = 48 * 1024;

uint32_t round_up(size_t n, size_t to) { return uint32_t((n + to - 1) / to * to); }

void leave(Warp&, const Instruction&, Mask) {}

template <class Whole, class Part>
void pack(Warp& w, const Instruction& i, Mask m) {
    const Part *low = w.at<Part>(i.a), *high = w.at<Part>(i.b);
    for_each_lane(w, m, [&](unsigned l) { w.at<Whole>(i.d)[l] = Whole(low[l]) | Whole(high[l]) << 8 * sizeof(Part); });
}
template <class Whole, class Part>
void unpack(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        const Whole whole = w.at<Whole>(i.d)[l];
        if (i.a != nowhere) w.at<Part>(i.a)[l] = Part(whole);
        if (i.b != nowhere) w.at<Part>(i.b)[l] = Part(whole >> 8 * sizeof(Part));
    });
}

}  // namespace

std::vector<std::string_view> parts_of(std::string_view opcode) {
    std::vector<std::string_view> parts;
    for (size_t from = 0;;) {
        const size_t dot = opcode.find('.', from);
        parts.push_back(opcode.substr(from, dot - from));
        if (dot == opcode.npos) return parts;
        from = dot + 1;
    }
}
bool has_part(const std::vector<std::string_view>& parts, std::string_view part) {
    return std::find(parts.begin(), parts.end(), part) != parts.end();
}

// For those who count (counters.h).
static Kind kind_of(const std::string& opcode, Space space) {
    const auto parts = parts_of(opcode);
    const auto is = [&](std::initializer_list<std::string_view> names) {
        return std::find(names.begin(), names.end(), parts[0]) != names.end();
    };
    if (is({"ld", "st"})) {
        switch (space) {
            case Space::shared: return Kind::shared;
            case Space::local: return Kind::local;
            case Space::parameter: return Kind::parameter;
            default: return Kind::global;
        }
    }
    if (is({"ldmatrix", "stmatrix"})) return Kind::shared;
    if (is({"bra", "ret", "exit", "call"})) return Kind::control;
    if (is({"atom", "red"})) return Kind::atomic;
    if (is({"shfl", "vote", "match", "redux", "elect", "activemask"})) return Kind::warp;
    if (is({"mma"}) || opcode.starts_with("wgmma.mma")) return Kind::tensor;
    const bool waits = has_part(parts, "wait_group") || has_part(parts, "commit_group") || has_part(parts, "wait_all");
    if (is({"bar", "barrier", "mbarrier", "fence", "membar", "wgmma", "griddepcontrol"}) || waits) return Kind::barrier;
    if (is({"cp", "prefetch"})) return Kind::copy;
    if (is({"cvt", "cvta"})) return Kind::conversion;
    if (is({"mov", "selp", "prmt", "mapa", "setmaxnreg"})) return Kind::move;
    if (is({"setp"}) || parts.back() == "pred") return Kind::predicate;
    if (has_part(parts, "approx")) return Kind::special;
    for (const char* type : {"f32", "f64", "bf16", "f16", "bf16x2", "f16x2"})
        if (parts.back() == type) return Kind::floating;
    return Kind::integer;
}

Decoder::Decoder(const EntryText& text, const ModuleVariables& module)
    : text(text), module(module), code(std::make_unique<Code>()) {
    static std::atomic<uint64_t> codes = 0;
    code->number = ++codes;
    code->entry = text.name;
    code->parameters = text.parameters;
    code->parameter_bytes = text.parameter_bytes;
    code->max_threads = text.max_threads;
    std::copy(std::begin(text.cluster), std::end(text.cluster), code->cluster);
    std::fill(std::begin(code->special), std::end(code->special), nowhere);
    registers = place_registers(text, 0, code->register_bytes);
    place_variables();
}

void Decoder::place(const Variable& v) {
    const bool shared = v.space == "shared";
    size_t& bytes = shared ? code->static_shared_bytes : code->local_bytes;
    bytes = round_up(bytes, v.align);
    variables[v.name] = bytes;
    bytes += v.bytes;
    code->local_bytes = round_up(code->local_bytes, 16);
}

// The entry's own variables, and those of shared memory that the module declares and this entry names.
void Decoder::place_variables() {
    std::vector<const Variable*> all;
    for (const Variable& v : text.variables) all.push_back(&v);
    for (const Statement& s : text.statements)
        for (const Operand& o : s.operands) collect_named(o, all);
    // The largest first, so that arrays for tensor copies begin where their sizes are multiples of.
    std::stable_sort(all.begin(), all.end(), [](const Variable* a, const Variable* b) { return a->bytes > b->bytes; });
    for (const Variable* v : all) place(*v);
    if (code->static_shared_bytes > most_static_shared_bytes)
        throw TextError(text.name + ": " + std::to_string(code->static_shared_bytes) +
                        " bytes of static shared memory, of which a block has " +
                        std::to_string(most_static_shared_bytes));
    code->static_shared_begin = uint32_t(static_shared_end - code->static_shared_bytes) / 1024 * 1024;
    for (const Variable& v : text.variables)
        if (v.space == "shared") variables[v.name] += code->static_shared_begin;
    for (const auto& [name, v] : module.shared)
        if (const auto it = variables.find(name); it != variables.end()) it->second += code->static_shared_begin;
}
void Decoder::collect_named(const Operand& o, std::vector<const Variable*>& all) {
    for (const Operand& part : o.list) collect_named(part, all);
    const auto it = module.shared.find(o.symbol);
    if (o.symbol.empty() || it == module.shared.end() || !it->second.bytes) return;
    if (std::find(all.begin(), all.end(), &it->second) == all.end()) all.push_back(&it->second);
}

std::unique_ptr<Code> Decoder::decode() {
    code->instructions.reserve(text.statements.size() + 1);
    for (const Statement& s : text.statements) {
        now = &s;
        code->instructions.push_back(instruction(s));
    }
    Instruction end;  // an entry may end without `ret`
    end.execute = leave, end.flow = Flow::exit, end.name = "ret";
    code->instructions.push_back(end);
    return std::move(code);
}

Instruction Decoder::instruction(const Statement& s) {
    Instruction i;
    i.at = s.at;
    code->names.push_back(std::make_unique<std::string>(s.opcode));
    i.name = code->names.back()->c_str();
    if (s.guard >= 0) i.guard = registers[size_t(s.guard)], i.guard_negated = s.guard_negated;
    i.text = s.text;
    i.reaches_cluster = s.opcode.find("shared::cluster") != s.opcode.npos;
    result = nowhere;
    decode(s, i);
    i.kind = kind_of(s.opcode, i.space);
    i.result = result, i.width = result_width;
    return i;
}

void Decoder::decode(const Statement& s, Instruction& i) {
    if (decode_control(s, i) || decode_move(s, i) || decode_memory(*this, s, i) || decode_warp(*this, s, i) ||
        decode_call(*this, s, i) || decode_block(*this, s, i) || decode_matrix(*this, s, i) ||
        decode_hopper(*this, s, i) || decode_cluster(*this, s, i) || decode_conversion(s, i))
        return;
    decode_operation(s, i);
}

void Decoder::decode_operation(const Statement& s, Instruction& i) {
    const auto it = operations().find(s.opcode);
    if (it == operations().end()) fail(s, "this machine does not know the instruction " + s.opcode);
    const auto& [execute, widths] = it->second;
    if (s.operands.size() != widths.size())
        fail(s, s.opcode + " has " + std::to_string(s.operands.size()) + " operands instead of " +
                    std::to_string(widths.size()));
    i.execute = execute;
    Place* const places[] = {&i.d, &i.a, &i.b, &i.c, &i.e};
    for (size_t k = 0; k < widths.size(); k++)
        *places[k] = k ? source(s.operands[k], widths[k]) : target(s.operands[k], widths[k]);
}

bool Decoder::decode_control(const Statement& s, Instruction& i) {
    if (s.opcode == "bra" || s.opcode == "bra.uni") {
        i.flow = Flow::branch;
        i.execute = leave;
        i.target = uint32_t(text.labels.at(s.operands.at(0).symbol));
        return true;
    }
    if (s.opcode != "ret" && s.opcode != "ret.uni" && s.opcode != "exit") return false;
    i.flow = Flow::exit;
    i.execute = leave;
    return true;
}

// Moves that pack a register from two parts, or unpack it into them: mov.b64 %rd1, {%r1, %r2}.
bool Decoder::decode_move(const Statement& s, Instruction& i) {
    if (!s.opcode.starts_with("mov.") || s.operands.size() != 2) return false;
    const Operand &to = s.operands[0], &from = s.operands[1];
    const bool packs = from.kind == Operand::Kind::list, unpacks = to.kind == Operand::Kind::list;
    if (!packs && !unpacks) return false;
    const Operand &whole = packs ? to : from, &parts = packs ? from : to;
    if (parts.list.size() != 2) fail(s, "a move of other than two parts");
    const bool wide = s.opcode.ends_with("64");
    const Width whole_width = wide ? Width::double_word : Width::word, part_width = wide ? Width::word : Width::half;
    const auto place = [&](const Operand& part) {
        if (part.kind == Operand::Kind::none) return nowhere;
        return packs ? source(part, part_width) : target(part, part_width);
    };
    i.a = place(parts.list[0]), i.b = place(parts.list[1]);
    i.d = packs ? target(whole, whole_width) : source(whole, whole_width);
    if (wide) i.execute = packs ? pack<uint64_t, uint32_t> : unpack<uint64_t, uint32_t>;
    else i.execute = packs ? pack<uint32_t, uint16_t> : unpack<uint32_t, uint16_t>;
    return true;
}

bool Decoder::decode_conversion(const Statement& s, Instruction& i) {
    const auto parts = parts_of(s.opcode);
    if (parts[0] != "cvt" || parts.size() != 3) return false;
    const Operand &to = s.operands.at(0), &from = s.operands.at(1);
    const Width from_width = from.kind == Operand::Kind::reg ? width(from) : Width::double_word;
    i.execute = integer_conversion(std::string(parts[1]), std::string(parts[2]), width(to), from_width);
    if (!i.execute) return false;
    i.d = target(to);
    i.a = source(from, from_width);
    return true;
}

// ---- Operands ----

Width Decoder::width(const Operand& o) const {
    if (o.kind != Operand::Kind::reg) throw TextError(text.name + ": " + now->opcode + ": expected a register");
    return text.registers[size_t(o.reg)];
}

Place Decoder::new_place(size_t bytes) {
    const Place place = round_up(code->register_bytes, 64);
    code->register_bytes = place + round_up(bytes, 64);
    return place;
}

Place Decoder::constant(uint64_t bits, Width width) {
    const auto [it, is_new] = constants.try_emplace({bits, width}, nowhere);
    if (!is_new) return it->second;
    it->second = new_place(width == Width::predicate ? 4 : warp_lanes * size_t(bytes_of(width)));
    code->constants.push_back({it->second, bits, width});
    return it->second;
}

Place Decoder::special(Special which) {
    Place& place = code->special[size_t(which)];
    if (place == nowhere) place = new_place(warp_lanes * 4);
    return place;
}

bool Decoder::is_parameter(const std::string& symbol) const {
    return std::any_of(text.parameters.begin(), text.parameters.end(),
                       [&](const Parameter& p) { return p.name == symbol; });
}

uint64_t Decoder::value_of(const std::string& symbol) {
    if (const auto it = variables.find(symbol); it != variables.end()) return it->second;
    if (const auto it = module.addresses.find(symbol); it != module.addresses.end()) return it->second;
    if (module.shared.contains(symbol)) return 0;  // the dynamic part
    for (const Parameter& p : text.parameters)
        if (p.name == symbol) return p.offset;
    fail(*now, now->opcode + ": unknown " + (symbol[0] == '%' ? "register " : "symbol ") + symbol);
}

Place Decoder::source(const Operand& o, Width wanted) {
    switch (o.kind) {
        case Operand::Kind::reg:
            if (width(o) != wanted) fail(*now, now->opcode + " has a register of another width");
            if (o.negated) fail(*now, now->opcode + " has a negated operand");
            return registers[size_t(o.reg)];
        case Operand::Kind::number: {
            uint64_t bits = o.bits;
            if (o.number_bits == 64 && wanted == Width::word)
                bits = __builtin_bit_cast(uint32_t, float(__builtin_bit_cast(double, bits)));
            return constant(bits, wanted);
        }
        case Operand::Kind::symbol: {
            for (const auto& [name, which] : special_names)
                if (o.symbol == name) return special(which);
            if (o.symbol == "WARP_SZ") return constant(warp_lanes, wanted);
            return constant(value_of(o.symbol) + uint64_t(o.offset), wanted);
        }
        default: fail(*now, now->opcode + " has an operand that this machine does not expect");
    }
}

Place Decoder::target(const Operand& o, Width wanted) {
    if (o.kind != Operand::Kind::reg || width(o) != wanted || o.second >= 0)
        fail(*now, now->opcode + " writes to something else than a register of its width");
    if (result == nowhere) result = registers[size_t(o.reg)], result_width = wanted;
    return registers[size_t(o.reg)];
}

Place Decoder::second_target(Operand& result) {
    if (result.second < 0) return nowhere;
    Operand second;
    second.kind = Operand::Kind::reg;
    second.reg = std::exchange(result.second, -1);
    return target(second, Width::predicate);
}

void Decoder::address(const Operand& o, Place& base, int64_t& offset) {
    if (o.kind != Operand::Kind::address) fail(*now, now->opcode + ": expected an address");
    offset = o.offset;
    base = o.reg >= 0 ? registers[size_t(o.reg)] : nowhere;
    if (!o.symbol.empty()) offset += int64_t(value_of(o.symbol));
}

const Place* Decoder::list(const std::vector<Place>& places) {
    code->lists.push_back(std::make_unique<Place[]>(places.size()));
    std::copy(places.begin(), places.end(), code->lists.back().get());
    return code->lists.back().get();
}

void Decoder::fail(const Statement& s, const std::string& what) const {
    throw TextError(text.name + ": " + what + "; " + s.at.file + ":" + std::to_string(s.at.line));
}

std::unique_ptr<Code> decode(const EntryText& text, const ModuleVariables& module) {
    return Decoder(text, module).decode();
}

}  // namespace ptx
