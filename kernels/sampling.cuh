// Sampling: pick the next token of every row from its logits.
//
//   temperature 0: the largest logit, the lowest id among equals. Else softmax(logits / temperature) restricted to
//   the top_k largest, then to the fewest that reach probability top_p, then to those with at least min_p of the
//   largest; token = the first, in order of falling probability (id breaks ties), whose running sum exceeds u * (what
//   is left). A row with a NaN or whose largest is infinite is broken: token = 0
//
//   logits (B,P), columns V..P-1 padding   u (B) uniform in [0,1)   token, broken (B)
//
// A row is read three times and never sorted. Blocks that own a slice of it each find the largest logit, then sum up
// what lies in 1024 bins of equal width. A block that owns the row knows by these which bins can matter, lists what
// they hold, and finds places in the list's order by radix select. Probabilities are integers (a fraction of 2^40), so
// that a sum has no order to depend on.
#pragma once
#include <bit>
#include <cfloat>
#include "host/reference/sampling.h"
#include "kernels/tools/common.cuh"

constexpr int sampling_block = 1024;
constexpr int sampling_digit = 10, sampling_bins = 1 << sampling_digit;  // a thread owns a bin
constexpr int sampling_slice = 16384;
static_assert(sampling_bins == sampling_block && sampling_block == warp_size * warp_size);
using Mass = unsigned long long;

// Integers in the order of the logits: larger is larger, and NaN the largest. bf16 needs its upper half only.
template <class T>
__device__ uint32_t sampling_key(float x) {
    uint32_t bits = std::bit_cast<uint32_t>(x);
    if (bits == 0x80000000u) bits = 0;  // -0 equals 0
    bits ^= bits >> 31 ? 0xffffffffu : 0x80000000u;
    if (x != x) bits = 0xffffffffu;
    return sizeof(T) == 2 ? bits >> 16 : bits;
}
template <class T>
__device__ float sampling_logit(uint32_t key) {
    const uint32_t bits = sizeof(T) == 2 ? key << 16 : key, of_bf16 = sizeof(T) == 2 ? 0xffff0000u : ~0u;
    return std::bit_cast<float>((bits ^ (bits >> 31 ? 0x80000000u : ~0u)) & of_bf16);
}

// What a logit weighs beside the largest, and where in the bins that is: of what weighs something, before bin 999.
struct SamplingScale {
    float max, per_temperature;
    static constexpr float bins_per_nat = 36;
    __device__ float nats(float x) const { return (x - max) * per_temperature; }
    __device__ Mass mass(float x) const { return Mass(expf(nats(x)) * 0x1p40f); }
    __device__ float bin(float x) const { return nats(x) * -bins_per_nat; }
};

// x < 1 of a mass, rounded down.
__device__ inline Mass sampling_share(Mass of, float x) { return __umul64hi(of, Mass(x * 0x1p64f)); }

// ---------------------------------------------------------------------------------------------------------- of a block

struct SamplingSums {
    Mass before, total;
};  // of the threads before this one, and of all

__device__ inline SamplingSums sampling_scan(Mass mine) {
    __shared__ Mass warps[warp_size];
    const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
    const auto of_warp = [=](Mass sum) {  // of the lanes up to this one
        for (int offset = 1; offset < warp_size; offset *= 2) {
            const Mass below = __shfl_up_sync(~0u, sum, offset);
            if (lane >= offset) sum += below;
        }
        return sum;
    };
    const Mass sum = of_warp(mine);
    __syncthreads();  // the last call's readers
    if (lane == warp_size - 1) warps[warp] = sum;
    __syncthreads();
    const Mass of_warps = of_warp(warps[lane]);
    const Mass before = __shfl_sync(~0u, of_warps, std::max(warp - 1, 0));
    return {(warp ? before : 0) + sum - mine, __shfl_sync(~0u, of_warps, warp_size - 1)};
}

// Where a running sum over the threads reaches `wanted`, which is above 0 and not above the total.
struct SamplingFound {
    int bin;
    Mass before;
    bool alone;
};

