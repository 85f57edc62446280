#include "automatic_batch.h"
#include <fmt/core.h>
#include "forecast.h"
#include "host/base/error.h"
#include "plan_text.h"

Plan automatic_plan(const Arrange& wanted) {
    const auto operations = [](const Plan& plan) { return double(plan.training_flops()); };
    const auto seconds = [&](const Plan& plan) {
        Plan alone = plan;  // ranks wait for each other equally long, whatever the micro-batch
        alone.ranks = 1;
        const Cluster one{.gpu = find_peaks("H100")};
        return forecast(alone, one, wanted.sequences / wanted.ranks / plan.batch).step();
    };
    std::optional<Plan> plan;
    if (wanted.dtype == Dtype::bf16) plan = cheapest(wanted, seconds);
    else plan = cheapest(wanted, operations);
    if (plan) return *std::move(plan);
    const Memory m = smallest(wanted).memory;
    throw Error(Exit::device, "--batch auto",
                fmt::format("training needs at least {} of {}", bytes_text(m.total()), bytes_text(wanted.bytes)),
                m.state() > m.total() / 2
                    ? fmt::format("weights, gradients and optimiser alone take {}: choose a smaller --model{}",
                                  bytes_text(m.state()), wanted.ranks > 1 ? "" : ", or more --ranks")
                    : "choose a shorter --context, or a smaller --model");
}

std::string arrangement_text(const Plan& plan, int sequences) {
    return fmt::format(
        "{} at a time{} with --recompute {}", plan.batch,
        sequences / plan.ranks > plan.batch ? fmt::format(", {} times", sequences / plan.ranks / plan.batch) : "",
        name_of(plan.recompute));
}
