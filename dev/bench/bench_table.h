// What the benchmarks found, as tables for people and JSON for programs.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "gpu_state.h"
#include "host/base/json.h"
#include "roofline.h"

// What one GPU reached in this very run.
struct Ceilings {
    std::string gpu;
    double memory, products;
    GpuState state = {};
};  // copied bytes (read and written), operations a second

struct KernelTime {
    std::string kernel, shape;
    int per_step;
    Work work;
    double seconds = 0;      // 0: not measured
    GpuState state = {};     // while it was
    std::string rival = {};  // whose kernel was timed beside ours, and the seconds of both
    double ours = 0, theirs = 0;
    std::string left_out = {};  // why
    bool failed = false;        // it is ours that was refused
};

Json& bench_json();  // everything so far; --json writes it

// Measured rows beside the limit of this GPU; without ceilings, predictions for GPUs in the table of peaks.
void report_kernels(const std::string& model, const std::vector<KernelTime>& rows, const std::optional<Ceilings>& gpu);
void report_ceilings(const Ceilings& gpu);

// One kernel, or a group of kernels, within a step.
struct StepShare {
    std::string name;
    int count;
    double seconds;
};
// `step`: seconds without the events between kernels; `limit`: the sum of what its rows must take, 0: unknown.
void report_step(const std::string& model, const std::vector<StepShare>& shares, double step, double limit,
                 const GpuState& state);

// operations: of a token, products of attention counted causally (6N + 6LdT), and as PaLM counts them (6N + 12LdT).
struct EndToEnd {
    std::string model, dtype;
    int B, T;
    double tokens_per_second, causal, palm;
    std::string note;
    GpuState state = {};
};
void report_end_to_end(const EndToEnd& row, const std::optional<Ceilings>& gpu);

// Texts written B at a time: a step reads `bytes`, and takes so many seconds (0: not measured).
struct WritingRow {
    std::string model;
    int B, length;
    double bytes, seconds = 0;
};
void report_writing(const std::vector<WritingRow>& rows, const std::optional<Ceilings>& gpu);
