// `train_gpt` as a user runs it, on a model small enough to train in a moment.
#pragma once
#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>
#include "dev/test/support/captured.h"
#include "dev/test/support/temporary_directory.h"
#include "host/base/files.h"
#include "host/base/json.h"
#include "host/base/signals.h"
#include "host/commands/commands.h"
#include "host/options/options_parse.h"

namespace fs = std::filesystem;

// The device beside the CPU: the GPU, or its kernels on the CPU. A machine may have neither.
inline std::string kernels_of(const GpuFound& gpu) {
    return gpu.kind == GpuFound::Kind::real ? "cuda" : gpu.text.substr(0, gpu.text.find(' '));  // "simt (CPU)"
}

struct Outcome {
    Exit code;
    std::string out, error;
};

// Runs `train_gpt ARGS`, as main does, but for --device auto: results are compared bit by bit, so where a test names no
// device it means the CPU on every machine.
inline Outcome run(const std::vector<std::string>& args) {
    Outcome o{Exit::internal, "", ""};
    stop_requested = false;
    Captured out, error(Captured::Stream::error);
    try {
        Options options = parse(args);
        if (options.device == DeviceKind::automatic) options.device = DeviceKind::cpu;
        o.code = run_command(options);
    } catch (const Error& e) {
        o.code = e.code;
        o.error = e.what();
    }
    o.out = out.take();
    o.error += error.take();
    return o;
}

// A model of two small layers on `data`, 5 windows of 16 an epoch and 2 in a step; `changes` are further flags,
// or other values.
inline std::vector<std::string> small(const fs::path& out, const fs::path& data,
                                      const std::vector<std::string>& changes = {}) {
    std::vector<std::string> args{"--model",  "tiny",        "--layers",        "2",         "--dim",          "16",
                                  "--heads",  "2",           "--ffn",           "32",        "--context",      "16",
                                  "--batch",  "2",           "--steps",         "8",         "--lr",           "0.01",
                                  "--warmup", "2",           "--eval-every",    "4",         "--sample-every", "0",
                                  "--device", "cpu",         "--sample-tokens", "8",         "--tokenizer",    "byte",
                                  "--data",   data.string(), "--out",           out.string()};
    if (changes.size() % 2) args.push_back(changes.back());  // a flag without a value
    for (size_t i = 0; i + 1 < changes.size(); i += 2) {
        const auto known = std::find(args.begin(), args.end(), changes[i]);
        if (known != args.end()) *(known + 1) = changes[i + 1];
        else args.insert(args.end(), {changes[i], changes[i + 1]});
    }
    return args;
}

inline fs::path write_text(const Temporary& at, const std::string& name = "text.txt") {
    const fs::path path = at.path / name;
    std::ofstream file(path);
    for (int i = 0; i < 9; i++) file << "the cat sat on mat " << i % 10 << "\n";
    return path;
}

inline std::vector<Json> log_lines(const fs::path& run) {
    std::vector<Json> lines;
    std::ifstream file(run / "log.jsonl");
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
    return lines;
}

// What must not depend on how a run came about: every loss to its last bit.
inline std::vector<std::string> losses(const fs::path& run) {
    std::vector<std::string> all;
    for (const Json& line : log_lines(run))
        for (const char* key : {"loss_hex", "val_loss_hex"})
            if (line.contains(key))
                all.push_back(std::to_string(line["step"].get<int>()) + ' ' + key + ' ' + line[key].get<std::string>());
    return all;
}

inline uint64_t weights_of(const fs::path& run, int step) {
    const std::string number = std::to_string(step);
    const std::string checkpoint = (run / ("step_" + std::string(8 - number.size(), '0') + number)).string();
    return files::hash_file(checkpoint + "/model.safetensors") * 31 +
           files::hash_file(checkpoint + "/optimizer.safetensors");
}
