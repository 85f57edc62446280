// Muon's step of every matrix inside blocks: the layers of host/reference/muon.h around linear.h's matmuls. Matrices
// are stepped one after the other through the same buffers, in the order of the device: nothing is waited for.
#pragma once
#include "host/model/muon_matrices.h"
#include "host/reference/linear.h"
#include "host/reference/muon.h"

template <class Device>
class Muon {
public:
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;

    Muon(const Layout& layout, MuonScale scale, float decay, Device device)
        : matrices(muon_matrices(layout)), scale(scale), decay(decay), on(device) {
        const MuonScratch needs(matrices);
        x = on.template allocate<Real>(needs.matrix), y = on.template allocate<Real>(needs.matrix);
        gram = on.template allocate<Real>(needs.square), square = on.template allocate<Real>(needs.square);
        if constexpr (rounds) sums = on.template allocate<Stat>(needs.square);
        size = on.template allocate<Stat>(1);
    }

    // Steps them in the flat buffers; a norm that is not finite changes nothing.
    void step(Real* w, Stat* master, Stat* m, const Stat* dw, const Stat* norm, const MuonStep* how) const {
        for (const MuonMatrix& a : matrices) {
            const size_t n = a.size();
            muon_momentum(m + a.begin, size, dw + a.begin, norm, how, n, on);
            muon_direction(x, m + a.begin, dw + a.begin, size, norm, how, n, on);
            muon_update(w + a.begin, master + a.begin, orthogonalised(a), norm, how,
                        muon_scale(scale, a.rows, a.columns), decay, n, on);
        }
    }

private:
    static constexpr bool rounds = !std::is_same_v<Real, Stat>;

    // What becomes of x, in x or y. As the polynomial holds a I too, no product adds to what is there.
    const Real* orthogonalised(const MuonMatrix& a) const {
        Real *from = x, *to = y;
        const Real* no_bias = nullptr;
        const int k = a.least();
        for (int i = 0; i < muon_iterations; i++) {
            multiply_by_itself(from, a);
            linear_forward(square, gram, gram, no_bias, k, k, k, on);  // gram is symmetric
            muon_polynomial(gram, gram, square, k, on);
            if (a.tall()) linear_forward(to, from, gram, no_bias, a.rows, k, k, on);
            else linear_backward_input(to, gram, from, k, a.columns, k, on);
            std::swap(from, to);
        }
        return from;
    }

    // gram = from^T from, or from from^T, whichever is smaller. The first is a matmul of gradients of weights, whose
    // sums are fp32.
    void multiply_by_itself(const Real* from, const MuonMatrix& a) const {
        const int k = a.least();
        Stat* const no_bias = nullptr;
        const auto assigning = on.writing(Into::assign);
        if (!a.tall()) linear_forward(gram, from, from, static_cast<const Real*>(nullptr), k, a.columns, k, on);
        else if constexpr (!rounds) linear_backward_weight(gram, no_bias, from, from, a.rows, k, k, assigning);
        else {
            linear_backward_weight(sums, no_bias, from, from, a.rows, k, k, assigning);
            muon_round(gram, sums, size_t(k) * k, on);
        }
    }

    std::vector<MuonMatrix> matrices;
    MuonScale scale;
    float decay;
    Device on;
    Real *x, *y, *gram, *square;
    Stat *sums = nullptr, *size;
};
