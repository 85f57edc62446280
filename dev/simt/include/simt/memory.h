// Loads and stores with cache hints, which a CPU has no use for, and atomics.
#pragma once
#include <cstddef>
#include "simt.h"

// clang-format off
template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldca(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> T __ldlu(const T* p) { return *p; }
template <class T> T __ldcv(const T* p) { return *p; }
template <class T> void __stwb(T* p, T value) { *p = value; }
template <class T> void __stcg(T* p, T value) { *p = value; }
template <class T> void __stcs(T* p, T value) { *p = value; }
template <class T> void __stwt(T* p, T value) { *p = value; }
// clang-format on

namespace simt {
// CUDA's atomics order nothing but themselves; fences around them do (simt::fence).
template <class T, class F>
T atomic_update(T* p, F f) {
    before_atomic(p);
    T old, next;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do next = f(old);
    while (!__atomic_compare_exchange(p, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    after_atomic(p);
    return old;
}
template <class T>
struct Same {
    using type = T;
};
template <class T>
using same_as = typename Same<T>::type;  // keeps an argument out of template deduction
}  // namespace simt

// clang-format off
#define SIMT_ATOMIC(name, expression)                                                                                     \
    template <class T> T name(T* p, simt::same_as<T> x) {                                                                 \
        return simt::atomic_update(p, [x]([[maybe_unused]] T old) -> T { return expression; });                           \
    }                                                                                                                     \
    template <class T> T name##_block(T* p, simt::same_as<T> x) { return name(p, x); }                                    \
    template <class T> T name##_system(T* p, simt::same_as<T> x) { return name(p, x); }
SIMT_ATOMIC(atomicAdd, T(old + x))
SIMT_ATOMIC(atomicSub, T(old - x))
SIMT_ATOMIC(atomicExch, x)
SIMT_ATOMIC(atomicMin, x < old ? x : old)
SIMT_ATOMIC(atomicMax, x > old ? x : old)
SIMT_ATOMIC(atomicAnd, old & x)
SIMT_ATOMIC(atomicOr, old | x)
SIMT_ATOMIC(atomicXor, old ^ x)
SIMT_ATOMIC(atomicInc, old >= x ? T(0) : T(old + 1))
SIMT_ATOMIC(atomicDec, old == 0 || old > x ? x : T(old - 1))
#undef SIMT_ATOMIC
template <class T> T atomicCAS(T* p, simt::same_as<T> expected, simt::same_as<T> x) {
    return simt::atomic_update(p, [=](T old) { return old == expected ? x : old; });
}
template <class T> T atomicCAS_block(T* p, simt::same_as<T> expected, simt::same_as<T> x) { return atomicCAS(p, expected, x); }
// clang-format on
