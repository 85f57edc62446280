#include "memory.h"
#include <algorithm>
#include <cstring>
#include "dev/simt/device_memory.h"
#include "dev/simt/shared_memory.h"
#include "module_memory.h"
#include "shadow.h"

namespace ptx {
namespace {

constexpr int illegal = 700, misaligned = 716;

struct Range {
    uintptr_t begin, end;
    bool holds(uintptr_t p, size_t bytes) const { return p >= begin && p < end && bytes <= end - p; }
};
// Those that the OS thread has used last, newest first.
struct Ranges {
    Range of[4] = {};
    bool find(uintptr_t p, size_t bytes) {
        for (size_t i = 0; i < 4; i++) {
            if (!of[i].holds(p, bytes)) continue;
            if (i) std::rotate(of, of + i, of + i + 1);
            return true;
        }
        return false;
    }
    void add(Range r) {
        std::rotate(of, of + 3, of + 4);
        of[0] = r;
    }
};
thread_local Ranges ranges;

std::string at_address(uint64_t address) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
    return text;
}

// Of global memory: a buffer, or a variable of the module.
bool look_up(uintptr_t p, size_t bytes) {
    const char *begin, *end;
    const void* address = reinterpret_cast<const void*>(p);
    if (!simt::find_device(address, begin, end) && !find_module_variable(address, begin, end)) return false;
    ranges.add({reinterpret_cast<uintptr_t>(begin), reinterpret_cast<uintptr_t>(end)});
    return ranges.of[0].holds(p, bytes);
}

char* global(Warp& w, const Instruction& i, unsigned lane, uint64_t address, unsigned bytes) {
    if (!ranges.find(address, bytes) && !look_up(address, bytes)) {
        const std::string where = simt::describe_address(reinterpret_cast<const void*>(address));
        fail(w, lane, i, illegal,
             "touches " + (where.empty() ? "an address in no device buffer: " + at_address(address) : where));
    }
    return reinterpret_cast<char*>(address);
}

// Null: they are not all in it.
char* place_in(const SharedWindow& s, uint64_t address, unsigned bytes) {
    if (address < s.dynamic_bytes && bytes <= s.dynamic_bytes - address) return s.dynamic + address;
    const uint64_t fixed = address - s.fixed_begin;
    return fixed < s.fixed_bytes && bytes <= s.fixed_bytes - fixed ? s.fixed + fixed : nullptr;
}

char* shared(Warp& w, const Instruction& i, unsigned lane, uint64_t address, unsigned bytes) {
    const SharedWindow& s = shared_window();
    if (char* const p = place_in(s, address, bytes)) return p;
    fail(w, lane, i, illegal,
         "touches byte " + std::to_string(int64_t(int32_t(address))) + " of shared memory, but there are " +
             std::to_string(s.dynamic_bytes) + " dynamic ones" +
             (s.fixed_bytes ? " and " + std::to_string(s.fixed_bytes) + " static ones from " +
                                  std::to_string(s.fixed_begin) + " on"
                            : ""));
}

// In another block of the cluster, or in this one by its rank.
char* shared_of_cluster(Warp& w, const Instruction& i, unsigned lane, uint64_t address, unsigned bytes) {
    if (!i.reaches_cluster)
        fail(w, lane, i, illegal, "has an address of shared memory in another block, but is not for .shared::cluster");
    simt::Block* block = nullptr;
    w.as(lane, [&] { block = &w.block->peer(i.name, rank_in(address), i.at); });
    if (char* const p = place_in(window_of(*block), address & in_block, bytes)) return p;
    fail(w, lane, i, illegal,
         "touches byte " + std::to_string(address & in_block) + " of the shared memory of the block of rank " +
             std::to_string(block->rank) + ", which has not as much");
}

// The other block of the cluster in whose shared memory the generic address is; null: none.
const simt::Block* peer_at(const Warp& w, uint64_t address) {
    for (unsigned r = 0; w.block->cluster && r < w.block->cluster->count(); r++) {
        const simt::Block* const block = w.block->cluster->block(r);
        if (!block || block == w.block) continue;
        const SharedWindow& s = window_of(*block);
        if (address - uint64_t(s.dynamic) < s.dynamic_bytes || address - uint64_t(s.fixed) < s.fixed_bytes)
            return block;
    }
    return nullptr;
}

char* generic(Warp& w, const Instruction& i, unsigned lane, uint64_t address, unsigned bytes) {
    const auto inside = [&](const char* begin, size_t n) {
        return address - uint64_t(begin) < n && bytes <= n - (address - uint64_t(begin));
    };
    char* p = reinterpret_cast<char*>(address);
    const SharedWindow& window = shared_window();
    if (inside(window.dynamic, window.dynamic_bytes) || inside(window.fixed, window.fixed_bytes)) return p;
    if (inside(w.local + lane * w.code->local_bytes, w.code->local_bytes)) return p;
    if (inside(w.parameters, w.code->parameter_bytes)) return p;
    if (peer_at(w, address)) return p;
    return global(w, i, lane, address, bytes);
}

}  // namespace

