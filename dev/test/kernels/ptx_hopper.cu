// Checks kernels/tools/ptx_hopper.cuh: where each operand's element lies, against sums on the host. On a GPU this tells
// whether the layouts are the hardware's, elsewhere whether dev/simt's are the same.
//     ./test_gpt --gtest_filter='ptx_hopper*'
#include "harness.h"
#include "kernels/tools/common.cuh"

namespace {

using ptx_hopper = OnHopper;

constexpr int K = 64;
std::vector<bf16> normal(size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<bf16> x(n);
    for (bf16& value : x) value = bf16(normal(random));
    return x;
}
template <class U>
U* uploaded(const std::vector<U>& x, const Gpu<bf16>& gpu) {
    U* const p = gpu.allocate<U>(x.size());
    gpu.upload(p, x.data(), x.size());
    return p;
}
template <class U>
std::vector<U> downloaded(const U* p, size_t n, const Gpu<bf16>& gpu) {
    std::vector<U> x(n);
    gpu.download(x.data(), p, n);
    return x;
}

// c (64,N) = a (64,K) . b (N,K), each in panels as a tensor copy leaves them; or a from registers.
template <int N, Major of_a, Major of_b, bool a_in_registers>
__global__ void __launch_bounds__(128) product_kernel(float* c, const __grid_constant__ TensorMap a,
                                                      const __grid_constant__ TensorMap b, const bf16* rows_of_a) {
#if HOPPER
    bf16* const tile_a = dynamic_shared<bf16>();
    bf16* const tile_b = tile_a + 64 * K;
    __shared__ AsyncBarrier full;
    if (threadIdx.x == 0) barrier_init(&full, 1), barrier_init_fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        barrier_arrive_expect(&full, (64 + N) * K * sizeof(bf16));
        tensor_load(tile_a, a, &full, 0, 0);
        if (of_b == Major::k) tensor_load(tile_b, b, &full, 0, 0);
        else
            for (int n = 0; n < N; n += 64) tensor_load(tile_b + n * K, b, &full, n, 0);
    }
    const int lane = threadIdx.x % 32, w = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    uint32_t piece[K / 16][4];
    for (int k = 0; k < K / 16; k++)
        for (int r = 0; r < 4; r++)
            std::memcpy(&piece[k][r], rows_of_a + (16 * w + g + r % 2 * 8) * K + 16 * k + 2 * t + r / 2 * 8, 4);
    barrier_wait(&full, 0);

    float sum[N / 2] = {};
    const uint64_t x = matrix_descriptor(tile_a, 64 * 128, 1024), y = matrix_descriptor(tile_b, K * 128, 1024);
    const auto step = [](Major of) { return of == Major::k ? 32 : 2048; };
    wgmma_fence();
    UNROLL
    for (int k = 0; k < K / 16; k++) {
        const uint64_t y_k = descriptor_at(y, k * step(of_b));
        if constexpr (a_in_registers) wgmma<of_b>(sum, piece[k], y_k, k > 0);
        else wgmma<of_a, of_b>(sum, descriptor_at(x, k * step(of_a)), y_k, k > 0);
    }
    wgmma_commit();
    wgmma_wait<0>();
    for (int i = 0; i < N / 2; i++) c[(16 * w + g + i / 2 % 2 * 8) * N + i / 4 * 8 + 2 * t + i % 2] = sum[i];
#endif
}

// (rows,columns) to (columns,rows)
std::vector<bf16> transposed(const std::vector<bf16>& x, int rows, int columns) {
    std::vector<bf16> y(x.size());
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) y[size_t(c * rows + r)] = x[size_t(r * columns + c)];
    return y;
}

