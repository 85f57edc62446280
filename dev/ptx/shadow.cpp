#include "shadow.h"
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include "dev/simt/device_memory.h"
#include "shared_window.h"

namespace ptx {
namespace {

constexpr int launch_failure = 719;
std::atomic<uint32_t> runs = 0;

struct Registry {
    std::mutex mutex;
    std::map<const char*, DeviceCells> buffers;  // by begin
};
Registry& registry() {
    static auto* r = new Registry;
    return *r;
}

void forget_cells(const void* begin) {
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    const auto it = r.buffers.find(static_cast<const char*>(begin));
    if (it == r.buffers.end()) return;
    std::free(it->second.cells);
    std::free(it->second.written);
    r.buffers.erase(it);
}

// Copies and fills come in any length.
void mark(const DeviceCells& d, const char* p, size_t bytes) {
    size_t at = size_t(p - d.begin);
    for (const size_t end = at + bytes; at < end;) {
        if (at % 8 == 0 && end - at >= 64) {
            const size_t whole = (end - at) / 8;
            std::memset(d.written + at / 8, 0xff, whole);
            at += whole * 8;
            continue;
        }
        const unsigned bit = 1u << at % 8;
        if (!(__atomic_load_n(&d.written[at / 8], __ATOMIC_RELAXED) & bit))
            __atomic_fetch_or(&d.written[at / 8], bit, __ATOMIC_RELAXED);
        at++;
    }
}
void note_written(const void* p, size_t bytes) {
    DeviceCells d;
    if (find_cells(p, d)) mark(d, static_cast<const char*>(p), bytes);
}

const bool listens = (simt::when_freed = forget_cells, simt::when_written = note_written, true);

std::string unwritten(const char* p) {
    return "reads global memory that nobody has written: " + simt::describe_address(p);
}

// Words are counted from the begin of a buffer or a window, which are aligned.
unsigned byte_mask(const char* p, unsigned bytes) { return ((1u << bytes) - 1) << (uintptr_t(p) & 3); }

}  // namespace

bool find_cells(const void* address, DeviceCells& out) {
    DeviceCells d;
    if (!simt::find_device(address, d.begin, d.end)) return false;
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    DeviceCells& known = r.buffers[d.begin];
    if (known.end != d.end) {  // new, or another buffer in the place of one that was freed
        const size_t bytes = size_t(d.end - d.begin);
        std::free(known.cells);
        std::free(known.written);
        d.cells = static_cast<Cell*>(std::calloc(bytes / 4 + 1, sizeof(Cell)));
        d.written = static_cast<unsigned char*>(std::calloc(bytes / 8 + 8, 1));
        if (simt::is_pinned(d.begin)) std::memset(d.written, 0xff, bytes / 8 + 8);  // the host writes it, unseen
        known = d;
    }
    out = known;
    return known.cells;
}

Shadow& Shadow::mine() {
    static thread_local auto* s = new Shadow;
    return *s;
}

void Shadow::begin(unsigned warps, size_t dynamic_n, size_t fixed_n, uint32_t grid, uint32_t block_number) {
    dynamic_bytes = dynamic_n, fixed_bytes = fixed_n;
    window = &shared_window();
    if (dynamic.size() < dynamic_n / 4 + 1) dynamic.resize(dynamic_n / 4 + 1);
    if (fixed.size() < fixed_n / 4 + 1) fixed.resize(fixed_n / 4 + 1);
    run = ++runs;
    grid_run = grid;
    block = block_number & 0xffffff;
    believes = false;
    device = {};
    for (unsigned i = 0; i < warps; i++) own[i] = 1, known[i].fill(0);
    published.clear();
}

Cell* Shadow::shared_cell(const char* p) {
    const SharedWindow& s = *window;
    if (size_t(p - s.dynamic) < dynamic_bytes) return &dynamic[size_t(p - s.dynamic) / 4];
    if (size_t(p - s.fixed) < fixed_bytes) return &fixed[size_t(p - s.fixed) / 4];
    return nullptr;
}

template <bool writes>
void Shadow::access(Warp& w, const Instruction& i, unsigned lane, const char* p, unsigned bytes, bool same) {
    Cell* cell = shared_cell(p);
    const bool shared = cell;
    if (!shared) {
        if ((p < device.begin || p >= device.end) && !find_cells(p, device))
            return;  // parameters, local memory, tables
        cell = device.cells + (p - device.begin) / 4;
        if (!device.are_written(p, bytes)) {
            if (!writes) fail(w, lane, i, launch_failure, unwritten(p));
            mark(device, p, bytes);
        }
    }
    for (unsigned done = 0; done < bytes; cell++) {
        const unsigned here = std::min(bytes - done, 4 - unsigned(uintptr_t(p + done) & 3));
        touch<writes>(w, i, lane, p + done, *cell, here, shared, same);
        done += here;
    }
}

template <bool writes>
void Shadow::touch(Warp& w, const Instruction& i, unsigned lane, const char* p, Cell& c, unsigned bytes, bool shared,
                   bool same) {
    const uint32_t now = shared ? run : grid_run, mine = shared ? 0 : block;
    const unsigned mask = byte_mask(p, bytes);
    const Access last = c.write;
    const auto unseen = [&](const Access& a) {
        if (a.run != now || !(a.bytes & mask)) return false;
        return a.block == mine ? !seen(w, lane, a) : !believes;
    };
    const bool harmless =
        same && last.warp == w.number && last.clock == own[w.number] && last.block == mine && last.pc == w.index_of(i);
    if (!shared) check_constant(w, i, lane, p, c, mask, writes);
    if (unseen(last) && !harmless) race(w, i, lane, p, last, writes, true);
    if (shared && !writes && (last.run != now || (last.written & mask) != mask))
        fail(w, lane, i, launch_failure, "reads shared memory that nobody has written");
    Access a{};
    a.clock = own[w.number], a.warp = w.number, a.lane = lane, a.pc = w.index_of(i);
    a.run = now, a.block = mine, a.bytes = mask;
    if (writes) {
        if (unseen(c.read)) race(w, i, lane, p, c.read, true, false);
        a.written = mask | (last.run == now ? last.written : 0);
        c.write = a;
    } else if (!unseen(c.read) || w.chance(2)) {  // of reads at the same time any may be kept
        c.read = a;
    }
}

// The texture path, which ld.global.nc takes, never sees what this grid has written.
void Shadow::check_constant(Warp& w, const Instruction& i, unsigned lane, const char* p, const Cell& c, unsigned mask,
                            bool writes) {
    const auto complain = [&](const Access& other, const char* what) {
        const Instruction& first = w.code->instructions[other.pc];
        fail(w, lane, i, launch_failure,
             std::string(what) + first.name + " at " + first.at.file + ':' + std::to_string(first.at.line) +
                 (writes ? " reads as constant" : " writes in the same grid") + "; it is " + simt::describe_address(p));
    };
    if (i.reads_constant && c.write.run == grid_run && (c.write.written & mask)) complain(c.write, "reads what ");
    if (writes && c.read.run == grid_run && (c.read.bytes & mask) && w.code->instructions[c.read.pc].reads_constant)
        complain(c.read, "writes what ");
}

void Shadow::must_be_written(Warp& w, const Instruction& i, unsigned lane, const char* p, size_t bytes) {
    if ((p < device.begin || p >= device.end) && !find_cells(p, device)) return;
    for (size_t done = 0; done < bytes; done += 16)
        if (!device.are_written(p + done, unsigned(std::min<size_t>(16, bytes - done))))
            fail(w, lane, i, launch_failure, unwritten(p + done));
}

void Shadow::race(Warp& w, const Instruction& i, unsigned lane, const char* p, const Access& other, bool writes,
                  bool wrote) {
    const Instruction& first = w.code->instructions[other.pc];
    const std::string where = simt::describe_address(p);
    std::string who = "warp " + std::to_string(other.warp) + ", lane " + std::to_string(other.lane);
    const bool of_another_block = !shared_cell(p) && other.block != block;
    if (of_another_block) who = "block " + std::to_string(other.block) + ", " + who;
    const char* order = other.warp == w.number && !of_another_block
                            ? "no barrier of the warp or block stands between them"
                            : "nothing orders them";
    fail(w, lane, i, launch_failure,
         std::string("a race: this ") + (writes ? "writes" : "reads") + " what " + first.name + " at " + first.at.file +
             ':' + std::to_string(first.at.line) + " (" + who + ") " + (wrote ? "writes" : "reads") + ", and " + order +
             (where.empty() ? "" : "; it is " + where));
}

void Shadow::strong_read(Warp& w, const Instruction& i, unsigned lane, const char* p, unsigned bytes) {
    atomic(w, i, lane, p, bytes);
    acquire(w, p, 0);
}
void Shadow::strong_write(const Warp& w, const char* p, unsigned bytes) {
    if (shared_cell(p)) written_by_copy(p, bytes);
    else believes = true, note_written(p, bytes);
    release(w, p, 0);
}

void Shadow::atomic(Warp& w, const Instruction& i, unsigned lane, const char* p, unsigned bytes) {
    const unsigned mask = byte_mask(p, std::min(bytes, 4u));
    if (const Cell* c = shared_cell(p); !c) believes = true, must_be_written(w, i, lane, p, bytes);
    else if (c->write.run != run || (c->write.written & mask) != mask)
        fail(w, lane, i, launch_failure, "reads shared memory that nobody has written");
}

bool Shadow::is_written(const char* shared, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        const unsigned here = unsigned(std::min<size_t>(bytes - done, 4 - (uintptr_t(shared + done) & 3)));
        const Cell* c = shared_cell(shared + done);
        const unsigned mask = byte_mask(shared + done, here);
        if (!c || c->write.run != run || (c->write.written & mask) != mask) return false;
        done += here;
    }
    return true;
}

void Shadow::written_by_copy(const char* shared, size_t bytes) {
    for (size_t done = 0; done < bytes; done += 4)
        if (Cell* c = shared_cell(shared + done)) {
            c->write = {};
            c->write.run = run, c->write.written = 15;  // with no bytes of its own it is in no race
        }
}

void Shadow::release(const Warp& w, const void* at, unsigned slot) {
    Clocks& c = published[key(at, slot)];
    for (unsigned v = 0; v < most_warps; v++) c[v] = std::max(c[v], known[w.number][v]);
    c[w.number] = std::max(c[w.number], own[w.number]);
    own[w.number]++;
}

void Shadow::acquire(const Warp& w, const void* at, unsigned slot) {
    const auto it = published.find(key(at, slot));
    if (it == published.end()) return;
    for (unsigned v = 0; v < most_warps; v++) known[w.number][v] = std::max(known[w.number][v], it->second[v]);
    own[w.number]++;
}

template void Shadow::access<true>(Warp&, const Instruction&, unsigned, const char*, unsigned, bool);
template void Shadow::access<false>(Warp&, const Instruction&, unsigned, const char*, unsigned, bool);

}  // namespace ptx