__device__ inline SamplingFound sampling_find(Mass before, Mass mine, Mass wanted, bool alone) {
    __shared__ SamplingFound found;
    __syncthreads();  // the last call's readers
    if (before < wanted && wanted <= before + mine) found = {int(threadIdx.x), before, alone};
    __syncthreads();
    return found;
}

// Integer atomics in shared memory: any order gives the same sums. Its 64-bit ones would be loops.
struct SamplingHistogram {
    uint32_t low[sampling_bins], high[sampling_bins], count[sampling_bins];

    __device__ void clear() { low[threadIdx.x] = high[threadIdx.x] = count[threadIdx.x] = 0; }
    __device__ void add(int bin, Mass mass) {
        const uint32_t part = uint32_t(mass), old = atomicAdd(&low[bin], part);
        const uint32_t upper = uint32_t(mass >> 32) + (old + part < old);
        if (upper) atomicAdd(&high[bin], upper);
        atomicAdd(&count[bin], 1u);
    }
    __device__ Mass mass() const { return Mass(high[threadIdx.x]) << 32 | low[threadIdx.x]; }  // of the thread's bin
};

// Calls each(v, x) for the logits begin <= v < end, and for some v beyond them with an x of -infinity: there is no
// branch. A thread's v rise. Several vectors are in flight at once.
template <int W, class T, class Each>
__device__ void sampling_walk(const T* row, int begin, int end, Each each) {
    constexpr int ahead = W == 1 ? 4 : 2, step = sampling_block * W;
    for (int first = begin + threadIdx.x * W; first < end; first += ahead * step) {
        Vec<W> x[ahead];
        UNROLL
        for (int u = 0; u < ahead; u++) x[u] = load<W>(row + (first + u * step < end ? first + u * step : first));
        UNROLL
        for (int u = 0; u < ahead; u++) {
            UNROLL
            for (int i = 0; i < W; i++) each(first + u * step + i, first + u * step + i < end ? x[u][i] : -INFINITY);
        }
    }
}

// ------------------------------------------------------------------------------------------------------- of all blocks

struct SamplingScratch {
    Mass *largest, *mass, *list;  // (B,slices) (B,slices,bins) (B,V)
    uint32_t* count;              // (B,slices,bins)
    int slices;
};

template <class T>
SamplingScratch sampling_scratch(int B, int V, const Gpu<T>& on) {
    const size_t slices = ceil_div(V, sampling_slice), bins = B * slices * sampling_bins;
    Mass* const from = on.template scratch<Mass>(bins + B * slices + size_t(B) * V + ceil_div(bins, 2));
    Mass *const largest = from + bins, *const list = largest + B * slices;
    return {largest, from, list, reinterpret_cast<uint32_t*>(list + size_t(B) * V), int(slices)};
}

// The lowest id among the row's largest.
__device__ inline int sampling_top(const SamplingScratch& scratch, int b) {
    Mass best = 0;
    for (int s = 0; s < scratch.slices; s++) best = std::max(best, scratch.largest[b * scratch.slices + s]);
    return int(~uint32_t(best));
}

template <int W, class T>
__global__ void __launch_bounds__(sampling_block, 1)
    sampling_largest_kernel(SamplingScratch scratch, const T* logits, int V, int P) {
    __shared__ Mass warps[warp_size];
    const int slice = blockIdx.x, b = blockIdx.y, begin = slice * sampling_slice;
    uint32_t key = 0;  // below that of any number
    int id = 0;
    sampling_walk<W>(logits + size_t(b) * P, begin, std::min(begin + sampling_slice, V), [&](int v, float x) {
        const uint32_t other = sampling_key<T>(x);
        if (other > key) key = other, id = v;
    });
    const auto of_warp = [](Mass x) {
        for (int offset = warp_size / 2; offset > 0; offset /= 2) x = std::max(x, __shfl_xor_sync(~0u, x, offset));
        return x;
    };
    const Mass best = of_warp(Mass(key) << 32 | ~uint32_t(id));
    if (threadIdx.x % warp_size == 0) warps[threadIdx.x / warp_size] = best;
    __syncthreads();
    if (threadIdx.x >= warp_size) return;
    const Mass of_block = of_warp(warps[threadIdx.x]);
    if (threadIdx.x == 0) scratch.largest[b * scratch.slices + slice] = of_block;
}

