// Shuffles, votes, matches and reductions against their definitions in the PTX manual, written out anew.
#include <bit>
#include "kernel_test.h"

namespace {

enum Mode { up, down, bfly, idx };

template <class T>
__global__ void shuffle_kernel(T* out, const T* inp, Mode mode, int b, int width) {
    const unsigned i = threadIdx.x;
    switch (mode) {
        case up: out[i] = __shfl_up_sync(~0u, inp[i], unsigned(b), width); break;
        case down: out[i] = __shfl_down_sync(~0u, inp[i], unsigned(b), width); break;
        case bfly: out[i] = __shfl_xor_sync(~0u, inp[i], b, width); break;
        case idx: out[i] = __shfl_sync(~0u, inp[i], b, width); break;
    }
}

// The CUDA Programming Guide's words: lanes are in groups of `width`, up and down stop at the group's edge, idx wraps
// within the group, xor reads from earlier groups but not from later ones.
unsigned source(Mode mode, unsigned lane, unsigned b, unsigned width) {
    const unsigned first = lane / width * width, in_group = lane % width;
    switch (mode) {
        case up: return in_group >= b ? lane - b : lane;
        case down: return in_group + b < width ? lane + b : lane;
        case bfly: return (lane ^ b) < first + width ? lane ^ b : lane;
        case idx: return first + b % width;
    }
    return lane;
}

template <class T>
void check_shuffles() {
    std::vector<T> values(64);
    for (unsigned i = 0; i < 64; i++) values[i] = T(float(i * 3 + 1));
    const Device<T> inp(values), out(64);
    for (Mode mode : {up, down, bfly, idx})
        for (unsigned width : {1u, 2u, 4u, 8u, 16u, 32u})
            for (unsigned b = 0; b < 32; b++) {
                run(shuffle_kernel<T>, 1, 64, 0, out, inp, mode, int(b), int(width));
                const std::vector<T> got = out.get();
                for (unsigned i = 0; i < 64; i++)
                    ASSERT_EQ(float(got[i]), float(values[i / 32 * 32 + source(mode, i % 32, b, width)]))
                        << "mode " << mode << " width " << width << " b " << b << " thread " << i;
            }
}

__global__ void vote_kernel(unsigned* out, const unsigned* inp, unsigned mask) {
    const unsigned i = threadIdx.x;
    unsigned* mine = out + i * 16;
    if (!(mask >> (i % 32) & 1)) return;
    mine[0] = __ballot_sync(mask, inp[i] & 1);
    mine[1] = unsigned(__any_sync(mask, inp[i] & 1));
    mine[2] = unsigned(__all_sync(mask, inp[i] & 1));
    mine[3] = __match_any_sync(mask, inp[i] % 5);
    int same = -1;
    mine[4] = __match_all_sync(mask, inp[i] & 1, &same);
    mine[5] = unsigned(same);
    mine[6] = __reduce_add_sync(mask, inp[i]);
    mine[7] = __reduce_min_sync(mask, inp[i]);
    mine[8] = __reduce_max_sync(mask, inp[i]);
    mine[9] = __reduce_and_sync(mask, inp[i]);
    mine[10] = __reduce_or_sync(mask, inp[i]);
    mine[11] = __reduce_xor_sync(mask, inp[i]);
    mine[12] = unsigned(__reduce_min_sync(mask, int(inp[i])));
    mine[13] = unsigned(__reduce_max_sync(mask, int(inp[i])));
    mine[14] = unsigned(__reduce_add_sync(mask, int(inp[i])));
}

void check_votes(const std::vector<unsigned>& values, unsigned mask) {
    const Device<unsigned> inp(values), out(32 * 16);
    run(vote_kernel, 1, 32, 0, out, inp, mask);
    const std::vector<unsigned> got = out.get();
    std::vector<unsigned> want(16);
    want[7] = want[9] = ~0u;
    int low = INT32_MAX, high = INT32_MIN;
    for (unsigned j = 0; j < 32; j++) {
        if (!(mask >> j & 1)) continue;
        const unsigned x = values[j];
        want[0] |= (x & 1) << j;
        want[6] += x, want[14] += x, want[10] |= x, want[11] ^= x, want[9] &= x;
        want[7] = std::min(want[7], x), want[8] = std::max(want[8], x);
        low = std::min(low, int(x)), high = std::max(high, int(x));
    }
    want[1] = want[0] != 0, want[2] = want[0] == mask;
    want[5] = want[0] == mask || want[0] == 0;
    want[4] = want[5] ? mask : 0;
    want[12] = unsigned(low), want[13] = unsigned(high);
    for (unsigned i = 0; i < 32; i++) {
        if (!(mask >> i & 1)) continue;
        want[3] = 0;
        for (unsigned j = 0; j < 32; j++) want[3] |= unsigned(mask >> j & 1 && values[j] % 5 == values[i] % 5) << j;
        for (unsigned k = 0; k < 15; k++)
            ASSERT_EQ(got[i * 16 + k], want[k]) << "mask " << std::hex << mask << " lane " << i << " result " << k;
    }
}

// Halves of a warp go different ways and meet among themselves, more often in one than in the other.
__global__ void halves_kernel(int* out) {
    const int lane = int(threadIdx.x % 32);
    int x = lane;
    if (lane < 16)
        for (int i = 0; i < 5; i++) x += __shfl_xor_sync(0xffffu, x, 1);
    else x = __shfl_xor_sync(0xffff0000u, x, 8);
    __syncwarp();
    out[threadIdx.x] = __shfl_sync(~0u, x, 31 - lane);
}

// A value handed over through shared memory: only __syncwarp makes it visible.
__global__ void handover_kernel(int* out) {
    __shared__ int values[64];
    values[threadIdx.x] = int(threadIdx.x);
    __syncwarp();
    out[threadIdx.x] = values[threadIdx.x ^ 31];
}

__global__ void exited_lane_kernel(int* out, bool read) {
    if (threadIdx.x == 5) return;
    out[threadIdx.x] = int(__ballot_sync(~0u, 1));  // living lanes only: no error
    if (read) out[threadIdx.x] = __shfl_sync(~0u, 1, 5);
}
__global__ void outside_mask_kernel(int* out) { out[threadIdx.x] = __shfl_xor_sync(0xffu, 1, 1); }
__global__ void reads_outside_mask_kernel(int* out) {
    if (threadIdx.x < 8) out[threadIdx.x] = __shfl_sync(0xffu, 1, 9);
}
__global__ void wrong_width_kernel(int* out) { out[threadIdx.x] = __shfl_xor_sync(~0u, 1, 1, 24); }
__global__ void different_shuffles_kernel(int* out) {
    out[threadIdx.x] = threadIdx.x < 7 ? __shfl_xor_sync(~0u, 1, 1) : __shfl_down_sync(~0u, 1, 1);
}

}  // namespace

