// How busy the main loop of every tensor-core kernel keeps the tensor cores of a Hopper multiprocessor, by a model of
// it: the share of time in which they work, as far as instructions, shared memory and barriers allow. What comes from
// memory is taken to be there in time.
//
//   pipeline FILE.cubin   prints, one line a kernel with such a loop: mangled name, share in per cent
//
// The compiler writes into every instruction how many cycles its warp pauses after it and which of six scoreboards it
// sets or waits for (Jia et al. 2018). So a loop can be replayed: four schedulers issue an instruction a cycle from
// warps that are ready, pipes take a new instruction every so many cycles, shared memory moves 128 bytes a cycle. Two
// numbers are taken from measurements: mma.sync reaches 0.62 of the tensor cores' peak (Luo et al. 2024), which is an
// m16n8k16 every 6.4 cycles and is what 100% means here; ldmatrix takes 31 cycles. dev/doc/profiling.md says how far to
// trust it.
#include <algorithm>
#include <array>
#include <iostream>
#include "cubin.h"

namespace {

enum class Pipe { tensor, fma, multiply, integer, special, uniform, shared, control };
constexpr int pipes = 8, scoreboards = 6, schedulers = 4;
constexpr std::array<double, pipes> interval = {6.4, 1, 2, 2, 8, 2, 2, 0};  // cycles from one instruction to the next

// An instruction as the model sees it.
struct Op {
    Pipe pipe;
    bool product, barrier;
    int pause, sets, releases, waits;  // scoreboards: set when done, when its operands are read
    int moves, latency;                // cycles of shared memory; until the result is there
};

int multiplier(const Instruction& i) { return i.width() == 6 ? 4 : i.width() == 5 ? 2 : 1; }

Op decode(const Instruction& i) {
    const unsigned what = i.operation();
    Op op{Pipe::integer, false, false, int(i.high >> 41 & 15), i.sets(), i.releases(), i.waits(), 0, 18};
    const auto shared = [&](int moves, int latency) { op.pipe = Pipe::shared, op.moves = moves, op.latency = latency; };
    switch (what) {
        case 0x03c: op.pipe = Pipe::tensor, op.product = true, op.latency = 33; break;  // HMMA
        case 0x020:
        case 0x021:
        case 0x023:
        case 0x035: op.pipe = Pipe::fma; break;  // FMUL FADD FFMA HFMA2
        case 0x024:
        case 0x025:
        case 0x027: op.pipe = Pipe::multiply; break;  // IMAD
        case 0x104:
        case 0x105:
        case 0x106:
        case 0x108:  // conversions, MUFU
            op.pipe = Pipe::special, op.latency = 20;
            break;
        case 0x03b: shared(4, 31); break;              // LDSM, as if four 8 x 8
        case 0x184: shared(multiplier(i), 27); break;  // LDS
        case 0x188:
        case 0x1ae:
        case 0x186: shared(multiplier(i), 20); break;                   // STS, LDGSTS, STG
        case 0x181: shared(multiplier(i), 500); break;                  // LDG
        case 0x189: shared(1, 23); break;                               // SHFL
        case 0x11d: op.pipe = Pipe::control, op.barrier = true; break;  // BAR
        case 0x118:
        case 0x11a:
        case 0x141:
        case 0x142:
        case 0x145:
        case 0x147:
        case 0x148:
        case 0x1af: op.pipe = Pipe::control; break;  // NOP, DEPBAR, BSYNC, BREAK, BSSY, BRA, WARPSYNC, LDGDEPBAR
        case 0x0ca:
        case 0x119:
        case 0x182:
        case 0x1c3: op.pipe = Pipe::uniform; break;  // R2UR, S2R, LDC, S2UR
        default:
            if (what >= 0x080 && what < 0x100) op.pipe = Pipe::uniform;
    }
    return op;
}

// ----------------------------------------------------------------------------------------------------- the loop's path

constexpr unsigned branch = 0x147, copy = 0x1ae;

struct Loop {
    long begin = 0, end = -1, products = 0;
};

Loop main_loop(const KernelCode& kernel) {
    const std::vector<Instruction>& code = kernel.instructions;
    Loop best;
    for (long at = 0; at < long(code.size()); at++) {
        if (code[at].operation() != branch) continue;
        const long to = kernel.target(at);
        if (to < 0 || to > at) continue;
        long products = 0;
        for (long i = to; i <= at; i++) products += decode(code[i]).product;
        if (products > best.products || (products == best.products && at - to < best.end - best.begin))
            best = {to, at, products};
    }
    return best;
}

// What a warp in the midst of its work does in one turn: inner loops twice; what can be skipped is, unless it copies,
// multiplies or waits for others (masks are for edges).
std::vector<Op> one_turn(const KernelCode& kernel, const Loop& loop) {
    const std::vector<Instruction>& code = kernel.instructions;
    std::vector<Op> ops;
    std::vector<bool> repeated(code.size());
    const auto wanted = [&](long from, long to) {
        for (long i = from; i < to; i++)
            if (const Op op = decode(code[i]); op.product || op.barrier || code[i].operation() == copy) return true;
        return false;
    };
    for (long at = loop.begin;; at++) {
        if (at >= long(code.size())) throw std::runtime_error("a loop's path leaves the kernel");
        ops.push_back(decode(code[at]));
        if (at == loop.end) return ops;
        if (ops.size() > 100000) throw std::runtime_error("a loop has no end");
        if (code[at].operation() != branch) continue;
        const long to = kernel.target(at);
        if (to < loop.begin) continue;  // out of the loop, against the odds
        if (to <= at) {
            repeated[at] = !repeated[at];
            if (repeated[at]) at = to - 1;
        } else if (to <= loop.end && (code[at].always() || !wanted(at + 1, to))) {
            at = to - 1;
        }
    }
}

// -------------------------------------------------------------------------------------------------- the multiprocessor

class Multiprocessor {
    struct Warp {
        size_t at = 0;
        int turns = 0, block = 0;
        long ready = 0, begin = 0, end = 0;  // of the turns that count
        bool waiting = false;
        std::array<double, scoreboards> free{};
    };
    static constexpr int warm_up = 2, turns = 8, queue = 40;  // shared memory's queue, in cycles
    static constexpr int barrier_latency = 20, operand_latency = 8;
    const std::vector<Op>& ops;
    int of_block;
    std::vector<Warp> warps;
    std::vector<int> arrived;
    std::array<std::array<double, pipes>, schedulers> pipe_free{};
    std::array<int, schedulers> last{};
    double shared_free = 0;

