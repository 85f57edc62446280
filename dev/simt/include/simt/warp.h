// Shuffles, votes, matches and reductions of a warp. What each lane reads is a pure
// function of what all brought (gather).
#pragma once
#include <cstring>
#include <type_traits>
#include "simt.h"

namespace simt {

template <class T>
uint64_t to_word(T value) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
    uint64_t word = 0;
    std::memcpy(&word, &value, sizeof value);
    return word;
}
template <class T>
T from_word(uint64_t word) {
    T value;
    std::memcpy(&value, &word, sizeof value);
    return value;
}

// PTX shfl.sync: the lane that `lane` reads from (out of its segment of `width` lanes it reads itself).
enum class Shuffle { up, down, bfly, idx };
constexpr unsigned shuffle_source(Shuffle mode, unsigned lane, unsigned b, unsigned width) {
    const unsigned clamp = mode == Shuffle::up ? 0 : 31, segment = 32 - width;
    const unsigned max_lane = (lane & segment) | (clamp & ~segment), min_lane = lane & segment;
    b &= 31;
    int j = 0;
    bool in_range = false;
    switch (mode) {
        case Shuffle::up:
            j = int(lane) - int(b);
            in_range = j >= int(max_lane);
            break;
        case Shuffle::down:
            j = int(lane + b);
            in_range = j <= int(max_lane);
            break;
        case Shuffle::bfly:
            j = int(lane ^ b);
            in_range = j <= int(max_lane);
            break;
        case Shuffle::idx:
            j = int(min_lane | (b & ~segment));
            in_range = j <= int(max_lane);
            break;
    }
    return in_range ? unsigned(j) : lane;
}

template <class T>
T shuffle(const char* name, Shuffle mode, unsigned mask, T value, unsigned b, int width, At at) {
    if (width < 1 || width > 32 || (width & (width - 1)))
        fail(719, "%s: width %d is not a power of two up to 32", name, width);
    const uint64_t word = to_word(value);
    const Gathered& all = gather(name, mask, &word, 1, at);
    const unsigned source = shuffle_source(mode, running->lane, b, unsigned(width));
    if (!(all.lanes >> source & 1))
        fail(719, "%s: lane %u reads lane %u, which %s (mask %08x); %s:%d", name, running->lane, source,
             mask >> source & 1 ? "has exited" : "is not in the mask", mask, at.file, at.line);
    return from_word<T>(all.value[source][0]);
}

inline const Gathered& gather_one(const char* name, unsigned mask, uint64_t word, At at) {
    return gather(name, mask, &word, 1, at);
}

// Folds the lanes' values in lane order.
template <class T, class F>
T reduce(const char* name, unsigned mask, T value, F f, At at) {
    const Gathered& all = gather_one(name, mask, to_word(value), at);
    T result{};
    bool first = true;
    for (unsigned lane = 0; lane < 32; lane++) {
        if (!(all.lanes >> lane & 1)) continue;
        const T x = from_word<T>(all.value[lane][0]);
        result = first ? x : f(result, x);
        first = false;
    }
    return result;
}
}  // namespace simt

#define SIMT_HERE simt::At at = simt::At::here()
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, SIMT_HERE) {
    return simt::shuffle("__shfl_sync", simt::Shuffle::idx, mask, value, unsigned(lane), width, at);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_HERE) {
    return simt::shuffle("__shfl_up_sync", simt::Shuffle::up, mask, value, delta, width, at);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_HERE) {
    return simt::shuffle("__shfl_down_sync", simt::Shuffle::down, mask, value, delta, width, at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, SIMT_HERE) {
    return simt::shuffle("__shfl_xor_sync", simt::Shuffle::bfly, mask, value, unsigned(lanes), width, at);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, SIMT_HERE) {
    const simt::Gathered& all = simt::gather_one("__ballot_sync", mask, predicate != 0, at);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        if (all.lanes >> lane & 1) votes |= unsigned(all.value[lane][0]) << lane;
    return votes;
}
inline int __any_sync(unsigned mask, int predicate, SIMT_HERE) {
    return simt::reduce(
        "__any_sync", mask, int(predicate != 0), [](int a, int b) { return a | b; }, at);
}
inline int __all_sync(unsigned mask, int predicate, SIMT_HERE) {
    return simt::reduce(
        "__all_sync", mask, int(predicate != 0), [](int a, int b) { return a & b; }, at);
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, SIMT_HERE) {
    const simt::Gathered& all = simt::gather_one("__match_any_sync", mask, simt::to_word(value), at);
    unsigned same = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        if (all.lanes >> lane & 1 && all.value[lane][0] == simt::to_word(value)) same |= 1u << lane;
    return same;
}
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* same, SIMT_HERE) {
    const simt::Gathered& all = simt::gather_one("__match_all_sync", mask, simt::to_word(value), at);
    *same = 1;
    for (unsigned lane = 0; lane < 32; lane++)
        if (all.lanes >> lane & 1 && all.value[lane][0] != simt::to_word(value)) *same = 0;
    return *same ? all.lanes : 0;
}
// Which lanes run together is up to the hardware: a correct kernel takes any answer that contains the caller.
inline unsigned __activemask() { return 1u << simt::running->lane; }

#define SIMT_REDUX(name, type, expression)                                              \
    inline type name(unsigned mask, type value, SIMT_HERE) {                            \
        return simt::reduce(                                                            \
            #name, mask, value, [](type a, type b) -> type { return expression; }, at); \
    }
SIMT_REDUX(__reduce_add_sync, unsigned, a + b)
SIMT_REDUX(__reduce_min_sync, unsigned, a < b ? a : b)
SIMT_REDUX(__reduce_max_sync, unsigned, a > b ? a : b)
SIMT_REDUX(__reduce_and_sync, unsigned, a& b)
SIMT_REDUX(__reduce_or_sync, unsigned, a | b)
SIMT_REDUX(__reduce_xor_sync, unsigned, a ^ b)
SIMT_REDUX(__reduce_add_sync, int, int(unsigned(a) + unsigned(b)))
SIMT_REDUX(__reduce_min_sync, int, a < b ? a : b)
SIMT_REDUX(__reduce_max_sync, int, a > b ? a : b)
#undef SIMT_REDUX
