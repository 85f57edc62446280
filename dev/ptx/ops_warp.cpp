// Shuffles, votes, matches and reductions of a warp (PTX ISA 9.7.9.6, 9.7.13). All lanes of the mask are here when
// they execute.
#include <algorithm>
#include "decoder.h"
#include "dev/simt/block.h"
#include "shadow.h"

namespace ptx {
namespace {

enum class Shuffle { up, down, bfly, idx };

// The lane that `lane` reads, and whether it is within its segment; else it reads itself.
bool source_lane(Shuffle mode, unsigned lane, uint32_t b, uint32_t c, unsigned& source) {
    const int own = int(lane), by = int(b & 31), segment = int(c >> 8 & 31), clamp = int(c & 31);
    const int last = (own & segment) | (clamp & ~segment), first = own & segment;
    int from = 0;
    bool inside = false;
    switch (mode) {
        case Shuffle::up: from = own - by, inside = from >= last; break;
        case Shuffle::down: from = own + by, inside = from <= last; break;
        case Shuffle::bfly: from = own ^ by, inside = from <= last; break;
        case Shuffle::idx: from = first | (by & ~segment), inside = from <= last; break;
    }
    source = inside ? unsigned(from) : lane;
    return inside;
}

void shuffle(Warp& w, const Instruction& i, Mask m) {
    const uint32_t *a = w.at<uint32_t>(i.a), *b = w.at<uint32_t>(i.b), *c = w.at<uint32_t>(i.c);
    const uint32_t* members = w.at<uint32_t>(i.members);
    uint32_t result[warp_lanes];
    Mask inside = 0;
    for_each_lane(w, m, [&](unsigned l) {
        unsigned source;
        if (source_lane(Shuffle(i.number), l, b[l], c[l], source)) inside |= Mask(1) << l;
        if (!(members[l] & m) || !((members[l] & m) >> source & 1))
            fail(w, l, i, 719,
                 "lane " + std::to_string(l) + " reads lane " + std::to_string(source) + ", which " +
                     (members[l] >> source & 1 ? "has exited" : "is not in the mask"));
        result[l] = a[source];
    });
    for_each_lane(w, m, [&](unsigned l) { w.at<uint32_t>(i.d)[l] = result[l]; });
    if (i.e != nowhere) w.predicate(i.e) = (w.predicate(i.e) & ~m) | inside;
}

Mask votes(Warp& w, const Instruction& i) {
    const Mask p = w.predicate(i.a);
    return i.number ? ~p : p;
}
void ballot(Warp& w, const Instruction& i, Mask m) {
    const Mask p = votes(w, i) & m;
    const uint32_t* members = w.at<uint32_t>(i.members);
    for_each_lane(w, m, [&](unsigned l) { w.at<uint32_t>(i.d)[l] = p & members[l]; });
}
enum class Vote { all, any, same };
template <Vote kind>
void vote(Warp& w, const Instruction& i, Mask m) {
    const Mask p = votes(w, i);
    const uint32_t* members = w.at<uint32_t>(i.members);
    Mask result = 0;
    for_each_lane(w, m, [&](unsigned l) {
        const Mask here = members[l] & m, yes = p & here;
        const bool r = kind == Vote::all ? yes == here : kind == Vote::any ? yes != 0 : yes == 0 || yes == here;
        result |= Mask(r) << l;
    });
    Mask& d = w.predicate(i.d);
    d = (d & ~m) | result;
}

template <class U, bool all>
void match(Warp& w, const Instruction& i, Mask m) {
    const U* a = w.at<U>(i.a);
    const uint32_t* members = w.at<uint32_t>(i.members);
    Mask same_everywhere = 0;
    for_each_lane(w, m, [&](unsigned l) {
        Mask same = 0;
        for (Mask rest = members[l] & m; rest; rest &= rest - 1) {
            const unsigned other = unsigned(__builtin_ctz(rest));
            same |= Mask(a[other] == a[l]) << other;
        }
        const bool everywhere = same == (members[l] & m);
        same_everywhere |= Mask(everywhere) << l;
        w.at<uint32_t>(i.d)[l] = !all || everywhere ? same : 0;
    });
    if (i.e != nowhere) w.predicate(i.e) = (w.predicate(i.e) & ~m) | same_everywhere;
}

enum class Reduction { add, minimum, maximum, all_bits, any_bits, other_bits };
template <class T>
void reduce(Warp& w, const Instruction& i, Mask m) {
    const uint32_t *a = w.at<uint32_t>(i.a), *members = w.at<uint32_t>(i.members);
    uint32_t results[warp_lanes];
    for_each_lane(w, m, [&](unsigned l) {
        uint32_t result = 0;
        bool first = true;
        for (Mask rest = members[l] & m; rest; rest &= rest - 1, first = false) {
            const uint32_t x = a[__builtin_ctz(rest)], r = result;
            const auto combine = [&]() -> uint32_t {
                switch (Reduction(i.number)) {
                    case Reduction::add: return r + x;
                    case Reduction::minimum: return T(x) < T(r) ? x : r;
                    case Reduction::maximum: return T(x) > T(r) ? x : r;
                    case Reduction::all_bits: return r & x;
                    case Reduction::any_bits: return r | x;
                    case Reduction::other_bits: break;
                }
                return r ^ x;
            };
            result = first ? x : combine();
        }
        results[l] = result;
    });
    for_each_lane(w, m, [&](unsigned l) { w.at<uint32_t>(i.d)[l] = results[l]; });
}

void elect(Warp& w, const Instruction& i, Mask m) {
    Mask chosen = 0;
    w.as(unsigned(__builtin_ctz(m)), [&] { chosen = Mask(1) << simt::elected_lane(m); });
    w.predicate(i.e) = (w.predicate(i.e) & ~m) | chosen;
    if (i.d == nowhere) return;
    for_each_lane(w, m, [&](unsigned l) { w.at<uint32_t>(i.d)[l] = unsigned(__builtin_ctz(chosen)); });
}

// Which lanes run together is up to the hardware: a correct kernel takes any answer that contains the caller.
void active_mask(Warp& w, const Instruction& i, Mask m) {
    for_each_lane(w, m, [&](unsigned l) { w.at<uint32_t>(i.d)[l] = w.shuffled ? Mask(1) << l : m; });
}

// What the lanes wrote before is seen after.
void synchronise(Warp& w, const Instruction&, Mask) {
    if (w.shadow) w.shadow->step(w);
}

bool decode_shuffle(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    constexpr std::string_view modes[] = {"up", "down", "bfly", "idx"};
    const auto mode = std::find(std::begin(modes), std::end(modes), parts.at(2));
    if (mode == std::end(modes)) return false;
    i.number = mode - std::begin(modes);
    Operand result = s.operands.at(0);
    i.e = d.second_target(result);
    i.d = d.target(result, Width::word);
    i.a = d.source(s.operands.at(1), Width::word);
    i.b = d.source(s.operands.at(2), Width::word);
    i.c = d.source(s.operands.at(3), Width::word);
    i.members = d.source(s.operands.at(4), Width::word);
    i.execute = shuffle;
    return true;
}

bool decode_vote(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    Operand p = s.operands.at(1);
    i.number = std::exchange(p.negated, false);
    i.a = d.source(p, Width::predicate);
    i.members = d.source(s.operands.at(2), Width::word);
    const std::string_view kind = parts.at(2);
    i.d = d.target(s.operands[0], kind == "ballot" ? Width::word : Width::predicate);
    i.execute = kind == "ballot" ? ballot
                : kind == "all"  ? vote<Vote::all>
                : kind == "any"  ? vote<Vote::any>
                                 : vote<Vote::same>;
    return true;
}

bool decode_match(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    const bool wide = parts.back() == "b64", all = parts.at(1) == "all";
    Operand result = s.operands.at(0);
    i.e = d.second_target(result);
    i.d = d.target(result, Width::word);
    i.a = d.source(s.operands.at(1), wide ? Width::double_word : Width::word);
    i.members = d.source(s.operands.at(2), Width::word);
    i.execute = wide ? (all ? match<uint64_t, true> : match<uint64_t, false>)
                     : (all ? match<uint32_t, true> : match<uint32_t, false>);
    return true;
}

bool decode_reduction(Decoder& d, const Statement& s, Instruction& i, const std::vector<std::string_view>& parts) {
    constexpr std::string_view names[] = {"add", "min", "max", "and", "or", "xor"};
    const auto name = std::find(std::begin(names), std::end(names), parts.at(2));
    if (name == std::end(names)) return false;
    i.number = name - std::begin(names);
    i.d = d.target(s.operands.at(0), Width::word);
    i.a = d.source(s.operands.at(1), Width::word);
    i.members = d.source(s.operands.at(2), Width::word);
    i.execute = parts.back() == "s32" ? reduce<int32_t> : reduce<uint32_t>;
    return true;
}

}  // namespace

bool decode_warp(Decoder& d, const Statement& s, Instruction& i) {
    const auto parts = parts_of(s.opcode);
    if (s.opcode == "activemask.b32") {
        i.d = d.target(s.operands.at(0), Width::word);
        return i.execute = active_mask, true;
    }
    i.meeting = Meeting::of_members;
    if (s.opcode == "bar.warp.sync") {
        i.members = d.source(s.operands.at(0), Width::word);
        i.meeting = Meeting::anywhere;
        return i.execute = synchronise, true;
    }
    if (parts[0] == "shfl" && decode_shuffle(d, s, i, parts)) return true;
    if (parts[0] == "vote" && decode_vote(d, s, i, parts)) return true;
    if (parts[0] == "match" && decode_match(d, s, i, parts)) return true;
    if (parts[0] == "redux" && decode_reduction(d, s, i, parts)) return true;
    if (s.opcode == "elect.sync") {
        Operand lane = s.operands.at(0);
        i.e = d.second_target(lane);
        if (lane.kind == Operand::Kind::reg) i.d = d.target(lane, Width::word);
        i.members = d.source(s.operands.at(1), Width::word);
        return i.execute = elect, true;
    }
    i.meeting = Meeting::none;
    return false;
}

}  // namespace ptx
