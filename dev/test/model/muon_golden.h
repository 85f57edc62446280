// Muon against torch.optim.Muon (dev/oracle/muon.py), on any device: ten steps of matrices of all kinds of shapes.
#pragma once
#include <gtest/gtest.h>
#include "dev/test/support/golden.h"
#include "host/reference/global_norm.h"
#include "host/training/muon.h"

namespace muon_golden {

struct Matrices {
    const char* name;
    std::vector<int> rows;  // of each that the parameter is made of
    int columns;
};
inline std::vector<Matrices> parameters() {
    return {{"square", {24}, 24}, {"wide", {16}, 40},      {"tall", {72}, 16},        {"odd", {7}, 13},
            {"row", {1}, 5},      {"qkv", {24, 8, 8}, 32}, {"gate_up", {48, 48}, 24}, {"large", {64}, 48}};
}

constexpr int steps = 10;
constexpr MuonStep how{.lr = 0.02f, .momentum = 0.95f, .clip = 40};
constexpr float decay = 0.1f;

inline Layout layout() {
    Layout all;
    for (const Matrices& p : parameters()) {
        all.add(p.name, {std::accumulate(p.rows.begin(), p.rows.end(), 0), p.columns});
        all.parameters.back().matrices = p.rows;
    }
    return all;
}

inline std::string name_of(const Parameter& p, const std::string& what) { return "muon/" + p.name + "/" + what; }

// Rows have different sizes, so that singular values are far apart.
inline std::vector<double> gradient(const Parameter& p, int step) {
    std::vector<double> all = drawn<double>(name_of(p, "d_" + std::to_string(step)), p.size());
    for (size_t i = 0; i < all.size(); i++) all[i] /= double(1 << i / size_t(p.shape[1]) % 7);
    return all;
}

// Flat buffers on a device, and Muon, which steps them.
template <class Device>
struct Trained {
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;

    Device on;
    Layout rows = layout();
    Muon<Device> muon;
    Real* w;
    Stat *master, *m, *dw, *norm;
    MuonStep* step_on;

    Trained(MuonScale scale, float decay, const Device& device) : on(device), muon(rows, scale, decay, device) {
        w = on.template allocate<Real>(rows.size), master = on.template allocate<Stat>(rows.size);
        m = on.template allocate<Stat>(rows.size), dw = on.template allocate<Stat>(rows.size);
        norm = on.template allocate<Stat>(1), step_on = on.template allocate<MuonStep>(1);
        if constexpr (std::is_same_v<Real, Stat>) master = w;
    }
    void set(Stat* buffer, const Parameter& p, const std::vector<double>& values) {
        const std::vector<Stat> rounded(values.begin(), values.end());
        on.upload(buffer + p.slot.offset, rounded.data(), rounded.size());
    }
    std::vector<Stat> get(const Stat* buffer, const Parameter& p) const {
        std::vector<Stat> values(p.size());
        on.download(values.data(), buffer + p.slot.offset, values.size());
        return values;
    }
    void step(int index, const MuonStep& now = how) {
        for (const Parameter& p : rows.parameters) set(dw, p, gradient(p, index));
        global_norm(norm, dw, rows.size, on);
        on.upload(step_on, &now, 1);
        muon.step(w, master, m, dw, norm, step_on);
    }
};

inline const GoldenFile& answers() {
    static const GoldenFile file("dev/oracle/muon.safetensors");
    return file;
}

// By the Frobenius norm, of all of a parameter.
template <class A, class B>
double relative_error(const std::vector<A>& got, const std::vector<B>& want) {
    double error = 0, size = 0;
    for (size_t i = 0; i < want.size(); i++) {
        error += (double(got.at(i)) - double(want[i])) * (double(got[i]) - double(want[i]));
        size += double(want[i]) * double(want[i]);
    }
    return std::sqrt(error / size);
}

template <class Device>
void compare(const Device& on, double allowed) {
    for (const MuonScale scale : {MuonScale::rms, MuonScale::original}) {
        const std::string kind = scale == MuonScale::rms ? "rms/" : "original/";
        Trained<Device> all(scale, decay, on);
        for (const Parameter& p : all.rows.parameters)
            all.set(all.master, p, drawn<double>(name_of(p, "weight"), p.size()));
        for (int i = 0; i < steps; i++) all.step(i);
        for (const Parameter& p : all.rows.parameters) {
            EXPECT_LE(relative_error(all.get(all.master, p), answers().tensors.at(kind + p.name + "/weight")), allowed)
                << kind << p.name;
            EXPECT_LE(relative_error(all.get(all.m, p), answers().tensors.at("m/" + p.name)), allowed) << p.name;
        }
    }
}

// What a first step makes of a gradient: the directions alone.
template <class Device>
Trained<Device> first_directions(const Device& on) {
    Trained<Device> all(MuonScale::original, 0, on);
    all.step(0, {.lr = 1, .momentum = 0, .clip = 0});
    return all;
}

}  // namespace muon_golden
