// The functions of kernels/tools/ptx.cuh against the layouts and rules of the PTX manual, element by element.
#include <random>
#include "kernel_test.h"
#include "kernels/tools/ptx.cuh"

namespace {

// ---- ldmatrix, stmatrix ----

// out[lane][i] = the two elements that register i holds; matrix i's row j is at element (8*i + j) * pitch.
constexpr int pitch = 24;
template <int n, bool transposed>
__global__ void load_kernel(uint32_t* out) {
    __shared__ __align__(16) uint16_t tile[32 * pitch];
    for (int i = int(threadIdx.x); i < 32 * pitch; i += 32) tile[i] = uint16_t(i);
    __syncwarp();
    uint32_t r[n];
    const uint16_t* row = tile + threadIdx.x % (8 * n) * pitch;
    if (transposed) ldmatrix_transposed(r, row);
    else ldmatrix(r, row);
    for (int i = 0; i < n; i++) out[threadIdx.x * n + unsigned(i)] = r[i];
}
template <int n, bool transposed>
__global__ void store_kernel(uint16_t* out) {
    __shared__ __align__(16) uint16_t tile[32 * pitch];
    for (int i = int(threadIdx.x); i < 32 * pitch; i += 32) tile[i] = 0;
    __syncwarp();
    uint32_t r[n];
    for (unsigned i = 0; i < n; i++) r[i] = (1000 + i * 64 + threadIdx.x * 2) | (1001 + i * 64 + threadIdx.x * 2) << 16;
    uint16_t* row = tile + threadIdx.x % (8 * n) * pitch;
    if (transposed) stmatrix_transposed(row, r);
    else stmatrix(row, r);
    __syncwarp();
    for (int i = int(threadIdx.x); i < 32 * pitch; i += 32) out[i] = tile[i];
}

template <int n, bool transposed>
void check_matrices() {
    const Device<uint32_t> loaded(32 * n);
    run(load_kernel<n, transposed>, 1, 32, 0, loaded);
    const Device<uint16_t> stored(32 * pitch);
    run(store_kernel<n, transposed>, 1, 32, 0, stored);
    const std::vector<uint32_t> got = loaded.get();
    std::vector<uint16_t> want(32 * pitch, 0);
    for (unsigned lane = 0; lane < 32; lane++)
        for (unsigned i = 0; i < n; i++)
            for (unsigned half = 0; half < 2; half++) {
                const unsigned a = lane / 4, b = lane % 4 * 2 + half;
                const unsigned at = (8 * i + (transposed ? b : a)) * pitch + (transposed ? a : b);
                ASSERT_EQ(got[lane * n + i] >> 16 * half & 0xffff, at) << "lane " << lane << " register " << i;
                want[at] = uint16_t(1000 + i * 64 + lane * 2 + half);
            }
    EXPECT_EQ(stored.get(), want);
}

__global__ void misaligned_kernel(uint32_t* out) {
    __shared__ __align__(16) uint16_t tile[9 * 8];
    uint32_t r[1];
    ldmatrix(r, tile + threadIdx.x % 8 * 8 + 4);
    out[threadIdx.x] = r[0];
}
__global__ void not_shared_kernel(uint32_t* out) {
    uint32_t r[1];
    ldmatrix(r, out);
    out[threadIdx.x] = r[0];
}
__global__ void not_converged_kernel(float* out) {
    float c[4] = {};
    const uint32_t a[4] = {}, b[2] = {};
    if (threadIdx.x < 16) mma(c, a, b, c);
    else mma(c, a, b, c);
    out[threadIdx.x] = c[0];
}

// ---- mma ----

// A (16,16), B (16,8), C (16,8), each lane's elements picked as the manual's figures show.
__global__ void mma_kernel(float* out, const __nv_bfloat16* A, const __nv_bfloat16* B, const float* C) {
    const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
    const auto pair = [](__nv_bfloat16 low, __nv_bfloat16 high) {
        return __bfloat16_as_ushort(low) | uint32_t(__bfloat16_as_ushort(high)) << 16;
    };
    const auto a_at = [&](unsigned row, unsigned k) { return pair(A[row * 16 + k], A[row * 16 + k + 1]); };
    const uint32_t a[4] = {a_at(g, 2 * t), a_at(g + 8, 2 * t), a_at(g, 2 * t + 8), a_at(g + 8, 2 * t + 8)};
    const uint32_t b[2] = {pair(B[2 * t * 8 + g], B[(2 * t + 1) * 8 + g]),
                           pair(B[(2 * t + 8) * 8 + g], B[(2 * t + 9) * 8 + g])};
    const float c[4] = {C[g * 8 + 2 * t], C[g * 8 + 2 * t + 1], C[(g + 8) * 8 + 2 * t], C[(g + 8) * 8 + 2 * t + 1]};
    float d[4];
    mma(d, a, b, c);
    out[g * 8 + 2 * t] = d[0], out[g * 8 + 2 * t + 1] = d[1], out[(g + 8) * 8 + 2 * t] = d[2],
                    out[(g + 8) * 8 + 2 * t + 1] = d[3];
}

// ---- cp.async ----

__global__ void copy_kernel(uint32_t* out, const uint32_t* inp) {
    __shared__ __align__(16) uint32_t tile[16];
    uint32_t* seen = out;
    const auto see = [&] {
        for (int i = 0; i < 12; i++) *seen++ = tile[i];
    };
    copy_async<16>(tile, inp);  // group 1
    copy_async_commit();
    copy_async<8>(tile + 4, inp + 4);  // group 2, with an empty one after it
    copy_async<4>(tile + 6, inp + 6, 3);
    copy_async<4>(tile + 7, inp + 7, 0);
    copy_async_commit();
    copy_async_commit();
    copy_async<16>(tile + 8, inp + 8);  // never committed
    see();
    copy_async_wait<3>(), see();  // nothing is due
    copy_async_wait<2>(), see();  // group 1
    copy_async_wait<0>(), see();  // group 2, not what was never committed
    copy_async_commit();
    copy_async_wait<0>(), see();
}

__global__ void source_changes_kernel(uint32_t* out, uint32_t* inp) {
    __shared__ __align__(16) uint32_t tile[4];
    copy_async<16>(tile, inp);
    copy_async_commit();
    inp[0] = 99;  // too early: the copy may come later
    copy_async_wait<0>();
    out[0] = tile[0];
}

// ---- Named barriers ----

// Warp 0 produces, warp 1 consumes; neither waits for the other more than it must. Warp 2 is not concerned.
__global__ void produce_consume_kernel(int* out) {
    __shared__ int slot[32];
    const int warp = int(threadIdx.x / 32), lane = int(threadIdx.x % 32);
    enum { full = 1, empty = 2 };
    for (int i = 0; i < 10; i++) {
        if (warp == 0) {
            if (i > 0) named_barrier_sync(empty, 64);
            slot[lane] = i * 100 + lane;
            named_barrier_arrive(full, 64);
        } else if (warp == 1) {
            named_barrier_sync(full, 64);
            out[i * 32 + lane] = slot[31 - lane];
            if (i < 9) named_barrier_arrive(empty, 64);
        }
    }
    __syncthreads();
}
__global__ void wrong_count_kernel(int count) { named_barrier_sync(1, count); }
__global__ void barrier_counts_differ_kernel() { named_barrier_sync(1, threadIdx.x < 32 ? 64 : 32); }
__global__ void starving_kernel() { named_barrier_sync(3, 64); }

__global__ void small_ones_kernel(float* out, const uint4* inp) {
    const bool leader = elect_one();
    const unsigned leaders = __ballot_sync(~0u, leader);
    out[threadIdx.x * 4] = float(__popc(leaders));
    out[threadIdx.x * 4 + 1] = exp2_approximate(float(threadIdx.x) - 16);
    out[threadIdx.x * 4 + 2] = __uint_as_float(pack_bf16(1.0f, -2.0f));
    out[threadIdx.x * 4 + 3] = float(load_once(inp + threadIdx.x).z + load_words(inp + threadIdx.x).y);
}

}  // namespace

