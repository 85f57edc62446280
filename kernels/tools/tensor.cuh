// What the tensor-core kernels share: tiles of bf16 in shared memory that ldmatrix reads without bank conflicts, and
// matmuls of their rows.
//
// A tile's row is a number of vectors of 8 channels (16 bytes). ldmatrix reads the same vector of 8 neighbouring rows
// at a time: they must lie in 8 different groups of 4 banks, so row r keeps its vector v at v ^ swizzle(r).
//
// Fragments are those of ptx.cuh: lane = 4 g + t holds rows g and g + 8, columns 2 t and 2 t + 1 of a 16 x 8 result.
#pragma once
#include <bit>
#include <numeric>
#include "common.cuh"

template <int columns_>
struct TensorTile {
    static constexpr int columns = columns_, vectors = columns / 8, group = std::gcd(vectors, 8);
    static constexpr int swizzle(int row) { return row / (8 / group) % group; }
    static constexpr int at(int row, int vector) { return (row * vectors + (vector ^ swizzle(row))) * 8; }  // element

    // The proof, for every vector and every 8 rows that ldmatrix may read at once.
    static constexpr bool conflict_free() {
        for (int v = 0; v < vectors; v++)
            for (int row = 0; row < 64; row += 8) {
                unsigned groups = 0;
                for (int r = row; r < row + 8; r++) groups |= 1u << at(r, v) / 8 % 8;
                if (groups != 0xff) return false;
            }
        return true;
    }
    // And that no two vectors share a place.
    static constexpr bool one_to_one() {
        for (int row = 0; row < 8; row++) {
            uint64_t places = 0;
            for (int v = 0; v < vectors; v++) places |= uint64_t(1) << (at(row, v) / 8 - row * vectors);
            if (places != (uint64_t(1) << vectors) - 1) return false;
        }
        return true;
    }
};

// Blocks of so many bytes that fit a multiprocessor's shared memory together. It keeps 1 KiB per block for itself.
constexpr int blocks_by_shared(int capability, size_t bytes) {
    const size_t all = capability == 80 ? 164 << 10 : capability >= 90 ? 228 << 10 : 100 << 10;
    return int(all / (bytes + 1024));
}

// Which row of a matrix comes as row r of a tile. Orders repeat: of(r + 16 n) = of(r) + of(16 n).
struct RowsInOrder {
    __host__ __device__ int of(int r) const { return r; }
};

// Starts to copy the first `rows` rows of a matrix, `stride` elements apart, into a tile; the others become zeros. A
// thread keeps to one vector of every so many rows, 8 or a multiple: then all its places are one and a constant.
template <class Tile, int tile_rows, int threads, class Order = RowsInOrder>
__device__ void tensor_copy(bf16* tile, const bf16* from, size_t stride, int rows, int columns = Tile::columns,
                            Order order = {}) {
    constexpr int at_once = std::bit_floor(unsigned(threads / Tile::vectors)), busy = at_once * Tile::vectors;
    static_assert(at_once >= 8 && tile_rows % at_once == 0);
    const int thread = threadIdx.x, r0 = thread / Tile::vectors, v = thread % Tile::vectors;
    if (busy < threads && thread >= busy) return;
    from += order.of(r0) * stride + v * 8;
    tile += Tile::at(r0, v);
    rows = v * 8 < columns ? rows - r0 : 0;
    UNROLL
    for (int r = 0; r < tile_rows; r += at_once) {
        copy_async<16>(tile + r * Tile::columns, from, r < rows ? 16 : 0);
        from += order.of(at_once) * stride;
    }
}

// Which row of a 16 x 16 piece of a tile a lane gives to ldmatrix<4>: the piece's four 8 x 8 are taken down its rows
// first, or across its columns first.
enum class Pieces { down, across };
template <class Tile, Pieces pieces>
class TensorLane {
    unsigned place;  // of the lane's vector in the piece at (0, 0), in bytes

public:
    __device__ TensorLane() {
        const int lane = threadIdx.x % warp_size, odd = lane / 8 % 2, high = lane / 16;
        const bool down = pieces == Pieces::down;
        const int row = lane % 8 + 8 * (down ? odd : high);
        place = opaque(2 * Tile::at(row, down ? high : odd));
    }
    // row0 and column0 are multiples of 16. Rows begin at multiples of `group` vectors, so that the exclusive-or of a
    // vector's number is one of the place; what remains is a constant that the instruction adds by itself.
    __device__ const bf16* at(const bf16* tile, int row0, int column0) const {
        const int vector = column0 / 8, inside = vector % Tile::group;
        const int constant = (row0 * Tile::vectors + vector - inside) * 16;
        return reinterpret_cast<const bf16*>(reinterpret_cast<const char*>(tile) + constant + (place ^ inside * 16));
    }
};

// The two halves of a 16 x 16 piece of b, each against every 16 rows of a.
template <int I, int J>
__device__ void tensor_multiply(float (&sum)[I][J][4], const uint32_t (&a)[I][4], const uint32_t (&b)[4], int j) {
    const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
    UNROLL
    for (int i = 0; i < I; i++) {
        mma(sum[i][j], a[i], left, sum[i][j]);
        mma(sum[i][j + 1], a[i], right, sum[i][j + 1]);
    }
}

