// The functions of kernels/tools/ptx_hopper.cuh and tensor_map.cuh against the PTX manual's definitions, element by element.
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
// Element i has the bits i.
Values numbered(size_t n) {
    Values values(n);
    for (size_t i = 0; i < n; i++) values[i] = __ushort_as_bfloat16(static_cast<unsigned short>(i));
    return values;
}

// ---- Tensor copies ----

struct Place {
    int rank, c[4];
};
__device__ void load(void* shared, const TensorMap& map, AsyncBarrier* b, const Place& p) {
    if (p.rank == 2) tensor_load(shared, map, b, p.c[0], p.c[1]);
    else if (p.rank == 3) tensor_load(shared, map, b, p.c[0], p.c[1], p.c[2]);
    else tensor_load(shared, map, b, p.c[0], p.c[1], p.c[2], p.c[3]);
}
__global__ void load_kernel(uint16_t* out, const __grid_constant__ TensorMap map, Place place, int elements) {
    __shared__ AsyncBarrier full;
    uint16_t* tile = dynamic_shared<uint16_t>();
    if (threadIdx.x == 0) {
        barrier_init(&full, 1);
        barrier_init_fence();
        barrier_arrive_expect(&full, unsigned(elements) * 2);
        load(tile, map, &full, place);
    }
    __syncthreads();
    barrier_wait(&full, 0);
    for (int i = int(threadIdx.x); i < elements; i += int(blockDim.x)) out[i] = tile[i];
}
// The box in shared memory holds its elements' numbers.
__global__ void store_kernel(const __grid_constant__ TensorMap map, Place p, int elements) {
    uint16_t* tile = dynamic_shared<uint16_t>();
    for (int i = int(threadIdx.x); i < elements; i += int(blockDim.x)) tile[i] = uint16_t(i);
    proxy_fence();
    __syncthreads();
    if (threadIdx.x > 0) return;
    if (p.rank == 2) tensor_store(map, tile, p.c[0], p.c[1]);
    else if (p.rank == 3) tensor_store(map, tile, p.c[0], p.c[1], p.c[2]);
    else tensor_store(map, tile, p.c[0], p.c[1], p.c[2], p.c[3]);
    tensor_store_commit();
    tensor_store_wait_read<0>();
}

struct Tensor {
    std::vector<uint64_t> sizes, strides;  // elements
    std::vector<uint32_t> box;
    size_t extent() const {
        size_t n = sizes[0];
        for (size_t i = 1; i < sizes.size(); i++) n += (sizes[i] - 1) * strides[i - 1];
        return n;
    }
    TensorMap map(const bf16* data) const {
        if (sizes.size() == 2) return tensor_map(data, {sizes[0], sizes[1]}, {strides[0]}, {box[0], box[1]});
        if (sizes.size() == 3)
            return tensor_map(data, {sizes[0], sizes[1], sizes[2]}, {strides[0], strides[1]}, {box[0], box[1], box[2]});
        return tensor_map(data, {sizes[0], sizes[1], sizes[2], sizes[3]}, {strides[0], strides[1], strides[2]},
                          {box[0], box[1], box[2], box[3]});
    }
    int elements() const {
        int n = 1;
        for (uint32_t b : box) n *= int(b);
        return n;
    }
    // The element of the tensor that is element i of the box at this place; -1: outside.
    int64_t source(const Place& p, size_t i) const {
        int64_t at = 0;
        for (size_t axis = 0; axis < sizes.size(); axis++) {
            const int64_t c = p.c[axis] + int64_t(i % box[axis]);
            i /= box[axis];
            if (c < 0 || c >= int64_t(sizes[axis])) return -1;
            at += c * int64_t(axis ? strides[axis - 1] : 1);
        }
        return at;
    }
    // Where it is in shared memory: in the row of its vector of 8, exchanged with another vector.
    size_t place(size_t i) const {
        const size_t byte = i * 2;
        return (byte ^ (byte / 128 % 8) * 16) / 2;
    }
};

const std::vector<std::pair<Tensor, std::vector<Place>>> boxes = {
    {{{64, 40}, {64}, {64, 16}}, {{2, {0, 0}}, {2, {0, 16}}, {2, {0, 32}}, {2, {-8, -3}}, {2, {40, 39}}, {2, {64, 0}}}},
    {{{100, 30}, {112}, {64, 24}}, {{2, {0, 0}}, {2, {96, 10}}, {2, {3, 29}}, {2, {0, 1000}}}},
    {{{64, 9, 2}, {128, 64}, {64, 4, 2}}, {{3, {0, 0, 0}}, {3, {0, 7, 1}}, {3, {8, -2, -1}}}},
    {{{24, 3, 5, 4}, {24, 72, 360}, {64, 2, 3, 4}}, {{4, {0, 0, 0, 0}}, {4, {8, 2, 3, 1}}, {4, {-1, -1, -1, -1}}}},
};