    bool can_issue(const Warp& w, int scheduler, long now) const {
        if (w.turns == turns || w.waiting || w.ready > now) return false;
        const Op& op = ops[w.at];
        for (int b = 0; b < scoreboards; b++)
            if (op.waits >> b & 1 && w.free[b] > now) return false;
        return pipe_free[scheduler][int(op.pipe)] <= now && (op.pipe != Pipe::shared || shared_free <= now + queue);
    }
    void issue(Warp& w, int scheduler, long now) {
        const Op& op = ops[w.at];
        double& pipe = pipe_free[scheduler][int(op.pipe)];
        pipe = std::max(pipe, double(now - 1)) + interval[int(op.pipe)];
        double done = now + op.latency, read = now + operand_latency;
        if (op.pipe == Pipe::shared) {
            shared_free = std::max(shared_free, now + 4.0) + op.moves;
            done = shared_free + op.latency - 4, read = shared_free + 4;
        }
        if (op.sets < scoreboards) w.free[op.sets] = std::max(w.free[op.sets], done);
        if (op.releases < scoreboards) w.free[op.releases] = std::max(w.free[op.releases], read);
        w.ready = now + std::max(1, op.pause);
        if (op.barrier) meet(w, now);
        if (++w.at < ops.size()) return;
        w.at = 0;
        if (++w.turns == warm_up) w.begin = now;
        w.end = now;
    }
    void meet(Warp& w, long now) {
        w.waiting = true;
        if (++arrived[w.block] < of_block) return;
        arrived[w.block] = 0;
        for (Warp& other : warps)
            if (other.block == w.block)
                other.waiting = false, other.ready = std::max(other.ready, now + barrier_latency);
    }
    // The warp that issued last goes on if it can; otherwise the oldest.
    void cycle(int scheduler, long now) {
        const auto try_warp = [&](int i) {
            if (!can_issue(warps[i], scheduler, now)) return false;
            last[scheduler] = i;
            issue(warps[i], scheduler, now);
            return true;
        };
        if (last[scheduler] >= 0 && try_warp(last[scheduler])) return;
        for (int i = scheduler; i < int(warps.size()); i += schedulers)
            if (i != last[scheduler] && try_warp(i)) return;
    }

public:
    Multiprocessor(const std::vector<Op>& ops, int of_block, int blocks)
        : ops(ops), of_block(of_block), warps(of_block * blocks), arrived(blocks) {
        for (size_t i = 0; i < warps.size(); i++) warps[i].block = int(i) / of_block;
        last.fill(-1);
    }
    double cycles_a_turn() {
        const auto done = [](const Warp& w) { return w.turns == turns; };
        for (long now = 0; !std::all_of(warps.begin(), warps.end(), done); now++) {
            if (now > 5'000'000) throw std::runtime_error("the loop stands still");
            for (int s = 0; s < schedulers; s++) cycle(s, now);
        }
        double sum = 0;
        for (const Warp& w : warps) sum += double(w.end - w.begin) / (turns - warm_up);
        return sum / double(warps.size());
    }
};

void print_share(const KernelCode& kernel) {
    const Loop loop = main_loop(kernel);
    if (!loop.products || !kernel.threads || kernel.threads % 128) return;  // whole warps for every scheduler
    constexpr int resident_threads = 256;                                   // with up to 255 registers each
    const int of_block = kernel.threads / 32, blocks = std::max(1, resident_threads / kernel.threads);
    const std::vector<Op> ops = one_turn(kernel, loop);
    const long products = std::count_if(ops.begin(), ops.end(), [](const Op& op) { return op.product; });
    const double busy = double(products) * of_block * blocks / schedulers * interval[int(Pipe::tensor)];
    std::cout << kernel.name << ' ' << 100 * busy / Multiprocessor(ops, of_block, blocks).cycles_a_turn() << '\n';
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 2) throw std::runtime_error("usage: pipeline FILE.cubin");
    for (const KernelCode& kernel : Cubin(argv[1]).kernels()) print_share(kernel);
} catch (const std::exception& e) {
    std::cerr << "error: pipeline: " << e.what() << '\n';
    return 1;
}
