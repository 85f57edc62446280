// Coordinates, barriers, shared memory and order: what the threads of a block and the blocks of a grid see.
#include "kernel_test.h"
#include "kernels/tools/ptx.cuh"

// A shared variable of a function that only a lambda of this kernel names.
template <class Value>
__device__ unsigned before_write(Value value) {
    __shared__ unsigned hidden;
    const unsigned before = hidden;
    hidden = value();
    return before;
}
template <int>
__global__ void fresh_behind_lambda_kernel(unsigned* out) {
    out[blockIdx.x] = before_write([] { return blockIdx.x; });
}

namespace {

struct Place {
    unsigned thread[3], block[3], threads[3], blocks[3];
};

__global__ void places_kernel(Place* out) {
    const size_t b = blockIdx.x + size_t(gridDim.x) * (blockIdx.y + size_t(gridDim.y) * blockIdx.z);
    const size_t t = threadIdx.x + size_t(blockDim.x) * (threadIdx.y + size_t(blockDim.y) * threadIdx.z);
    out[b * blockDim.x * blockDim.y * blockDim.z + t] = {{threadIdx.x, threadIdx.y, threadIdx.z},
                                                         {blockIdx.x, blockIdx.y, blockIdx.z},
                                                         {blockDim.x, blockDim.y, blockDim.z},
                                                         {gridDim.x, gridDim.y, gridDim.z}};
}

template <class T>
__device__ T* reversed(T x) {  // a function's own shared memory, one for each T
    __shared__ T values[96];
    values[blockDim.x - 1 - threadIdx.x] = x;
    __syncthreads();
    return values;
}
__global__ void reverse_kernel(int* out, double* out2) {
    const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    out[i] = reversed(int(i))[threadIdx.x];
    out2[i] = reversed(double(i))[threadIdx.x];
}

__global__ void counts_kernel(int* out) {
    int* mine = out + threadIdx.x * 3;
    mine[0] = __syncthreads_count(threadIdx.x % 3 == 0);
    mine[1] = __syncthreads_and(threadIdx.x < 96);
    mine[2] = __syncthreads_or(threadIdx.x == 77);
}

// Threads that have exited are not waited for.
__global__ void early_exit_kernel(int* out) {
    __shared__ int value;
    if (threadIdx.x >= 40) return;
    if (threadIdx.x == 39) value = 5;
    __syncthreads();
    out[threadIdx.x] = value;
}

__global__ void divergent_kernel(int* out) {
    if (threadIdx.x < 32) __syncthreads();
    else __syncwarp(), __syncthreads();
    out[threadIdx.x] = 1;
}
__global__ void never_meet_kernel(int* out) {
    if (threadIdx.x < 40) __syncthreads();
    else if (threadIdx.x < 64) __syncwarp();
    out[threadIdx.x] = 1;
}

__global__ void fresh_kernel(unsigned* out) {
    __shared__ unsigned plain[3];
    __shared__ float number;
    if (threadIdx.x == 0) {
        const unsigned* dynamic = dynamic_shared<unsigned>();
        unsigned all = ~0u;
        for (int i = 0; i < 3; i++) all &= plain[i] & dynamic[i];
        out[blockIdx.x] = all & __float_as_uint(number);
    }
    __syncthreads();
    // Not zero, which a compiler may take a static variable to be that never holds anything else.
    if (threadIdx.x < 3) plain[threadIdx.x] = dynamic_shared<unsigned>()[threadIdx.x] = blockIdx.x;
    if (threadIdx.x == 0) number = float(blockIdx.x);
}

__global__ void last_writer_kernel(unsigned* out) {
    out[0] = blockIdx.x * blockDim.x + threadIdx.x;
}  // a race, on purpose

__global__ void beyond_dynamic_kernel(int bytes) { dynamic_shared<unsigned char>()[bytes] = 0; }

__global__ void tickets_kernel(int* counter, float* sum, unsigned* wrapped, int* highest) {
    atomicAdd(counter, 1);
    atomicAdd(sum, 0.5f);
    atomicInc(wrapped, 6);
    atomicMax(highest, int(blockIdx.x * 100 + threadIdx.x));
    if (threadIdx.x == 3) atomicCAS(counter + 1, 0, int(blockIdx.x) + 1);
}

}  // namespace

