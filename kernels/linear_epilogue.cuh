// Epilogues: what a matmul's sums become before they are written. For 8 neighbours of row m, from column n on (or 16:
// `vectors`), column(n) and row(m, n), where there are any, start to bring what belongs to them from the layer's other
// tensors, as it lies in memory and without a branch, as early as the caller likes; write() does the rest. Outputs are
// never inputs, so a matmul may be repeated.
#pragma once
#include "gelu.cuh"
#include "swiglu.cuh"

// 8 bf16, or 8 zeros.
struct Bf16Vector {
    uint4 bits;
    static __device__ Bf16Vector of(const bf16* p, bool inside) {
        return {inside ? *reinterpret_cast<const uint4*>(p) : uint4{}};
    }
    __device__ Vec<8> floats() const { return load<8>(reinterpret_cast<const bf16*>(&bits)); }
};
struct NoOperand {};
// In a column's place, where the sums have their bias already.
struct NoMoreBias {
    NoOperand gate, up;
};
__device__ inline Vec<8> rounded(Vec<8> x) {
    for (int i = 0; i < 8; i++) x[i] = float(bf16(x[i]));
    return x;
}
__device__ inline Vec<8> plus(Vec<8> x, const Vec<8>& y) {
    for (int i = 0; i < 8; i++) x[i] += y[i];
    return x;
}
__device__ inline Vec<8> plus(const Vec<8>& x, const Bf16Vector& y) { return plus(x, y.floats()); }
__device__ inline Vec<8> plus(const Vec<8>& x, NoOperand) { return x; }
__device__ inline Vec<8> plus(const Vec<8>& x, NoMoreBias) { return x; }
// As they are kept. Sums that have their bias already are rounded already.
__device__ inline Vec<8> rounded_plus(const Vec<8>& x, const Bf16Vector& y) { return rounded(plus(x, y)); }
__device__ inline Vec<8> rounded_plus(const Vec<8>& x, NoOperand) { return x; }
__device__ inline Vec<8> rounded_plus(const Vec<8>& x, NoMoreBias) { return x; }

// out = x + bias; bias may be null, as in the next two.
struct LinearOut {
    static constexpr int vectors = 1;
    bf16* out;
    const bf16* bias;
    int N;
    __device__ Bf16Vector column(int n, bool inside) const { return Bf16Vector::of(bias + n, inside && bias); }
    template <class Bias>
    __device__ void write(const Vec<8>& x, const Bias& add, NoOperand, int m, int n) const {
        store<8>(out + size_t(m) * N + n, plus(x, add));
    }
};

// before = x + bias, out = gelu(before)
struct LinearGelu {
    static constexpr int vectors = 1;
    bf16 *out, *before;
    const bf16* bias;
    int N;
    __device__ Bf16Vector column(int n, bool inside) const { return Bf16Vector::of(bias + n, inside && bias); }
    template <class Bias>
    __device__ void write(Vec<8> x, const Bias& add, NoOperand, int m, int n) const {
        const size_t at = size_t(m) * N + n;
        x = rounded_plus(x, add);
        store<8>(before + at, x);
        for (int i = 0; i < 8; i++) x[i] = gelu_of(x[i]);
        store<8>(out + at, x);
    }
};

// gate_up = x + bias, out = silu(gate) * up. Columns come in turns of 8 (RowsInTurns).
struct LinearSwiglu {
    static constexpr int vectors = 2;
    bf16 *out, *gate_up;
    const bf16* bias;
    int F;
    struct Column {
        Bf16Vector gate, up;
    };
    __device__ Column column(int n, bool inside) const {
        const bf16* p = bias + n / 2;
        return {Bf16Vector::of(p, inside && bias), Bf16Vector::of(p + F, inside && bias)};
    }
    template <class Bias>
    __device__ void write(const Vec<16>& x, const Bias& add, NoOperand, int m, int n) const {
        const int f = n / 2;
        bf16* to = gate_up + size_t(m) * 2 * F + f;
        Vec<8> gate, up;
        for (int i = 0; i < 8; i++) gate[i] = x[i], up[i] = x[8 + i];
        gate = rounded_plus(gate, add.gate), up = rounded_plus(up, add.up);
        store<8>(to, gate);
        store<8>(to + F, up);
        for (int i = 0; i < 8; i++) up[i] = swiglu_of(gate[i], up[i]);
        store<8>(out + size_t(m) * F + f, up);
    }
};

