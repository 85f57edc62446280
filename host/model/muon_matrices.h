// The matrices that Muon steps, each orthogonalised by itself: those inside blocks. Of parameters that hold several
// (queries, keys and values; gate and up) each is one, as in a model that keeps them apart.
#pragma once
#include <vector>
#include "layout.h"

struct MuonMatrix {
    size_t begin;  // in the flat buffer
    int rows, columns;
    size_t size() const { return size_t(rows) * size_t(columns); }
    bool tall() const { return rows > columns; }
    int least() const { return std::min(rows, columns); }
};

inline std::vector<MuonMatrix> muon_matrices(const Layout& layout) {
    std::vector<MuonMatrix> all;
    for (const Parameter& parameter : layout.parameters) {
        size_t begin = parameter.slot.offset;
        for (const int rows : parameter.matrices) {
            all.push_back({begin, rows, parameter.shape[1]});
            begin += all.back().size();
        }
    }
    return all;
}

// Elements of the buffers that all matrices share in turn: two of (R,C), two of (k,k).
struct MuonScratch {
    size_t matrix = 0, square = 0;
    explicit MuonScratch(const std::vector<MuonMatrix>& matrices) {
        for (const MuonMatrix& a : matrices) {
            matrix = std::max(matrix, a.size());
            square = std::max(square, size_t(a.least()) * size_t(a.least()));
        }
    }
};