TEST(simt, shuffles_follow_their_definition) {
    check_shuffles<float>();
    check_shuffles<int>();
    check_shuffles<double>();
    check_shuffles<__nv_bfloat16>();
}

TEST(simt, votes_matches_and_reductions_follow_their_definition) {
    std::vector<unsigned> values(32), odd(32, 7), even(32, 4);
    for (unsigned i = 0; i < 32; i++) values[i] = i * 0x9e3779b9u ^ i << 20;
    for (unsigned mask : {~0u, 1u, 0x80000000u, 0xffffu, 0x12345678u})
        for (const auto& v : {values, odd, even}) in_every_order([&] { check_votes(v, mask); });
}

TEST(simt, parts_of_a_warp_meet_among_themselves) {
    in_every_order([] {
        const Device<int> out(64);
        run(halves_kernel, 1, 64, 0, out);
        const std::vector<int> got = out.get();
        for (int lane = 0; lane < 32; lane++) {
            const int from = 31 - lane;
            int x = from ^ 8;
            if (from < 16) {  // after one step both of a pair hold the sum, which then doubles
                x = (from + (from ^ 1)) << 4;
            }
            EXPECT_EQ(got[size_t(lane)], x) << lane;
            EXPECT_EQ(got[size_t(lane) + 32], x) << lane;
        }
    });
}

TEST(simt, syncwarp_hands_over_shared_memory) {
    in_every_order([] {
        const Device<int> out(64);
        run(handover_kernel, 1, 64, 0, out);
        const std::vector<int> got = out.get();
        for (size_t i = 0; i < 64; i++) EXPECT_EQ(got[i], int(i ^ 31));
    });
}

TEST(simt, wrong_uses_of_a_warp_end_with_a_message) {
    const Device<int> out(32);
    run(exited_lane_kernel, 1, 32, 0, out, false);
    for (int lane = 0; lane < 32; lane++)
        if (lane != 5) { EXPECT_EQ(unsigned(out.get()[size_t(lane)]), ~0u ^ 1u << 5); }
    in_every_order([&] {
        expect_says(failure_of(exited_lane_kernel, 1, 32, 0, out, true),
                    {"exited_lane_kernel, block (0,0,0), thread (", "__shfl_sync: lane ",
                     " reads lane 5, which has exited", "warp.cu:"});
        expect_says(failure_of(outside_mask_kernel, 1, 32, 0, out),
                    {"__shfl_xor_sync: lane ", " is not in its own mask 000000ff"});
        expect_says(failure_of(reads_outside_mask_kernel, 1, 32, 0, out), {" reads lane 9, which is not in the mask"});
        expect_says(failure_of(wrong_width_kernel, 1, 32, 0, out), {"width 24"});
        expect_says(failure_of(different_shuffles_kernel, 1, 32, 0, out),
                    {"deadlock", "threads 0-6 wait in __shfl_xor_sync at ", "for lanes ffffff80",
                     "threads 7-31 wait in __shfl_down_sync at "});
    });
}