// d_inp = x
struct LinearGradient {
    static constexpr int vectors = 1;
    bf16* d_inp;
    int N;
    __device__ void write(const Vec<8>& x, NoOperand, NoOperand, int m, int n) const {
        store<8>(d_inp + size_t(m) * N + n, x);
    }
};

// The gradient of GELU's input, where the matmul's input was GELU's output: d_before = x gelu'(before). Its sums over
// the rows are the gradient of the bias that before has.
struct LinearGeluGradient {
    static constexpr int vectors = 1;
    static constexpr bool sums_columns = true;
    bf16* d_before;
    const bf16* before;
    int N;
    __device__ Bf16Vector row(int m, int n, bool inside) const {
        return Bf16Vector::of(before + size_t(m) * N + n, inside);
    }
    __device__ void prefetch(int m, int n) const { prefetch_l2(before + size_t(m) * N + n); }
    __device__ Vec<8> write(Vec<8> x, NoOperand, const Bf16Vector& of, int m, int n) const {
        const Vec<8> y = of.floats();
        for (int i = 0; i < 8; i++) x[i] *= gelu_slope(y[i]);
        store<8>(d_before + size_t(m) * N + n, x);
        return x;
    }
};

// The same of SwiGLU: [d_gate | d_up] from gate_up = [gate | up].
struct LinearSwigluGradient {
    static constexpr int vectors = 1;
    bf16* d_gate_up;
    const bf16* gate_up;
    int F;
    struct Row {
        Bf16Vector gate, up;
    };
    __device__ Row row(int m, int n, bool inside) const {
        const bf16* p = gate_up + size_t(m) * 2 * F + n;
        return {Bf16Vector::of(p, inside), Bf16Vector::of(p + F, inside)};
    }
    __device__ void write(const Vec<8>& x, NoOperand, const Row& of, int m, int n) const {
        Vec<8> gate = of.gate.floats(), up = of.up.floats();
        for (int i = 0; i < 8; i++) swiglu_slope(gate[i], up[i], x[i]);
        bf16* to = d_gate_up + size_t(m) * 2 * F + n;
        store<8>(to, gate);
        store<8>(to + F, up);
    }
};

// c += x, or =; or where k is split: c[part] = x, of `part` elements each.
struct LinearSum {
    static constexpr int vectors = 1;
    float* c;
    size_t part;
    Into into;
    int N;
    struct Row {
        float4 low, high;
    };
    __device__ Row row(int m, int n, bool inside) const {
        const float4* old = reinterpret_cast<const float4*>(c + size_t(m) * N + n);
        const bool adds = inside && !part && into == Into::add;
        return {adds ? old[0] : float4{}, adds ? old[1] : float4{}};
    }
    __device__ void write(const Vec<8>& x, NoOperand, const Row& old, int m, int n) const {
        const float4 &l = old.low, &h = old.high;
        store<8>(c + blockIdx.y * part + size_t(m) * N + n, plus(x, {l.x, l.y, l.z, l.w, h.x, h.y, h.z, h.w}));
    }
};
// And the sums of a's rows, of the share of k that belongs to a tile of c: row_sums (shares, M).
struct LinearSumAndRows : LinearSum {
    float* row_sums;
};

// What an epilogue reads, if anything.
template <class Epilogue>
__device__ auto linear_column(const Epilogue& epilogue, int n, bool inside) {
    if constexpr (requires { epilogue.column(n, inside); }) return epilogue.column(n, inside);
    else return NoOperand{};
}
template <class Epilogue>
__device__ auto linear_row(const Epilogue& epilogue, int m, int n, bool inside) {
    if constexpr (requires { epilogue.row(m, n, inside); }) return epilogue.row(m, n, inside);
    else return NoOperand{};
}

template <class Epilogue>
__device__ void linear_finish(const Epilogue& epilogue, const Vec<8 * Epilogue::vectors>& x, int m, int n) {
    epilogue.write(x, linear_column(epilogue, n, true), linear_row(epilogue, m, n, true), m, n);
}