void forget_ranges() { ranges = {}; }

char* resolve(Warp& w, const Instruction& i, unsigned lane, Space space, uint64_t address, unsigned bytes,
              unsigned alignment) {
    if (address % alignment)
        fail(w, lane, i, misaligned,
             "the address " + at_address(address) + " is not a multiple of " + std::to_string(alignment));
    switch (space) {
        case Space::global:
        case Space::constant: return global(w, i, lane, address, bytes);
        case Space::shared:
            return has_rank(address) ? shared_of_cluster(w, i, lane, address, bytes)
                                     : shared(w, i, lane, address, bytes);
        case Space::generic: return generic(w, i, lane, address, bytes);
        case Space::local:
            if (address < w.code->local_bytes && bytes <= w.code->local_bytes - address)
                return w.local + lane * w.code->local_bytes + address;
            fail(w, lane, i, illegal,
                 "touches byte " + std::to_string(int64_t(address)) + " of " + std::to_string(w.code->local_bytes) +
                     " of local memory");
        case Space::parameter: break;
    }
    if (address < w.code->parameter_bytes && bytes <= w.code->parameter_bytes - address)
        return const_cast<char*>(w.parameters) + address;
    fail(w, lane, i, illegal, "touches byte " + std::to_string(int64_t(address)) + " of the parameters");
}

// Of other blocks' shared memory nothing is known but what was written: nothing is said of races between blocks.
static Shadow* shadow_of_peer(const Warp& w, const char* p) {
    const simt::Block* const peer = peer_at(w, uint64_t(p));
    return peer ? window_of(*peer).shadow : nullptr;
}

static bool is_of_others(Space space) { return space != Space::local && space != Space::parameter; }

// Whether that is local memory, and where it is noted which bytes of it were written.
static char* local_note(const Warp& w, const char* p) {
    const size_t at = size_t(p - w.local);
    return at < w.code->local_bytes * warp_lanes ? w.local_written + at : nullptr;
}

const char* readable(Warp& w, const Instruction& i, unsigned lane, Space space, uint64_t address, unsigned bytes,
                     unsigned alignment) {
    const char* p = resolve(w, i, lane, space, address, bytes, alignment);
    if (!w.shadow) return p;
    if (const char* note = local_note(w, p); note && std::memchr(note, 0, bytes))
        fail(w, lane, i, 719, "reads local memory that nobody has written");
    if (!is_of_others(space)) return p;
    if (Shadow* const peer = shadow_of_peer(w, p)) {
        if (!peer->is_written(p, bytes)) fail(w, lane, i, 719, "reads shared memory that nobody has written");
        return p;
    }
    if (i.is_strong) w.shadow->strong_read(w, i, lane, p, bytes);
    else w.shadow->read(w, i, lane, p, bytes);
    return p;
}
void write(Warp& w, const Instruction& i, unsigned lane, Space space, uint64_t address, const void* value,
           unsigned bytes) {
    char* p = resolve(w, i, lane, space, address, bytes, bytes);
    if (char* note = local_note(w, p)) std::memset(note, 1, bytes);
    else if (Shadow* const peer = w.shadow ? shadow_of_peer(w, p) : nullptr) peer->written_by_copy(p, bytes);
    else if (w.shadow && is_of_others(space)) {
        if (i.is_strong) w.shadow->strong_write(w, p, bytes);
        else w.shadow->write(w, i, lane, p, bytes, !std::memcmp(p, value, bytes));
    }
    std::memcpy(p, value, bytes);
}

uint64_t shared_address(Warp& w, const Instruction& i, unsigned lane, const void* pointer) {
    const char* p = static_cast<const char*>(pointer);
    const SharedWindow& window = shared_window();
    // One past the end is no error yet.
    if (p >= window.dynamic && p <= window.dynamic + window.dynamic_bytes) return uint64_t(p - window.dynamic);
    if (p >= window.fixed && p <= window.fixed + window.fixed_bytes)
        return window.fixed_begin + uint64_t(p - window.fixed);
    if (const simt::Block* const peer = peer_at(w, uint64_t(p)))
        return cluster_address(peer->rank, uint32_t(p - window_of(*peer).dynamic));
    fail(w, lane, i, illegal, "the generic address is not in shared memory");
}

}  // namespace ptx
