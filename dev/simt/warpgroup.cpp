// Products of warpgroups. They are noted when they are called, and multiplied when their group is waited for, or, in
// some orders, when it is committed: at once for a warp, whose last lane to arrive does it for all.
#include <algorithm>
#include "block.h"
#include "matrix.h"

namespace simt {
namespace {

unsigned bits_of(float x) { return __builtin_bit_cast(unsigned, x); }
bool same(const Factors& x, const Factors& y) {
    return x.a_in_registers == y.a_in_registers && x.a_across == y.a_across && x.b_across == y.b_across &&
           x.add == y.add && x.registers == y.registers && x.a == y.a && x.b == y.b;
}

// Element i of a lane's share of 16 x N.
unsigned row_of(unsigned lane, int i) { return lane / 4 + 8 * (unsigned(i) / 2 % 2); }
unsigned column_of(unsigned lane, int i) { return 8 * (unsigned(i) / 4) + 2 * (lane % 4) + unsigned(i) % 2; }

}  // namespace

void touch_chunks(const Chunks&, void (*touch)(void*, unsigned long));

void WarpProducts::renew() {
    pending.clear();
    groups.clear();
    accumulators.clear();
    first = groups_over = meetings = 0;
    for (unsigned lane = 0; lane < 32; lane++) issued[lane] = met[lane] = fences[lane] = fences_at_wait[lane] = 0;
}

static Accumulator* new_accumulator(WarpProducts& w, int registers) {
    constexpr size_t remembered = 16;
    Accumulator* acc = nullptr;
    for (Accumulator& old : w.accumulators)
        if (w.accumulators.size() >= remembered && !old.products) acc = &old;
    if (!acc) acc = &w.accumulators.emplace_back();
    acc->registers = registers;
    acc->known = acc->held = acc->products = 0;
    return acc;
}

void Warpgroup::renew() {
    products.clear();
    groups.clear();
    waiting.clear();
    registers = 0;
}

WarpProducts& Block::products(const char* name, At at) {
    if (running->linear / 128 * 128 + 128 > count)
        fail(719, std::string(name) + ": the block's last warpgroup has no 4 warps; " + to_string(at));
    asynchronous.used = true;
    return asynchronous.warps[running->linear / 32];
}

// All lanes of a warp come; true for one of them, the first that goes on.
bool Block::first_to_meet(const char* name, WarpProducts& w, At at) {
    const uint64_t word = w.issued[running->lane];
    const unsigned lanes = by_warps ? warps[running->linear / 32].living
                                    : gather(name, ~0u, nullptr, 0, at, Form::aligned, Orders::nothing).lanes;
    if (lanes != ~0u) fail(719, std::string(name) + ": some lanes have exited; " + to_string(at));
    if (++w.met[running->lane] <= w.meetings) return false;
    w.meetings++;
    for (unsigned lane = 0; lane < 32; lane++)
        if (w.issued[lane] != word)
            fail(719, std::string(name) + ": lane " + std::to_string(lane) + " has called " +
                          std::to_string(w.issued[lane]) + " products, lane " + std::to_string(running->lane) + ' ' +
                          std::to_string(word) + "; " + to_string(at));
    return true;
}

// ---- Calls ----

// As the first of its warp calls it.
void Block::note_product(WarpProducts& w, size_t number, const Factors& f, At at, void* called_from) {
    Warpgroup& group = asynchronous.warpgroups[running->linear / 128];
    if (number == group.products.size()) group.products.push_back({f, at});
    else if (!same(group.products[number].factors, f))
        fail(719, "wgmma: another warp of this warpgroup multiplies something else, at " +
                      to_string(group.products[number].at) + "; " + to_string(at));
    Product p{f, at, nullptr, {}, {}, false, false};
    std::string wrong = f.a_in_registers ? "" : wrong_descriptor(f.a, f.a_across, 64, p.chunks);
    if (wrong.empty()) wrong = wrong_descriptor(f.b, f.b_across, unsigned(f.registers) * 2, p.chunks);
    if (!wrong.empty()) fail(719, "wgmma: " + wrong + "; " + to_string(at));
    for (const TensorLoad& l : asynchronous.loads)
        if ((l.chunks & p.chunks).any())
            fail(719,
                 "wgmma at " + to_string(at) + " reads what the load at " + to_string(l.at) + " has not brought yet");
    check_fenced("wgmma", p.chunks, at);
    w.pending.push_back(p);
    if (!thread_sanitizer) return;
    use_proxy();
    as(self()->proxy, called_from, [&] {
        touch_chunks(p.chunks, __tsan_read_range);
        __tsan_release(group.order[turn][w.committed()]);
    });
}

void Block::multiply(float* d, const uint32_t* a, const Factors& f, At at, void* called_from) {
    WarpProducts& w = products("wgmma", at);
    const unsigned lane = running->lane;
    const size_t number = w.issued[lane]++;
    const bool is_first = number == w.first + w.pending.size();
    if (is_first) note_product(w, number, f, at, called_from);
    Product& p = w.pending[number - w.first];
    if (!same(p.factors, f) || p.at.line != at.line)
        fail(719, "wgmma: all lanes must execute the same one, but some are at " + to_string(p.at) +
                      " and this one is, or with other operands, at " + to_string(at));
    for (int i = 0; a && i < 4; i++) p.a[lane][i] = a[i];
    if (a && w.fences[lane] <= w.fences_at_wait[lane])
        fail(719, "wgmma: no wgmma_fence() stands between the writing of its registers and " + to_string(at));
    Accumulator* acc = accumulator(w, d, f, at);
    if (is_first && !acc) acc = new_accumulator(w, f.registers);
    if (is_first) p.d = acc, acc->products++;
    if (acc && acc != p.d) fail(719, "wgmma: the lanes disagree about which d is which; " + to_string(at));
    hold(w, *p.d, d, f, at);
}

// The one of these registers of the running lane.
Accumulator* Block::accumulator(WarpProducts& w, float* d, const Factors& f, At at) {
    const unsigned lane = running->lane;
    for (Accumulator& acc : w.accumulators) {
        if (!(acc.known >> lane & 1)) continue;
        if (acc.d[lane] == d && acc.registers == f.registers) return &acc;
        if ((acc.held >> lane & 1) && d < acc.d[lane] + acc.registers && acc.d[lane] < d + f.registers)
            fail(719, "wgmma at " + to_string(at) + " has part of the accumulator of another shape, at " +
                          to_string(acc.at) + ", not yet waited for");
    }
    return nullptr;
}

// Takes the values of a lane's registers, and leaves NaNs there.
void Block::hold(WarpProducts& w, Accumulator& acc, float* d, const Factors& f, At at) {
    const unsigned lane = running->lane, bit = 1u << lane;
    bool changed = false;
    if (acc.held & bit) {
        for (int i = 0; i < f.registers; i++) changed = changed || !in_flight(d[i]);
        if (changed)
            fail(719, "the accumulator of the product at " + to_string(acc.at) +
                          " was written before the product was waited for; " + to_string(at));
        acc.at = at;
        return;
    }
    for (int i = 0; i < f.registers && (acc.known & bit); i++)
        changed = changed || bits_of(d[i]) != bits_of(acc.values[row_of(lane, i)][column_of(lane, i)]);
    if (w.fences[lane] <= acc.delivered_at[lane] && (!(acc.known & bit) || changed || !f.add))
        fail(719, "wgmma: no wgmma_fence() stands between the last use of its accumulator and " + to_string(at));
    for (int i = 0; i < f.registers; i++) {
        acc.values[row_of(lane, i)][column_of(lane, i)] = d[i];
        d[i] = __builtin_bit_cast(float, in_flight_bits);
    }
    acc.d[lane] = d;
    acc.held |= bit;
    acc.known |= bit;
    acc.at = at;
}

void Block::wgmma_fence(At at) {
    WarpProducts& w = products("wgmma.fence", at);
    first_to_meet("wgmma.fence", w, at);
    w.fences[running->lane]++;
}

void Block::wgmma_commit(At at) {
    WarpProducts& w = products("wgmma.commit_group", at);
    if (!first_to_meet("wgmma.commit_group", w, at)) return;
    Warpgroup& group = asynchronous.warpgroups[running->linear / 128];
    const size_t end = w.first + w.pending.size(), number = w.committed();
    w.groups.push_back(end);
    if (number == group.groups.size()) group.groups.push_back(end);
    else if (group.groups[number] != end)
        fail(719, "wgmma.commit_group: other warps have other products in this group; " + to_string(at));
    for (CudaThread* t : group.waiting) make_ready(t);
    group.waiting.clear();
    const bool early = launch->order.kind == Order::Kind::reverse || (shuffled && random() % 2);
    if (early) execute(w, running->linear / 32, end);
}

// A group is over for all 4 warps at once: one of them may tell others that its operands are free.
void Block::wgmma_wait(unsigned pending, At at) {
    WarpProducts& w = products("wgmma.wait_group", at);
    first_to_meet("wgmma.wait_group", w, at);
    Warpgroup& group = asynchronous.warpgroups[running->linear / 128];
    const size_t due = w.committed() - std::min<size_t>(pending, w.committed()), first_warp = running->linear / 128 * 4;
    const auto all_here = [&] {
        for (size_t i = first_warp; i < first_warp + 4; i++)
            if (asynchronous.warps[i].committed() < due) return false;
        return true;
    };
    while (!all_here()) {
        group.waiting.push_back(self());
        self()->waits_in = "wgmma_wait";
        self()->waits_at = at;
        self()->for_warpgroup = true;
        wait();
        self()->for_warpgroup = false;
    }
    if (w.groups_over < due) {
        const size_t end = w.groups[due - w.groups_over - 1];
        for (size_t i = first_warp; i < first_warp + 4; i++) execute(asynchronous.warps[i], unsigned(i), end);
        for (; w.first < end; w.first++) {
            Accumulator* acc = w.pending.front().d;
            w.pending.pop_front();
            if (--acc->products == 0) deliver(w, *acc);
        }
        while (w.groups_over < due) w.groups.pop_front(), w.groups_over++;
        for (size_t i = first_warp; i < first_warp + 4; i++)
            for (size_t k = asynchronous.warps[i].first; k < end; k++)
                asynchronous.warps[i].pending[k - asynchronous.warps[i].first].over = true;
        for (unsigned lane = 0; lane < 32; lane++) w.fences_at_wait[lane] = w.fences[lane];
    }
    if (!thread_sanitizer) return;
    Backstage::enter();
    for (size_t i = due; i > 0 && i + 8 > w.committed(); i--) __tsan_acquire(group.order[turn][i - 1]);
    __tsan_switch_to_fiber(backstage, no_sync);
}

// ---- Arithmetic ----

// A warp's share of the products up to this number.
void Block::execute(WarpProducts& w, unsigned warp, size_t end) {
    static thread_local float a[16][16], b[16 * 256];  // by k and row
    for (size_t i = w.first; i < end; i++) {
        Product& p = w.pending[i - w.first];
        if (p.done) continue;
        p.done = true;
        const Factors& f = p.factors;
        const unsigned n = unsigned(f.registers) * 2;
        if (!f.a_in_registers) read_matrix(f.a, f.a_across, warp % 4 * 16, 16, a[0], 16);
        for (unsigned lane = 0; f.a_in_registers && lane < 32; lane++)
            for (unsigned r = 0; r < 4; r++)
                for (unsigned half = 0; half < 2; half++)
                    a[2 * (lane % 4) + half + 8 * (r / 2)][lane / 4 + 8 * (r % 2)] =
                        __builtin_bit_cast(float, p.a[lane][r] >> 16 * half << 16);
        read_matrix(f.b, f.b_across, 0, n, b, n);
        for (unsigned row = 0; row < 16; row++) {
            float* d = p.d->values[row];
            for (unsigned column = 0; column < n && !f.add; column++) d[column] = 0;
            for (unsigned k = 0; k < 16; k++)
                for (unsigned column = 0; column < n; column++) d[column] += a[k][row] * b[k * n + column];
        }
    }
}

// All products of it are done.
void Block::deliver(WarpProducts& w, Accumulator& acc) {
    for (unsigned lane = 0; lane < 32; lane++) {
        for (int i = 0; i < acc.registers; i++) {
            if (!in_flight(acc.d[lane][i]))
                fail(719, "the accumulator of the product at " + to_string(acc.at) +
                              " was written before the product was waited for, by lane " + std::to_string(lane));
            acc.d[lane][i] = acc.values[row_of(lane, i)][column_of(lane, i)];
        }
        acc.delivered_at[lane] = w.fences[lane];
    }
    acc.held = 0;
}

// ---- Registers ----

void Block::set_registers(int registers, At at) {
    WarpProducts& w = products("setmaxnreg", at);
    if (!first_to_meet("setmaxnreg", w, at)) return;
    asynchronous.warpgroups[running->linear / 128].registers = registers;
}

// A warpgroup that grows waits for registers that others gave back: more than the block has would never come.
std::string Block::too_many_registers() const {
    const int limit = std::min(256, int(65536 / count / 8 * 8)), groups = int(count + 127) / 128;
    int sum = 0;
    bool any = false;
    for (int g = 0; g < groups; g++) {
        const int r = asynchronous.warpgroups[size_t(g)].registers;
        sum += r ? r : limit, any = any || r;
    }
    if (!any || sum <= limit * groups) return "";
    return "has warpgroups of " + std::to_string(sum) + " registers, all together, but at most " +
           std::to_string(limit * groups);
}

// ---- What the headers declare ----

void multiply(float* d, const uint32_t* a, const Factors& factors, At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.multiply(d, a, factors, at, __builtin_return_address(0));
}
void wgmma_fence(At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.wgmma_fence(at);
}
void wgmma_commit(At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.wgmma_commit(at);
}
void wgmma_wait(unsigned pending, At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.wgmma_wait(pending, at);
}
void set_registers(int registers, At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.set_registers(registers, at);
}

}  // namespace simt