TEST(simt, ldmatrix_and_stmatrix_have_the_layout_of_the_manual) {
    check_matrices<1, false>(), check_matrices<1, true>();
    check_matrices<2, false>(), check_matrices<2, true>();
    check_matrices<4, false>(), check_matrices<4, true>();
}

TEST(simt, matrix_instructions_check_their_rules) {
    const Device<uint32_t> out(32);
    const Device<float> sums(32);
    in_every_order([&] {
        expect_says(failure_of(misaligned_kernel, 1, 32, 0, out),
                    {"ldmatrix: the address is not a multiple of 16", "ptx.cu:"});
        expect_says(failure_of(not_shared_kernel, 1, 32, 0, out), {"ldmatrix: the address is not in shared memory"});
        expect_says(failure_of(not_converged_kernel, 1, 32, 0, sums), {"mma: all lanes must execute the same one"});
    });
}

TEST(simt, mma_multiplies_matrices) {
    std::mt19937 random(1);
    std::uniform_int_distribution<int> small(-16, 16);  // products and sums of these are exact
    std::vector<__nv_bfloat16> A(256), B(128);
    std::vector<float> C(128), want(128);
    for (auto& x : A) x = small(random);
    for (auto& x : B) x = small(random);
    for (auto& x : C) x = float(small(random)) / 4;
    for (size_t m = 0; m < 16; m++)
        for (size_t n = 0; n < 8; n++) {
            want[m * 8 + n] = C[m * 8 + n];
            for (size_t k = 0; k < 16; k++) want[m * 8 + n] += float(A[m * 16 + k]) * float(B[k * 8 + n]);
        }
    const Device<__nv_bfloat16> a(A), b(B);
    const Device<float> c(C), out(128);
    in_every_order([&] {
        run(mma_kernel, 1, 32, 0, out, a, b, c);
        EXPECT_EQ(out.get(), want);
    });
}

