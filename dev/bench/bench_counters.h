// What the benchmarks' rows do, counted by dev/ptx, beside what they claim.
#pragma once
#include <string_view>
#include <vector>
#include "bench_gpu.h"
#include "dev/ptx/counters.h"

struct CountedRow {
    std::string kernel, shape;
    Work claimed;
    std::vector<ptx::KernelCounts> kernels;
    ptx::Counts all, main_loops;  // of all of them

    double bytes() const { return double(all.read.once + all.written.once); }  // each sector once a launch
    double useful() const {                                                    // share of the sectors' bytes
        const double moved = double(all.read.bytes() + all.written.bytes());
        return moved > 0 ? double(all.read.useful + all.written.useful) / moved : 1;
    }
};

bool can_count();  // only test_gpt_ptx can
// Those whose kernel's name contains `name`, at the sizes of that model.
std::vector<CountedRow> count_rows(const BenchModel&, std::string_view name = "");
std::vector<BenchModel> counted_models();  // as wide as one tile and more, so that it takes seconds

// ./test_gpt_ptx --counters [--lines] [NAME...]: a table, with the lines of the source that move most; the exit status.
int run_counters(const std::vector<std::string_view>& arguments);
