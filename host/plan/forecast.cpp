#include "forecast.h"
#include "host/base/error.h"
#include "host/model/tables.h"
#include "host/options/options_check.h"
#include "host/world/shards.h"
#include "kernel_rates.h"

namespace {

StepSeconds& operator+=(StepSeconds& sum, const StepSeconds& x) {
    sum = {sum.matmuls + x.matmuls,     sum.attention + x.attention, sum.memory + x.memory,  sum.launches + x.launches,
           sum.optimizer + x.optimizer, sum.gradients + x.gradients, sum.weights + x.weights};
    return sum;
}

StepSeconds of_kernels(const std::vector<StepKernel>& kernels, const Peaks& gpu) {
    StepSeconds sum;
    for (const StepKernel& kernel : kernels) {
        const KernelSeconds t = seconds_of(kernel, gpu);
        const bool attention = kernel.length > 0;
        (t.by == Bound::launch   ? sum.launches
         : t.by == Bound::memory ? sum.memory
         : attention             ? sum.attention
                                 : sum.matmuls) += t.seconds;
    }
    return sum;
}

// The passes of one micro-batch.
struct Passes {
    StepSeconds forward, last_norm, block_backward, again, embedding;
    double layers;
    double backward() const {
        return last_norm.total() + layers * block_backward.total() + (layers - 1) * again.total() + embedding.total();
    }
    StepSeconds all() const {
        StepSeconds sum = forward;
        for (const StepSeconds& x : {last_norm, block_backward * layers, again * (layers - 1), embedding}) sum += x;
        return sum;
    }
};
Passes passes(const Plan& plan, const Peaks& gpu, double slower) {
    const StepWork work = step_work(plan.config, plan.batch, plan.recompute);
    const auto seconds = [&](const std::vector<StepKernel>& kernels) { return of_kernels(kernels, gpu) * slower; };
    const double layers = plan.config.L;
    Passes p{.forward = seconds(work.block) * layers,
             .last_norm = seconds(work.last_norm),
             .block_backward = seconds(work.block_backward),
             .again = seconds(work.again),
             .embedding = seconds(work.embedding_backward),
             .layers = layers};
    p.forward += seconds(work.embedding), p.forward += seconds(work.head);
    return p;
}

GptTables tables_of(const Plan& plan) {
    REQUIRE(plan.dtype == Dtype::bf16);  // what the rates were measured in
    return GptTables(plan.config, plan.batch * plan.config.T, plan.recompute, {1, 2});  // as make_plan has them
}

constexpr double gradient_bytes = 4, weight_bytes = 2;

}  // namespace

BackwardSchedule backward_schedule(const Plan& plan, const Cluster& cluster, double slower) {
    const GptTables tables = tables_of(plan);
    const Shards shards(Shards::padded(tables.weights.size, cluster.ranks), cluster.ranks);
    const Passes p = passes(plan, *cluster.gpu, slower);
    BackwardSchedule s{{}, p.backward(), 0};
    int next = shards.buckets();
    double now = 0;
    // As ShardedState::sum_gradients is called by Gpt::backward.
    const auto ready = [&](size_t from) {
        while (next > 0 && shards.bucket_begin(next - 1) >= from) {
            const double piece = double(shards.piece_size(--next)) * gradient_bytes;
            s.buckets.push_back({now, exchange_seconds(cluster, piece * cluster.ranks)});
            s.bytes += piece * (cluster.ranks - 1);
        }
    };
    now += p.last_norm.total();
    ready(tables.norm_f.weight.offset);
    for (int l = plan.config.L - 1; l >= 0; l--) {
        now += p.block_backward.total() + (l + 1 < plan.config.L ? p.again.total() : 0);
        ready(tables.wb[size_t(l)].norm1.weight.offset);
    }
    now = s.backward;
    ready(0);
    return s;
}

Forecast forecast(const Plan& plan, const Cluster& cluster, int accumulation, double slower) {
    REQUIRE(plan.ranks == cluster.ranks);
    Forecast f{plan, cluster, accumulation, passes(plan, *cluster.gpu, slower).all() * accumulation};
    const double all = double(plan.memory.weights) / weight_bytes, mine = all / cluster.ranks;
    const Shards shards(size_t(all), cluster.ranks);
    f.seconds.optimizer = of_kernels(optimizer_work(mine, shards.buckets()), *cluster.gpu).total() * slower;
    if (cluster.ranks == 1) return f;

    const BackwardSchedule s = backward_schedule(plan, cluster, slower);
    double sum = 0;
    for (const Exchange& bucket : s.buckets) sum += bucket.seconds;
    f.seconds.gradients = std::max(0.0, end_of_exchanges(s.buckets) - s.backward);
    f.hidden = sum - f.seconds.gradients;
    f.seconds.gradients += exchange_seconds(cluster, 4.0 * cluster.ranks);  // the norms
    for (int b = 0; b < shards.buckets(); b++)
        f.seconds.weights += exchange_seconds(cluster, double(shards.piece_size(b)) * cluster.ranks * weight_bytes);
    return f;
}

const char* Forecast::limit() const {
    const std::pair<double, const char*> shares[] = {{seconds.matmuls + seconds.attention, "compute"},
                                                     {seconds.memory + seconds.optimizer, "memory"},
                                                     {seconds.link(), "link"},
                                                     {seconds.launches, "launches"}};
    return std::ranges::max_element(shares, {}, [](const auto& s) { return s.first; })->second;
}

namespace {
Cluster cluster_of(const Training& t, int ranks) {
    return {ranks, (ranks + t.per_node - 1) / t.per_node, t.link, t.gpu};
}
// How much slower the kernels of a GPU are that reached so many tokens a second by itself.
double slower_than_rates(const Training& t, const Plan& plan) {
    if (!t.measured) return 1;
    const Plan alone = make_plan(plan.config, plan.batch, plan.dtype, plan.recompute);
    const Forecast one = forecast(alone, cluster_of(t, 1), t.sequences / plan.batch);
    return one.tokens_per_second() / *t.measured;
}
}  // namespace

Arrange arrangement(const Training& t, int ranks) {
    Arrange wanted{t.config, Dtype::bf16, ranks, t.sequences, t.capacity, t.batch, t.recompute};
    if (t.batch) wanted.batch = micro_batch(t.sequences / ranks, *t.batch);
    return wanted;
}

std::optional<Forecast> forecast(const Training& t, int ranks) {
    const auto on = [&](const Plan& plan) {
        const int micro_batches = t.sequences / ranks / plan.batch;
        return forecast(plan, cluster_of(t, ranks), micro_batches, slower_than_rates(t, plan));
    };
    const auto plan = cheapest(arrangement(t, ranks), [&](const Plan& p) { return on(p).step(); });
    if (!plan) return std::nullopt;
    return on(*plan);
}

std::vector<int> possible_ranks(const Training& t, int ranks) {
    std::vector<int> all;
    for (int r = 1; r <= ranks; r = r < ranks ? std::min(2 * r, ranks) : r + 1)
        if (t.sequences % r == 0 && (r <= t.per_node || r % t.per_node == 0)) all.push_back(r);
    return all;
}
