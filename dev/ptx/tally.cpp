#include "tally.h"
#include <algorithm>
#include "dev/simt/device_memory.h"
#include "memory.h"

namespace ptx {
namespace {

constexpr unsigned sector_bytes = 32, banks = 32;

// How many wavefronts it takes to reach these words of shared memory at a time: as many as the fullest bank has.
struct Wavefront {
    uint32_t words[banks][warp_lanes];
    uint8_t count[banks] = {};
    unsigned most = 0;

    void add(uint64_t word) {
        const unsigned bank = unsigned(word % banks);
        uint32_t* const begin = words[bank];
        uint32_t* const end = begin + count[bank];
        if (std::find(begin, end, uint32_t(word)) != end) return;
        *end = uint32_t(word);
        most = std::max<unsigned>(most, ++count[bank]);
    }
};

// `address_of`: of a lane. A phase is of so many lanes that each may have a word of every bank.
template <class F>
void note_shared(Counts& c, Mask active, unsigned bytes, F address_of) {
    const unsigned lanes = bytes <= 4 ? 32 : 128 / bytes, words = (bytes + 3) / 4;
    c.shared_requests++;
    for (unsigned first = 0; first < warp_lanes; first += lanes) {
        Wavefront wavefront;
        for (unsigned l = first; l < first + lanes; l++)
            for (unsigned k = 0; k < words && (active >> l & 1); k++) wavefront.add(address_of(l) / 4 + k);
        c.wavefronts += wavefront.most;
        c.phases += wavefront.most > 0;
    }
}

uint64_t address_in(Warp& w, const Instruction& i, unsigned lane) {
    return i.wide ? address_of<true>(w, i, lane) : address_of<false>(w, i, lane);
}

// Where a generic address leads; in shared memory it becomes one of that space.
Space space_of(const Warp& w, unsigned lane, uint64_t& address) {
    const auto inside = [&](const char* begin, size_t n) { return address - uint64_t(begin) < n; };
    const SharedWindow& s = shared_window();
    if (inside(s.dynamic, s.dynamic_bytes)) return address -= uint64_t(s.dynamic), Space::shared;
    if (inside(s.fixed, s.fixed_bytes)) return address += s.fixed_begin - uint64_t(s.fixed), Space::shared;
    if (inside(w.local + lane * w.code->local_bytes, w.code->local_bytes)) return Space::local;
    return inside(w.parameters, w.code->parameter_bytes) ? Space::parameter : Space::global;
}

}  // namespace

void Tally::Request::add(uint64_t address, unsigned n) {
    const uint64_t at = address / sector_bytes;
    const uint32_t mask = uint32_t(((uint64_t(1) << n) - 1) << address % sector_bytes);
    for (unsigned k = count; k-- > 0;)
        if (sector[k] == at) return void(bytes[k] |= mask);
    sector[count] = at;
    bytes[count++] = mask;
}

void Tally::note(Warp& w, const Instruction& i, Mask lanes, Mask active) {
    Counts& c = of(w, i);
    c.instructions++;
    c.lanes += unsigned(__builtin_popcount(i.flow == Flow::branch ? lanes : active));
    c.operations += i.operations;
    c.branches += i.flow == Flow::branch;
    c.divergent += i.flow == Flow::branch && active && active != lanes;
    switch (i.counted) {
        case Counted::nothing: return;
        case Counted::copy: return note_copy(w, i, active);
        case Counted::matrices: return note_matrices(w, i);
        default: return note_access(w, i, active);
    }
}

void Tally::note_access(Warp& w, const Instruction& i, Mask active) {
    Space space = i.space;
    uint64_t address[warp_lanes] = {};
    for (Mask m = active; m; m &= m - 1) {
        const unsigned l = unsigned(__builtin_ctz(m));
        address[l] = address_in(w, i, l);
        if (i.space == Space::generic) space = space_of(w, l, address[l]);
    }
    Counts& c = of(w, i);
    if (space == Space::shared) return note_shared(c, active, i.counted_bytes, [&](unsigned l) { return address[l]; });
    if (space != Space::global) return;
    Request request;
    for (Mask m = active; m; m &= m - 1) request.add(address[__builtin_ctz(m)], i.counted_bytes);
    if (i.counted != Counted::store) note_global(c.read, request, true);
    if (i.counted != Counted::load) note_global(c.written, request, false);
}

void Tally::note_copy(Warp& w, const Instruction& i, Mask active) {
    Request request;
    for (Mask m = active; m; m &= m - 1) {
        const unsigned l = unsigned(__builtin_ctz(m));
        const unsigned valid = i.c == nowhere ? i.counted_bytes : w.at<uint32_t>(i.c)[l];
        if (valid) request.add(w.at<uint64_t>(i.b)[l] + i.count, std::min<unsigned>(valid, i.counted_bytes));
    }
    Counts& c = of(w, i);
    note_shared(c, active, i.counted_bytes, [&](unsigned l) { return address_in(w, i, l); });
    if (request.count) note_global(c.read, request, true);
}

// Of each matrix eight lanes name eight rows of 16 bytes.
void Tally::note_matrices(Warp& w, const Instruction& i) {
    const Mask lanes = i.count >= 4 ? all_lanes : (Mask(1) << 8 * i.count) - 1;
    note_shared(of(w, i), lanes, 16, [&](unsigned l) { return address_in(w, i, l); });
}

void Tally::note_box(const Warp& w, const Instruction& i, const simt::Box& box, bool reads) {
    box.for_each_row([&](size_t, const char* row, size_t, size_t n) {
        if (n) note_bytes(w, i, row, n * box.map.element_bytes, reads);
    });
}
void Tally::note_bytes(const Warp& w, const Instruction& i, const char* global, size_t bytes, bool reads) {
    Counts& c = of(w, i);
    Traffic& t = reads ? c.read : c.written;
    const uint64_t first = uint64_t(global) / sector_bytes, last = (uint64_t(global) + bytes - 1) / sector_bytes;
    t.requests++;
    t.sectors += last - first + 1;
    t.useful += bytes;
    for (uint64_t s = first; s <= last; s++) note_once(t, s, reads);
}

void Tally::note_global(Traffic& t, const Request& request, bool reads) {
    t.requests++;
    t.sectors += request.count;
    for (unsigned k = 0; k < request.count; k++) {
        t.useful += unsigned(__builtin_popcount(request.bytes[k]));
        note_once(t, request.sector[k], reads);
    }
}

void Tally::note_once(Traffic& t, uint64_t sector, bool reads) {
    const uint64_t address = sector * sector_bytes;
    if (!find(address)) return;  // a table of the module
    uint32_t& last = (reads ? buffer.read : buffer.written)[(address - uint64_t(buffer.begin)) / sector_bytes];
    if (__atomic_load_n(&last, __ATOMIC_RELAXED) == run) return;
    if (__atomic_exchange_n(&last, run, __ATOMIC_RELAXED) != run)
        (is_tensor(address) ? t.once : t.scratch) += sector_bytes;
}

}  // namespace ptx
