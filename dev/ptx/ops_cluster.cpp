// Clusters (PTX ISA 9.7.9.23, 9.7.13.4): addresses in other blocks' shared memory, the barrier of all. Copies of bytes
// without a map (9.7.9.25.4), into one or several blocks, and those that add. And clocks.
#include "decoder.h"
#include "dev/simt/device_memory.h"
#include "memory.h"
#include "shadow.h"
#include "tally.h"

namespace ptx {
namespace {

// ---- Addresses, of 64 bits or of 32. i.number: they are generic, else of the window of shared memory. ----

template <class U>
void map_to_peer(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        const uint32_t rank = w.at<uint32_t>(i.b)[l];
        simt::Block* peer = nullptr;
        w.as(l, [&] { peer = &w.block->peer(i.name, rank, i.at); });
        uint64_t a = w.at<U>(i.a)[l];
        if (!i.number) {
            w.at<U>(i.d)[l] = U(cluster_address(rank, uint32_t(a) & in_block));
            return;
        }
        w.at<U>(i.d)[l] = U(uint64_t(window_of(*peer).dynamic) +
                            (shared_address(w, i, l, reinterpret_cast<const void*>(a)) & in_block));
    });
}
template <class U>
void rank_of(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        uint64_t a = w.at<U>(i.a)[l];
        if (i.number) a = shared_address(w, i, l, reinterpret_cast<const void*>(a));
        w.at<uint32_t>(i.d)[l] = a >> rank_shift ? rank_in(a) : w.block->rank;
    });
}

bool decode_address(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    const bool wide = parts.back() == "u64", maps = parts[0] == "mapa";
    const Width width = wide ? Width::double_word : Width::word;
    i.number = !has_part(parts, "shared::cluster");
    if (i.number && !wide) return false;
    i.d = d.target(s.operands.at(0), maps ? width : Width::word);
    i.a = d.source(s.operands.at(1), width);
    if (maps) i.b = d.source(s.operands.at(2), Width::word);
    if (maps) i.execute = wide ? map_to_peer<uint64_t> : map_to_peer<uint32_t>;
    else i.execute = wide ? rank_of<uint64_t> : rank_of<uint32_t>;
    return true;
}

// ---- The barrier of all threads of the cluster ----

const void* cluster_key(const Warp& w) { return &w.block->rank; }  // in the shadow's books

void arrive(Warp& w, const Instruction& i, Mask m) {
    if (w.cluster_arrived & m)
        fail(w, unsigned(__builtin_ctz(w.cluster_arrived & m)), i, 719,
             "the lane has arrived before, and not waited since");
    w.cluster_arrived |= m;
    if (w.shadow) w.shadow->release(w, cluster_key(w), 0);
    const unsigned phase = w.block->cluster_phase();
    for_each_lane(w, m, [&](unsigned l) { w.cluster_phase[l] = phase; });
    w.as(unsigned(__builtin_ctz(m)), [&] { w.block->cluster_arrive(unsigned(__builtin_popcount(m))); });
}
void wait(Warp& w, const Instruction& i, Mask m) {
    if (m & ~w.cluster_arrived)
        fail(w, unsigned(__builtin_ctz(m & ~w.cluster_arrived)), i, 719, "the lane has not arrived");
    w.cluster_arrived &= ~m;
    const unsigned phase = w.cluster_phase[w.leader];
    w.wait([&] { w.block->cluster_wait(i.name, phase, i.at); });
    if (w.shadow) w.shadow->acquire(w, cluster_key(w), 0);
}

bool decode_barrier(const std::vector<std::string_view>& parts, Instruction& i) {
    if (has_part(parts, "aligned")) i.meeting = Meeting::of_warp;
    if (parts.at(2) == "arrive") i.execute = arrive;
    else if (parts[2] == "wait") i.execute = wait, i.flow = Flow::wait;
    return i.execute;
}

// ---- Copies of so many bytes in a row ----

