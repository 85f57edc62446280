// Who owns what of a flat buffer that all ranks have. It is cut into buckets, as large as one operation of the ranks
// takes, and every bucket into one piece for each rank, all of one size:
//
//   buffer   | 0 0 1 1 2 2 | 0 0 1 1 2 2 | 0 1 2 |     three ranks, buckets of six, the last one of three
//   state of rank 1:  1 1 1 1 1                        what it keeps of its pieces only, one after the other
#pragma once
#include <algorithm>
#include <cstddef>
#include "host/base/error.h"

struct Shards {
    static constexpr size_t alignment = 128;  // elements: pieces begin where tensors may (layout.h)
    // Of a bucket. Small ones would cost more waiting than sending; large ones memory, 16 MiB of gradients at a time.
    static constexpr size_t least_elements = size_t(1) << 14, most_elements = size_t(1) << 22;

    struct Piece {
        size_t begin, size;  // in the buffer
        size_t state;        // in what its owner keeps of its pieces
        size_t end() const { return begin + size; }
    };

    size_t n = 0;  // elements of the buffer
    int ranks = 1;
    size_t bucket = 0;  // elements of all buckets but the last

    // n rounded up to what R ranks can share.
    static size_t padded(size_t n, int R) { return R == 1 ? n : round_up(n, alignment * size_t(R)); }

    // Of a buffer whose size is padded(). One rank owns all of it as one piece.
    Shards(size_t n, int R) : n(n), ranks(R), bucket(n) {
        if (R == 1) return;
        REQUIRE(n % (alignment * size_t(R)) == 0);
        bucket = std::min(n, round_up(std::clamp(n / 8, least_elements, most_elements), alignment * size_t(R)));
    }

    int buckets() const { return n == 0 ? 0 : int((n + bucket - 1) / bucket); }
    size_t bucket_begin(int b) const { return size_t(b) * bucket; }
    size_t piece_size(int b) const { return std::min(bucket, n - bucket_begin(b)) / size_t(ranks); }
    Piece piece(int b, int rank) const {
        const size_t size = piece_size(b);
        return {bucket_begin(b) + size_t(rank) * size, size, bucket_begin(b) / size_t(ranks)};
    }
    size_t state_size() const { return n / size_t(ranks); }  // the same for every rank

    // Calls take(begin in the range, size, index in the owner's state) for what a rank owns of begin .. begin+size-1.
    template <class Take>
    void overlap(size_t begin, size_t size, int rank, Take take) const {
        if (size == 0) return;
        for (int b = int(begin / bucket); b <= int((begin + size - 1) / bucket); b++) {
            const Piece p = piece(b, rank);
            const size_t from = std::max(begin, p.begin), to = std::min(begin + size, p.end());
            if (from < to) take(from - begin, to - from, p.state + from - p.begin);
        }
    }

private:
    static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }
};