__global__ void late_load_kernel(uint16_t* seen, uint16_t* source, const __grid_constant__ TensorMap map) {
    __shared__ AsyncBarrier full;
    uint16_t* tile = dynamic_shared<uint16_t>();
    barrier_init(&full, 1);
    barrier_init_fence();
    for (int i = 0; i < 64 * 8; i++) tile[i] = 7;
    barrier_arrive_expect(&full, 1024);
    tensor_load(tile, map, &full, 0, 0);
    seen[0] = tile[0];  // too early
    source[0] = 99;     // too early, too
    barrier_wait(&full, 0);
    seen[1] = tile[0];
}
__global__ void late_store_kernel(const __grid_constant__ TensorMap map) {
    uint16_t* tile = dynamic_shared<uint16_t>();
    for (int i = 0; i < 64 * 8; i++) tile[i] = 7;
    proxy_fence();
    tensor_store(map, tile, 0, 0);
    tile[0] = 8;  // too early
    proxy_fence();
    tensor_store_commit();
    tensor_store(map, tile, 0, 0);
    tensor_store_commit();
    tensor_store_wait_read<1>();
    tile[1] = 9;  // too early for the second
    tensor_store_wait<0>();
}

// ---- Barriers ----

// All threads arrive in each phase, and see what the others wrote before. Two barriers: nobody is overtaken by a whole phase.
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

// d (64,N) = a (64,64) . b (64,N), of numbers that tensor copies brought. Rows along k: one panel. Across: a panel for each 64 rows.
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
            for (size_t k = 16; k < 64; k++)
                want += float(A[at(of_a, m, k, 64)]) * float(B[at(of_b, n, k, rows)]);
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

TEST(simt, tensor_loads_bring_boxes) {
    for (const auto& [tensor, places] : boxes) {
        const Device<__nv_bfloat16> data(numbered(tensor.extent()));
        const Device<uint16_t> out(size_t(tensor.elements()));
        const TensorMap map = tensor.map(data);
        in_every_order([&, &tensor = tensor, &places = places] {
            for (const Place& place : places) {
                run(load_kernel, 1, 64, size_t(tensor.elements()) * 2, out, map, place, tensor.elements());
                const std::vector<uint16_t> got = out.get();
                for (size_t i = 0; i < got.size(); i++) {
                    const int64_t source = tensor.source(place, i);
                    ASSERT_EQ(got[tensor.place(i)], source < 0 ? 0 : source) << "element " << i;
                }
            }
        });
    }
}

TEST(simt, tensor_stores_take_boxes) {
    for (const auto& [tensor, places] : boxes) {
        const Device<uint16_t> data(tensor.extent());
        const TensorMap map = tensor.map(reinterpret_cast<bf16*>(static_cast<uint16_t*>(data)));
        in_every_order([&, &tensor = tensor, &places = places] {
            for (const Place& place : places) {
                cudaMemset(data, 0xff, tensor.extent() * 2);
                run(store_kernel, 1, 64, size_t(tensor.elements()) * 2, map, place, tensor.elements());
                std::vector<uint16_t> want(tensor.extent(), 0xffff);
                for (size_t i = 0; i < size_t(tensor.elements()); i++)
                    if (const int64_t at = tensor.source(place, i); at >= 0) want[size_t(at)] = uint16_t(tensor.place(i));
                ASSERT_EQ(data.get(), want);
            }
        });
    }
}

TEST(simt, tensor_copies_happen_at_the_last_moment) {
    if (simt::thread_sanitizer) GTEST_SKIP() << "it would be reported";
    const Device<__nv_bfloat16> source(numbered(64 * 8));
    const Device<uint16_t> seen(2), stored(64 * 8);
    run(late_load_kernel, 1, 1, 1024, seen, reinterpret_cast<uint16_t*>(static_cast<__nv_bfloat16*>(source)),
        tensor_map(source, {64, 8}, {64}, {64, 8}));
    EXPECT_EQ(seen.get(), (std::vector<uint16_t>{0xffff, 99}));
    run(late_store_kernel, 1, 1, 1024,
        tensor_map(reinterpret_cast<bf16*>(static_cast<uint16_t*>(stored)), {64, 8}, {64}, {64, 8}));
    EXPECT_EQ(stored.get()[0], 8);
    EXPECT_EQ(stored.get()[1], 9);
}

