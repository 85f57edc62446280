// Training steps on a GPU, as they are and taken apart.      ./test_gpt --bench step_profile end_to_end
#include <random>
#include "bench.h"
#include "bench_clock.cuh"
#include "bench_gpu.h"
#include "host/plan/plan.h"
#include "host/training/trainer.h"
#include "kernels/exchange.cuh"
#include "kernels/instances.cuh"

namespace {

using Training = Trainer<Gpu<bf16>>;

HostBatch random_batch(const BenchModel& model) {
    HostBatch batch{model.B, model.config.T, {}, {}, {}, {}};
    std::mt19937 random(7);
    for (int i = 0; i < model.B * model.config.T; i++) {
        batch.token.push_back(int(random() % model.config.V));
        batch.target.push_back(int(random() % model.config.V));
        batch.position.push_back(i % model.config.T);
    }
    return batch;
}

void submit(Training& trainer, const HostBatch& batch) {
    trainer.accumulate(batch, batch.target.size(), {}, 0);
    trainer.step({1e-4f, 0.9f, 0.95f, 1e-8f, 1.0f, 0.1f, 0.05f});
}
void step(Training& trainer, const HostBatch& batch) {
    submit(trainer, batch);
    trainer.model.on.synchronize();
}

// Asked in the midst of a step.
GpuState state_during_step(Training& trainer, const HostBatch& batch) {
    submit(trainer, batch);
    const GpuState state = gpu_state_now();
    trainer.model.on.synchronize();
    return state;
}

// Halves the batch until it fits; 0: not even one sequence does.
int largest_batch(const BenchModel& model) {
    size_t free_bytes = 0, total = 0;
    CUDA(cudaMemGetInfo(&free_bytes, &total));
    int B = model.B;
    while (B > 0 && !fits(make_plan(model.config, B, Dtype::bf16, Recompute::none), free_bytes)) B /= 2;
    return B;
}

// What two events measure with nothing between them.
double empty_seconds(const Gpu<bf16>& on) {
    Timeline timeline;
    const int count = 20;
    for (int i = 0; i < count; i++) timeline.begin("nothing", on.stream), timeline.end(on.stream);
    return timeline.totals().at(0).milliseconds * 1e-3 / count;
}

}  // namespace

EndToEnd train_end_to_end(const BenchModel& wanted, double budget) {
    BenchModel model = wanted;
    model.B = largest_batch(wanted);
    const int T = model.config.T;
    const Plan plan = make_plan(model.config, 1, Dtype::bf16, Recompute::none);
    EndToEnd row{model.name, "bf16", wanted.B, T, 0, double(plan.causal_flops()) / T, double(plan.palm_flops()) / T,
                 ""};
    if (model.B == 0) {
        row.note = "does not fit this GPU's memory";
        return row;
    }
    row.B = model.B;
    if (model.B < wanted.B) row.note = "batch " + std::to_string(wanted.B) + " does not fit";
    Training trainer(model.config, model.B, T, Recompute::none, 0.1f, Gpu<bf16>());
    trainer.initialise(1);
    const HostBatch batch = random_batch(model);
    double spent = seconds([&] { step(trainer, batch); });  // warms up, unless there is no time for more
    int steps = 1;
    if (spent < budget) {
        step(trainer, batch);
        for (spent = 0, steps = 0; steps < 3 || (spent < budget && steps < 30); steps++)
            spent += seconds([&] { step(trainer, batch); });
    }
    row.tokens_per_second = double(model.B) * T * steps / spent;
    row.state = state_during_step(trainer, batch);
    return row;
}

StepProfile profile_step(const BenchModel& model) {
    Training trainer(model.config, model.B, model.config.T, Recompute::none, 0.1f, Gpu<bf16>());
    trainer.initialise(1);
    const HostBatch batch = random_batch(model);
    step(trainer, batch);
    std::vector<double> times;
    for (int i = 0; i < 5; i++) times.push_back(seconds([&] { step(trainer, batch); }));
    std::ranges::nth_element(times, times.begin() + 2);
    const GpuState state = state_during_step(trainer, batch);
    Timeline timeline;
    const Gpu<bf16>& on = trainer.model.on;
    on.watch(&timeline);
    step(trainer, batch);
    on.watch(nullptr);
    const double empty = empty_seconds(on);
    StepProfile profile{{}, times[2], state};
    for (const Timeline::Total& t : timeline.totals())
        profile.shares.push_back({t.name, t.count, std::max(0.0, t.milliseconds * 1e-3 - t.count * empty)});
    return profile;
}

BENCH(step_profile) {
    if (!ceilings()) return;
    BenchModel model = bench_models().at(0);
    model.B = largest_batch(model);
    if (model.B == 0) return;
    const StepProfile profile = profile_step(model);
    report_step(model.name + " " + std::to_string(model.B) + " x " + std::to_string(model.config.T), profile.shares,
                profile.seconds, step_limit(model, *ceilings()), profile.state);
}

static void end_to_end(int model) {
    if (ceilings()) report_end_to_end(train_end_to_end(bench_models().at(model), 15), ceilings());
}
BENCH(end_to_end_gpt2) { end_to_end(0); }
BENCH(end_to_end_gpt2_xl) { end_to_end(1); }
BENCH(end_to_end_qwen3) { end_to_end(2); }
