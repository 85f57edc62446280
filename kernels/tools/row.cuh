// Rows of channels spread over threads: what the norms share.
//
// A team owns a row: threadIdx.x of its blockDim.x threads holds the vectors x, x + blockDim.x, ... of W channels, K of
// them at most, in registers, so that a row is read once. A team of one warp (C <= 1024) shares its block with other
// rows, threadIdx.y, and never waits at a barrier; a longer row has the block to itself.
#pragma once
#include "common.cuh"

constexpr int row_warps = 4;      // rows in a block, when a warp is enough for one
constexpr int row_threads = 384;  // for one row, at most: each has up to 168 registers

template <int W, int K>
dim3 row_block(int C) {
    const int team = round_up(ceil_div(C, W * K), warp_size);
    return dim3(team, team == warp_size ? row_warps : 1);
}

// Calls `then` with the vectors' width W and the vectors per thread K for rows of C channels at these addresses.
template <class Then>
void by_parameter(const char* layer, int C, Pointers pointers, Then then) {
    by_width(C, pointers, [&](auto W) {
        constexpr int K = W == 8 ? 4 : 8;
        check_limit(layer, "C", C, long(row_threads) * W * K);
        if constexpr (W == 8)
            if (C <= warp_size * W) return then(W, std::integral_constant<int, 1>{});
        then(W, std::integral_constant<int, K>{});
    });
}

template <int W>
__device__ int row_channel(int k) {
    return (k * blockDim.x + threadIdx.x) * W;
}  // first of vector k

// Vectors past the end of the row read as zeros, and are not written. Rows that are loaded as they lie in memory,
// before the first of them is used, are on their way together.
template <int W, int K, class T>
__device__ void load_row(Raw<W, T> (&x)[K], const T* row, int C) {
    UNROLL
    for (int k = 0; k < K; k++) x[k] = row_channel<W>(k) < C ? load_raw<W>(row + row_channel<W>(k)) : Raw<W, T>{};
}
template <int W, int K, class T>
__device__ void row_floats(Vec<W> (&x)[K], const Raw<W, T> (&raw)[K]) {
    UNROLL
    for (int k = 0; k < K; k++) x[k] = floats(raw[k]);
}
template <int W, int K, class T>
__device__ void load_row(Vec<W> (&x)[K], const T* row, int C) {
    Raw<W, T> raw[K];
    load_row(raw, row, C);
    row_floats(x, raw);
}
// A row for which there are few registers left: it is loaded two vectors at a time, when it is used; if it has but one,
// at once.
template <int W, int K, class T>
class RowByTwos {
    const T* row;
    int C;
    Raw<W, T> only[1] = {};

public:
    __device__ RowByTwos(const T* row, int C) : row(row), C(C) {
        if constexpr (K == 1) load_row(only, row, C);
    }

    // use(k, vector k): what hangs over the end reads as zeros, or is left out.
    template <class Use>
    __device__ void each(Use use) const {
        if constexpr (K == 1) {
            use(0, floats(only[0]));
        } else {
            static_assert(K % 2 == 0);
            UNROLL
            for (int k = 0; k < K; k += 2) {
                if (row_channel<W>(k) >= C) continue;  // a branch: else the compiler loads all at once, and spills
                const bool both = row_channel<W>(k + 1) < C;
                const Raw<W, T> x = load_raw<W>(row + row_channel<W>(k));
                const Raw<W, T> y = both ? load_raw<W>(row + row_channel<W>(k + 1)) : Raw<W, T>{};
                use(k, floats(x));
                use(k + 1, floats(y));
            }
        }
    }
};

template <int W, int K, class T>
__device__ void store_row(T* row, const Vec<W> (&x)[K], int C) {
    UNROLL
    for (int k = 0; k < K; k++)
        if (row_channel<W>(k) < C) store<W>(row + row_channel<W>(k), x[k]);
}

// Prefetches a row into the L2 cache.
template <int W, int K, class T>
__device__ void prefetch_row(const T* row, int C) {
    if constexpr (W > 1) {
        UNROLL
        for (int k = 0; k < K; k++)
            if (row_channel<W>(k) < C) prefetch_line(row + row_channel<W>(k));
    }
}

// Sums of M values over the team, all at once; all its threads must call.
template <int M>
__device__ Vec<M> row_sum(Vec<M> x) {
    if (blockDim.x > warp_size) return block_sum(x);
    for (int m = 0; m < M; m++) x[m] = warp_sum(x[m]);
    return x;
}
__device__ inline float row_sum(float x) { return row_sum(Vec<1>{{x}})[0]; }

// out[c] = the sum of the block's rows, in their order: of rows (blockDim.y,C) in shared memory, or of x in registers,
// with row_shared() bytes. All threads of the block must call.
__device__ inline void store_shared_sum(float* out, const float* rows, int C) {
    __syncthreads();
    for (int c = thread_index(); c < C; c += block_threads()) {
        float sum = rows[c];
        for (int y = 1; y < int(blockDim.y); y++) sum += rows[y * C + c];
        out[c] = sum;
    }
}
template <int W, int K>
__device__ void store_row_sum(float* out, const Vec<W> (&x)[K], int C) {
    if (blockDim.y == 1) return store_row(out, x, C);
    float* rows = dynamic_shared<float>();
    __syncthreads();  // the last call's readers are done
    store_row(rows + threadIdx.y * C, x, C);
    store_shared_sum(out, rows, C);
}
inline size_t row_shared(dim3 block, int C) { return block.y == 1 ? 0 : block.y * size_t(C) * sizeof(float); }

// Blocks for a kernel that walks over rows and leaves a share of a sum each.
template <class T, class... P>
int row_blocks(void (*kernel)(P...), int N, dim3 block, size_t shared_bytes, const Gpu<T>& on) {
    return std::min(ceil_div(N, int(block.y)), resident_blocks(kernel, block, shared_bytes, on));
}
