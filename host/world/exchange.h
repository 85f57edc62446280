// What the ranks do with flat buffers that all of them have, in the pieces of Shards: the two halves of an all-reduce,
// between which each rank steps its own piece.
//
//   reduce_scatter   x[i] = sum over ranks r = 0, 1, ... of x_r[i], where i is this rank's; the rest of x is of no use
//   all_gather       x[i] = x_r[i], where i is rank r's
//
// Each is called for one bucket after the other. A device may be done with it later: what it computes is not to use x
// before wait_for_exchange(). A rank sends (R-1)/R of the buffer in each.
#pragma once
#include <vector>
#include "host/reference/parallel.h"
#include "shards.h"
#include "world.h"

template <class T>
void reduce_scatter(T* x, const Shards& shards, int b, const World& world, Cpu<T> on) {
    T* received = on.scratch(shards.bucket);
    const Shards::Piece mine = shards.piece(b, world.rank());
    world.mpi().all_to_all(received, x + shards.bucket_begin(b), mine.size * sizeof(T));
    for_blocks(mine.size, [&](size_t first, size_t last) {
        T* const sum = x + mine.begin;
        std::copy(received + first, received + last, sum + first);
        for (int r = 1; r < shards.ranks; r++) {
            const T* const of_rank = received + size_t(r) * mine.size;
#pragma omp simd
            for (size_t i = first; i < last; i++) sum[i] += of_rank[i];
        }
    });
}

template <class T>
void all_gather(T* x, const Shards& shards, int b, const World& world, Cpu<T>) {
    world.mpi().all_gather(x + shards.bucket_begin(b), shards.piece_size(b) * sizeof(T));
}

// One number of each rank, by rank.
template <class T>
void all_gather(T* of_ranks, const World& world, Cpu<T>) {
    world.mpi().all_gather(of_ranks, sizeof(T));
}

template <class T>
void wait_for_exchange(const World&, Cpu<T>) {}
