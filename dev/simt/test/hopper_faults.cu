// Wrong uses of Hopper's instructions: each ends with a message that names it, in every order of threads.
#include "kernel_test.h"
#include "kernels/tools/tensor_map.cuh"

namespace {

// ---- A ring: for each block c (64,64) = a (64,K) . b (64,K). One warpgroup copies and one multiplies. ----

enum class Bug {
    none,
    no_init_fence,
    no_wait_for_full,
    no_wait_for_empty,
    wrong_parity,
    too_few_bytes,
    too_many_bytes,
    one_arrival_more,
    released_in_use,  // a stage, before the product is waited for
    no_wgmma_fence,
    scaled_in_flight,
    read_in_flight,
    no_last_wait,
    no_proxy_fence,
    proxy_fence_too_early,
    stored_elsewhere_too_early,  // shared memory is written again before the store has read it
    no_wait_for_store,
    no_commit_of_store,
    load_at_the_end,
    not_all_warps,
    not_the_same_line,
    other_operands
};

constexpr int stages = 2, stage_bytes = 2 * 64 * 128, ring_bytes = stages * stage_bytes + 64;

__global__ void ring_kernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                            const __grid_constant__ TensorMap c, int K, Bug bug) {
    char* ring = dynamic_shared<char>();
    AsyncBarrier *full = reinterpret_cast<AsyncBarrier*>(ring + stages * stage_bytes), *empty = full + stages;
    if (threadIdx.x == 0) {
        for (int i = 0; i < stages; i++) barrier_init(full + i, 1), barrier_init(empty + i, 1);
        if (bug != Bug::no_init_fence) barrier_init_fence();
    }
    __syncthreads();
    const int steps = K / 64;
    if (threadIdx.x >= 128) {
        registers_shrink<40>();
        for (int i = 0; i < steps + (bug == Bug::load_at_the_end) && threadIdx.x == 128; i++) {
            char* stage = ring + i % stages * stage_bytes;
            AsyncBarrier* arrival = full + i % stages;
            if (bug != Bug::no_wait_for_empty) barrier_wait(empty + i % stages, unsigned(i / stages + 1) & 1);
            unsigned bytes = stage_bytes;
            if (bug == Bug::too_few_bytes) bytes /= 2;
            if (bug == Bug::too_many_bytes) bytes += 16;
            barrier_arrive_expect(arrival, bytes);
            if (bug == Bug::one_arrival_more && i == 1) barrier_arrive(arrival);
            tensor_load(stage, a, arrival, i * 64, 0);
            tensor_load(stage + 64 * 128, b, arrival, i * 64, 0);
        }
        return;
    }
    registers_grow<200>();
    if (bug == Bug::not_all_warps && threadIdx.x >= 96) return;
    float d[32];
    for (float& x : d) x = 0;
    for (int i = 0; i < steps; i++) {
        const unsigned parity = unsigned(i / stages) & 1;
        char* stage = ring + i % stages * stage_bytes;
        if (bug != Bug::no_wait_for_full) barrier_wait(full + i % stages, bug == Bug::wrong_parity ? !parity : parity);
        uint64_t of_a = matrix_descriptor(stage, 16, 1024);
        const uint64_t of_b = matrix_descriptor(stage + 64 * 128, 16, 1024);
        if (bug == Bug::other_operands && threadIdx.x / 32 == 2) of_a = of_b;
        if (bug != Bug::no_wgmma_fence) wgmma_fence();
        for (unsigned k = 0; k < 128; k += 32) {
            if (bug == Bug::not_the_same_line && threadIdx.x % 32 == 7)
                wgmma(d, descriptor_at(of_a, k), descriptor_at(of_b, k), true);
            else wgmma(d, descriptor_at(of_a, k), descriptor_at(of_b, k), true);
        }
        wgmma_commit();
        if (bug == Bug::scaled_in_flight) d[5] *= 2;
        if (bug == Bug::released_in_use && threadIdx.x == 0) barrier_arrive(empty + i % stages);
        if (bug == Bug::released_in_use) named_barrier_sync(1, 128), barrier_wait(full + (i + 1) % stages, parity);
        if (bug == Bug::read_in_flight) wgmma_done(d);
        if (bug == Bug::no_last_wait && i == steps - 1) return;
        wgmma_wait<0>();
        if (bug != Bug::released_in_use && threadIdx.x == 0) barrier_arrive(empty + i % stages);
    }
    named_barrier_sync(1, 128);
    __nv_bfloat16* out = reinterpret_cast<__nv_bfloat16*>(ring);
    const unsigned row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, column = 2 * (threadIdx.x % 4);
    if (bug == Bug::proxy_fence_too_early) proxy_fence();
    for (unsigned i = 0; i < 32; i++)
        out[(row + 8 * (i / 2 % 2)) * 64 + (i / 4 ^ row % 8) * 8 + column + i % 2] = d[i];  // line of the write
    if (bug != Bug::no_proxy_fence && bug != Bug::proxy_fence_too_early) proxy_fence();
    named_barrier_sync(1, 128);
    if (threadIdx.x > 0) return;
    tensor_store(c, out, 0, int(blockIdx.x) * 64);
    if (bug == Bug::stored_elsewhere_too_early) out[0] = 1e9f;
    if (bug != Bug::no_commit_of_store) tensor_store_commit();
    if (bug != Bug::no_wait_for_store) tensor_store_wait_read<0>();
}