template <int N, Major of_a, Major of_b, bool a_in_registers = false>
void check_product(const Gpu<bf16>& gpu) {
    const std::vector<bf16> a = normal(64 * K, 1), b = normal(N * K, 2);
    const bf16* const at_a = uploaded(of_a == Major::k ? a : transposed(a, 64, K), gpu);
    const bf16* const at_b = uploaded(of_b == Major::k ? b : transposed(b, N, K), gpu);
    float* const c = uploaded(std::vector<float>(64 * N, NAN), gpu);
    launch(product_kernel<N, of_a, of_b, a_in_registers>, 1, 128, (64 + N) * K * sizeof(bf16), gpu, c,
           tensor_map(at_a, {64, 64}, {64}, {64, 64}),
           of_b == Major::k ? tensor_map(at_b, {K, N}, {K}, {64, N}) : tensor_map(at_b, {N, K}, {N}, {64, K}),
           uploaded(a, gpu));
    const std::vector<float> got = downloaded(c, 64 * N, gpu);
    double worst = 0;
    for (int m = 0; m < 64; m++)
        for (int n = 0; n < N; n++) {
            double want = 0;
            for (int k = 0; k < K; k++) want += double(float(a[size_t(m * K + k)])) * float(b[size_t(n * K + k)]);
            const double error = std::abs(got[size_t(m * N + n)] - want);
            if (!(error <= worst)) worst = error;
        }
    EXPECT_LT(worst, 1e-4) << "N=" << N
                           << (a_in_registers     ? ", a in registers"
                               : of_a == Major::k ? ""
                                                  : ", a across")
                           << (of_b == Major::k ? "" : ", b across");
}

TEST_F(ptx_hopper, products_of_a_warpgroup) {
    const Gpu<bf16> gpu;
    using enum Major;
    check_product<32, k, k>(gpu);
    check_product<64, k, k>(gpu);
    check_product<96, k, k>(gpu);
    check_product<256, k, k>(gpu);
    check_product<128, k, across>(gpu);
    check_product<192, across, k>(gpu);
    check_product<64, across, across>(gpu);
    check_product<256, across, across>(gpu);
    check_product<64, k, k, true>(gpu);
    check_product<96, k, k, true>(gpu);
    check_product<128, k, across, true>(gpu);
    check_product<256, k, across, true>(gpu);
}

// Copies a box to shared memory, shows what lies where, and stores it one greater.
struct Corner {
    int c[4];
};
template <int rank>
__global__ void copy_kernel(bf16* seen, const __grid_constant__ TensorMap from, const __grid_constant__ TensorMap to,
                            int elements, Corner corner) {
#if HOPPER
    bf16* const tile = dynamic_shared<bf16>();
    const int* const c = corner.c;
    __shared__ AsyncBarrier full;
    if (threadIdx.x == 0) barrier_init(&full, 1), barrier_init_fence();
    __syncthreads();
    if (threadIdx.x == 0) {
        barrier_arrive_expect(&full, elements * sizeof(bf16));
        if constexpr (rank == 2) tensor_load(tile, from, &full, c[0], c[1]);
        if constexpr (rank == 3) tensor_load(tile, from, &full, c[0], c[1], c[2]);
        if constexpr (rank == 4) tensor_load(tile, from, &full, c[0], c[1], c[2], c[3]);
    }
    barrier_wait(&full, 0);
    for (int i = threadIdx.x; i < elements; i += blockDim.x) {
        seen[i] = tile[i];
        tile[i] = bf16(float(tile[i]) + 1);
    }
    proxy_fence();
    __syncthreads();
    for (int i = 0; i < rank; i++)
        if (c[i] < 0) return;  // no store begins before its tensor
    if (threadIdx.x > 0) return;
    if constexpr (rank == 2) tensor_store(to, tile, c[0], c[1]);
    if constexpr (rank == 3) tensor_store(to, tile, c[0], c[1], c[2]);
    if constexpr (rank == 4) tensor_store(to, tile, c[0], c[1], c[2], c[3]);
    tensor_store_commit();
    tensor_store_wait<0>();
#endif
}