template <int W, class T>
__global__ void __launch_bounds__(sampling_block, 1)
    sampling_bins_kernel(SamplingScratch scratch, const T* logits, float per_temperature, int V, int P) {
    __shared__ SamplingHistogram histogram;
    const int slice = blockIdx.x, b = blockIdx.y, begin = slice * sampling_slice;
    const T* row = logits + size_t(b) * P;
    const SamplingScale scale{float(row[sampling_top(scratch, b)]), per_temperature};
    if (!isfinite(scale.max)) return;
    histogram.clear();
    __syncthreads();
    sampling_walk<W>(row, begin, std::min(begin + sampling_slice, V), [&](int, float x) {
        if (const Mass mass = scale.mass(x)) histogram.add(int(scale.bin(x)), mass);
    });
    __syncthreads();
    const size_t mine = (size_t(b) * scratch.slices + slice) * sampling_bins + threadIdx.x;
    scratch.mass[mine] = histogram.mass();
    scratch.count[mine] = histogram.count[threadIdx.x];
}

// A place in the order is a number: falling key, then rising id.
template <class T>
struct SamplingOrder {
    int id_bits;
    static constexpr int key_bits = 8 * sizeof(T);
    static constexpr uint32_t last_key = ~0u >> (32 - key_bits);
    template <class Int>
    __device__ explicit SamplingOrder(Int V) : id_bits(32 - __clz(V - 1)) {}
    __device__ int bits() const { return key_bits + id_bits; }
    __device__ Mass place(float x, int id) const {
        return Mass(last_key - sampling_key<T>(x)) << id_bits | unsigned(id);
    }
    __device__ float logit(Mass place) const { return sampling_logit<T>(last_key - uint32_t(place >> id_bits)); }
    __device__ int id(Mass place) const { return int(place & ((Mass(1) << id_bits) - 1)); }
};

enum class SamplingBy { count, mass };

// n places, as they were found; left are those up to `last` that weigh at least `least`.
template <class T>
struct SamplingList {
    const Mass* places;
    int n;
    SamplingOrder<T> order;
    SamplingScale scale;
    Mass last = ~Mass(0), least = 1;

    template <class Each>
    __device__ void walk(Each each) const {
        for (int i = threadIdx.x; i < n; i += sampling_block) {
            const Mass place = places[i], mass = scale.mass(order.logit(place));
            if (place <= last && mass >= least) each(place, mass);
        }
    }

    // The first place at which the running sum of what is left reaches wanted(sum of all), which must not exceed it.
    template <class Wanted>
    __device__ Mass reach(SamplingHistogram& histogram, SamplingBy by, Wanted wanted) const {
        __shared__ Mass only;
        Mass known = 0, missing = 0;  // the place's upper digits; of the sum, below them
        for (int top = order.bits(), shift;; top = shift) {
            shift = std::max(top - sampling_digit, 0);
            histogram.clear();
            __syncthreads();
            walk([&](Mass place, Mass mass) {
                if (place >> top == known) histogram.add(int(place >> shift ^ known << (top - shift)), mass);
            });
            __syncthreads();
            const uint32_t count = histogram.count[threadIdx.x];
            const Mass mine = by == SamplingBy::count ? count : histogram.mass();
            const SamplingSums sums = sampling_scan(mine);
            if (top == order.bits()) missing = wanted(sums.total);
            const SamplingFound found = sampling_find(sums.before, mine, missing, count == 1);
            missing -= found.before;
            known = known << (top - shift) | unsigned(found.bin);
            if (shift == 0) return known;
            if (!found.alone) continue;
            walk([&](Mass place, Mass) {
                if (place >> shift == known) only = place;
            });
            __syncthreads();
            return only;
        }
    }
};

