// Hopper's instructions: asynchronous barriers, tensor copies, products of warpgroups (PTX ISA 9.7.9.27, 9.7.13.15,
// 9.7.15). dev/simt does what they mean, as late or as early as the rules allow.
#include <map>
#include "decoder.h"
#include "dev/simt/block.h"
#include "memory.h"
#include "products.h"
#include "shadow.h"
#include "tally.h"

namespace ptx {
namespace {

constexpr unsigned barrier_bytes = 8;
constexpr uint64_t state_tag = uint64_t(0x5a5a5a5a) << 32;  // of what an arrival gives

uint64_t* barrier_at(Warp& w, const Instruction& i, unsigned lane) {
    return reinterpret_cast<uint64_t*>(resolve(w, i, lane, Space::shared,
                                               value_at(w, i.a, i.number & 1, lane) + uint64_t(i.offset), barrier_bytes,
                                               barrier_bytes));
}

// Who uses a barrier must have seen its initialisation. Other blocks' is ordered by the cluster's barrier.
void must_see_barrier(Warp& w, const Instruction& i, unsigned lane, const uint64_t* p) {
    if (w.shadow) w.shadow->read(w, i, lane, reinterpret_cast<const char*>(p), barrier_bytes);
}

// The block whose barrier it is; null: this one.
simt::Block* owner_of_barrier(Warp& w, const Instruction& i, unsigned lane) {
    const uint64_t address = value_at(w, i.a, i.number & 1, lane) + uint64_t(i.offset);
    simt::Block* owner = nullptr;
    if (has_rank(address)) w.as(lane, [&] { owner = &w.block->peer(i.name, rank_in(address), i.at); });
    return owner;
}

// In a shuffled order others may go on before this warp does.
void perhaps_yield(Warp& w) {
    if (w.shuffled && w.chance(4)) w.block->yield();
}

// ---- Barriers: i.a and i.offset name it, i.b is a number ----

void barrier_init(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        uint64_t* p = barrier_at(w, i, l);
        w.as(l, [&] { *p = w.block->async_barrier_init(p, int(w.at<uint32_t>(i.b)[l]), i.at); });
        if (w.shadow) w.shadow->write(w, i, l, reinterpret_cast<const char*>(p), barrier_bytes);
    });
}
// i.b: bytes that are announced, i.c: how many arrivals this is, i.d: where the state goes. Of the state programs know
// nothing; here its last bit is the phase's parity.
void barrier_arrive(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        const uint64_t* p = barrier_at(w, i, l);
        const unsigned bytes = i.b == nowhere ? 0 : w.at<uint32_t>(i.b)[l];
        const unsigned arrivals = i.c == nowhere ? 1 : w.at<uint32_t>(i.c)[l];
        if (arrivals < 1) fail(w, l, i, 719, "no arrivals");
        if (w.shadow) w.shadow->release(w, p, 0);
        simt::Block* const owner = owner_of_barrier(w, i, l);
        if (!owner) must_see_barrier(w, i, l, p);
        w.as(l, [&] {
            if (i.d != nowhere)
                w.at<uint64_t>(i.d)[l] = state_tag | w.block->async_barrier_is_over(i.name, p, *p, 0, i.at);
            for (unsigned k = 0; k < arrivals; k++) w.block->async_barrier_arrive(p, *p, k ? 0 : bytes, i.at, owner);
        });
    });
    perhaps_yield(w);
}
void barrier_wait(Warp& w, const Instruction& i, Mask m) {
    const bool tests_only = i.number & 2;
    uint32_t parity[warp_lanes];
    for_each_lane(w, m, [&](unsigned l) {
        if (!(i.number & 4)) return void(parity[l] = w.at<uint32_t>(i.b)[l]);
        const uint64_t state = w.at<uint64_t>(i.b)[l];
        if ((state & ~uint64_t(1)) != state_tag) fail(w, l, i, 719, "this is no state that an arrival gave");
        parity[l] = state & 1;
    });
    Mask over = 0;
    for_each_lane(w, m, [&](unsigned l) {
        const uint64_t* p = barrier_at(w, i, l);
        must_see_barrier(w, i, l, p);
        w.as(l, [&] { over |= Mask(w.block->async_barrier_is_over(i.name, p, *p, parity[l], i.at)) << l; });
    });
    const auto wait_for = [&](Mask lanes) {
        for_each_lane(w, lanes, [&](unsigned l) {
            const uint64_t* p = barrier_at(w, i, l);
            w.block->async_barrier_wait(p, *p, parity[l], i.at);
            if (w.shadow) w.shadow->acquire(w, p, 0);
        });
    };
    if (!tests_only && over != m) w.wait([&] { wait_for(m); }), over = m;
    else wait_for(over);
    Mask& d = w.predicate(i.d);
    d = (d & ~m) | over;
    if (tests_only) w.block->yield();
}
void barrier_init_fence(Warp& w, const Instruction&, Mask m) {
    for_each_lane(w, m, [&](unsigned l) { w.as(l, [&] { w.block->async_barrier_init_fence(); }); });
}
void proxy_fence(Warp& w, const Instruction&, Mask m) {
    for_each_lane(w, m, [&](unsigned l) { w.as(l, [&] { w.block->proxy_fence(); }); });
}

