// A small run's checkpoints, to be saved, damaged and looked at.
#pragma once
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/toy_model.h"
#include "host/checkpoint/checkpoint.h"

namespace fs = std::filesystem;

struct Toy {
    ToyModel weights, m, v;
    explicit Toy(const Config& c, unsigned seed = 1) : weights(c, seed), m(c, seed + 100), v(c, seed + 200) {}

    CheckpointContents contents(int64_t step) const {
        CheckpointContents c;
        c.step = step;
        c.model = {weights.gpt.c, {}};
        c.layout = &weights.layout();
        c.weights = weights.get();
        c.optimizer = {{"m", m.get()}, {"v", v.get()}};
        c.state = {{"step", step}, {"best", hex_float(1.25)}};
        c.run = {{"seed", 1337}, {"data", "stories"}};
        c.texts = {{"tokenizer.json", "{}\n"}, {"tokenizer_config.json", "{}\n"}};
        return c;
    }
};

inline const Toy& toy() {
    static const Toy one(with(toy_llama(), [](Config& c) { c.L = 1; }));
    return one;
}

inline void save(const std::string& run, int64_t step) { save_checkpoint(run, toy().contents(step)); }

inline std::vector<int64_t> steps(const std::string& run) {
    std::vector<int64_t> all;
    for (const Checkpoint& c : list_checkpoints(run)) all.push_back(c.step);
    return all;
}
inline int64_t newest(const std::string& run) {
    const auto c = newest_checkpoint(run, [](const std::string&) {});
    return c ? c->step : -1;
}

inline std::string contents_of(const std::string& path) { return files::read_file(path, 1 << 24); }

using Names = std::vector<std::string>;
using Steps = std::vector<int64_t>;
