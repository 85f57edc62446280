#include "forecast_command.h"
#include <fmt/core.h>
#include "plan_text.h"

namespace {
constexpr int64_t usual_tokens = 524288;  // of a step, where --total-batch does not say
}

Training training_of(const Options& o, const Config& c) {
    Training t{.config = c, .gpu = &named_gpu(o.gpu)};
    const int64_t wanted = (o.total_batch.value_or(usual_tokens) + c.T - 1) / c.T;
    t.sequences = int((wanted + o.ranks - 1) / o.ranks * o.ranks);
    t.link = o.link ? o.link->bytes : 0;
    t.per_node = o.ranks / o.nodes;
    t.capacity = o.memory ? o.memory->count : t.gpu->capacity;
    if (o.has("batch") && o.batch > 0) t.batch = o.batch;
    if (o.has("recompute")) t.recompute = o.recompute;
    t.measured = o.measured;
    return t;
}

std::vector<ForecastRow> forecast_rows(const Training& t, int ranks) {
    std::vector<ForecastRow> rows;
    for (const int r : possible_ranks(t, ranks)) rows.push_back({r, forecast(t, r)});
    if (rows.back().forecast) return rows;
    const Memory m = smallest(arrangement(t, ranks)).memory;
    const uint64_t everywhere = m.weights + m.gradients;
    const char* hint = m.state() < m.total() / 2 ? "give a shorter --context, or a smaller --model"
                       : everywhere > t.capacity / 4 * 3
                           ? "every rank has all weights and gradients: give a smaller --model, or a --gpu with more"
                           : "with more --ranks each has a smaller part of the optimiser";
    throw Error(Exit::device, "memory",
                fmt::format("training on {} {} needs at least {} of each, which has {}", ranks, t.gpu->name,
                            bytes_text(m.total()), bytes_text(t.capacity)),
                hint);
}