void take_barrier(Decoder& d, const Operand& o, Instruction& i) {
    d.address(o, i.a, i.offset);
    i.number |= d.is_wide(o);
}

bool decode_barrier(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    const std::string_view what = parts.at(1);
    if (what == "init") {
        take_barrier(d, s.operands.at(0), i);
        i.b = d.source(s.operands.at(1), Width::word);
        return i.execute = barrier_init, true;
    }
    if (what == "inval") return false;
    if (what == "arrive") {
        if (s.operands.at(0).kind != Operand::Kind::none) i.d = d.target(s.operands[0], Width::double_word);
        take_barrier(d, s.operands.at(1), i);
        if (s.operands.size() > 2) (has_part(parts, "expect_tx") ? i.b : i.c) = d.source(s.operands[2], Width::word);
        return i.execute = barrier_arrive, true;
    }
    if (what != "try_wait" && what != "test_wait") return false;
    const bool by_parity = has_part(parts, "parity");
    i.d = d.target(s.operands.at(0), Width::predicate);
    take_barrier(d, s.operands.at(1), i);
    i.b = d.source(s.operands.at(2), by_parity ? Width::word : Width::double_word);
    i.number |= (what == "test_wait" ? 2 : 0) | (by_parity ? 0 : 4);
    i.flow = Flow::wait;
    return i.execute = barrier_wait, true;
}

// ---- Tensor copies ----
// i.more are the coordinates; i.a and i.offset the shared address, i.b the map, i.c and i.target the barrier.