TEST(simt, tensor_maps_are_kernel_parameters_of_graphs) {
    const Tensor tensor = boxes[0].first;
    const Device<__nv_bfloat16> data(numbered(tensor.extent()));
    const Device<uint16_t> out(size_t(tensor.elements()));
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamCreate(&stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    {
        TensorMap map = tensor.map(data);
        const cudaLaunchConfig_t config{1, 64, size_t(tensor.elements()) * 2, stream, nullptr, 0};
        const Place place{2, {0, 16}};
        EXPECT_EQ(cudaLaunchKernelEx(&config, load_kernel, static_cast<uint16_t*>(out), map, place, tensor.elements()),
                  cudaSuccess);
        map = {};
    }
    cudaStreamEndCapture(stream, &graph);
    cudaGraphInstantiate(&exec, graph);
    cudaGraphLaunch(exec, stream);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    EXPECT_EQ(out.get()[0], 16 * 64);
    cudaGraphExecDestroy(exec), cudaGraphDestroy(graph), cudaStreamDestroy(stream);
}

TEST(simt, tensor_maps_follow_the_rules) {
    const Device<__nv_bfloat16> data(64 * 1024);
    using U64 = std::array<uint64_t, 2>;
    using U32 = std::array<uint32_t, 2>;
    alignas(64) TensorMap map[2];
    const auto encode = [&](U64 sizes, uint64_t stride, U32 box, U32 steps = {1, 1}, int type = 9, size_t from = 0,
                            int swizzle = 3, uint32_t rank = 2, size_t at = 0) {
        return tensor_map_encoder()(reinterpret_cast<TensorMap*>(reinterpret_cast<char*>(map) + at), type, rank, data + from,
                                    sizes.data(), &stride, box.data(), steps.data(), 0, swizzle, 2, 0);
    };
    EXPECT_EQ(encode({64, 1024}, 128, {64, 256}), 0);
    EXPECT_EQ(encode({64, 1024}, 128, {128, 256}, {1, 1}, 9, 0, 0), 0) << "no swizzle, no limit of 128 bytes";
    EXPECT_EQ(encode({64, 1024}, 128, {16, 256}, {1, 1}, 9, 0, 1), 0);
    EXPECT_EQ(encode({64, 1024}, 128, {32, 256}, {1, 1}, 9, 0, 1), 1) << "more than 32 bytes";
    EXPECT_EQ(encode({64, 1024}, 128, {56, 256}), 801) << "rows with gaps";
    EXPECT_EQ(encode({64, 1024}, 128, {65, 256}), 1) << "no multiple of 16 bytes";
    EXPECT_EQ(encode({64, 1024}, 128, {72, 256}), 1) << "more than 128 bytes";
    EXPECT_EQ(encode({64, 1024}, 128, {64, 257}), 1);
    EXPECT_EQ(encode({64, 1024}, 128, {64, 0}), 1);
    EXPECT_EQ(encode({64, 0}, 128, {64, 1}), 1);
    EXPECT_EQ(encode({64, 1024}, 120, {64, 1}), 1) << "the stride";
    EXPECT_EQ(encode({64, 1024}, 0, {64, 1}), 1) << "the stride";
    EXPECT_EQ(encode({64, 1024}, uint64_t(1) << 40, {64, 1}), 1) << "the stride";
    EXPECT_EQ(encode({64, 1024}, 128, {64, 1}, {1, 9}), 1);
    EXPECT_EQ(encode({64, 1024}, 128, {64, 1}, {1, 1}, 13), 1);
    EXPECT_EQ(encode({64, 1024}, 128, {64, 1}, {1, 1}, 9, 4), 1) << "the address";
    EXPECT_EQ(encode({64, 1024}, 128, {64, 1}, {1, 1}, 9, 8), 0);
    EXPECT_EQ(encode({64, 1024}, 128, {64, 1}, {1, 1}, 9, 0, 4), 1);
    EXPECT_EQ(encode({64, 1024}, 128, {64, 1}, {1, 1}, 9, 0, 3, 6), 1);
    EXPECT_EQ(encode({64, 1024}, 128, {64, 1}, {1, 1}, 9, 0, 3, 2, 32), 1) << "the map's own address";
    EXPECT_THROW(tensor_map(data + 1, {64, 8}, {64}, {64, 8}), Error);
    void* function = data;
    cudaDriverEntryPointQueryResult result;
    EXPECT_EQ(cudaGetDriverEntryPoint("cuNothing", &function, cudaEnableDefault, &result), cudaSuccess);
    EXPECT_EQ(result, cudaDriverEntryPointSymbolNotFound);
    EXPECT_EQ(function, nullptr);
    EXPECT_EQ(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 11000, cudaEnableDefault, &result),
              cudaSuccess);
    EXPECT_EQ(result, cudaDriverEntryPointVersionNotSufficent);
}

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
