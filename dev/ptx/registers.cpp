// Registers that are never needed at the same time share a place, so that a warp's fit into a cache. An entry in PTX
// has thousands, each written once: the hardware's registers are chosen by ptxas, later.
#include <algorithm>
#include <set>
#include "code.h"

namespace ptx {
namespace {

class Liveness {
public:
    explicit Liveness(const EntryText& text)
        : text(text), first(text.registers.size(), ~size_t(0)), last(text.registers.size(), 0) {
        for (size_t i = 0; i < text.statements.size(); i++) {
            const Statement& s = text.statements[i];
            if (s.guard >= 0) use(s.guard, i);
            for (const Operand& o : s.operands) use(o, i);
        }
        extend_to_waits();
        extend_over_loops();
    }
    bool is_used(size_t r) const { return first[r] != ~size_t(0); }
    size_t begin(size_t r) const { return first[r]; }
    size_t end(size_t r) const { return last[r]; }

private:
    void use(int r, size_t at) {
        first[size_t(r)] = std::min(first[size_t(r)], at);
        last[size_t(r)] = std::max(last[size_t(r)], at);
    }
    void use(const Operand& o, size_t at) {
        if (o.reg >= 0) use(o.reg, at);
        if (o.second >= 0) use(o.second, at);
        for (const Operand& part : o.list) use(part, at);
    }

    // A product's accumulator is written when the product is waited for.
    void extend_to_waits() {
        size_t last_wait = 0;
        for (size_t i = 0; i < text.statements.size(); i++)
            if (text.statements[i].opcode.starts_with("wgmma.wait_group")) last_wait = i;
        for (size_t i = 0; i < last_wait; i++)
            if (const Statement& s = text.statements[i]; s.opcode.starts_with("wgmma.mma_async") && !s.operands.empty())
                use(s.operands[0], last_wait);
    }

    // What is used in a loop lives through all of it, unless all its uses are there and the first one writes it.
    void extend_over_loops() {
        struct Loop {
            size_t begin, end;
        };
        std::vector<Loop> loops;
        for (size_t i = 0; i < text.statements.size(); i++) {
            const Statement& s = text.statements[i];
            if (!s.opcode.starts_with("bra")) continue;
            const size_t target = text.labels.at(s.operands.at(0).symbol);
            if (target <= i) loops.push_back({target, i});
        }
        for (bool changed = true; changed;) {
            changed = false;
            for (const Loop& loop : loops)
                for (size_t r = 0; r < first.size(); r++) {
                    if (!is_used(r) || last[r] < loop.begin || first[r] > loop.end) continue;  // not in it
                    const bool inside = first[r] >= loop.begin && last[r] <= loop.end;
                    if (inside && written_first(r)) continue;
                    const size_t f = std::min(first[r], loop.begin), l = std::max(last[r], loop.end);
                    changed = changed || f != first[r] || l != last[r];
                    first[r] = f, last[r] = l;
                }
        }
    }

    // Its first use in the text writes it, always, and nothing jumps past that to a place where it is read.
    bool written_first(size_t r) const {
        const Statement& s = text.statements[first[r]];
        if (s.guard >= 0 || s.operands.empty()) return false;
        const Operand& to = s.operands[0];
        if (to.kind != Operand::Kind::reg || to.reg != int(r)) return false;
        if (s.opcode.starts_with("st.") || s.opcode.starts_with("red.")) return false;
        for (size_t k = 1; k < s.operands.size(); k++)
            if (reads(s.operands[k], int(r))) return false;
        return !entered_between(first[r], last[r]);
    }
    static bool reads(const Operand& o, int r) {
        return o.reg == r || o.second == r ||
               std::any_of(o.list.begin(), o.list.end(), [&](auto& part) { return reads(part, r); });
    }
    bool entered_between(size_t from, size_t to) const {
        if (targets.empty())
            for (size_t i = 0; i < text.statements.size(); i++)
                if (text.statements[i].opcode.starts_with("bra"))
                    targets.insert({text.labels.at(text.statements[i].operands.at(0).symbol), i});
        for (auto it = targets.upper_bound({from, ~size_t(0)}); it != targets.end() && it->first <= to; ++it)
            if (it->second < from || it->second > to) return true;
        return false;
    }

    const EntryText& text;
    std::vector<size_t> first, last;
    mutable std::set<std::pair<size_t, size_t>> targets;  // of branches, and where they come from
};

size_t place_bytes(Width w) { return w == Width::predicate ? 64 : warp_lanes * size_t(bytes_of(w)); }

}  // namespace

std::vector<Place> place_registers(const EntryText& text, Place first_free, size_t& end) {
    const Liveness live(text);
    const size_t n = text.registers.size();
    std::vector<size_t> order;
    for (size_t r = 0; r < n; r++)
        if (live.is_used(r)) order.push_back(r);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return live.begin(a) < live.begin(b); });
    std::vector<Place> places(n, nowhere);
    std::vector<Place> free_places[4];           // by width
    std::set<std::pair<size_t, size_t>> active;  // last use, register
    size_t next = first_free;
    for (const size_t r : order) {
        while (!active.empty() && active.begin()->first < live.begin(r)) {
            const size_t done = active.begin()->second;
            free_places[size_t(text.registers[done])].push_back(places[done]);
            active.erase(active.begin());
        }
        auto& free = free_places[size_t(text.registers[r])];
        if (free.empty()) {
            places[r] = Place(next);
            next += place_bytes(text.registers[r]);
        } else {
            places[r] = free.back();
            free.pop_back();
        }
        active.insert({live.end(r), r});
    }
    end = next;
    return places;
}

}  // namespace ptx