simt::Coordinates coordinates(Warp& w, const Instruction& i, unsigned lane) {
    simt::Coordinates c{int(i.count), {}};
    for (unsigned k = 0; k < i.count; k++) c.c[k] = int(w.at<uint32_t>(i.more[k])[lane]);
    return c;
}
char* shared_at(Warp& w, const Instruction& i, unsigned lane) {
    return resolve(w, i, lane, Space::shared, value_at(w, i.a, i.number & 1, lane) + uint64_t(i.offset), 16, 16);
}
// Of a copy that was accepted: it is counted, and what it reads must have been written.
void note_box(Warp& w, const Instruction& i, unsigned lane, const void* map, bool loads) {
    if (!w.tally && !(w.shadow && loads)) return;
    const simt::Coordinates c = coordinates(w, i, lane);
    simt::Box box{*static_cast<const simt::TensorMapData*>(map), {}};
    for (int k = 0; k < c.rank; k++) box.c[k] = c.c[k];
    if (w.tally) w.tally->note_box(w, i, box, loads);
    if (!w.shadow || !loads) return;
    box.for_each_row([&](size_t, const char* row, size_t, size_t n) {
        if (n) w.shadow->must_be_written(w, i, lane, row, n * box.map.element_bytes);
    });
}
void tensor_load(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        const void* map = reinterpret_cast<const void*>(w.at<uint64_t>(i.b)[l]);
        const auto* barrier = reinterpret_cast<const uint64_t*>(resolve(
            w, i, l, Space::shared, value_at(w, i.c, i.number & 2, l) + i.target, barrier_bytes, barrier_bytes));
        char* to = shared_at(w, i, l);
        w.as(l, [&] {
            const unsigned ranks = i.e == nowhere ? 0 : w.at<uint16_t>(i.e)[l];
            w.block->tensor_load(to, map, barrier, *barrier, coordinates(w, i, l), i.at, nullptr, ranks);
            note_box(w, i, l, map, true);
            const size_t bytes = w.block->tensor_map(i.name, map, i.at).box_bytes();
            for (unsigned rest = ranks ? ranks : 1u << w.block->rank; rest; rest &= rest - 1) {
                const simt::Block& owner = w.block->peer(i.name, unsigned(__builtin_ctz(rest)), i.at);
                if (Shadow* const shadow = window_of(owner).shadow)
                    shadow->written_by_copy(owner.shared_base + (to - w.block->shared_base), bytes);
            }
        });
    });
    perhaps_yield(w);
}
void tensor_store(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        const void* map = reinterpret_cast<const void*>(w.at<uint64_t>(i.b)[l]);
        const char* from = shared_at(w, i, l);
        w.as(l, [&] { w.block->tensor_store(map, from, coordinates(w, i, l), i.at, nullptr); });
        note_box(w, i, l, map, false);
    });
}
void commit_stores(Warp& w, const Instruction&, Mask m) {
    for_each_lane(w, m, [&](unsigned l) { w.as(l, [&] { w.block->tensor_store_commit(); }); });
}
void wait_for_stores(Warp& w, const Instruction& i, Mask m) {
    const auto until = i.offset ? simt::Until::read : simt::Until::written;
    for_each_lane(w, m, [&](unsigned l) { w.as(l, [&] { w.block->tensor_store_wait(unsigned(i.number), until); }); });
}
void check_map(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) {
        w.as(l, [&] { w.block->tensor_map(i.name, reinterpret_cast<const void*>(w.at<uint64_t>(i.b)[l]), i.at); });
    });
}

void take_map(Decoder& d, const Statement& s, const Operand& o, Instruction& i) {
    int64_t offset = 0;
    d.address(o, i.b, offset);
    if (offset || i.b == nowhere || !d.is_wide(o)) d.fail(s, "a tensor map whose address is no 64-bit register");
}

bool decode_copy(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    const bool loads = parts.at(5).starts_with("shared");
    if (has_part(parts, "im2col") || has_part(parts, "gather4") || has_part(parts, "scatter4")) return false;
    const Operand &map = s.operands.at(loads ? 1 : 0), &shared = s.operands.at(loads ? 0 : 1);
    take_map(d, s, map, i);
    d.address(shared, i.a, i.offset);
    i.number = d.is_wide(shared);
    std::vector<Place> places;
    for (const Operand& o : map.list.at(0).list) places.push_back(d.source(o, Width::word));
    i.more = d.list(places);
    i.count = unsigned(places.size());
    i.execute = loads ? tensor_load : tensor_store;
    if (!loads) return true;
    int64_t offset = 0;
    d.address(s.operands.at(2), i.c, offset);
    i.target = uint32_t(offset);
    i.number |= d.is_wide(s.operands[2]) ? 2 : 0;
    if (has_part(parts, "multicast::cluster")) i.e = d.source(s.operands.at(3), Width::half);
    return true;
}

// ---- Products ----

void products_fence(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) { w.as(l, [&] { w.block->wgmma_fence(i.at); }); });
}
void products_commit(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) { w.as(l, [&] { w.block->wgmma_commit(i.at); }); });
}
void products_wait(Warp& w, const Instruction& i, Mask m) {
    const unsigned leader = w.leader;
    w.products->show(w, m);
    w.wait([&] { w.block->wgmma_wait(unsigned(i.number), i.at); });
    for_each_lane(w, m & ~(Mask(1) << leader),
                  [&](unsigned l) { w.as(l, [&] { w.block->wgmma_wait(unsigned(i.number), i.at); }); });
    w.products->deliver(w, m);
}

