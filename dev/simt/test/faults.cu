// Kernels that touch what is not theirs, each in a process of its own. What tells differs: without a sanitizer, pages
// that may not be touched and patterns around buffers; with AddressSanitizer, it; with ThreadSanitizer,
// it also tells of data races.
#include "kernel_test.h"
#include "kernels/tools/ptx.cuh"

namespace {

enum class Touch { local_array, other_array, dynamic, global };
__global__ void touch_kernel(float* out, Touch what, int i) {
    __shared__ float first[8], second[8];
    if (threadIdx.x > 0) return;
    switch (what) {
        case Touch::local_array: first[i] = 1; break;
        case Touch::other_array: second[i] = 1; break;
        case Touch::dynamic: dynamic_shared<float>()[i] = 1; break;
        case Touch::global: out[i] = 1; break;
    }
    out[0] = first[0] + second[0];
}
void touch(Touch what, int i) {
    const Device<float> out(100);
    start(touch_kernel, 1, 32, 64, out, what, i);
    std::exit(cudaDeviceSynchronize());
}
void touch_freed() {
    float* p;
    cudaMalloc(&p, 400);
    cudaFree(p);
    start(touch_kernel, 1, 32, 64, p, Touch::global, 0);
    std::exit(cudaDeviceSynchronize());
}
__global__ void misaligned_kernel(float* out) { *reinterpret_cast<float4*>(out + 1) = {1, 2, 3, 4}; }
__global__ void deep_kernel(float* out) {
    volatile char large[600 * 1024];
    for (int i = 600 * 1024; i-- > 0;) large[i] = 1;
    out[0] = large[0];
}
void launch_and_exit(void (*kernel)(float*)) {
    const Device<float> out(100);
    start(kernel, 1, 1, 0, out);
    std::exit(cudaDeviceSynchronize());
}

// ---- Races ----

enum class Missing { nothing, barrier, second_barrier, warp_barrier, fence };

// The block's sum of one value per thread, twice over in the same shared memory.
__global__ void sums_kernel(float* out, Missing missing) {
    __shared__ float sums[8];
    for (int round = 0; round < 2; round++) {
        float x = float(threadIdx.x);
        for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(~0u, x, offset);
        if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;  // line of the write
        if (missing != Missing::barrier) __syncthreads();
        float total = 0;
        for (int w = 0; w < 8; w++) total += sums[w];
        out[blockIdx.x * blockDim.x + threadIdx.x] = total;
        if (missing != Missing::second_barrier) __syncthreads();
    }
}
__global__ void lanes_kernel(float* out, Missing missing) {
    __shared__ float values[32];
    values[threadIdx.x] = float(threadIdx.x);
    if (missing != Missing::warp_barrier) __syncwarp();
    else __shfl_sync(~0u, 1, 0);  // meets, but orders no memory
    out[blockIdx.x * 32 + threadIdx.x] = values[threadIdx.x ^ 1];
}
__global__ void blocks_kernel(float* out, Missing missing) {
    if (threadIdx.x == 0) out[missing == Missing::nothing ? blockIdx.x : 0] = float(blockIdx.x);
}
__global__ void last_block_kernel(float* out, Missing missing, float* partial, int* ticket) {
    __shared__ bool last;
    partial[blockIdx.x * blockDim.x + threadIdx.x] = 1;
    if (missing != Missing::fence) __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(ticket, 1) == int(gridDim.x) - 1;
    __syncthreads();
    if (!last) return;
    float sum = 0;
    for (unsigned i = threadIdx.x; i < gridDim.x * blockDim.x; i += blockDim.x) sum += partial[i];
    out[threadIdx.x] = sum;
}
__global__ void stage_reuse_kernel(float* out, Missing missing) {
    __shared__ __align__(16) float stage[32 * 4];
    for (int i = 0; i < 2; i++) {
        copy_async<16>(stage + 4 * threadIdx.x, out + 4 * threadIdx.x);  // while others may still read the last one
        copy_async_commit();
        copy_async_wait<0>();
        __syncwarp();
        const float x = stage[(4 * threadIdx.x + 64) % 128];
        if (missing != Missing::barrier) __syncwarp();
        out[1000 + blockIdx.x * 32 + threadIdx.x] = x;
    }
}

template <class... A>
void race(void (*kernel)(float*, Missing, A...), unsigned threads, Missing missing, A... args) {
    const Device<float> out(5000);
    cudaMemset(out, 0, 5000 * sizeof(float));
    start(kernel, 4, threads, 0, out, missing, args...);
    cudaDeviceSynchronize();
    std::exit(0);
}
void race_for_last_block(Missing missing) {
    const Device<float> partial(4 * 64);
    const Device<int> ticket(std::vector<int>{0});
    race(last_block_kernel, 64, missing, static_cast<float*>(partial), static_cast<int*>(ticket));
}

// A child starts anew instead of going on from a fork: OpenMP's threads would be missing.
struct Restarted : testing::Environment {
    void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};
const testing::Environment* const restarted = testing::AddGlobalTestEnvironment(new Restarted);

// What both accesses' reports must name: thread, block and kernel of either, and the file with the line.
std::string race_report(const std::string& kernel) {
    return "data race(.|\n)*#0 .*" + kernel + ".*faults.cu:[0-9]+(.|\n)*Previous (.|\n)*#0 .*" + kernel +
           ".*faults.cu:[0-9]+(.|\n)*block [0-9],0,0 thread [0-9]+,0,0 " + kernel +
           "(.|\n)*block [0-9],0,0 thread [0-9]+,0,0 " + kernel;
}
const auto raced = testing::ExitedWithCode(66), fine = testing::ExitedWithCode(0);

}  // namespace