simt::Box row_of_bytes(const char* data, size_t bytes) {
    simt::Box box{};
    box.map.magic = simt::tensor_map_magic;
    box.map.data = const_cast<char*>(data);
    box.map.sizes[0] = bytes, box.map.box[0] = uint32_t(bytes);
    box.map.rank = 1, box.map.element_bytes = 1;
    return box;
}
unsigned checked_bytes(Warp& w, const Instruction& i, unsigned lane) {
    const unsigned bytes = w.at<uint32_t>(i.c)[lane];
    if (bytes % 16 || bytes >= 1u << 20)
        fail(w, lane, i, 719, "copies " + std::to_string(bytes) + " bytes, which is no multiple of 16, or too many");
    return bytes;
}
const char* checked_global(Warp& w, const Instruction& i, unsigned lane, uint64_t address, size_t bytes) {
    const char* p = reinterpret_cast<const char*>(address);
    if (address % 16) fail(w, lane, i, 716, "its address in global memory is not a multiple of 16");
    if (!simt::is_device(p, bytes)) fail(w, lane, i, 700, "it reaches beyond " + simt::describe_address(p));
    return p;
}

// i.a: where to, i.b: from, i.c: bytes, i.e: the barrier, i.members: the blocks. i.more: the three offsets, and which
// of the addresses are wide.
enum : Place { to_wide = 1, from_wide = 2, barrier_wide = 4 };

uint64_t address(Warp& w, Place p, bool wide, Place offset, unsigned lane) {
    return value_at(w, p, wide, lane) + uint64_t(int64_t(int32_t(offset)));
}

template <bool from_shared>
void load(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        const unsigned bytes = checked_bytes(w, i, l);
        const uint64_t to_address = address(w, i.a, i.more[3] & to_wide, i.more[0], l),
                       from_address = address(w, i.b, i.more[3] & from_wide, i.more[1], l);
        char* to = resolve(w, i, l, Space::shared, to_address, bytes, 16);
        const uint64_t barrier_address = address(w, i.e, i.more[3] & barrier_wide, i.more[2], l);
        char* barrier = resolve(w, i, l, Space::shared, barrier_address, 8, 8);
        const char* from = from_shared ? resolve(w, i, l, Space::shared, from_address, bytes, 16)
                                       : checked_global(w, i, l, from_address, bytes);
        if (!from_shared && w.shadow) w.shadow->must_be_written(w, i, l, from, bytes);
        if (!from_shared && w.tally) w.tally->note_bytes(w, i, from, bytes, true);
        const unsigned own = has_rank(to_address) ? rank_in(to_address) : w.block->rank;
        const Mask ranks = i.members == nowhere ? Mask(1) << own : w.at<uint16_t>(i.members)[l];
        const char* const base = i.members == nowhere ? nullptr : w.block->shared_base;
        for (Mask rest = ranks; rest; rest &= rest - 1) {
            w.as(l, [&] {
                simt::Block& owner = w.block->peer(i.name, unsigned(__builtin_ctz(rest)), i.at);
                const char* its_to = base ? owner.shared_base + (to - base) : to;
                const char* its = base ? owner.shared_base + (barrier - base) : barrier;
                w.block->load(i.name, row_of_bytes(from, bytes), size_t(its_to - owner.shared_base), its,
                              *reinterpret_cast<const uint64_t*>(its), owner, i.at);
                if (Shadow* const shadow = window_of(owner).shadow) shadow->written_by_copy(its_to, bytes);
            });
        }
    });
}

// Out of shared memory, as it is or added to what is there (i.number, a simt::Sum).
void store(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        const unsigned bytes = checked_bytes(w, i, l);
        const char* to = checked_global(w, i, l, address(w, i.a, i.more[3] & to_wide, i.more[0], l), bytes);
        const char* from =
            resolve(w, i, l, Space::shared, address(w, i.b, i.more[3] & from_wide, i.more[1], l), bytes, 16);
        if (w.tally) w.tally->note_bytes(w, i, to, bytes, false);
        w.as(l, [&] { w.block->store(i.name, row_of_bytes(to, bytes), from, simt::Sum(i.number), i.at); });
    });
}

simt::Sum sum_of(std::string_view operation, std::string_view type) {
    using simt::Sum;
    if (operation == "add") {
        if (type == "f32") return Sum::f32;
        if (type == "f16") return Sum::f16;
        if (type == "bf16") return Sum::bf16;
        if (type == "u32") return Sum::u32;
        if (type == "s32") return Sum::s32;
        if (type == "u64") return Sum::u64;
    }
    if (operation == "min") return type == "u32" ? Sum::minimum_u32 : type == "s32" ? Sum::minimum_s32 : Sum::none;
    if (operation == "max") return type == "u32" ? Sum::maximum_u32 : type == "s32" ? Sum::maximum_s32 : Sum::none;
    return Sum::none;
}

