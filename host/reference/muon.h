// Muon (Jordan et al. 2024): one step of a matrix along its momentum, whose singular values are all made about 1.
//
//   g = d_weight * min(1, clip / norm)       m = momentum m + (1 - momentum) g       u = momentum m + (1 - momentum) g
//   X = u / max(|u|, eps),   |u| its Frobenius norm
//   five times (Newton-Schulz):   A = X X^T,   X = (a I + b A + c A^2) X           by linear.h's matmuls
//   master -= lr (scale X + decay master)        weight = master
//
//   A norm that is not finite changes nothing.
//   weight, master, m, d_weight, x (n), of one matrix (R,C) with n = R*C      gram, square (k,k), k = min(R,C)
//   X X^T and X have the same singular vectors, so that a matrix with R > C takes X^T X, from the right.
#pragma once
#include <cmath>
#include <complex>
#include "parallel.h"

// The scalars of one step, in device memory. clip 0 = do not clip.
struct MuonStep {
    float lr, momentum, clip;
};

// s -> a s + b s^3 + c s^5: steep at 0, so that five of them bring any singular value above 0.002 to 0.68 .. 1.20
// (Jordan's; they need not converge). eps is torch.optim.Muon's.
constexpr float muon_a = 3.4445f, muon_b = -4.7750f, muon_c = 2.0315f, muon_eps = 1e-7f;
constexpr int muon_iterations = 5;

// How far a step goes: lr `scale`, of a matrix (R,C), torch.optim.Muon's adjust_lr_fn. A matrix of singular values 1
// has elements of root mean square 1 / sqrt(max(R,C)).
enum class MuonScale {
    rms,      // 0.2 sqrt(max(R,C)): elements change as AdamW's do, by about 0.2 lr (Liu et al. 2025, equation 4)
    original  // sqrt(max(1, R/C)): outputs change as much for any shape
};
inline float muon_scale(MuonScale kind, int R, int C) {
    return kind == MuonScale::rms ? 0.2f * std::sqrt(float(std::max(R, C)))
                                  : std::sqrt(std::max(1.0f, float(R) / float(C)));
}

template <class T>
T muon_clip(const MuonStep& s, T norm) {
    return s.clip > 0 && std::real(norm) > s.clip ? T(s.clip) / norm : T(1);
}

// m, and the Frobenius norm of u.
template <class T>
void muon_momentum(T* m, T* size, const T* d_weight, const T* norm, const MuonStep* step, size_t n, Cpu<T> on) {
    *size = 0;
    if (!std::isfinite(std::real(*norm))) return;
    const T clip = muon_clip(*step, *norm), momentum = step->momentum;
    constexpr size_t block = 1 << 13;
    const int blocks = int((n + block - 1) / block);
    T* sums = on.scratch(size_t(blocks));
    parallel_for(blocks, [=](int b) {
        T sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = b * block; i < std::min(n, (b + 1) * block); i++) {
            const T g = d_weight[i] * clip;
            m[i] = momentum * m[i] + (T(1) - momentum) * g;
            const T u = momentum * m[i] + (T(1) - momentum) * g;
            sum += u * u;
        }
        sums[b] = sum;
    });
    T sum = 0;
    for (int b = 0; b < blocks; b++) sum += sums[b];
    *size = std::sqrt(sum);
}

// x = u / max(size, eps); 0 where the norm is not finite.
template <class T>
void muon_direction(T* x, const T* m, const T* d_weight, const T* size, const T* norm, const MuonStep* step, size_t n,
                    Cpu<T>) {
    const bool finite = std::isfinite(std::real(*norm));
    const T clip = muon_clip(*step, *norm), momentum = step->momentum;
    const T scale = T(1) / std::max(*size, T(muon_eps));
    for_blocks(n, [=](size_t first, size_t last) {
#pragma omp simd
        for (size_t i = first; i < last; i++)
            x[i] = finite ? (momentum * m[i] + (T(1) - momentum) * (d_weight[i] * clip)) * scale : T(0);
    });
}

// out = a I + b gram + c square; out may be gram.
template <class T>
void muon_polynomial(T* out, const T* gram, const T* square, int k, Cpu<T>) {
    parallel_for(k, [=](int row) {
        const size_t first = size_t(row) * k;
#pragma omp simd
        for (size_t i = first; i < first + k; i++) out[i] = T(muon_b) * gram[i] + T(muon_c) * square[i];
        out[first + row] += T(muon_a);
    });
}

// out = x, in another storage type on a GPU.
template <class T>
void muon_round(T* out, const T* x, size_t n, Cpu<T>) {
    std::copy_n(x, n, out);
}

template <class T>
void muon_update(T* weight, T* master, const T* x, const T* norm, const MuonStep* step, float scale, float decay,
                 size_t n, Cpu<T>) {
    if (!std::isfinite(std::real(*norm))) return;
    const T lr = step->lr, far = T(scale), shrink = T(decay);
    for_blocks(n, [=](size_t first, size_t last) {
#pragma omp simd
        for (size_t i = first; i < last; i++) {
            master[i] -= lr * (far * x[i] + shrink * master[i]);
            weight[i] = master[i];
        }
    });
}
