// Our own matmuls for bf16 and rows of whole vectors of 8: of few rows (linear_few.cuh), on Hopper's tensor cores
// (linear_hopper.cuh), on all others' (linear_tensor.cuh). Which, with which tile and in how many parts, depends on the
// GPU and the shape alone: they give different bits.
#pragma once
#include "linear_few.cuh"
#include "linear_hopper.cuh"
#include "linear_tensor.cuh"

template <class T>
bool linear_has_hopper(const Gpu<T>& on) {
    return std::is_same_v<T, bf16> && on.trusts(Kernels::linear_hopper) && has_hopper(on);
}

// Of the tiles for sums that become bf16, an H100 was fastest with this one at nearly every shape. Of those for sums that
// stay fp32 the wide one needs less of a and b, the narrow one leaves less of the GPU idle.
using HopperTile = LinearHopper<1, 256, 3, 1>;
using HopperWideSum = LinearHopper<1, 256, 4, 0>;
using HopperNarrowSum = LinearHopper<1, 192, 5, 0>;

// How an fp32 sum is done, and the time that it takes beside one without idle places, as an H100's figures have it
// (dev/doc/gemm.md).
struct HopperSumPlan {
    bool wide;
    int parts;
    double time;
};
template <class Shape>
HopperSumPlan hopper_sum_plan(int M, int N, int K, int sm_count) {
    constexpr bool wide = std::is_same_v<Shape, HopperWideSum>;
    constexpr double part = 1000, rate = wide ? 1 : 0.98;  // of k: writing and reading a part takes as long
    const int tiles = linear_tiles<Shape>(M, N);
    HopperSumPlan best{wide, 1, 1e30};
    for (int parts = 1; parts <= std::max(1, std::min(32, K / 400)); parts++) {
        const double multiplied = double(ceil_div(tiles * parts, sm_count)) * sm_count * Shape::m * Shape::n / parts / rate;
        const double time = multiplied / (double(M) * N) + (parts > 1 ? part * parts / K : 0);
        if (time < best.time) best = {wide, parts, time};
    }
    return best;
}
inline HopperSumPlan hopper_sum_plan(int M, int N, int K, int sm_count) {
    const HopperSumPlan wide = hopper_sum_plan<HopperWideSum>(M, N, K, sm_count),
                        narrow = hopper_sum_plan<HopperNarrowSum>(M, N, K, sm_count);
    return narrow.time < wide.time ? narrow : wide;
}

// Both return false, and nothing is done, where none of ours is to be trusted.
template <class A, class B, class Epilogue>
bool linear_bf16(const Epilogue& epilogue, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    if constexpr (A::along == Along::k && B::along == Along::k)
        if (a.outers <= linear_few && on.trusts(Kernels::linear_few))
            return linear_few_product(epilogue, a.data, b, a.outers, K, on), true;
    if (linear_has_hopper(on)) linear_hopper_by<HopperTile>(epilogue, a, b, K, round_up(K, HopperTile::k), on);
    else if (on.trusts(Kernels::linear_tensor)) linear_tensor(epilogue, a, b, K, on);
    else return false;
    return true;
}

// c += a . b, or =.
template <class A, class B>
bool linear_bf16_sum(float* c, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    if (linear_has_hopper(on)) {
        const HopperSumPlan plan = hopper_sum_plan(a.outers, b.outers, K, on.sm_count);
        if (plan.wide) linear_hopper_sum<HopperWideSum>(c, a, b, K, plan.parts, on);
        else linear_hopper_sum<HopperNarrowSum>(c, a, b, K, plan.parts, on);
    } else if (on.trusts(Kernels::linear_tensor)) linear_tensor_sum(c, a, b, K, on);
    else return false;
    return true;
}
