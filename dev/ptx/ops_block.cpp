// Barriers of a block (PTX ISA 9.7.13.1 to 9.7.13.3). dev/simt counts the threads.
#include "decoder.h"
#include "dev/simt/block.h"
#include "shadow.h"

namespace ptx {
namespace {

constexpr unsigned no_threads = 0;

unsigned threads_of(Warp& w, const Instruction& i, unsigned lane) {
    return i.b == nowhere ? no_threads : w.at<uint32_t>(i.b)[lane];
}

// What this warp has done comes before what others do after the barrier. Gives the phase, in which they look for it.
unsigned release(Warp& w, int id) {
    if (!w.shadow) return 0;
    const simt::Barrier& b = w.block->barrier(id);
    if (!b.arrived) w.shadow->reset(&b, b.phase & 1);
    w.shadow->release(w, &b, b.phase & 1);
    return b.phase & 1;
}

// The leader's thread waits, the others of its path arrive before it.
void synchronise(Warp& w, const Instruction& i, Mask m) {
    const unsigned leader = w.leader;
    const uint32_t* id = w.at<uint32_t>(i.a);
    const Mask p = i.c == nowhere ? 0 : w.predicate(i.c);
    const int threads = int(threads_of(w, i, leader));
    const unsigned phase = release(w, int(id[leader]));
    for_each_lane(w, m, [&](unsigned l) {
        if (id[l] != id[leader]) fail(w, l, i, 719, "the lanes of a warp name different barriers");
        w.threads[l].barrier = int(id[l]);
        if (l == leader) return;
        w.as(l, [&] { w.block->barrier_count(i.name, int(id[l]), threads, p >> l & 1, simt::Reach::anywhere, i.at); });
    });
    simt::Votes votes{};
    w.wait([&] {
        simt::Ordering* order;
        votes = w.block->barrier_sync(i.name, int(id[leader]), threads, p >> leader & 1, simt::Reach::anywhere, i.at,
                                      order);
    });
    if (w.shadow) w.shadow->acquire(w, &w.block->barrier(int(id[leader])), phase);
    for_each_lane(w, m, [&](unsigned l) { w.threads[l].barrier = -1; });
    if (i.d == nowhere) return;
    if (i.number == 'p') {
        for_each_lane(w, m, [&](unsigned l) { w.at<uint32_t>(i.d)[l] = votes.nonzero; });
        return;
    }
    const bool result = i.number == 'a' ? votes.nonzero == votes.arrived : votes.nonzero != 0;
    Mask& d = w.predicate(i.d);
    d = (d & ~m) | (result ? m : 0);
}

void arrive(Warp& w, const Instruction& i, Mask m) {
    release(w, int(w.at<uint32_t>(i.a)[__builtin_ctz(m)]));
    for_each_lane(w, m, [&](unsigned l) {
        w.as(l, [&] {
            w.block->barrier_count(i.name, int(w.at<uint32_t>(i.a)[l]), int(threads_of(w, i, l)), false,
                                   simt::Reach::anywhere, i.at);
        });
    });
}

}  // namespace

bool decode_block(Decoder& d, const Statement& s, Instruction& i) {
    const auto parts = parts_of(s.opcode);
    if (parts[0] != "bar" && parts[0] != "barrier") return false;
    if (parts.size() > 1 && (parts[1] == "warp" || parts[1] == "cluster")) return false;
    if (parts[0] == "bar" || has_part(parts, "aligned")) i.meeting = Meeting::of_warp;
    const bool reduces = has_part(parts, "red");
    const size_t first = reduces ? 1 : 0;
    size_t last = s.operands.size();
    if (reduces) {
        Operand p = s.operands.at(--last);
        if (p.negated) d.fail(s, s.opcode + " with a negated predicate");
        i.c = d.source(p, Width::predicate);
        i.number = has_part(parts, "popc") ? 'p' : has_part(parts, "and") ? 'a' : 'o';
        i.d = d.target(s.operands[0], i.number == 'p' ? Width::word : Width::predicate);
    }
    i.a = d.source(s.operands.at(first), Width::word);
    if (first + 1 < last) i.b = d.source(s.operands[first + 1], Width::word);
    const bool arrives = has_part(parts, "arrive");
    if (arrives && i.b == nowhere) d.fail(s, s.opcode + " without a number of threads");
    i.flow = arrives ? Flow::on : Flow::wait;
    i.execute = arrives ? arrive : synchronise;
    return true;
}

}  // namespace ptx