bool decode_copy(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    const bool reduces = parts[1] == "reduce";
    const size_t at = reduces ? 4 : 3;
    if (has_part(parts, "tensor") || parts.size() <= at + 1) return false;
    const bool loads = parts[at].starts_with("shared"), from_shared = parts[at + 1].starts_with("shared");
    if (loads && reduces) return false;
    Place numbers[4] = {0, 0, 0, 0};
    const auto take = [&](size_t operand, Place& p, size_t which, Place wide) {
        int64_t offset = 0;
        d.address(s.operands.at(operand), p, offset);
        numbers[which] = Place(int32_t(offset));
        if (d.is_wide(s.operands[operand])) numbers[3] |= wide;
    };
    take(0, i.a, 0, to_wide), take(1, i.b, 1, from_wide);
    i.c = d.source(s.operands.at(2), Width::word);
    if (loads) take(3, i.e, 2, barrier_wide);
    if (has_part(parts, "multicast::cluster")) i.members = d.source(s.operands.at(4), Width::half);
    i.more = d.list({numbers[0], numbers[1], numbers[2], numbers[3]});
    if (reduces) {
        i.number = int64_t(sum_of(
            parts[parts.size() - 2] == "noftz" ? parts[parts.size() - 3] : parts[parts.size() - 2], parts.back()));
        if (!i.number) return false;
    }
    i.reaches_cluster = true;
    i.execute = !loads ? store : from_shared ? load<true> : load<false>;
    return true;
}

// ---- Clocks: they go on, as fast as they like ----

template <class U>
void read_clock(Warp& w, const Instruction& i, Mask m) {
    w.clock += 1 + w.executed + (w.shuffled && w.chance(2) ? 1000 : 0);
    for_each_lane(w, m, [&](unsigned l) { w.at<U>(i.d)[l] = U(w.clock * (i.number ? 32 : 1)); });
}

bool decode_clock(Decoder& d, const Statement& s, Instruction& i) {
    if (!s.opcode.starts_with("mov.") || s.operands.size() != 2) return false;
    const std::string& from = s.operands[1].symbol;
    i.number = from == "%globaltimer";  // nanoseconds, in steps
    if (from == "%clock64" || i.number)
        return i.d = d.target(s.operands[0], Width::double_word), i.execute = read_clock<uint64_t>, true;
    if (from == "%clock" || from == "%globaltimer_lo")
        return i.d = d.target(s.operands[0], Width::word), i.execute = read_clock<uint32_t>, true;
    return false;
}

void sleep(Warp& w, const Instruction&, Mask) { w.block->yield(); }

// What a cache should keep is a hint.
void make_policy(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) { w.at<uint64_t>(i.d)[l] = 0; });
}
void always_true(Warp& w, const Instruction& i, Mask m) { w.predicate(i.d) |= m; }

}  // namespace

bool decode_cluster(Decoder& d, const Statement& s, Instruction& i) {
    const auto parts = parts_of(s.opcode);
    if (parts[0] == "mapa" || parts[0] == "getctarank") return decode_address(d, s, i, parts);
    if (parts[0] == "barrier" && parts.size() > 2 && parts[1] == "cluster") return decode_barrier(parts, i);
    if (parts[0] == "cp" && (s.opcode.starts_with("cp.async.bulk.") || s.opcode.starts_with("cp.reduce.async.bulk.")))
        return decode_copy(d, s, i, parts);
    if (s.opcode == "nanosleep.u32") return i.execute = sleep, true;
    if (parts[0] == "createpolicy")
        return i.d = d.target(s.operands.at(0), Width::double_word), i.execute = make_policy, true;
    if (s.opcode == "mov.pred" && s.operands.size() == 2 && s.operands[1].symbol == "%is_explicit_cluster")
        return i.d = d.target(s.operands[0], Width::predicate), i.execute = always_true, true;
    return decode_clock(d, s, i);
}

}  // namespace ptx