struct Ring {
    static constexpr int K = 320;
    Device<__nv_bfloat16> a{numbers(1)}, b{numbers(2)}, c{4 * 64 * 64};

    static std::vector<__nv_bfloat16> numbers(int seed) {
        std::vector<__nv_bfloat16> x(64 * K);
        for (int i = 0; i < 64 * K; i++) x[size_t(i)] = (i * seed + i / 7) % 9 - 4;
        return x;
    }
    static TensorMap map(const __nv_bfloat16* data, uint64_t rows, uint64_t columns) {
        return tensor_map(data, {columns, rows}, {columns}, {64, 64});
    }
    std::vector<float> result_of(Bug bug) const {
        start_it(bug, 4);
        EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        const std::vector<__nv_bfloat16> got = c.get();
        return {got.end() - 64 * 64, got.end()};
    }
    std::string failure(Bug bug) const {
        return failure_of(ring_kernel, 1, 256, ring_bytes, map(a, 64, K), map(b, 64, K), map(c, 256, 64), K, bug);
    }
    void start_it(Bug bug, int blocks) const {
        start(ring_kernel, blocks, 256, ring_bytes, map(a, 64, K), map(b, 64, K), map(c, 256, 64), K, bug);
    }
    std::vector<float> wanted() const {
        const std::vector<__nv_bfloat16> x = a.get(), y = b.get();
        std::vector<float> want(64 * 64);
        for (size_t i = 0; i < 64 * 64; i++)
            for (size_t k = 0; k < K; k++) want[i] += float(x[i / 64 * K + k]) * float(y[i % 64 * K + k]);
        for (float& w : want) w = __nv_bfloat16(w);
        return want;
    }
};

// ---- Single instructions ----

enum class Misuse {
    nothing,
    no_barrier,
    overwritten_barrier,
    barrier_twice,
    no_arrivals,
    parity_of_two,
    expects_too_much,
    phase_without_end,
    not_a_map,
    wrong_rank,
    load_misaligned,
    load_beyond,
    load_over_load,
    load_between,
    store_before,
    store_misaligned,
    descriptor_misaligned,
    descriptor_elsewhere,
    descriptor_step,
    matrix_beyond,
    matrix_within_swizzle,
    no_swizzle,
    too_many_registers,
    half_a_warpgroup
};
__global__ void misuse_kernel(const __grid_constant__ TensorMap map, Misuse m) {
    __shared__ AsyncBarrier full;
    __shared__ int elsewhere[4];
    char* tile = dynamic_shared<char>();
    const auto one_of = [m](auto... some) { return ((m == some) || ...); };
    if (threadIdx.x == 0) {
        if (m != Misuse::no_barrier) barrier_init(&full, m == Misuse::no_arrivals ? 0 : 1);
        if (m == Misuse::barrier_twice) barrier_init(&full, 1);
        barrier_init_fence();
        if (m == Misuse::overwritten_barrier) full.word = 0;
        if (one_of(Misuse::no_barrier, Misuse::overwritten_barrier)) barrier_arrive(&full);
        if (m == Misuse::parity_of_two) barrier_wait(&full, 2);
        if (m == Misuse::expects_too_much) barrier_arrive_expect(&full, 1 << 20);
        if (m == Misuse::phase_without_end) barrier_arrive_expect(&full, 1024);
        alignas(64) const TensorMap no_map{};
        if (m == Misuse::not_a_map) prefetch_tensor_map(no_map);
        if (m == Misuse::wrong_rank) tensor_load(tile, map, &full, 0, 0, 0);
        if (m == Misuse::load_misaligned) tensor_load(tile + 512, map, &full, 0, 0);
        if (m == Misuse::load_beyond) tensor_load(tile + 7 * 1024, map, &full, 0, 0);
        if (m == Misuse::load_over_load)
            tensor_load(tile, map, &full, 0, 0), tensor_load(tile + 1024, map, &full, 0, 0);
        if (m == Misuse::load_between) tensor_load(tile, map, &full, 4, 0);
        if (m == Misuse::store_before) tensor_store(map, tile, 0, -8);
        if (m == Misuse::store_misaligned) tensor_store(map, tile + 128, 0, 0);
    }
    if (m == Misuse::descriptor_misaligned) matrix_descriptor(tile + 8, 16, 1024);
    if (m == Misuse::descriptor_elsewhere) matrix_descriptor(elsewhere, 16, 1024);
    const uint64_t whole = matrix_descriptor(tile, 16, 1024);
    if (m == Misuse::descriptor_step) descriptor_at(whole, 24);
    float d[16] = {};
    if (one_of(Misuse::matrix_beyond, Misuse::matrix_within_swizzle, Misuse::no_swizzle, Misuse::half_a_warpgroup)) {
        wgmma_fence();
        wgmma(d, m == Misuse::matrix_beyond ? matrix_descriptor(tile, 16, 2048) : whole,
              m == Misuse::matrix_within_swizzle ? descriptor_at(whole, 256)
              : m == Misuse::no_swizzle          ? whole & ~(uint64_t(3) << 62)
                                                 : whole,
              true);
    }
    if (m == Misuse::too_many_registers) registers_grow<256>();
}

