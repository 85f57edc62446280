// Tensor copies: loads that are delivered when nothing else can go on,
// stores that read and write when they are waited for.
#include <cstring>
#include "block.h"
#include "device_memory.h"

namespace simt {
namespace {

constexpr char load_name[] = "cp.async.bulk.tensor (a load)", store_name[] = "cp.async.bulk.tensor (a store)";

// Calls f(byte of the box, place in shared memory, bytes) for each stretch that the swizzle keeps together.
template <class F>
void for_each_piece(const TensorMapData& map, size_t to, F f) {
    const size_t bytes = map.box_bytes(), piece = map.swizzle_bits ? 16 : bytes;
    for (size_t i = 0; i < bytes; i += piece) f(i, swizzled(to + i, map.swizzle_bits), piece);
}

void read_box(const Box& box, std::vector<char>& data) {
    data.assign(box.map.box_bytes(), 0);
    box.for_each_row([&](size_t offset, const char* from, size_t skip, size_t n) {
        const size_t e = box.map.element_bytes;
        if (n) std::memcpy(data.data() + offset + skip * e, from, n * e);
    });
}
// Element by element, each as an atomic operation of its own: blocks on other OS threads may do the same.
template <class T, class F>
void join_as(char* to, const char* from, size_t bytes, F f) {
    for (size_t i = 0; i < bytes; i += sizeof(T)) {
        T x, *const p = reinterpret_cast<T*>(to + i);
        std::memcpy(&x, from + i, sizeof x);
        T old = __atomic_load_n(p, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(p, &old, f(old, x), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {}
    }
}
uint16_t rounded_bf16(float x) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, x);
    return uint16_t((x != x ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
float of_bf16(uint16_t bits) { return __builtin_bit_cast(float, uint32_t(bits) << 16); }
void join(char* to, const char* from, size_t bytes, Sum sum) {
    using U = uint32_t;
    switch (sum) {
        case Sum::f32:
            return join_as<U>(to, from, bytes, [](U a, U b) {
                return __builtin_bit_cast(U, __builtin_bit_cast(float, a) + __builtin_bit_cast(float, b));
            });
        case Sum::f16:
            return join_as<uint16_t>(to, from, bytes, [](uint16_t a, uint16_t b) {
                return __builtin_bit_cast(uint16_t,
                                          _Float16(__builtin_bit_cast(_Float16, a) + __builtin_bit_cast(_Float16, b)));
            });
        case Sum::bf16:
            return join_as<uint16_t>(to, from, bytes,
                                     [](uint16_t a, uint16_t b) { return rounded_bf16(of_bf16(a) + of_bf16(b)); });
        case Sum::u32:
        case Sum::s32: return join_as<U>(to, from, bytes, [](U a, U b) { return a + b; });
        case Sum::u64: return join_as<uint64_t>(to, from, bytes, [](uint64_t a, uint64_t b) { return a + b; });
        case Sum::minimum_u32: return join_as<U>(to, from, bytes, [](U a, U b) { return a < b ? a : b; });
        case Sum::maximum_u32: return join_as<U>(to, from, bytes, [](U a, U b) { return a > b ? a : b; });
        case Sum::minimum_s32: return join_as<U>(to, from, bytes, [](U a, U b) { return int(a) < int(b) ? a : b; });
        case Sum::maximum_s32: return join_as<U>(to, from, bytes, [](U a, U b) { return int(a) > int(b) ? a : b; });
        case Sum::none: break;
    }
}
void write_box(const Box& box, const std::vector<char>& data, Sum sum) {
    box.for_each_row([&](size_t offset, char* to, size_t skip, size_t n) {
        const size_t e = box.map.element_bytes;
        if (!n) return;
        if (sum == Sum::none) std::memcpy(to, data.data() + offset + skip * e, n * e);
        else join(to, data.data() + offset + skip * e, n * e, sum);
        if (when_written) when_written(to, n * e);
    });
}

}  // namespace

void touch_chunks(const Chunks& chunks, void (*touch)(void*, unsigned long)) {
    for_each_run(chunks, [&](size_t first, size_t n) { touch(SharedMemory::dynamic() + first * 16, n * 16); });
}

const TensorMapData& Block::tensor_map(const char* name, const void* p, At at) {
    if (reinterpret_cast<uintptr_t>(p) % 64)
        fail(716, std::string(name) + ": the tensor map is not 64-byte aligned; " + to_string(at));
    const auto& map = *static_cast<const TensorMapData*>(p);
    if (map.magic != tensor_map_magic)
        fail(719, std::string(name) + ": this is no tensor map that was encoded; " + to_string(at));
    asynchronous.used = true;
    return map;
}

// The place of a box in shared memory, if it is one.
Chunks Block::chunks_of_box(const char* name, const void* shared, const TensorMapData& map, At at) {
    return chunks_at(name, shared, map.box_bytes(), map.swizzle_bits ? 128u << map.swizzle_bits : 128, at);
}
Chunks Block::chunks_at(const char* name, const void* shared, size_t bytes, unsigned alignment, At at) {
    if (!SharedMemory::mine().contains_dynamic(shared, bytes))
        fail(700, std::string(name) + ": the box of " + std::to_string(bytes) +
                      " bytes is not in dynamic shared memory; " + to_string(at));
    const size_t to = size_t(static_cast<const char*>(shared) - SharedMemory::dynamic());
    if (to % alignment)
        fail(716, std::string(name) + ": the address in shared memory, byte " + std::to_string(to) +
                      ", is not a multiple of " + std::to_string(alignment) + "; " + to_string(at));
    Chunks chunks;
    for (size_t i = to / 16; i < (to + bytes) / 16; i++) chunks.set(i);
    return chunks;
}

static std::string check_box(const char* name, const TensorMapData& map, const Coordinates& c, At at) {
    if (map.rank != c.rank)
        return std::string(name) + ": " + std::to_string(c.rank) + " coordinates for a map of " +
               std::to_string(map.rank) + " axes; " + to_string(at);
    if (!is_device(map.data, map.extent()))
        return std::string(name) + ": the tensor, " + std::to_string(map.extent()) +
               " bytes, is not wholly in device memory; " + to_string(at);
    if (c.c[0] * map.element_bytes % 16)
        return std::string(name) + ": it begins " + std::to_string(c.c[0]) +
               " elements into the rows, at no multiple of 16 bytes; " + to_string(at);
    return "";
}
static Box box_of(const TensorMapData& map, const Coordinates& c) {
    Box box{map, {}};
    for (int i = 0; i < c.rank; i++) box.c[i] = c.c[i];
    return box;
}

// What somebody is going to read, or another load to write, may not be written.
void Block::check_not_in_use(const char* name, const Chunks& chunks, At at, const Block& owner) {
    const auto check = [&](const Chunks& used, const char* what, At by) {
        const Chunks both = chunks & used;
        if (both.any())
            fail(719, std::string(name) + " at " + to_string(at) + " writes byte " +
                          std::to_string(both._Find_first() * 16) + " of dynamic shared memory, which " + what +
                          " at " + to_string(by) + ", not yet waited for, " + (*what == 'a' ? "reads" : "writes, too"));
    };
    for (const TensorLoad& l : owner.asynchronous.loads) check(l.chunks, "the load", l.at);
    for (const WarpProducts& w : owner.asynchronous.warps)
        for (const Product& p : w.pending)
            if (!p.over) check(p.chunks, "a product", p.at);
    for (unsigned i = 0; i < owner.count; i++)
        for (const TensorStore& s : owner.asynchronous.stores[i].stores)
            if (!s.over) check(s.chunks, "a store", s.at);
}

// ---- Loads ----

// A copy into that block's shared memory is under way.
void Block::load(const char* name, const Box& box, size_t to, const void* barrier, uint64_t word, Block& owner, At at) {
    AsyncBarrierState& b = async_barrier(name, barrier, word, at, &owner);
    if (!b.fenced && strict)
        fail(719, std::string(name) + ": no barrier_init_fence() has followed the barrier's initialisation at " +
                      to_string(b.at) + "; " + to_string(at));
    Chunks chunks;
    for (size_t i = to / 16; i < (to + box.map.box_bytes()) / 16; i++) chunks.set(i);
    check_not_in_use(name, chunks, at, owner);
    owner.asynchronous.used = true;
    owner.asynchronous.loads.push_back({box, owner.shared_base + to, &b, chunks, at});
    std::memset(owner.shared_base + to, 0xff, box.map.box_bytes());
    owner.asynchronous.proxy_view.learn(chunks);
    if (&owner != this) cluster->wake(owner.rank);
}

void Block::tensor_load(char* to, const void* map_address, const void* barrier, uint64_t word, const Coordinates& c,
                        At at, void* called_from, unsigned ranks) {
    const TensorMapData& map = tensor_map(load_name, map_address, at);
    AsyncBarrierState& b = async_barrier(load_name, barrier, word, at);
    if (const std::string wrong = check_box(load_name, map, c, at); !wrong.empty()) fail(719, wrong);
    chunks_of_box(load_name, to, map, at);
    const size_t place = size_t(to - shared_base);
    if (!ranks) load(load_name, box_of(map, c), place, barrier, word, *this, at);
    // To the same places of each block that is named; the barrier of each is told.
    for (unsigned rest = ranks; rest; rest &= rest - 1) {
        Block& owner = peer(load_name, unsigned(__builtin_ctz(rest)), at);
        const char* its = owner.shared_base + (static_cast<const char*>(barrier) - shared_base);
        uint64_t its_word;
        std::memcpy(&its_word, its, sizeof its_word);
        load(load_name, box_of(map, c), place, its, its_word, owner, at);
    }
    if (!thread_sanitizer) return;
    use_proxy();
    Backstage::enter();
    __tsan_release(&self()->point[turn]);
    __tsan_switch_to_fiber(backstage, no_sync);
    Ordering& order = b.order[turn][b.phase & 1];
    as(self()->engine, called_from, [&] {
        __tsan_acquire(&self()->point[turn]);
        __tsan_write_range(to, map.box_bytes());
        __tsan_release(&order.generic);
        __tsan_release(&order.proxy);
    });
    as(self()->proxy, called_from, [&] {
        asynchronous.loads.back().box.for_each_row([&](size_t, char* row, size_t, size_t n) {
            if (n) __tsan_read_range(row, n * map.element_bytes);
        });
        __tsan_release(&order.generic);
    });
}

bool Block::deliver_a_load() {
    std::vector<TensorLoad>& loads = asynchronous.loads;
    if (loads.empty() || !living) return false;
    size_t i = 0;
    if (launch->order.kind == Order::Kind::reverse) i = loads.size() - 1;
    if (shuffled) i = random() % loads.size();
    const TensorLoad load = loads[i];
    loads.erase(loads.begin() + ptrdiff_t(i));
    std::vector<char> data;
    read_box(load.box, data);
    const size_t to = size_t(load.to - SharedMemory::dynamic());
    for_each_piece(load.box.map, to, [&](size_t offset, size_t place, size_t bytes) {
        std::memcpy(SharedMemory::dynamic() + place, data.data() + offset, bytes);
    });
    asynchronous.proxy_view.learn(load.chunks);
    AsyncBarrierState& b = *load.barrier;
    b.bytes -= int64_t(data.size());
    b.with_load = b.phase + 1;
    b.last_load = load.at;
    complete_if_over(b);
    return true;
}

// ---- Stores ----

void Block::tensor_store(const void* map_address, const char* shared, const Coordinates& c, At at, void* called_from) {
    const TensorMapData& map = tensor_map(store_name, map_address, at);
    if (const std::string wrong = check_box(store_name, map, c, at); !wrong.empty()) fail(719, wrong);
    for (int i = 0; i < c.rank; i++)  // an illegal instruction on an H100, which loads such boxes
        if (c.c[i] < 0)
            fail(715,
                 std::string(store_name) + ": coordinate " + std::to_string(c.c[i]) + " is negative; " + to_string(at));
    const Chunks chunks = chunks_of_box(store_name, shared, map, at);
    store(store_name, box_of(map, c), shared, Sum::none, at);
    if (!thread_sanitizer) return;
    TensorStores& mine = asynchronous.stores[running->linear];
    use_proxy();
    as(self()->proxy, called_from, [&] {
        touch_chunks(chunks, __tsan_read_range);
        mine.stores.back().box.for_each_row([&](size_t, char* row, size_t, size_t n) {
            if (n) __tsan_write_range(row, n * map.element_bytes);
        });
        __tsan_release(mine.order[turn][mine.committed]);
    });
}

void Block::store(const char* name, const Box& box, const char* from, Sum sum, At at) {
    const Chunks chunks = chunks_at(name, from, box.map.box_bytes(), 16, at);
    asynchronous.used = true;
    check_fenced(name, chunks, at);
    asynchronous.stores[running->linear].stores.push_back({box, from, chunks, at, false, false, {}, sum});
}

static std::vector<char> data_of(const TensorStore& s) {
    std::vector<char> data(s.box.map.box_bytes());
    for_each_piece(s.box.map, size_t(s.from - SharedMemory::dynamic()), [&](size_t offset, size_t place, size_t n) {
        std::memcpy(data.data() + offset, SharedMemory::dynamic() + place, n);
    });
    return data;
}

// The first so many stores of a thread.
void Block::store_due(TensorStores& of, size_t stores, Until until) {
    for (size_t i = 0; i < stores; i++) {
        TensorStore& s = of.stores[i];
        if (!s.read) s.data = data_of(s), s.read = true;
        if (until == Until::written) write_box(s.box, s.data, s.sum);
    }
}

void Block::tensor_store_commit() {
    TensorStores& mine = asynchronous.stores[running->linear];
    mine.groups.push_back(mine.stores.size());
    mine.committed++;
    const bool early = launch->order.kind == Order::Kind::reverse || (shuffled && random() % 2);
    if (early) store_due(mine, mine.stores.size(), Until::read);
}

void Block::tensor_store_wait(unsigned pending, Until until) {
    TensorStores& mine = asynchronous.stores[running->linear];
    const size_t due = mine.groups.size() > pending ? mine.groups.size() - pending : 0;
    if (!due) return;
    const size_t stores = mine.groups[due - 1];
    store_due(mine, stores, until);
    for (size_t i = 0; i < stores; i++) mine.stores[i].over = true;
    if (thread_sanitizer) {
        Backstage::enter();
        for (size_t i = 0; i < due; i++) __tsan_acquire(mine.order[turn][mine.committed - mine.groups.size() + i]);
        __tsan_switch_to_fiber(backstage, no_sync);
    }
    if (until == Until::read) return;
    mine.stores.erase(mine.stores.begin(), mine.stores.begin() + ptrdiff_t(stores));
    mine.groups.erase(mine.groups.begin(), mine.groups.begin() + ptrdiff_t(due));
    for (size_t& end : mine.groups) end -= stores;
}

// ---- At the end ----

// Of a thread. What its stores have read they write when the block ends.
void Block::finish_asynchronous(CudaThread* t) {
    Asynchronous& a = asynchronous;
    if (!a.used) return;
    TensorStores& mine = a.stores[t->linear];
    for (TensorStore& s : mine.stores) {
        if (!s.over && strict)
            fail(719, "this thread has ended, but the store at " + to_string(s.at) + " may still read shared memory");
        if (!s.read) s.data = data_of(s);
        a.last_stores.push_back(std::move(s));
    }
    mine.stores.clear();
    const WarpProducts& w = a.warps[t->linear / 32];
    if (w.issued[t->lane] > w.first)
        fail(719, "this thread has ended, but not waited for its product at " + to_string(w.pending.front().at));
    if (!thread_sanitizer || !t->proxy) return;
    for (void* who : {t->proxy, t->engine}) {
        __tsan_switch_to_fiber(who, no_sync);
        __tsan_release(&launch->ends);
    }
    __tsan_switch_to_fiber(backstage, no_sync);
}

std::string Block::left_undone() {
    Asynchronous& a = asynchronous;
    if (!a.used) return "";
    for (const TensorStore& s : a.last_stores) write_box(s.box, s.data, s.sum);
    const auto nobody = [](At at) { return "has ended, but nobody has waited for its load at " + to_string(at); };
    for (const TensorLoad& l : a.loads) return nobody(l.at);
    for (size_t i = 0; i < a.barrier_count; i++) {
        const AsyncBarrierState& b = a.barriers[i];
        if (b.bytes) return "has ended amid a phase of " + describe(b);
        if (b.seen < b.with_load) return nobody(b.last_load);
    }
    return too_many_registers();
}

// ---- What the headers declare ----

void check_tensor_map(const char* name, const void* map, At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.tensor_map(name, map, at);
}
void tensor_load(void* shared, const void* map, const void* barrier, uint64_t word, const Coordinates& c, At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.tensor_load(static_cast<char*>(shared), map, barrier, word, c, at, __builtin_return_address(0));
    block.let_others_go_on();
}
void tensor_store(const void* map, const void* shared, const Coordinates& c, At at) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.tensor_store(map, static_cast<const char*>(shared), c, at, __builtin_return_address(0));
}
void tensor_store_commit() {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.tensor_store_commit();
}
void tensor_store_wait(unsigned pending, Until until) {
    Block& block = Block::mine();
    const Block::Backstage backstage(block);
    block.tensor_store_wait(pending, until);
}

}  // namespace simt
