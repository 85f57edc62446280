// A layout is a table of tensors packed one after another into a single buffer. A Slot is a row's address.
// One layout serves every buffer of the same shape: weights, their gradients, the optimiser's moments, the master copy.
#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

enum class Init { zero, one, embedding, linear, residual };  // residual: a projection onto the residual stream

struct Slot {
    static constexpr size_t absent = ~size_t(0);
    size_t offset = absent;  // in elements
    explicit operator bool() const { return offset != absent; }
};

struct Parameter {
    std::string name;        // also its name in a checkpoint
    std::vector<int> shape;  // slowest dimension first
    Init init;
    Slot slot;
    // Inside a block: the rows of each matrix it is made of, one below the other. Muon steps these (muon_matrices.h).
    std::vector<int> matrices = {};
    size_t size() const { return std::accumulate(shape.begin(), shape.end(), size_t(1), std::multiplies<>()); }
    bool decays() const {
        return shape.size() > 1;
    }  // AdamW shrinks matrices and leaves the weights of norms and biases alone
};

struct Layout {
    static constexpr size_t alignment = 128;  // elements: 256 bytes at the narrowest storage type

    std::vector<Parameter> parameters;
    size_t size = 0;  // elements of the whole buffer; the gaps between tensors stay zero

    // `reserve` elements are set aside (at least the tensor's own), so that padded rows can follow it.
    Slot add(std::string name, std::vector<int> shape, Init init = Init::zero, size_t reserve = 0) {
        parameters.push_back({std::move(name), std::move(shape), init, Slot{size}});
        const size_t used = std::max(reserve, parameters.back().size());
        size += (used + alignment - 1) / alignment * alignment;
        return parameters.back().slot;
    }
};

// A flat buffer on a device, addressed by slots; an absent slot gives a null pointer. The device owns the memory.
template <class T>
struct Buffer {
    T* data = nullptr;
    T* operator[](Slot s) const { return s ? data + s.offset : nullptr; }
};