TEST(simt, grids_and_blocks_have_three_dimensions) {
    const dim3 grid(3, 2, 4), block(4, 3, 5);
    in_every_order([&] {
        const Device<Place> out(24 * 60);
        run(places_kernel, grid, block, 0, out);
        const std::vector<Place> got = out.get();
        size_t i = 0;
        for (unsigned bz = 0; bz < 4; bz++)
            for (unsigned by = 0; by < 2; by++)
                for (unsigned bx = 0; bx < 3; bx++)
                    for (unsigned tz = 0; tz < 5; tz++)
                        for (unsigned ty = 0; ty < 3; ty++)
                            for (unsigned tx = 0; tx < 4; tx++, i++) {
                                const Place want{{tx, ty, tz}, {bx, by, bz}, {4, 3, 5}, {3, 2, 4}};
                                ASSERT_EQ(std::memcmp(&got[i], &want, sizeof want), 0) << i;
                            }
    });
}

TEST(simt, static_shared_memory_belongs_to_a_block) {
    in_every_order([] {
        const Device<int> out(96 * 50);
        const Device<double> out2(96 * 50);
        run(reverse_kernel, 50, 96, 0, out, out2);
        for (size_t i = 0; i < 96 * 50; i++) {
            ASSERT_EQ(out.get()[i], int(i / 96 * 96 + 95 - i % 96));
            ASSERT_EQ(out2.get()[i], double(i / 96 * 96 + 95 - i % 96));
            i += 30;
        }
    });
}

TEST(simt, barriers_count) {
    const Device<int> out(128 * 3);
    run(counts_kernel, 1, 128, 0, out);
    const std::vector<int> got = out.get();
    for (size_t i = 0; i < 128; i++) {
        EXPECT_EQ(got[i * 3], 43);
        EXPECT_EQ(got[i * 3 + 1], 0);
        EXPECT_EQ(got[i * 3 + 2], 1);
    }
}

TEST(simt, barriers_do_not_wait_for_the_dead) {
    in_every_order([] {
        const Device<int> out(64);
        run(early_exit_kernel, 1, 64, 0, out);
        for (size_t i = 0; i < 40; i++) EXPECT_EQ(out.get()[i], 5);
    });
}

TEST(simt, divergent_barriers_end_with_a_message) {
    const Device<int> out(64);
    in_every_order([&] {
        expect_says(failure_of(divergent_kernel, 1, 64, 0, out),
                    {"divergent_kernel, block (0,0,0), thread (", "divergent barrier", "__syncthreads at "});
        // Threads 32-39 are of two minds: their warp waits for lanes that wait for the block.
        expect_says(failure_of(never_meet_kernel, 1, 64, 0, out),
                    {"deadlock", "threads 0-39 wait in __syncthreads at ", "(barrier 0, 40 of 64 threads)",
                     "threads 40-63 wait in __syncwarp at ", "for lanes 000000ff"});
    });
}

TEST(simt, shared_memory_is_nan_until_written) {
    in_every_order([] {
        const Device<unsigned> out(20);
        run(fresh_kernel, 20, 64, 12, out);
        for (unsigned x : out.get()) EXPECT_EQ(x, ~0u);
        run(fresh_behind_lambda_kernel<0>, 20, 1, 0, out);
        for (unsigned x : out.get()) EXPECT_EQ(x, ~0u);
    });
}

TEST(simt, order_decides_races) {
    if (simt::thread_sanitizer) GTEST_SKIP() << "it would be reported";
    const Device<unsigned> out(1);
    std::vector<unsigned> winners;
    in_every_order([&] {
        run(last_writer_kernel, 1, 64, 0, out);
        winners.push_back(out.get()[0]);
    });
    EXPECT_EQ(winners[0], 63u);
    EXPECT_EQ(winners[1], 0u);
    EXPECT_FALSE(winners[2] == winners[3] && winners[3] == winners[4]);
}

TEST(simt, writes_beyond_dynamic_shared_memory_are_caught) {
    if (simt::address_sanitizer) GTEST_SKIP() << "see simt.address_sanitizer_sees_shared_memory";
    expect_says(failure_of(beyond_dynamic_kernel, 1, 1, 100, 101),
                {"beyond_dynamic_kernel, block (0,0,0): wrote byte 101 of dynamic shared memory, but asked for 100"});
    run(beyond_dynamic_kernel, 1, 1, 100, 99);
}

TEST(simt, atomics_lose_nothing) {
    in_every_order([] {
        const Device<int> counter(std::vector<int>{0, 0}), highest(std::vector<int>{0});
        const Device<float> sum(std::vector<float>{0});
        const Device<unsigned> wrapped(std::vector<unsigned>{0});
        run(tickets_kernel, 30, 64, 0, counter, sum, wrapped, highest);
        EXPECT_EQ(counter.get()[0], 30 * 64);
        EXPECT_NE(counter.get()[1], 0);
        EXPECT_EQ(sum.get()[0], 15 * 64.0f);
        EXPECT_EQ(wrapped.get()[0], 30u * 64 % 7);
        EXPECT_EQ(highest.get()[0], 2963);
    });
}
