// Attention on Hopper, forward, of bf16 heads of 64 and 128 channels without dropout: the equations and shapes of
// attention.cuh.
//
// A block has 128 queries of a head, two warpgroups ("groups") 64 each, and walks over tiles of 128 keys. One thread
// copies queries, keys and values to shared memory, ahead of the groups, whose products read them there.
//
// The tensor cores should have something to do while a group makes probabilities of its scores. With 64 channels there
// is room for two blocks on a multiprocessor: what one does not use is the other's. With 128 there is not: one block
// stays, goes from tile of queries to tile, and has a third warpgroup that copies; a group has its last probabilities
// times values under way meanwhile, and the groups take turns in giving the tensor cores work (Shah 2024).
#pragma once
#include "attention_hopper_group.cuh"
#include "attention_hopper_map.cuh"

// Which tile of queries is when: those of a few heads, whose keys and values stay in the L2 cache together, longest
// first, then those of the next heads.
struct AttentionTiles {
    int heads, at_once, tiles;  // B*NH; heads that run together; tiles of queries in a head
    __host__ __device__ int count() const { return heads * tiles; }
    // A block takes one of every gridDim.x, from the front and from the back in turns: all get about as many keys.
    __device__ int of_round(int round) const {
        return round * gridDim.x + (round % 2 ? gridDim.x - 1 - blockIdx.x : blockIdx.x);
    }
    template <int HS>
    __host__ __device__ AttentionHopperTile at(int i, const AttentionHead& at, const int* first) const {
        constexpr int rows = AttentionHopper<HS>::rows;
        const int head0 = i / (at_once * tiles) * at_once, together = std::min(at_once, heads - head0);
        i -= head0 * tiles;
        const int head = head0 + i % together, h = head % at.NH, kv = h * at.NKV / at.NH;
        AttentionHopperTile tile{head / at.NH, h, at.NH + kv, at.NH + at.NKV + kv, (tiles - 1 - i / together) * rows};
        if (first) tile.s0 = first[at.token(tile.b, tile.t0)] / rows * rows;
        tile.steps = (tile.t0 - tile.s0) / rows + 1;
        return tile;
    }
};

#if HOPPER
// The copying thread. Keys and values come in the order in which they are used.
template <int HS>
struct AttentionHopperCopies {
    using Shape = AttentionHopper<HS>;
    typename Shape::Shared& shared;
    const TensorMap& qkv;
    RingTurn<Shape::query_tiles> query = {};
    RingTurn<Shape::stages> pair = {};

    // Rows t, t + 1, ... of a head of a sequence; beyond the last there are zeros.
    template <int n>
    __device__ void copy(AttentionRing<HS, n>& ring, RingTurn<n>& turn, int head, int t, int b) {
        barrier_wait(&ring.empty[turn.slot], turn.parity ^ 1);
        AsyncBarrier* const full = &ring.full[turn.slot];
        barrier_arrive_expect(full, sizeof ring.tiles[0]);
        for (int panel = 0; panel < HS / 64; panel++)
            tensor_load(ring.tiles[turn.slot] + panel * Shape::rows * 64, qkv, full, panel * 64, head, t, b);
        turn.next();
    }
    __device__ void queries(const AttentionHopperTile& tile) { copy(shared.queries, query, tile.h, tile.t0, tile.b); }
    __device__ void keys(const AttentionHopperTile& tile, int step) {
        copy(shared.pairs, pair, tile.key_head, tile.s0 + step * Shape::rows, tile.b);
    }
    __device__ void values(const AttentionHopperTile& tile, int step) {
        copy(shared.pairs, pair, tile.value_head, tile.s0 + step * Shape::rows, tile.b);
    }
    // For groups that begin the next products before they end the last.
    __device__ void all(const AttentionHopperTile& tile) {
        queries(tile), keys(tile, 0);
#pragma unroll 1
        for (int step = 1; step < tile.steps; step++) keys(tile, step), values(tile, step - 1);
        values(tile, tile.steps - 1);
    }
    // For groups that do one thing after the other: number `item` of keys, values, keys, ..., if there is one.
    __device__ void one(const AttentionHopperTile& tile, int item) {
        if (item < 2 * tile.steps) item % 2 ? values(tile, item / 2) : keys(tile, item / 2);
    }
};