const auto raced = testing::ExitedWithCode(66), fine = testing::ExitedWithCode(0);

}  // namespace

TEST(simt, a_ring_multiplies_matrices) {
    in_every_order([] {
        const Ring ring;
        EXPECT_EQ(ring.result_of(Bug::none), ring.wanted());
    });
}

TEST(simt, wrong_rings_end_with_a_message) {
    in_every_order([] {
        const Ring ring;
        const auto says = [&](Bug bug, const std::vector<std::string>& parts) {
            SCOPED_TRACE("Bug " + std::to_string(int(bug)));
            std::vector<std::string> all = {"ring_kernel, block (0,0,0)", "hopper_faults.cu:"};
            all.insert(all.end(), parts.begin(), parts.end());
            expect_says(ring.failure(bug), all);
        };
        says(Bug::no_init_fence, {"no barrier_init_fence() has followed the barrier's initialisation at "});
        // What of these is noticed first depends on the order. ThreadSanitizer reports them, too.
        for (Bug bug : {Bug::no_wait_for_full, Bug::no_wait_for_empty, Bug::wrong_parity, Bug::too_few_bytes})
            if (!simt::thread_sanitizer) says(bug, {});
        says(Bug::too_many_bytes,
             {"deadlock", "threads 0-127 wait in barrier_wait at ", "(phase 0, 1 of 1 arrivals, 16 bytes to come)"});
        says(Bug::one_arrival_more, {"more arrivals than the 1 of a phase"});
        says(Bug::released_in_use, {"writes byte ", "which a product at ", "not yet waited for, reads"});
        says(Bug::no_wgmma_fence, {"no wgmma_fence() stands between the last use of its accumulator and "});
        says(Bug::scaled_in_flight, {"was written before the product was waited for"});
        says(Bug::read_in_flight, {"wgmma_done: the product is not waited for"});
        says(Bug::no_last_wait, {"this thread has ended, but not waited for its product at "});
        says(Bug::no_wait_for_store, {"this thread has ended, but the store at ", " may still read shared memory"});
        says(Bug::no_commit_of_store, {"this thread has ended, but the store at ", " may still read shared memory"});
        says(Bug::load_at_the_end, {"has ended, but nobody has waited for its load at "});
        says(Bug::not_all_warps, {"deadlock", "threads 0-95 wait in wgmma_wait at ", "for the other warps"});
        says(Bug::not_the_same_line, {"wgmma: all lanes must execute the same one"});
        says(Bug::other_operands, {"another warp of this warpgroup multiplies something else"});
        if (simt::thread_sanitizer) return;  // it reports them, see below
        says(Bug::no_proxy_fence, {"no proxy_fence() has followed the writing of byte 0 "});
        says(Bug::proxy_fence_too_early, {"no proxy_fence() has followed the writing of byte "});
    });
}

TEST(simt, stores_read_shared_memory_late) {
    if (simt::thread_sanitizer) GTEST_SKIP() << "it would be reported";
    const Ring ring;
    EXPECT_EQ(ring.result_of(Bug::stored_elsewhere_too_early)[0], float(__nv_bfloat16(1e9f)));
}

