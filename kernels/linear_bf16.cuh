// Our own matmuls for bf16 and rows of whole vectors of 8: on Hopper's tensor cores (linear_hopper.cuh,
// linear_hopper_pingpong.cuh), of few rows (linear_few.cuh), and on any tensor cores (linear_tensor.cuh). Which, with
// which tile and in how many parts, depends on the GPU and the shape alone, by arithmetic: they give different bits.
// Its figures are an H100's (dev/doc/gemm.md).
#pragma once
#include "linear_few.cuh"
#include "linear_hopper_pingpong.cuh"
#include "linear_tensor.cuh"

template <class T>
bool linear_has_hopper(const Gpu<T>& on) {
    return std::is_same_v<T, bf16> && on.gemm != Gemm::cublas && on.trusts(Kernels::linear_hopper) && has_hopper(on);
}

// Sums that become bf16. Warpgroups in turn hide all that follows the products; the wide tile's, which work together,
// hand over their sums first, for as long as about 80 of k take. But of 192 columns more may lie beyond the matrix, or
// idle in the last round of tiles.
using HopperWide = LinearHopper<256, 3, 1>;
inline bool hopper_takes_turns(int M, int N, int K, int sm_count) {
    const auto time = [=]<class Shape>(Shape, double k) {
        return k * ceil_div(linear_tiles<Shape>(M, N), sm_count) * Shape::m * Shape::n;
    };
    return time(LinearPingpong(), K) <= time(HopperWide(), K + 80.0);
}

// Sums that stay fp32: the wide tile needs less of a and b, turns hide what follows the products. How they are done,
// and the time that this takes beside one without idle places.
using HopperWideSum = LinearHopper<256, 4, 0>;
using HopperTurnsSum = LinearTurns<192, 5, true>;
struct HopperSumPlan {
    bool wide;
    int tiles, parts;
    double time;
};
template <class Shape>
HopperSumPlan hopper_sum_plan(int M, int N, int K, int sm_count) {
    // Of k: writing and reading a part takes as long, and what follows a piece where nothing hides it.
    constexpr double part = 1000, after = Shape::turns ? 0 : 300, rate = Shape::turns ? 0.98 : 1;
    const int tiles = linear_tiles<Shape>(M, N);
    HopperSumPlan best{!Shape::turns, tiles, 1, 1e30};
    for (int parts = 1; parts <= std::max(1, std::min(32, K / 400)); parts++) {
        const double multiplied = double(ceil_div(tiles * parts, sm_count)) * sm_count * Shape::m * Shape::n *
                                  (1.0 / parts + after / K) / rate;
        const double time = multiplied / (double(M) * N) + (parts > 1 ? part * parts / K : 0);
        if (time < best.time) best = {!Shape::turns, tiles, parts, time};
    }
    return best;
}
inline HopperSumPlan hopper_sum_plan(int M, int N, int K, int sm_count) {
    const HopperSumPlan wide = hopper_sum_plan<HopperWideSum>(M, N, K, sm_count),
                        turns = hopper_sum_plan<HopperTurnsSum>(M, N, K, sm_count);
    return turns.time < wide.time ? turns : wide;
}

// Too few tiles, or parts of them, for the GPU are left to others, whose tiles are smaller.
inline bool hopper_fills(int tiles, int sm_count) { return 4 * tiles >= 3 * sm_count; }

// True if it is done; false, and nothing is done, where Hopper's tensor cores are not there or not to be used. d_bias
// as in linear_pingpong.
template <class A, class B, class Epilogue>
bool linear_hopper(const Epilogue& epilogue, const A& a, const B& b, int K, const Gpu<bf16>& on,
                   float* d_bias = nullptr) {
    if constexpr (A::along == Along::k && B::along == Along::k)
        if (a.outers <= linear_few) return false;
    if (!linear_has_hopper(on)) return false;
    const int M = a.outers, N = b.outers;
    const auto fills = [&]<class Shape>(Shape) { return hopper_fills(linear_tiles<Shape>(M, N), on.sm_count); };
    // Where an activation follows, there is far more to hide.
    if constexpr (std::is_same_v<Epilogue, LinearOut> || std::is_same_v<Epilogue, LinearGradient>)
        if (!hopper_takes_turns(M, N, K, on.sm_count)) {
            if (!fills(HopperWide())) return false;
            linear_hopper_by<HopperWide>(epilogue, a, b, K, round_up(K, HopperWide::k), on);
            return true;
        }
    if (!fills(LinearPingpong())) return false;
    linear_pingpong(epilogue, a, b, K, on, d_bias);
    return true;
}

// c += a . b, or =, and row_sums, which may be null, the sums of a's rows.
template <class A, class B>
bool linear_hopper_sum(float* c, float* row_sums, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    if (!linear_has_hopper(on)) return false;
    const HopperSumPlan plan = hopper_sum_plan(a.outers, b.outers, K, on.sm_count);
    if (!hopper_fills(plan.tiles * plan.parts, on.sm_count)) return false;
    if (plan.wide) linear_hopper_sum_by<HopperWideSum>(c, row_sums, a, b, K, plan.parts, on);
    else linear_hopper_sum_by<HopperTurnsSum>(c, row_sums, a, b, K, plan.parts, on);
    return true;
}

// On any GPU. Both return false, and nothing is done, where none of ours is to be trusted.
template <class A, class B, class Epilogue>
bool linear_bf16(const Epilogue& epilogue, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    if constexpr (A::along == Along::k && B::along == Along::k)
        if (a.outers <= linear_few && on.trusts(Kernels::linear_few))
            return linear_few_product(epilogue, a.data, b, a.outers, K, on), true;
    if (!on.trusts(Kernels::linear_tensor)) return false;
    linear_tensor(epilogue, a, b, K, on);
    return true;
}

// c += a . b, or =.
template <class A, class B>
bool linear_bf16_sum(float* c, const A& a, const B& b, int K, const Gpu<bf16>& on) {
    if (!on.trusts(Kernels::linear_tensor)) return false;
    linear_tensor_sum(c, a, b, K, on);
    return true;
}