// A block with one tile of queries, whose first thread also copies.
template <int HS>
__device__ void attention_hopper_one_tile(AttentionHopperGroup<HS>& group, AttentionHopperCopies<HS>& copies,
                                          const AttentionHopperTile& tile) {
    constexpr int ahead = AttentionHopper<HS>::ahead;
    const bool copying = threadIdx.x == 0;
    Again again;
    do {
        if (copying) {
            copies.query = group.query, copies.pair = group.pair;
            copies.queries(tile);
            for (int item = 0; item < ahead; item++) copies.one(tile, item);
        }
        group.in_order(tile, again, [&](int item) {
            if (!copying) return;
            copies.pair = group.pair.later(ahead - 1);  // rather than registers that all threads keep
            copies.one(tile, item + ahead);
        });
    } while (again.asks(group.shared.overflows[threadIdx.x]));
}
#endif

template <int HS>
__global__ void __launch_bounds__(hopper_threads(AttentionHopper<HS>::threads), AttentionHopper<HS>::blocks)
    attention_hopper_forward_kernel(bf16* out, float* lse, const __grid_constant__ TensorMap qkv, const int* first,
                                    AttentionHead at, AttentionTiles tiles, float factor) {
#if HOPPER
    using Shape = AttentionHopper<HS>;
    auto& shared = *dynamic_shared<typename Shape::Shared>();
    shared.overflows[threadIdx.x] = false;
    if (threadIdx.x == 0) {
        ring_init(shared.queries), ring_init(shared.pairs);
        barrier_init_fence();
        if (!Shape::walks) shared.tile = tiles.at<HS>(blockIdx.x, at, first);
    }
    __syncthreads();
    const int warpgroup = __shfl_sync(~0u, threadIdx.x / 128, 0);  // known to be the same in all lanes
    AttentionHopperCopies<HS> copies{shared, qkv};
    AttentionHopperGroup<HS> group{shared, at, first, out, lse, factor, warpgroup - Shape::walks};
    const auto walk = [&](auto work) {
        Again again;
        do {
            for (int round = 0, i; (i = tiles.of_round(round)) < tiles.count(); round++)
                work(tiles.at<HS>(i, at, first), again);
        } while (again.asks(shared.overflows[threadIdx.x]));
    };
    if constexpr (!Shape::walks) {
        attention_hopper_one_tile(group, copies, shared.tile);
    } else if (warpgroup == 0) {
        registers_shrink<Shape::copying>();
        walk([&](const AttentionHopperTile& tile, Again) {
            if (threadIdx.x == 0) copies.all(tile);
        });
    } else {
        registers_grow<Shape::multiplying>();
        group.begin_turns();
        walk([&](const AttentionHopperTile& tile, Again again) { group.overlapped(tile, again); });
        group.end_turns();
    }
#endif
}

template <int HS>
void attention_hopper_forward_by(bf16* out, float* lse, const bf16* qkv, const int* first, const AttentionHead& at,
                                 const Gpu<bf16>& on) {
    using Shape = AttentionHopper<HS>;
    const TensorMap map = attention_map(qkv, at.NH + 2 * at.NKV, Shape::rows, at);
    // Heads whose keys and values take 16 MB of the 50 of L2, and all queries' heads that share some.
    const int shared_by = at.NH / at.NKV, at_once = int(16e6 / (4.0 * at.T * HS / shared_by)) / shared_by * shared_by;
    const AttentionTiles tiles{at.B * at.NH, std::clamp(at_once, shared_by, at.B * at.NH), ceil_div(at.T, Shape::rows)};
    launch(attention_hopper_forward_kernel<HS>, Shape::walks ? std::min(tiles.count(), on.sm_count) : tiles.count(),
           Shape::threads, Shape::bytes, on, out, lse, map, first, at, tiles, at.scale() * log2_of_e);
}

// For heads of HS channels without dropout.
inline bool attention_has_hopper(int HS, const Gpu<bf16>& on) {
    return (HS == 64 || HS == 128) && on.trusts(Kernels::attention_hopper_forward) && has_hopper(on);
}
// False where these kernels are not for the GPU, the heads or the dropout: then nothing is done.
template <class T>
bool attention_hopper_forward(T* out, float* lse, const T* qkv, const int* first, const Dropout& drop,
                              const AttentionHead& at, const Gpu<T>& on) {
    if (drop.p > 0 || !attention_has_hopper(at.HS, on)) return false;
    const auto by = at.HS == 64 ? attention_hopper_forward_by<64> : attention_hopper_forward_by<128>;
    by(out, lse, qkv, first, at, on);
    return true;
}
