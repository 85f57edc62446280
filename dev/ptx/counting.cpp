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
std::vector<Tally*>& tallies() {
    static auto* v = new std::vector<Tally*>;
    return *v;
}

// Whether each instruction is within a loop whose body, from a jump's target to the jump, holds what `wanted` asks for.
template <class F>
std::vector<bool> in_loops(const std::vector<Instruction>& all, F wanted) {
    std::vector<bool> inside(all.size());
    for (size_t end = 0; end < all.size(); end++) {
        const size_t begin = all[end].target;
        if (all[end].flow != Flow::branch || begin > end) continue;
        bool is_wanted = false;
        for (size_t k = begin; k <= end; k++) is_wanted = is_wanted || wanted(all[k]);
        for (size_t k = begin; k <= end && is_wanted; k++) inside[k] = true;
    }
    return inside;
}
std::vector<bool> main_loops(const std::vector<Instruction>& all) {
    std::vector<bool> inside = in_loops(all, [](const Instruction& i) { return i.operations > 0; });
    for (const bool any : inside)
        if (any) return inside;
    return in_loops(all, [](const Instruction&) { return true; });
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

void start_counting() {
    const std::lock_guard lock(mutex);
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
