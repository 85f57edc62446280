// A step computed twice: a bit that flips in between is found, and the layer it is in is named; so is the first number
// that is not finite.
#pragma once
#include <gtest/gtest.h>
#include <cstring>
#include <limits>
#include "host/model/init.h"
#include "host/training/inspect_step.h"
#include "host/training/trainer.h"

namespace inspect_step_case {

inline Config small_config() {
    return {.T = 8, .V = 40, .L = 3, .C = 16, .NH = 2, .NKV = 2, .HS = 8, .F = 32, .dropout = 0.1f};
}

template <class Device>
struct Step {
    using Real = typename Device::Real;
    Device on;
    Trainer<Device> trainer;
    std::function<void()> before_second = [] {};  // computation of the step
    int computed = 0;

    explicit Step(Recompute recompute = Recompute::none)
        : trainer(small_config(), 2, small_config().T, recompute, 0.1f, on) {
        trainer.initialise(3);
    }
    // Two micro-batches of two sequences.
    StepInspector<Device> inspector() {
        return {trainer.model, 32, 0.1f, [this](const auto& take) {
                    if (computed++ == 1) before_second();
                    for (int i = 0; i < 2; i++) {
                        const HostBatch batch = host_batch(i);
                        take(batch, Noise{.seed = 5, .step = 7, .row = uint32_t(16 * i)});
                    }
                }};
    }
    static HostBatch host_batch(int number) {
        HostBatch batch{2, 8, {}, {}, {}, {}};
        for (int i = 0; i < 16; i++) {
            batch.token.push_back((i * 7 + number * 5) % 40), batch.target.push_back((i * 3 + number) % 40);
            batch.position.push_back(i % 8);
        }
        return batch;
    }
    const Parameter& parameter(const std::string& name) const {
        for (const Parameter& p : trainer.model.weights.parameters)
            if (p.name == name) return p;
        throw Error(Exit::internal, name, "is no parameter");
    }
    void change(const std::string& name, const std::function<void(Real&)>& how) {
        Real* at = trainer.model.w[parameter(name).slot] + 3;
        Real value;
        on.download(&value, at, 1);
        how(value);
        on.upload(at, &value, 1);
    }
};

template <class Real>
void flip_a_bit(Real& value) {
    unsigned char bytes[sizeof(Real)];
    std::memcpy(bytes, &value, sizeof value);
    bytes[sizeof(Real) - 1] ^= 1;  // of the exponent
    std::memcpy(&value, bytes, sizeof value);
}

template <class Device>
void finds_flipped_bits() {
    for (const Recompute recompute : {Recompute::none, Recompute::mlp, Recompute::block}) {
        Step<Device> same(recompute);
        EXPECT_EQ(same.inspector().first_difference(), "") << "without a fault";
    }
    const std::pair<const char*, const char*> where[] = {{"h.0.qkv.weight", "qkv of layer 0"},
                                                         {"h.1.proj.weight", "mid of layer 1"},
                                                         {"h.2.up.weight", "up of layer 2"},
                                                         {"h.1.norm2.weight", "norm2 of layer 1"}};
    for (const auto& [name, expected] : where) {
        Step<Device> step;
        step.before_second = [&, name = name] { step.change(name, flip_a_bit<typename Device::Real>); };
        EXPECT_EQ(step.inspector().first_difference(), expected) << "a bit of " << name;
    }
}

template <class Device>
void names_the_first_that_is_not_finite() {
    using Real = typename Device::Real;
    Step<Device> good;
    EXPECT_EQ(good.inspector().first_not_finite(), "");
    Step<Device> nan;
    nan.change("h.1.qkv.weight", [](Real& x) { x = Real(std::numeric_limits<float>::quiet_NaN()); });
    EXPECT_EQ(nan.inspector().first_not_finite(), "the weights of h.1.qkv.weight");
    Step<Device> large;  // finite, but not what is made of it
    large.change("h.1.norm2.weight", [](Real& x) { x = Real(1e30f); });
    large.change("h.1.up.weight", [](Real& x) { x = Real(1e30f); });
    EXPECT_EQ(large.inspector().first_not_finite(), "up of layer 1");
}

}  // namespace inspect_step_case
