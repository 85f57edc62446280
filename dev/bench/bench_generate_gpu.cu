// Writing text on a GPU: tokens a second beside what reading the weights and the cache once per step allows. Without a
// GPU: that limit, for the GPUs of the table.      ./test_gpt --bench generate
#include "bench_generate.h"
#include "bench_gpu.h"
#include "bench_memory.cuh"
#include "kernels/instances.cuh"

namespace {

struct Shape {
    const char* name;
    Config config;
    int B, prompt;
};

std::vector<Shape> shapes() {
    const Config xl = *find_preset("gpt2-xl"), qwen = with_context(*find_preset("qwen3-0.6b"), 4096);
    return {{"gpt2-xl", xl, 1, 64},
            {"gpt2-xl", xl, 16, 64},
            {"qwen3-0.6b", qwen, 1, 64},
            {"qwen3-0.6b", qwen, 16, 64},
            {"qwen3-0.6b", qwen, 1, 3000}};
}

constexpr int tokens = 128;

double measure(const WritingRow& row, const Config& config, int prompt) {
    using Device = Gpu<bf16>;
    Gpt<Device> model(config, std::max(prompt, row.B), Recompute::block, Device(), row.B);
    model.allocate(Use::infer);
    launch(bench_fill_kernel<bf16>, 1024, 256, 0, model.on, model.w.data, model.weights.size, uint64_t(1), -0.02f,
           0.04f);
    return time_writing(model, row.B, prompt, tokens).step;
}

}  // namespace

BENCH(generate_gpu) {
    const std::optional<Ceilings>& gpu = ceilings();
    std::vector<WritingRow> written;
    for (const Shape& shape : shapes()) {
        const auto& [name, config, B, prompt] = shape;
        const int length = prompt + tokens / 2;
        WritingRow& row =
            written.emplace_back(WritingRow{name, B, length, bytes_of_step(config, sizeof(bf16), B, length)});
        if (gpu) row.seconds = measure(row, config, prompt);
    }
    report_writing(written, gpu);
}