TEST(simt, thread_sanitizer_knows_the_asynchronous_proxy) {
    if (!simt::thread_sanitizer) GTEST_SKIP() << "make test SANITIZE=thread";
    const auto exit_after = [](Bug bug) {
        Ring().start_it(bug, 4);
        cudaDeviceSynchronize();
        std::exit(0);
    };
    const std::string both =
        "data race(.|\n)*tensor_store(.|\n)*ring_kernel.*hopper_faults.cu:[0-9]+(.|\n)*Previous write "
        "(.|\n)*ring_kernel.*hopper_faults.cu:[0-9]+(.|\n)*proxy of block";
    EXPECT_EXIT(exit_after(Bug::none), fine, "");
    EXPECT_EXIT(exit_after(Bug::no_proxy_fence), raced, both);
    EXPECT_EXIT(exit_after(Bug::proxy_fence_too_early), raced, both);
    EXPECT_EXIT(exit_after(Bug::stored_elsewhere_too_early), raced,
                "data race(.|\n)*ring_kernel.*hopper_faults.cu:[0-9]+");
}

TEST(simt, wrong_uses_of_hoppers_instructions_end_with_a_message) {
    const Device<__nv_bfloat16> data(std::vector<__nv_bfloat16>(64 * 16, 1.0f));
    const TensorMap map = tensor_map(data, {64, 16}, {64}, {64, 16});
    const auto says = [&](Misuse m, const std::string& part, unsigned threads = 128) {
        SCOPED_TRACE("Misuse " + std::to_string(int(m)));
        expect_says(failure_of(misuse_kernel, 1, threads, 8192, map, m), {"misuse_kernel, block (0,0,0)", part});
    };
    run(misuse_kernel, 1, 128, 8192, map, Misuse::nothing);
    in_every_order([&] {
        says(Misuse::no_barrier, "mbarrier.arrive: this is no initialised barrier, or it was overwritten; ");
        says(Misuse::overwritten_barrier, "mbarrier.arrive: this is no initialised barrier, or it was overwritten; ");
        says(Misuse::barrier_twice, "of what is a barrier since ");
        says(Misuse::no_arrivals, "mbarrier.init: 0 arrivals");
        says(Misuse::parity_of_two, "parity 2");
        says(Misuse::expects_too_much, "more than 2^20 - 1 bytes are announced");
        says(Misuse::phase_without_end, "has ended amid a phase of the barrier of ");
        says(Misuse::not_a_map, "prefetch.tensormap: this is no tensor map that was encoded");
        says(Misuse::wrong_rank, "3 coordinates for a map of 2 axes");
        says(Misuse::load_misaligned, "byte 512, is not a multiple of 1024");
        says(Misuse::load_beyond, "the box of 2048 bytes is not in dynamic shared memory");
        says(Misuse::load_over_load, "writes byte 1024 of dynamic shared memory, which the load at ");
        says(Misuse::store_before, "coordinate -8 is negative");
        says(Misuse::load_between, "begins 4 elements into the rows, at no multiple of 16 bytes");
        says(Misuse::store_misaligned, "byte 128, is not a multiple of 1024");
        says(Misuse::descriptor_misaligned, "a matrix descriptor: no multiples of 16 bytes, or too large");
        says(Misuse::descriptor_elsewhere, "a matrix descriptor: the address is not in dynamic shared memory");
        says(Misuse::descriptor_step, "a matrix descriptor: 24 bytes are no multiple of 16");
        says(Misuse::matrix_beyond, "beyond dynamic shared memory");
        says(Misuse::matrix_within_swizzle, "a matrix begins at byte 256, within the 8 rows of a swizzle");
        says(Misuse::no_swizzle, "a descriptor has bits that no descriptor of 128-byte swizzle has");
        says(Misuse::too_many_registers, "has warpgroups of 768 registers, all together, but at most 504", 384);
        says(Misuse::half_a_warpgroup, "the block's last warpgroup has no 4 warps", 64);
    });
}

TEST(simt, tensor_copies_stay_in_device_memory) {
    bf16* freed;
    cudaMalloc(&freed, 64 * 16 * 2);
    const TensorMap map = tensor_map(freed, {64, 16}, {64}, {64, 16});
    cudaFree(freed);
    expect_says(failure_of(misuse_kernel, 1, 128, 8192, map, Misuse::load_over_load),
                {"the tensor, 2048 bytes, is not wholly in device memory"});
}
