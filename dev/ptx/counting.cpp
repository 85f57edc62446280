// Starts and stops the counting of counters.h, and sums up.
#include <atomic>
#include <mutex>
#include "dev/simt/device_memory.h"
#include "dev/simt/symbols.h"
#include "tally.h"

namespace ptx {
namespace {

std::atomic<bool> counting = false;
std::mutex mutex;

struct Sectors {  // of a device buffer
    size_t bytes;
    std::vector<uint32_t> read, written;
};
std::map<const char*, Sectors>& sectors() {
    static auto* m = new std::map<const char*, Sectors>;
    return *m;
}
std::vector<Extent>& tensors() {
    static auto* v = new std::vector<Extent>;
    return *v;
}
std::vector<Tally*>& tallies() {
    static auto* v = new std::vector<Tally*>;
    return *v;
}

struct Loop {  // from a jump's target to the jump
    size_t begin, end;
    bool holds(const Loop& other) const { return begin <= other.begin && other.end <= end; }
};
std::vector<Loop> loops_of(const std::vector<Instruction>& all) {
    std::vector<Loop> loops;
    for (size_t end = 0; end < all.size(); end++)
        if (all[end].flow == Flow::branch && all[end].target <= end) loops.push_back({all[end].target, end});
    return loops;
}
// The innermost ones with products, or all.
std::vector<Loop> main_loops_of(const std::vector<Instruction>& all) {
    const std::vector<Loop> loops = loops_of(all);
    std::vector<Loop> with_products, innermost;
    for (const Loop& l : loops)
        for (size_t k = l.begin; k <= l.end; k++)
            if (all[k].operations) {
                with_products.push_back(l);
                break;
            }
    for (const Loop& l : with_products) {
        bool holds_another = false;
        for (const Loop& other : with_products) holds_another = holds_another || (&l != &other && l.holds(other));
        if (!holds_another) innermost.push_back(l);
    }
    return with_products.empty() ? loops : innermost;
}
std::vector<bool> main_loops(const std::vector<Instruction>& all) {
    std::vector<bool> inside(all.size());
    for (const Loop& l : main_loops_of(all))
        for (size_t k = l.begin; k <= l.end; k++) inside[k] = true;
    return inside;
}

struct Sum {
    KernelCounts counts;
    std::map<std::pair<std::string, int>, Counts> lines;

    void add(const Tally::OfCode& of) {
        const std::vector<Instruction>& all = of.code->instructions;
        const std::vector<bool> inside = main_loops(all);
        counts.launches += of.launches;
        for (size_t k = 0; k < all.size(); k++) {
            const Counts& c = of.counts[k];
            if (!c.instructions) continue;
            counts.kinds[size_t(all[k].kind)] += c.instructions;
            counts.all.add(c);
            if (inside[k]) counts.main_loops.add(c);
            lines[{all[k].at.file ? all[k].at.file : "PTX", all[k].at.line}].add(c);
        }
    }
};

}  // namespace

Tally* Tally::of(const Code& code, uint32_t run, bool first_block) {
    if (!counting) return nullptr;
    static thread_local Tally* mine = nullptr;
    if (!mine) {
        mine = new Tally;  // as long as the program: an OS thread may end before it is asked
        const std::lock_guard lock(mutex);
        tallies().push_back(mine);
    }
    OfCode& its = mine->codes[code.number];
    its.code = &code;
    its.launches += first_block;
    its.counts.resize(code.instructions.size());
    mine->counts = &its.counts;
    mine->run = run;
    mine->buffer = {};
    return mine;
}

bool Tally::find(uint64_t address) {
    const char* const p = reinterpret_cast<const char*>(address);
    if (p >= buffer.begin && p < buffer.end) return true;
    Buffer b;
    if (!simt::find_device(p, b.begin, b.end)) return false;
    const size_t bytes = size_t(b.end - b.begin);
    const std::lock_guard lock(mutex);
    Sectors& s = sectors()[b.begin];
    if (s.bytes != bytes) s = {bytes, std::vector<uint32_t>(bytes / 32 + 1), std::vector<uint32_t>(bytes / 32 + 1)};
    b.read = s.read.data(), b.written = s.written.data();
    buffer = b;
    return true;
}

bool Tally::is_tensor(uint64_t address) {
    if (tensors().empty()) return true;
    for (const Extent& e : tensors())
        if (address + 31 >= uint64_t(e.begin) && address < uint64_t(e.begin) + e.bytes) return true;
    return false;
}

void start_counting(std::vector<Extent> named) {
    const std::lock_guard lock(mutex);
    tensors() = std::move(named);
    for (Tally* t : tallies()) t->codes.clear();
    counting = true;
}

std::vector<KernelCounts> stop_counting() {
    const std::lock_guard lock(mutex);
    counting = false;
    std::map<std::string, Sum> sums;
    for (Tally* t : tallies()) {
        for (const auto& [number, of_code] : t->codes) sums[simt::Symbols::readable(of_code.code->entry)].add(of_code);
        t->codes.clear();
    }
    sectors().clear();
    std::vector<KernelCounts> all;
    for (auto& [name, sum] : sums) {
        sum.counts.kernel = name;
        for (auto& [place, counts] : sum.lines) sum.counts.lines.push_back({place.first, place.second, counts});
        all.push_back(std::move(sum.counts));
    }
    return all;
}

}  // namespace ptx