// i.more: d's registers, then a's if it has some. i.a, i.b: descriptors, i.c: whether it adds.
void multiply(Warp& w, const Instruction& i, Mask m) {
    const unsigned n = i.count;
    const bool a_in_registers = i.a == nowhere;
    Staged& staged = w.products->of(i.more[0], n);
    staged.places = i.more;
    for_each_lane(w, m, [&](unsigned l) {
        float* d = staged.values[l];
        for (unsigned k = 0; k < n; k++) d[k] = w.at<float>(i.more[k])[l];
        uint32_t a[4];
        for (unsigned k = 0; a_in_registers && k < 4; k++) a[k] = w.at<uint32_t>(i.more[n + k])[l];
        const simt::Factors factors{a_in_registers,
                                    bool(i.number & 1),
                                    bool(i.number & 2),
                                    bool(w.predicate(i.c) >> l & 1),
                                    int(n),
                                    a_in_registers ? 0 : w.at<uint64_t>(i.a)[l],
                                    w.at<uint64_t>(i.b)[l]};
        w.as(l, [&] { w.block->multiply(d, a_in_registers ? a : nullptr, factors, i.at, nullptr); });
        for (unsigned k = 0; k < n; k++) w.at<float>(i.more[k])[l] = d[k];
    });
    staged.held = true;
}

bool decode_multiply(Decoder& d, const Statement& s, Instruction& i) {
    if (!s.opcode.ends_with("k16.f32.bf16.bf16")) return false;
    std::vector<Place> places;
    for (const Operand& o : s.operands.at(0).list) places.push_back(d.target(o, Width::word));
    i.count = unsigned(places.size());
    const Operand& a = s.operands.at(1);
    for (const Operand& o : a.list) places.push_back(d.source(o, Width::word));
    i.more = d.list(places);
    if (a.kind == Operand::Kind::reg) i.a = d.source(a, Width::double_word);
    i.b = d.source(s.operands.at(2), Width::double_word);
    i.c = d.source(s.operands.at(3), Width::predicate);
    const auto number = [&](size_t k) { return s.operands.at(k).bits; };
    if (number(4) != 1 || number(5) != 1) d.fail(s, "a negated factor");
    const bool in_registers = i.a == nowhere;
    i.number = in_registers ? int64_t(number(6)) << 1 : int64_t(number(6) | number(7) << 1);
    i.operations = 2 * 16 * (2 * i.count) * 16;  // a warp's share, 16 rows
    i.execute = multiply;
    return true;
}

void set_registers(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) { w.as(l, [&] { w.block->set_registers(int(i.number), i.at); }); });
}
void nothing(Warp&, const Instruction&, Mask) {}

bool decode_product(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    const std::string_view what = parts.at(1);
    if (what == "fence") i.execute = products_fence;
    else if (what == "commit_group") i.execute = products_commit;
    else if (what == "wait_group")
        i.execute = products_wait, i.flow = Flow::wait, i.number = int64_t(s.operands.at(0).bits);
    else if (what != "mma_async" || !decode_multiply(d, s, i)) return false;
    i.meeting = Meeting::of_warp;
    return true;
}

}  // namespace

bool decode_hopper(Decoder& d, const Statement& s, Instruction& i) {
    const auto parts = parts_of(s.opcode);
    if (parts[0] == "mbarrier") return decode_barrier(d, s, i, parts);
    if (parts[0] == "wgmma") return decode_product(d, s, i, parts);
    if (s.opcode.starts_with("fence.mbarrier_init")) return i.execute = barrier_init_fence, true;
    if (s.opcode.starts_with("fence.proxy.async")) return i.execute = proxy_fence, true;
    if (s.opcode.starts_with("cp.async.bulk.tensor")) return decode_copy(d, s, i, parts);
    if (s.opcode == "cp.async.bulk.commit_group") return i.execute = commit_stores, true;
    if (s.opcode.starts_with("cp.async.bulk.wait_group")) {
        i.number = int64_t(s.operands.at(0).bits);
        i.offset = has_part(parts, "read");
        return i.execute = wait_for_stores, true;
    }
    if (s.opcode == "prefetch.tensormap") {
        take_map(d, s, s.operands.at(0), i);
        return i.execute = check_map, true;
    }
    if (parts[0] == "setmaxnreg") {
        i.number = int64_t(s.operands.at(0).bits);
        i.meeting = Meeting::of_warp;
        return i.execute = set_registers, true;
    }
    if (parts[0] == "griddepcontrol") return i.execute = nothing, true;
    return false;
}

}  // namespace ptx