TEST(simt, async_copies_happen_at_the_last_moment) {
    const Device<uint32_t> inp(std::vector<uint32_t>{1, 2, 3, 4, 5, 6, 0x07070707, 8, 9, 10, 11, 12}), out(60);
    run(copy_kernel, 1, 1, 0, out, inp);
    const uint32_t n = ~0u;  // not yet
    const std::vector<uint32_t> want = {n, n, n,        n, n, n, n, n, n, n, n, n, n, n, n,        n, n, n,  n,  n,
                                        n, n, n,        n, 1, 2, 3, 4, n, n, n, n, n, n, n,        n, 1, 2,  3,  4,
                                        5, 6, 0x070707, 0, n, n, n, n, 1, 2, 3, 4, 5, 6, 0x070707, 0, 9, 10, 11, 12};
    EXPECT_EQ(out.get(), want);
}

TEST(simt, async_copies_read_late) {
    const Device<uint32_t> inp(std::vector<uint32_t>{1, 2, 3, 4}), out(1);
    run(source_changes_kernel, 1, 1, 0, out, inp);
    EXPECT_EQ(out.get()[0], 99u);
}

TEST(simt, named_barriers_join_some_threads) {
    in_every_order([] {
        const Device<int> out(320);
        run(produce_consume_kernel, 1, 96, 0, out);
        const std::vector<int> got = out.get();
        for (int i = 0; i < 320; i++) EXPECT_EQ(got[size_t(i)], i / 32 * 100 + 31 - i % 32);
    });
}

TEST(simt, wrong_uses_of_named_barriers_end_with_a_message) {
    expect_says(failure_of(wrong_count_kernel, 1, 64, 0, 33), {"33 is no multiple of 32 within the block"});
    expect_says(failure_of(wrong_count_kernel, 1, 64, 0, 96), {"96 is no multiple of 32 within the block"});
    expect_says(failure_of(barrier_counts_differ_kernel, 1, 64, 0),
                {"barrier 1: others expect 64 threads", "expects 32"});
    expect_says(failure_of(starving_kernel, 1, 32, 0), {"64 is no multiple of 32 within the block"});
    expect_says(failure_of(starving_kernel, 1, 96, 0),
                {"deadlock", "wait in bar.sync at ", "(barrier 3, 32 of 64 threads)"});
}

TEST(simt, small_instructions) {
    std::vector<uint4> words(32);
    for (unsigned i = 0; i < 32; i++) words[i] = {0, 100, i, 0};
    const Device<uint4> inp(words);
    const Device<float> out(128);
    in_every_order([&] {
        run(small_ones_kernel, 1, 32, 0, out, inp);
        const std::vector<float> got = out.get();
        for (int i = 0; i < 32; i++) {
            EXPECT_EQ(got[size_t(i) * 4], 1);
            EXPECT_EQ(got[size_t(i) * 4 + 1], std::ldexp(1.0f, i - 16));
            EXPECT_EQ(__builtin_bit_cast(unsigned, got[size_t(i) * 4 + 2]), 0xc0003f80u);
            EXPECT_EQ(got[size_t(i) * 4 + 3], float(i + 100));
        }
    });
}
