// A warp that runs: its lanes' registers, and where its lanes are.
#pragma once
#include "code.h"

#include "dev/simt/block.h"

namespace ptx {

struct Path {  // lanes that are at the same instruction
    uint32_t pc;
    Mask lanes;
    bool waits;  // at a meeting, for others
};

class Products;
class Shadow;
class Tally;

constexpr unsigned nobody = warp_lanes;

struct Warp {
    const Code* code = nullptr;
    simt::Block* block = nullptr;
    const char* parameters = nullptr;
    char* registers = nullptr;
    char* local = nullptr;          // of lane 0; the next lane's is code->local_bytes on
    char* local_written = nullptr;  // of each byte of that whether it was written
    Mask lanes = 0, living = 0, started = 0;
    unsigned leader = nobody;  // the lane on whose fiber the warp runs
    Products* products = nullptr;
    Mask traced = 0;  // lanes whose results are shown by:
    void (*trace)(Warp&, const Instruction&, Mask done) = nullptr;
    Shadow* shadow = nullptr;  // null: PTX_CHECKS=0
    Tally* tally = nullptr;    // null: nobody counts; else:
    void (*count)(Warp&, const Instruction&, Mask lanes, Mask active) = nullptr;
    unsigned number = 0;                  // in its block
    std::vector<Path> paths;              // of lanes that neither have exited nor wait for other warps
    simt::CudaThread* threads = nullptr;  // of its lanes
    bool backwards = false;               // the last lane's stores come first
    bool shuffled = false;
    bool tired = false;                  // of the path that is furthest behind: it may wait for another
    Mask cluster_arrived = 0;            // lanes that have arrived at the cluster's barrier, and not waited
    unsigned cluster_phase[warp_lanes];  // in which they did
    uint64_t clock = 0;
    uint64_t random_state = 0, executed = 0;  // lanes' instructions

    template <class T>
    T* at(Place p) {
        return reinterpret_cast<T*>(registers + p);
    }
    Mask& predicate(Place p) { return *reinterpret_cast<Mask*>(registers + p); }
    // Does f as that lane's thread.
    template <class F>
    void as(unsigned lane, F f) {
        simt::Thread* const own = simt::running;
        simt::running = threads + lane;
        f();
        simt::running = own;
    }
    // Does f, which may wait on the leader's fiber; meanwhile others lead.
    template <class F>
    void wait(F f) {
        const unsigned lane = leader;
        hand_over();
        f();
        if (leader == nobody) leader = lane;
    }

    unsigned index_of(const Instruction& i) const { return unsigned(&i - code->instructions.data()); }
    bool chance(unsigned n) { return random() % n == 0; }  // one in n

    void run_lane(unsigned lane);  // on its fiber, until it has exited

private:
    void lead();
    void run(Path);
    Mask meet(const Instruction&, Path&, Mask active);
    void branch(const Instruction&, Path&, Mask jumping);
    bool run_waiting(const Instruction&, Path&, Mask active);
    Mask ready_to_meet(const Instruction&, Mask active);
    Mask guarded(const Instruction& i, Mask lanes) {
        if (i.guard == nowhere) return lanes;
        const Mask p = predicate(i.guard);
        return lanes & (i.guard_negated ? ~p : p);
    }
    Mask at_other_meetings(Mask members) const;
    void release_from_other_meetings(Mask lanes);
    void add(Path);
    bool pick(Path&);
    uint32_t next_of_others(uint32_t pc) const;
    void hand_over();
    void execute(const Instruction&, Mask);
    void note_waiting(const Instruction&, Mask);
    void exit(Mask);
    uint64_t random() { return random_state = simt::Permutation::mix(random_state + 0x9e3779b97f4a7c15); }
};

// Ends the kernel with a message that names the lane's thread; `error` is a cudaError_t.
[[noreturn]] void fail(Warp&, unsigned lane, const Instruction&, int error, const std::string& what);

// Calls f(lane) for each lane of the mask, in the order of stores.
template <class F>
void for_each_lane(const Warp& w, Mask m, F f) {
    if (w.backwards)
        for (; m; m &= ~(Mask(1) << (31 - __builtin_clz(m)))) f(31 - unsigned(__builtin_clz(m)));
    else
        for (; m; m &= m - 1) f(unsigned(__builtin_ctz(m)));
}

}  // namespace ptx
