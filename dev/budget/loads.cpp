// How many 128-bit loads from global memory a warp has on the way at a time, in every loop that has some; in the whole
// of a kernel where no loop has.
//
//   loads [--all] FILE.cubin    prints a line for each kernel with such loads: its mangled name, and the loads per
//                               round trip in the worst of its loops; --all: a line for each loop, with its place
//
// A load's result is there one round trip after it was issued, and all else takes no time: so a turn of a loop lasts as
// many round trips as its loads wait for each other, be it that one needs another's result (a position before its
// angles), or that the compiler put the use of one before the next. What waits for what is in the code: every load sets
// one of six scoreboards, and what uses its result waits for that one.
#include <algorithm>
#include <array>
#include <iostream>
#include <map>
#include "cubin.h"

namespace {

bool loads(const Instruction& i) { return i.operation() == 0x181; }  // LDG
bool loads_wide(const Instruction& i) { return loads(i) && i.width() == 6; }

// Where the warp may go from an instruction. A jump of warps whose threads are at different places (BRA.DIV) is none
// here: they come back to where they left.
struct Ways {
    long next = -1, jump = -1;
};  // -1: does not go there
Ways ways_from(const KernelCode& kernel, long at) {
    constexpr unsigned branch = 0x147, leave = 0x14d;  // BRA, EXIT
    const Instruction& i = kernel.instructions[at];
    const bool jumps = i.operation() == branch && !(i.high >> 27 & 3), stays = i.always() && (i.high >> 23 & 15) == 7;
    Ways ways;
    if (!(jumps && stays) && !(i.operation() == leave && i.always())) ways.next = at + 1;
    if (jumps) ways.jump = kernel.target(at);
    return ways;
}

// The last instruction jumps to the first; if `once`, the whole of a kernel.
struct Loop {
    long begin, end;
    bool once = false;
};

// From its first instruction to its last, or to a jump back to the first, or out of the kernel: the way that loads
// most, as what can be skipped is for edges. Inner loops turn once. Empty if there is none.
template <class Count>
std::vector<long> longest_way(const KernelCode& kernel, const Loop& loop, Count count) {
    constexpr long never = -1'000'000;
    const long length = loop.end + 1 - loop.begin;
    std::vector<long> most(length, never), next(length, -1);  // loads from here on; where to
    for (long k = length - 1; k >= 0; k--) {
        const Ways ways = ways_from(kernel, loop.begin + k);
        const bool over = ways.next < 0 && ways.jump < 0;
        if (loop.once ? over : k == length - 1 || ways.jump == loop.begin) most[k] = 0;
        for (const long to : {ways.next, ways.jump})
            if (const long t = to - loop.begin; t > k && t < length && most[t] > most[k])
                most[k] = most[t], next[k] = t;
        most[k] += count(loop.begin + k);
    }
    std::vector<long> way;
    if (most[0] >= 0)
        for (long k = 0; k >= 0; k = next[k]) way.push_back(loop.begin + k);
    return way;
}

// A jump back ends a loop if what it jumps to leads to it; of several to one place the last.
std::vector<Loop> find_loops(const KernelCode& kernel) {
    std::map<long, long> ends;
    for (long at = 0; at < long(kernel.instructions.size()); at++) {
        const long to = ways_from(kernel, at).jump;
        if (to < 0 || to >= at) continue;  // to itself: what stands behind the end
        if (!longest_way(kernel, {to, at}, [](long) { return 0; }).empty()) ends[to] = at;
    }
    std::vector<Loop> loops;
    for (const auto& [begin, end] : ends) loops.push_back({begin, end});
    return loops;
}

class Turn {
    struct Step {
        Instruction instruction;
        bool inner;
    };  // of a loop inside this one
    std::vector<Step> steps;
    bool once;

public:
    long own = 0;  // 128-bit loads that no inner loop does

    Turn(const KernelCode& kernel, const Loop& loop, const std::vector<Loop>& all) : once(loop.once) {
        const auto inner = [&](long at) {
            return std::any_of(all.begin(), all.end(), [&](const Loop& l) {
                return (once || l.begin > loop.begin) && l.end <= loop.end && l.begin <= at && at <= l.end;
            });
        };
        const auto count = [&](long at) { return long(loads_wide(kernel.instructions[at]) && !inner(at)); };
        for (const long at : longest_way(kernel, loop, count)) {
            own += count(at);
            steps.push_back({kernel.instructions[at], inner(at)});
        }
    }

    // In the midst of the loop's work.
    double round_trips() const {
        const int warm_up = once ? 0 : 2, turns = once ? 1 : 6;
        std::array<int, 8> there{};  // when all that a scoreboard stands for is
        int now = 0, begin = 0;
        for (int turn = 0; turn < warm_up + turns; turn++) {
            if (turn == warm_up) begin = now;
            for (const auto& [i, inner] : steps) {
                for (int b = 0; b < 6; b++)
                    if (i.waits() >> b & 1) now = std::max(now, there[b]);
                if (loads(i) && !inner) there[i.sets()] = now + 1;
            }
        }
        return double(now - begin) / turns;
    }
};

}  // namespace

int main(int argc, char** argv) try {
    const bool all = argc == 3 && std::string(argv[1]) == "--all";
    if (argc != 2 && !all) throw std::runtime_error("usage: loads [--all] FILE.cubin");
    for (const KernelCode& kernel : Cubin(argv[argc - 1]).kernels()) {
        const std::vector<Loop> loops = find_loops(kernel);
        double least = 0;
        const auto look_at = [&](const Loop& loop) {
            const Turn turn(kernel, loop, loops);
            if (!turn.own) return;
            const double trips = turn.round_trips(), together = double(turn.own) / std::max(trips, 1.0);
            if (all)
                std::cout << kernel.name << std::hex << " 0x" << 16 * loop.begin << " 0x" << 16 * loop.end << std::dec
                          << ' ' << turn.own << " loads in " << trips << " trips: " << together << '\n';
            if (!least || together < least) least = together;
        };
        for (const Loop& loop : loops) look_at(loop);
        if (!least) look_at({0, long(kernel.instructions.size()) - 1, true});
        if (least && !all) std::cout << kernel.name << ' ' << least << '\n';
    }
} catch (const std::exception& e) {
    std::cerr << "error: loads: " << e.what() << '\n';
    return 1;
}