template <int W, class T>
__global__ void __launch_bounds__(sampling_block, 1)
    sampling_pick_kernel(int* token, int* broken, SamplingScratch scratch, const T* logits, const float* u,
                         Sampling how, float per_temperature, int V, int P) {
    __shared__ SamplingHistogram histogram;
    __shared__ int listed;
    const int b = blockIdx.x, top = sampling_top(scratch, b);
    const T* row = logits + size_t(b) * P;
    const SamplingScale scale{float(row[top]), per_temperature};
    const bool finite = isfinite(scale.max);
    if (threadIdx.x == 0) token[b] = finite ? top : 0, broken[b] = !finite, listed = 0;
    if (how.temperature == 0 || !finite) return;

    // Add up the slices' bins, and see which can matter: first to end - 1.
    Mass mass = 0, count = 0;
    for (int s = 0; s < scratch.slices; s++) {
        const size_t mine = (size_t(b) * scratch.slices + s) * sampling_bins + threadIdx.x;
        mass += scratch.mass[mine];
        if (how.top_k > 0) count += scratch.count[mine];
    }
    const SamplingSums masses = sampling_scan(mass);
    const auto top_k = [&](Mass of) { return std::min(of, Mass(how.top_k)); };
    const auto top_p = [&](Mass of) { return std::max(sampling_share(of, how.enough()), Mass(1)); };
    const auto drawn = [&](Mass of) { return sampling_share(of, u[b]) + 1; };
    const bool all = how.top_k <= 0 && how.top_p >= 1 && how.min_p <= 0;
    int first = 0, end = 0;
    Mass skipped = 0;  // what lies before them
    if (all) {         // the draw is from the whole row: one bin holds it
        const SamplingFound found = sampling_find(masses.before, mass, drawn(masses.total), false);
        first = found.bin, end = first + 1, skipped = found.before;
    } else if (how.top_k > 0) {
        const SamplingSums counts = sampling_scan(count);
        end = sampling_find(counts.before, count, top_k(counts.total), false).bin + 1;
    } else if (how.top_p < 1) {
        end = sampling_find(masses.before, mass, top_p(masses.total), false).bin + 1;
    } else {  // the bin of min_p, and one more, as it is rounded
        end = int(fminf(-logf(how.least()) * SamplingScale::bins_per_nat + 2, sampling_bins));
    }

    // List what they hold.
    const SamplingOrder<T> order(V);
    Mass* const places = scratch.list + size_t(b) * V;
    sampling_walk<W>(row, 0, V, [&](int v, float x) {
        const float bin = scale.bin(x);  // int(bin) would take the time of all the rest
        if (bin >= first && bin < end) places[atomicAdd(&listed, 1)] = order.place(x, v);
    });
    __syncthreads();

    SamplingList<T> left{places, listed, order, scale};
    if (how.top_k > 0) left.last = left.reach(histogram, SamplingBy::count, top_k);
    if (how.top_p < 1)
        left.last =
            left.reach(histogram, SamplingBy::mass, [&](Mass of) { return top_p(how.top_k > 0 ? of : masses.total); });
    left.least = std::max(Mass(how.least() * 0x1p40f), Mass(1));
    const Mass picked = left.reach(histogram, SamplingBy::mass,
                                   [&](Mass of) { return all ? drawn(masses.total) - skipped : drawn(of); });
    if (threadIdx.x == 0) token[b] = order.id(picked);
}

template <class T>
void sampling_forward(int* token, int* broken, const T* logits, const float* u, const Sampling& how, int B, int V,
                      int P, Gpu<T> on) {
    const SamplingScratch scratch = sampling_scratch(B, V, on);
    const float per_temperature = std::min(1 / how.temperature, FLT_MAX);
    const dim3 slices(scratch.slices, B);
    by_width(P, {logits}, [&](auto W) {
        launch(sampling_largest_kernel<W, T>, slices, sampling_block, 0, on, scratch, logits, V, P);
        if (how.temperature > 0)
            launch(sampling_bins_kernel<W, T>, slices, sampling_block, 0, on, scratch, logits, per_temperature, V, P);
        launch(sampling_pick_kernel<W, T>, B, sampling_block, 0, on, token, broken, scratch, logits, u, how,
               per_temperature, V, P);
    });
}
