// What a product's sums become before they are written: finish() gets one or two vectors of 8 neighbours of row m, from
// column n on, and the layer's other tensors come along. A null pointer leaves its step out.
#pragma once
#include "gelu.cuh"
#include "swiglu.cuh"

// out = x + bias, or with `before`:  before = x + bias, out = gelu(before).
struct LinearOut {
    static constexpr int vectors = 1;
    bf16 *out, *before;
    const bf16* bias;
    int N;
    __device__ void finish(Vec<8> x, int m, int n) const {
        const size_t at = size_t(m) * N + n;
        if (bias) add(x, bias + n);
        if (before) {
            store<8>(before + at, x);
            for (int i = 0; i < 8; i++) x[i] = gelu_of(float(bf16(x[i])));
        }
        store<8>(out + at, x);
    }
    static __device__ void add(Vec<8>& x, const bf16* p) {
        const Vec<8> y = load<8>(p);
        for (int i = 0; i < 8; i++) x[i] += y[i];
    }
};

// gate_up = x + bias, out = silu(gate) * up. Columns come in turns of 8 (RowsInTurns).
struct LinearSwiglu {
    static constexpr int vectors = 2;
    bf16 *out, *gate_up;
    const bf16* bias;
    int F;
    __device__ void finish(const Vec<16>& x, int m, int n) const {
        const int f = n / 2;
        bf16* row = gate_up + size_t(m) * 2 * F + f;
        Vec<8> gate, up;
        for (int i = 0; i < 8; i++) gate[i] = x[i], up[i] = x[8 + i];
        if (bias) LinearOut::add(gate, bias + f), LinearOut::add(up, bias + F + f);
        store<8>(row, gate);
        store<8>(row + F, up);
        for (int i = 0; i < 8; i++) up[i] = swiglu_of(float(bf16(gate[i])), float(bf16(up[i])));
        store<8>(out + size_t(m) * F + f, up);
    }
};

// d_inp = x, or with `before`, the input of the GELU whose output the product had as its own: d_inp = x gelu'(before).
struct LinearGradient {
    static constexpr int vectors = 1;
    bf16* d_inp;
    const bf16* before;
    int N;
    __device__ void finish(Vec<8> x, int m, int n) const {
        const size_t at = size_t(m) * N + n;
        if (before) {
            const Vec<8> y = load<8>(before + at);
            for (int i = 0; i < 8; i++) x[i] *= gelu_slope(y[i]);
        }
        store<8>(d_inp + at, x);
    }
};

// The same after SwiGLU: [d_gate | d_up] from gate_up = [gate | up].
struct LinearSwigluGradient {
    static constexpr int vectors = 1;
    bf16* d_gate_up;
    const bf16* gate_up;
    int F;
    __device__ void finish(Vec<8> x, int m, int n) const {
        const size_t at = size_t(m) * 2 * F + n;
        Vec<8> gate = load<8>(gate_up + at), up = load<8>(gate_up + at + F);
        for (int i = 0; i < 8; i++) swiglu_slope(gate[i], up[i], x[i]);
        store<8>(d_gate_up + at, gate);
        store<8>(d_gate_up + at + F, up);
    }
};

// c += x, or =; or where k is split: c[part] = x, of `part` elements each.
struct LinearSum {
    static constexpr int vectors = 1;
    float* c;
    size_t part;
    Into into;
    int N;
    __device__ void finish(Vec<8> x, int m, int n) const {
        float* to = c + blockIdx.y * part + size_t(m) * N + n;
        if (!part && into == Into::add) {
            const Vec<8> old = load<8>(to);
            for (int i = 0; i < 8; i++) x[i] += old[i];
        }
        store<8>(to, x);
    }
};
