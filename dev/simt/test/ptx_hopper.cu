// Barriers and products of kernels/tools/ptx_hopper.cuh against the PTX manual's definitions, element by element.
#include <random>
#include "kernel_test.h"
#include "kernels/tools/tensor_map.cuh"

namespace {

using Values = std::vector<__nv_bfloat16>;

// Whole numbers: their products and sums are exact.
Values small_numbers(size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> small(-4, 4);
    Values values(n);
    for (auto& x : values) x = small(random);
    return values;
}
// ---- Barriers ----

// All threads arrive in each phase, and see what the others wrote before. Two barriers:
// nobody is overtaken by a whole phase.
__global__ void phases_kernel(int* out) {
    __shared__ AsyncBarrier b[2];
    __shared__ int values[2][3];
    if (threadIdx.x == 0) {
        barrier_init(&b[0], 96), barrier_init(&b[1], 96);
        barrier_init_fence();
    }
    __syncthreads();
    barrier_wait(&b[0], 1);  // of a new barrier the phase before is over
    for (int i = 0; i < 6; i++) {
        AsyncBarrier* now = &b[i % 2];
        if (threadIdx.x % 32 == 5) values[i % 2][threadIdx.x / 32] = i * 10;
        barrier_arrive(now);
        barrier_wait(now, unsigned(i / 2) & 1);
        for (int w = 0; w < 3; w++) out[(i * 96 + int(threadIdx.x)) * 3 + w] = values[i % 2][w];
    }
}

// ---- Products ----

// d (64,N) = a (64,64) . b (64,N), of numbers that tensor copies brought. Rows along k: one panel. Across:
// a panel for each 64 rows.
template <Major major>
__device__ unsigned load_matrix(char* to, const TensorMap& map, AsyncBarrier* b, int rows) {
    if constexpr (major == Major::k) return tensor_load(to, map, b, 0, 0), unsigned(rows) * 128;
    for (int panel = 0; panel < rows; panel += 64) tensor_load(to + panel * 128, map, b, panel, 0);
    return unsigned(rows + 63) / 64 * 8192;
}
template <Major major>
__device__ uint64_t matrix_at(const char* shared, int k) {
    return descriptor_at(matrix_descriptor(shared, 8192, 1024), unsigned(k) * (major == Major::k ? 2 : 128));
}
template <int N, Major of_a, Major of_b, bool from_registers>
__global__ void product_kernel(float* out, const __nv_bfloat16* A, const __grid_constant__ TensorMap map_a,
                               const __grid_constant__ TensorMap map_b) {
    __shared__ AsyncBarrier full;
    char *a = dynamic_shared<char>(), *b = a + 8192;
    if (threadIdx.x == 0) {
        barrier_init(&full, 2);
        barrier_init_fence();
        barrier_arrive_expect(&full, load_matrix<of_a>(a, map_a, &full, 64));
        barrier_arrive_expect(&full, load_matrix<of_b>(b, map_b, &full, N));
    }
    __syncthreads();
    barrier_wait(&full, 0);
    const unsigned row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, column = 2 * (threadIdx.x % 4);
    float d[N / 2];
    for (float& x : d) x = 0.5f;
    for (int k = 0; k < 64; k += 16) {
        uint32_t r[4];
        for (unsigned i = 0; i < 4; i++) {
            const __nv_bfloat16* two = A + (row + 8 * (i % 2)) * 64 + unsigned(k) + 8 * (i / 2) + column;
            r[i] = __bfloat16_as_ushort(two[0]) | uint32_t(__bfloat16_as_ushort(two[1])) << 16;
        }
        wgmma_fence();
        if constexpr (from_registers) wgmma<of_b>(d, r, matrix_at<of_b>(b, k), k != 16);
        else wgmma<of_a, of_b>(d, matrix_at<of_a>(a, k), matrix_at<of_b>(b, k), k != 16);
        wgmma_commit();
    }
    wgmma_wait<0>();
    for (unsigned i = 0; i < N / 2; i++) out[(row + 8 * (i / 2 % 2)) * N + 8 * (i / 4) + column + i % 2] = d[i];
}

template <int N, Major of_a, Major of_b, bool from_registers = false>
void check_product() {
    SCOPED_TRACE("N " + std::to_string(N) + (of_a == Major::k ? ", a along k" : ", a across") +
                 (of_b == Major::k ? ", b along k" : ", b across") + (from_registers ? ", a in registers" : ""));
    constexpr int rows = 256;
    const Values A = small_numbers(64 * 64, 1), B = small_numbers(rows * 64, 2);
    const auto at = [](Major major, size_t row, size_t k, size_t all) {
        return major == Major::k ? row * 64 + k : k * all + row;
    };
    const Device<__nv_bfloat16> a(A), b(B);
    const Device<float> out(64 * N);
    const TensorMap map_a = tensor_map(a, {64, 64}, {64}, {64, 64}),
                    map_b = of_b == Major::k ? tensor_map(b, {64, rows}, {64}, {64, N})
                                             : tensor_map(b, {rows, 64}, {rows}, {64, 64});
    run(product_kernel<N, of_a, of_b, from_registers>, 1, 128, 8192 * 5, out, a, map_a, map_b);
    const std::vector<float> got = out.get();
    for (size_t m = 0; m < 64; m++)
        for (size_t n = 0; n < N; n++) {
            float want = 0;  // the first product is dropped by the second, which does not add
            for (size_t k = 16; k < 64; k++) want += float(A[at(of_a, m, k, 64)]) * float(B[at(of_b, n, k, rows)]);
            ASSERT_EQ(got[m * N + n], want) << m << ',' << n;
        }
}
template <int N>
void check_products() {
    check_product<N, Major::k, Major::k>(), check_product<N, Major::k, Major::across>();
    check_product<N, Major::across, Major::k>(), check_product<N, Major::across, Major::across>();
    check_product<N, Major::k, Major::k, true>(), check_product<N, Major::k, Major::across, true>();
}

// What a lane sees of two accumulators: before anything is waited for, after the first group, after both.
__global__ void pending_kernel(float* out) {
    char* zeros = dynamic_shared<char>();
    for (unsigned i = threadIdx.x; i < 8192; i += 128) zeros[i] = 0;
    proxy_fence();
    __syncthreads();
    const uint64_t m = matrix_descriptor(zeros, 16, 1024);
    float x[16], y[16];
    for (float& v : x) v = 5;
    for (float& v : y) v = 6;
    const auto see = [&](unsigned turn) {
        out[(threadIdx.x * 3 + turn) * 2] = x[3], out[(threadIdx.x * 3 + turn) * 2 + 1] = y[3];
    };
    wgmma_fence();
    wgmma(x, m, m, true);
    wgmma_commit();
    wgmma(y, m, m, true);
    wgmma_commit();
    see(0);
    wgmma_wait<1>(), wgmma_done(x), see(1);
    wgmma_wait<0>(), wgmma_done(y), see(2);
}

}  // namespace

TEST(simt, asynchronous_barriers_have_phases) {
    in_every_order([] {
        const Device<int> out(6 * 96 * 3);
        run(phases_kernel, 1, 96, 0, out);
        const std::vector<int> got = out.get();
        for (int i = 0; i < 6 * 96 * 3; i++) ASSERT_EQ(got[size_t(i)], i / (96 * 3) * 10) << i;
    });
}

TEST(simt, wgmma_multiplies_matrices) {
    in_every_order([] {
        check_products<32>(), check_products<64>(), check_products<96>();
        check_products<128>(), check_products<192>(), check_products<256>();
    });
}

TEST(simt, products_are_nan_until_waited_for) {
    const Device<float> out(128 * 6);
    in_every_order([&] {
        run(pending_kernel, 1, 128, 8192, out);
        const std::vector<float> got = out.get();
        for (size_t i = 0; i < 128; i++) {
            const float* seen = &got[i * 6];
            EXPECT_TRUE(std::isnan(seen[0]) && std::isnan(seen[1]));
            EXPECT_EQ(seen[2], 5);
            EXPECT_TRUE(std::isnan(seen[3]));
            EXPECT_EQ(seen[4], 5);
            EXPECT_EQ(seen[5], 6);
        }
    });
}
