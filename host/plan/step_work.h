// The kernels of a training step on a GPU in bf16, in the order of host/model/gpt.h, and what each has to do. The
// benchmarks (dev/bench/bench_rows.cu) declare the same of the kernels themselves; a test compares the two.
#pragma once
#include <string>
#include <vector>
#include "host/model/config.h"
#include "work.h"

struct StepKernel {
    std::string name;  // as in the benchmarks
    std::string rate;  // whose rate it has (kernel_rates.h)
    Work work;
    int launches = 1;
    double length = 0;  // of attention: the context
};

// Of a micro-batch; what is of a block is repeated in every layer.
struct StepWork {
    std::vector<StepKernel> embedding, block, head;  // forward; the head's backward pass is in `head`
    std::vector<StepKernel> last_norm, block_backward, embedding_backward;  // in this order
    std::vector<StepKernel> again;                                          // what a block recomputes, all but the last
};
StepWork step_work(const Config& config, int B, Recompute recompute);

// Of `elements` of the flat buffers, in so many pieces.
std::vector<StepKernel> optimizer_work(double elements, int pieces);