// The left operand of a matmul: rows row0 .. row0 + 16 I of a tile. Gives the fragments of columns 16 k ..., `kept`:
// from registers, where load() put them.
template <class Tile, int I, bool kept = false>
class TensorRows {
    using Lane = TensorLane<Tile, Pieces::down>;
    const bf16* tile;
    int row0;
    uint32_t all[kept ? Tile::columns / 16 : 1][I][4];
    Lane once;

    __device__ void read(uint32_t (&a)[I][4], int k) const {
        const Lane lane = Tile::columns > 64 ? Lane() : once;  // wide rows: no register to spare between mma's
        UNROLL
        for (int i = 0; i < I; i++) ldmatrix(a[i], lane.at(tile, row0 + 16 * i, 16 * k));
    }

public:
    __device__ TensorRows(const bf16* tile, int row0) : tile(tile), row0(row0) {}
    __device__ void load() {
        if constexpr (kept) {
            UNROLL
            for (int k = 0; k < Tile::columns / 16; k++) read(all[k], k);
        }
    }
    __device__ void operator()(uint32_t (&a)[I][4], int k) const {
        if constexpr (!kept) read(a, k);
        else
            for (int i = 0; i < I; i++)
                for (int r = 0; r < 4; r++) a[i][r] = all[k][i][r];
    }
};

// sum[i][j] = a's rows . rows 8 j ... of tile b.
template <class Tile, int I, int J, bool kept>
__device__ void tensor_dots(float (&sum)[I][J][4], const TensorRows<Tile, I, kept>& rows_of_a, const bf16* b) {
    const TensorLane<Tile, Pieces::across> lane;
    UNROLL
    for (int i = 0; i < I; i++)
        for (int j = 0; j < J; j++)
            for (int c = 0; c < 4; c++) sum[i][j][c] = 0;
    // All at once, but for the widest rows: there the compiler would load so far ahead that registers run out.
    [[maybe_unused]] constexpr int at_once = Tile::columns >= 128 && !kept ? 4 : Tile::columns / 16;
#pragma unroll at_once
    for (int k = 0; k < Tile::columns / 16; k++) {
        uint32_t a[I][4];
        rows_of_a(a, k);
        UNROLL
        for (int j = 0; j < J; j += 2) {
            uint32_t y[4];
            ldmatrix(y, lane.at(b, 8 * j, 16 * k));
            tensor_multiply(sum, a, y, j);
        }
    }
}

// sum += p . b: p (16 I, 8 K) as an earlier matmul left it, rounded here; b has 8 K rows. rounded(pair, i, k, c) may
// change elements c and c + 1 of p[i][k] when they are.
struct AsRounded {
    __device__ uint32_t operator()(uint32_t pair, int, int, int) const { return pair; }
};
template <class Tile, int I, int K, int J, class Rounded = AsRounded>
__device__ void tensor_weighted_rows(float (&sum)[I][J][4], const float (&p)[I][K][4], const bf16* b,
                                     const Rounded& rounded = {}) {
    static_assert(8 * J == Tile::columns && K % 2 == 0);
    const TensorLane<Tile, Pieces::down> lane;
    UNROLL
    for (int k = 0; k < K; k += 2) {
        uint32_t a[I][4];
        UNROLL
        for (int i = 0; i < I; i++)
            for (int c = 0; c < 4; c++) {
                const int j = k + c / 2, left = c % 2 * 2;
                a[i][c] = rounded(pack_bf16(p[i][j][left], p[i][j][left + 1]), i, j, left);
            }
        UNROLL
        for (int j = 0; j < J; j += 2) {
            uint32_t y[4];
            ldmatrix_transposed(y, lane.at(b, 8 * k, 8 * j));
            tensor_multiply(sum, a, y, j);
        }
    }
}

// A warp's sums, 16 I rows, times factor(i, half) of each row: to its rows of a tile, and from there, in whole
// vectors, to the first `rows` rows of a matrix of so many columns. Nobody else may use these rows of the tile.
template <class Tile, int I, int J, class Factor>
__device__ void tensor_store(bf16* to, size_t stride, int rows, bf16* tile, const float (&sum)[I][J][4], Factor factor,
                             int columns = Tile::columns) {
    const int lane = threadIdx.x % warp_size, g = lane / 4, t = lane % 4;
    __syncwarp();  // other lanes' ldmatrix of what was there are done
    UNROLL
    for (int i = 0; i < I; i++) {
        UNROLL
        for (int half = 0; half < 2; half++) {
            const float f = factor(i, half);
            UNROLL
            for (int j = 0; j < J; j++)
                *reinterpret_cast<uint32_t*>(tile + Tile::at(16 * i + 8 * half + g, j) + 2 * t) =
                    pack_bf16(sum[i][j][2 * half] * f, sum[i][j][2 * half + 1] * f);
        }
    }
    __syncwarp();
    for (int place = lane; place < 16 * I * Tile::vectors; place += warp_size) {
        const int r = place / Tile::vectors, v = place % Tile::vectors;
        if (r < rows && v * 8 < columns)
            *reinterpret_cast<uint4*>(to + r * stride + v * 8) = *reinterpret_cast<const uint4*>(tile + Tile::at(r, v));
    }
}
