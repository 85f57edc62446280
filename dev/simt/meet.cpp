// How threads of a warp and of a block meet, and what a message says of those who never do.
#include <cstring>
#include <map>
#include "block.h"

namespace simt {
namespace {
bool same_name(const char* a, const char* b) { return a == b || !std::strcmp(a, b); }
bool same_place(At a, At b) { return a.line == b.line && same_name(a.file, b.file); }
std::string hex(unsigned mask) {
    char text[16];
    std::snprintf(text, sizeof text, "%08x", mask);
    return text;
}
}  // namespace

std::string to_string(At at) { return std::string(at.file) + ':' + std::to_string(at.line); }

// What the running thread has written so far comes before what follows an acquire of the same address.
void Block::release(void* order, char* proxy_order) {
    if (!thread_sanitizer) return;
    Backstage::enter();
    __tsan_release(order);
    if (self()->proxy) {
        __tsan_switch_to_fiber(self()->proxy, no_sync);
        __tsan_release(proxy_order);
    }
    __tsan_switch_to_fiber(backstage, no_sync);
}
void Block::acquire_for_proxy(char* order) {
    if (!thread_sanitizer || !self()->proxy) return;
    __tsan_switch_to_fiber(self()->proxy, no_sync);
    __tsan_acquire(order);
    __tsan_switch_to_fiber(backstage, no_sync);
}

// ---- Of a warp ----

const Gathered& Block::gather(const char* name, unsigned mask, const uint64_t* words, int count, At at, Form form,
                              Orders orders) {
    CudaThread* t = self();
    if (!(mask >> t->lane & 1))
        fail(719, std::string(name) + ": lane " + std::to_string(t->lane) + " is not in its own mask " + hex(mask) +
                      "; " + to_string(at));
    forget_meeting(t);
    Meeting* m = meeting_for(name, mask, at, form);
    for (int i = 0; i < count; i++) m->value[t->lane][i] = words[i];
    m->lanes |= 1u << t->lane;
    t->meeting = m;
    if (orders == Orders::memory) release(m, &m->proxy_order);
    if (!complete_if_all_here(warps[t->linear / 32], m)) {
        t->waits_in = name;
        t->waits_at = at;
        wait();
    }
    if (orders == Orders::memory) acquire_for_proxy(&m->proxy_order);
    return *m;
}

Meeting* Block::meeting_for(const char* name, unsigned mask, At at, Form form) {
    Warp& warp = warps[running->linear / 32];
    for (Meeting* m : warp.meetings) {
        if (m->mask != mask || !same_name(m->name, name)) continue;
        if (form == Form::aligned && !same_place(m->at, at))
            fail(719, std::string(name) + ": all lanes must execute the same one, but some are at " + to_string(m->at) +
                          " and this one is at " + to_string(at));
        return m;
    }
    Meeting* m;
    std::vector<Meeting*>& unused = unused_meetings[turn];
    if (unused.empty()) m = new Meeting;
    else m = unused.back(), unused.pop_back();
    m->mask = mask;
    m->lanes = 0;
    m->name = name;
    m->at = at;
    m->form = form;
    warp.meetings.push_back(m);
    return m;
}

bool Block::complete_if_all_here(Warp& warp, Meeting* m) {
    if (m->lanes != (m->mask & warp.living)) return false;
    std::erase(warp.meetings, m);
    m->readers = unsigned(__builtin_popcount(m->lanes));
    CudaThread* first = &threads[running->linear / 32 * 32];
    const unsigned turn = shuffled ? unsigned(random()) % 32 : 0;
    for (unsigned i = 0; i < 32; i++) {
        const unsigned lane = (i + turn) % 32;
        if (m->lanes >> lane & 1 && first + lane != running) make_ready(first + lane);
    }
    return true;
}

// A meeting's values may be needed until the last of its lanes has gone on to another.
void Block::forget_meeting(CudaThread* t) {
    if (t->meeting && --t->meeting->readers == 0) unused_meetings[turn].push_back(t->meeting);
    t->meeting = nullptr;
}

// ---- Of a block ----

Barrier& Block::arrive(const char* name, int id, int threads_expected, bool predicate, Reach reach, At at) {
    if (id < 0 || id >= barriers_per_block)
        fail(719, std::string(name) + ": there is no barrier " + std::to_string(id) + "; " + to_string(at));
    if (threads_expected % 32 || threads_expected < 0 || unsigned(threads_expected) > (count + 31) / 32 * 32)
        fail(719, std::string(name) + ": " + std::to_string(threads_expected) +
                      " is no multiple of 32 within the block; " + to_string(at));
    Barrier& b = barriers[size_t(id)];
    if (b.arrived == 0) {
        b.expected = threads_expected, b.name = name, b.at = at;
    } else if (b.expected != threads_expected) {
        fail(719, "barrier " + std::to_string(id) + ": others expect " + std::to_string(b.expected) + " threads, but " +
                      to_string(at) + " expects " + std::to_string(threads_expected));
    } else if (reach == Reach::same_line && !same_place(b.at, at)) {
        fail(719,
             std::string("divergent barrier: this thread calls ") + name + " at " + to_string(at) + describe_waiting());
    }
    Ordering& order = b.order[turn][b.phase & 1];
    release(&order.generic, &order.proxy);
    b.arrived++;
    b.nonzero += predicate;
    open_barriers |= 1u << id;
    return b;
}

Votes Block::barrier_sync(const char* name, int id, int threads_expected, bool predicate, Reach reach, At at,
                          Ordering*& order) {
    CudaThread* t = self();
    Barrier& b = arrive(name, id, threads_expected, predicate, reach, at);
    order = &b.order[turn][b.phase & 1];
    if (!complete_if_all_here(b)) {
        b.waiting.push_back(t);
        t->barrier = id;
        t->waits_in = name;
        t->waits_at = at;
        wait();
        t->barrier = -1;
    }
    acquire_for_proxy(&order->proxy);
    return b.result;
}

void Block::barrier_arrive(int id, int threads_expected, At at) {
    complete_if_all_here(arrive("bar.arrive", id, threads_expected, false, Reach::anywhere, at));
    let_others_go_on();
}

bool Block::complete_if_all_here(Barrier& b) {
    if (b.arrived != (b.expected == all_threads ? living : unsigned(b.expected)) || b.arrived == 0) return false;
    b.result = {b.arrived, b.nonzero};
    b.arrived = b.nonzero = 0;
    b.phase++;
    open_barriers &= ~(1u << (&b - barriers.data()));
    const size_t n = b.waiting.size(), turn = shuffled && n ? random() % n : 0;
    for (size_t i = 0; i < n; i++) make_ready(b.waiting[(i + turn) % n]);
    b.waiting.clear();
    return true;
}

// "; threads 0-31, 64 wait in __syncthreads at rmsnorm.cuh:40; threads 32-63 have exited"
std::string Block::describe_waiting() const {
    std::map<std::string, std::string> groups;
    auto add = [&](unsigned first, unsigned last, const std::string& what) {
        std::string& list = groups[what];
        if (!list.empty()) list += ", ";
        list += std::to_string(first) + (last > first ? '-' + std::to_string(last) : "");
    };
    auto what_does = [&](unsigned i) -> std::string {
        const CudaThread& t = threads[i];
        if (&t == running) return "";
        if (states[i] == State::done) return "have exited";
        if (states[i] != State::waiting) return states[i] == State::ready ? "could go on" : "have not started";
        const std::string place = std::string(t.waits_in) + " at " + to_string(t.waits_at);
        if (t.for_warpgroup) return "wait in " + place + " for the other warps of the warpgroup";
        if (t.async_barrier)
            return "wait in " + place + " for parity " + std::to_string(t.parity) + " of " + describe(*t.async_barrier);
        if (t.barrier < 0 && !t.meeting) return "wait in " + place;
        if (t.barrier < 0) return "wait in " + place + " for lanes " + hex(t.meeting->mask & ~t.meeting->lanes);
        const Barrier& b = barriers[size_t(t.barrier)];
        const unsigned expected = b.expected == all_threads ? living : unsigned(b.expected);
        return "wait in " + place + " (barrier " + std::to_string(t.barrier) + ", " + std::to_string(b.arrived) +
               " of " + std::to_string(expected) + " threads)";
    };
    unsigned first = 0;
    for (unsigned i = 1; i <= count; i++) {
        if (i < count && what_does(i) == what_does(first)) continue;
        const std::string what = what_does(first);
        if (!what.empty()) add(first, i - 1, what);
        first = i;
    }
    std::string text;
    for (const auto& [what, list] : groups) text += "; threads " + list + ' ' + what;
    return text;
}

// ---- What the headers declare ----

__attribute__((flatten)) const Gathered& gather(const char* name, unsigned mask, const uint64_t* words, int count,
                                                At at, Form form, Orders orders) {
    const Gathered* all;
    {
        Block& block = Block::mine();
        const Block::Backstage backstage(block);
        all = &block.gather(name, mask, words, count, at, form, orders);
    }
    if (orders == Orders::memory) __tsan_acquire(const_cast<Gathered*>(all));
    return *all;
}
__attribute__((flatten)) Votes barrier_sync(const char* name, int id, int threads, bool predicate, Reach reach, At at) {
    Votes votes;
    Ordering* order;
    {
        Block& block = Block::mine();
        const Block::Backstage backstage(block);
        votes = block.barrier_sync(name, id, threads, predicate, reach, at, order);
    }
    __tsan_acquire(&order->generic);
    return votes;
}
void barrier_arrive(int id, int threads, At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.barrier_arrive(id, threads, at);
}

}  // namespace simt
