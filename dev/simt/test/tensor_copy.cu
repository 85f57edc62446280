// Tensor maps and copies (kernels/tools/tensor_map.cuh, ptx_hopper.cuh) against their definition, element by element.
#include <algorithm>
#include <array>
#include "kernel_test.h"
#include "kernels/tools/tensor_map.cuh"

namespace {

// Element i has the bits i.
std::vector<__nv_bfloat16> numbered(size_t n) {
    std::vector<__nv_bfloat16> values(n);
    for (size_t i = 0; i < n; i++) values[i] = __ushort_as_bfloat16(static_cast<unsigned short>(i));
    return values;
}

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
    {{{100, 30}, {112}, {64, 24}}, {{2, {0, 0}}, {2, {96, 10}}, {2, {8, 29}}, {2, {0, 1000}}}},
    {{{64, 9, 2}, {128, 64}, {64, 4, 2}}, {{3, {0, 0, 0}}, {3, {0, 7, 1}}, {3, {8, -2, -1}}}},
    {{{24, 3, 5, 4}, {24, 72, 360}, {64, 2, 3, 4}}, {{4, {0, 0, 0, 0}}, {4, {8, 2, 3, 1}}, {4, {-8, -1, -1, -1}}}},
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
                if (std::ranges::min(place.c) < 0) continue;  // no store begins before its tensor
                cudaMemset(data, 0xff, tensor.extent() * 2);
                run(store_kernel, 1, 64, size_t(tensor.elements()) * 2, map, place, tensor.elements());
                std::vector<uint16_t> want(tensor.extent(), 0xffff);
                for (size_t i = 0; i < size_t(tensor.elements()); i++)
                    if (const int64_t at = tensor.source(place, i); at >= 0)
                        want[size_t(at)] = uint16_t(tensor.place(i));
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
        return tensor_map_encoder()(reinterpret_cast<TensorMap*>(reinterpret_cast<char*>(map) + at), type, rank,
                                    data + from, sizes.data(), &stride, box.data(), steps.data(), 0, swizzle, 2, 0);
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