TEST(simt, accesses_in_bounds_are_fine) {
    EXPECT_EXIT(touch(Touch::local_array, 7), fine, "");
    EXPECT_EXIT(touch(Touch::other_array, 7), fine, "");
    EXPECT_EXIT(touch(Touch::dynamic, 15), fine, "");
    EXPECT_EXIT(touch(Touch::global, 99), fine, "");
}

TEST(simt, accesses_beyond_a_device_buffer_are_caught) {
    if (simt::thread_sanitizer) GTEST_SKIP() << "it looks for races";
    if (simt::address_sanitizer) {
        for (int i : {-1, 100, 101})
            EXPECT_DEATH(
                touch(Touch::global, i),
                "simt: touch_kernel, block .0,0,0., thread .0,0,0.(.|\n)*heap-buffer-overflow(.|\n)*faults.cu");
        EXPECT_DEATH(touch_freed(), "heap-use-after-free");
        return;
    }
    // 400 bytes end 112 bytes before the next page: writes there are noticed when the kernel has ended,
    // farther ones at once.
    for (int i : {-1, 100, 127})
        EXPECT_EXIT(touch(Touch::global, i), testing::ExitedWithCode(cudaErrorIllegalAddress & 255),
                    "touch_kernel: wrote ");
    EXPECT_DEATH(touch(Touch::global, 128),
                 "touch_kernel, block .0,0,0., thread .0,0,0.: touched 112 bytes past the end of device buffer [0-9]+ "
                 "of 400 bytes");
    EXPECT_DEATH(touch_freed(), "touched byte 0 of freed device buffer");
}

TEST(simt, address_sanitizer_sees_shared_memory) {
    if (!simt::address_sanitizer) GTEST_SKIP() << "make test SANITIZE=address";
    for (Touch what : {Touch::local_array, Touch::other_array})
        for (int i : {-1, 8, 100}) EXPECT_DEATH(touch(what, i), "use-after-poison(.|\n)*faults.cu");
    for (int i : {-1, 16, 1000}) EXPECT_DEATH(touch(Touch::dynamic, i), "use-after-poison(.|\n)*faults.cu");
}

TEST(simt, misaligned_vectors_and_full_stacks_are_caught) {
    if (simt::thread_sanitizer || simt::address_sanitizer) GTEST_SKIP() << "the message is the plain build's";
    EXPECT_DEATH(launch_and_exit(misaligned_kernel),
                 "misaligned_kernel, block .0,0,0., thread .0,0,0.: touched an address that is not a multiple");
    EXPECT_DEATH(launch_and_exit(deep_kernel), "deep_kernel, .*its stack");
}

TEST(simt, thread_sanitizer_is_silent_on_correct_kernels) {
    EXPECT_EXIT(race(sums_kernel, 256, Missing::nothing), fine, "");
    EXPECT_EXIT(race(lanes_kernel, 32, Missing::nothing), fine, "");
    EXPECT_EXIT(race(blocks_kernel, 32, Missing::nothing), fine, "");
    EXPECT_EXIT(race(stage_reuse_kernel, 32, Missing::nothing), fine, "");
    EXPECT_EXIT(race_for_last_block(Missing::nothing), fine, "");
}

TEST(simt, thread_sanitizer_reports_races) {
    if (!simt::thread_sanitizer) GTEST_SKIP() << "make test SANITIZE=thread";
    EXPECT_EXIT(race(sums_kernel, 256, Missing::barrier), raced, race_report("sums_kernel"));
    EXPECT_EXIT(race(sums_kernel, 256, Missing::second_barrier), raced, race_report("sums_kernel"));
    EXPECT_EXIT(race(lanes_kernel, 32, Missing::warp_barrier), raced, race_report("lanes_kernel"));
    EXPECT_EXIT(race(blocks_kernel, 32, Missing::barrier), raced, race_report("blocks_kernel"));
    EXPECT_EXIT(race(stage_reuse_kernel, 32, Missing::barrier), raced,
                "data race(.|\n)*copy_async(.|\n)*stage_reuse_kernel");
    EXPECT_EXIT(race_for_last_block(Missing::fence), raced, race_report("last_block_kernel"));
}
