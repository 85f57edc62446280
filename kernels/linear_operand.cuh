// How the matmuls of linear.cuh see their matrices: c (M,N) = a . b over k.
#pragma once
#include "kernels/tools/tensor.cuh"

// What neighbours in memory differ in: k, or the row of a (the column of b).
enum class Along { k, outer };

// A matrix of `outers` rows of a (columns of b), `ld` elements apart along the slow direction. The rows may come in
// another order than they lie in.
template <class T, Along along_, class Order = RowsInOrder>
struct LinearOperand {
    static constexpr Along along = along_;
    const T* data;
    int ld, outers;
    Order order = {};
};

// The rows of [gate | up], each F long, in turns of 8: then what SwiGLU multiplies stands side by side.
struct RowsInTurns {
    int F;
    __host__ __device__ int of(int r) const { return r / 16 * 8 + r % 8 + r / 8 % 2 * F; }
};