using Axes = std::array<int, 4>;
template <int rank>
void check_copy(const Axes& sizes, const Axes& box, const Corner& corner, const Gpu<bf16>& gpu) {
    const uint64_t row = uint64_t(sizes[0]), plane = row * sizes[1], cube = plane * sizes[2], n = cube * sizes[3];
    const std::vector<bf16> tensor = normal(n, 3);
    bf16 *const from = uploaded(tensor, gpu), *const to = uploaded(tensor, gpu);
    const auto map = [&](const bf16* p) {
        const auto size = [&](int i) { return uint64_t(sizes[size_t(i)]); };
        const auto b = [&](int i) { return uint32_t(box[size_t(i)]); };
        if constexpr (rank == 2) return tensor_map(p, {size(0), size(1)}, {row}, {b(0), b(1)});
        else if constexpr (rank == 3)
            return tensor_map(p, {size(0), size(1), size(2)}, {row, plane}, {b(0), b(1), b(2)});
        else return tensor_map(p, {size(0), size(1), size(2), size(3)}, {row, plane, cube}, {b(0), b(1), b(2), b(3)});
    };
    const int rows = box[1] * box[2] * box[3], elements = rows * box[0];
    bf16* const seen = uploaded(std::vector<bf16>(size_t(elements), bf16(NAN)), gpu);
    launch(copy_kernel<rank>, 1, 96, elements * sizeof(bf16), gpu, seen, map(from), map(to), elements, corner);
    const std::vector<bf16> got = downloaded(seen, size_t(elements), gpu), after = downloaded(to, n, gpu);

    int misplaced = 0, wrong = 0;
    std::vector<bf16> want = tensor;
    const bool stores = std::ranges::min(corner.c) >= 0;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < box[0]; c++) {
            const int x = corner.c[0] + c, y = corner.c[1] + r % box[1], z = corner.c[2] + r / box[1] % box[2],
                      w = corner.c[3] + r / box[1] / box[2];
            const auto inside = [](int i, int size) { return 0 <= i && i < size; };
            const bool in = inside(x, sizes[0]) && inside(y, sizes[1]) && inside(z, sizes[2]) && inside(w, sizes[3]);
            const size_t at = in ? x + y * row + z * plane + w * cube : 0;
            if (in && stores) want[at] = bf16(float(tensor[at]) + 1);
            const int place = r * 64 + (c / 8 ^ r % 8) * 8 + c % 8;
            misplaced += float(got[size_t(place)]) != (in ? float(tensor[at]) : 0);
        }
    for (size_t i = 0; i < n; i++) wrong += float(after[i]) != float(want[i]);
    EXPECT_EQ(misplaced, 0) << rank << " axes, of " << elements << " in shared memory";
    EXPECT_EQ(wrong, 0) << rank << " axes, of " << n << " in global memory";
}

TEST_F(ptx_hopper, tensor_copies) {
    const Gpu<bf16> gpu;
    check_copy<2>({128, 40, 1, 1}, {64, 32, 1, 1}, {{64, 0, 0, 0}}, gpu);
    check_copy<2>({128, 40, 1, 1}, {64, 32, 1, 1}, {{0, 16, 0, 0}}, gpu);  // ends below the tensor
    check_copy<2>({72, 40, 1, 1}, {64, 32, 1, 1}, {{64, 16, 0, 0}}, gpu);  // and beside it
    check_copy<2>({72, 40, 1, 1}, {64, 32, 1, 1}, {{0, -3, 0, 0}}, gpu);   // begins above
    check_copy<3>({64, 5, 20, 1}, {64, 1, 16, 1}, {{0, 3, 8, 0}}, gpu);
    check_copy<3>({64, 5, 20, 1}, {64, 2, 8, 1}, {{0, 4, 8, 0}}, gpu);
    check_copy<4>({128, 3, 20, 2}, {64, 1, 16, 1}, {{64, 1, 8, 1}}, gpu);
}

}  // namespace
