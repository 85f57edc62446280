// Loading and saving stream: beside the model they hold its largest tensor and little more.
#include <fstream>
#include "dev/temporary.h"
#include "host/huggingface.h"
#include "host/trainer.h"

namespace {

uint64_t bytes_of(const std::string& key) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
        if (uint64_t kib; word == key + ":" && status >> kib) return kib << 10;
    return 0;
}

// Makes the peak (VmHWM) the memory in use now; false where the system does not let us.
bool forget_peak() { return bool(std::ofstream("/proc/self/clear_refs") << "5" << std::flush); }

template <class Work>
uint64_t peak_of(Work work) {
    if (!forget_peak()) return 0;
    const uint64_t before = bytes_of("VmRSS");
    work();
    return bytes_of("VmHWM") - std::min(before, bytes_of("VmHWM"));
}

}  // namespace

TEST(huggingface_memory, one_tensor_beside_the_model) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer's memory counts too";
#endif
    const Config c = {.T = 32, .V = 32768, .L = 8, .C = 256, .NH = 4, .NKV = 4, .HS = 64, .F = 1024};
    using T = Trainer<Cpu<float>>;
    T trainer(c, 1, 1, Recompute::none, 0, Cpu<float>());
    trainer.initialise(1);                            // every page of it is now in memory
    const Layout& layout = trainer.model.weights;
    const uint64_t largest = uint64_t(c.V) * c.C * 4, slack = 4 << 20;
    for (const auto dtype : {safetensors::Dtype::F32, safetensors::Dtype::BF16}) {
        const Temporary dir;
        const uint64_t saving = peak_of([&] {
            save_weights(dir.path, {c, {}, dtype}, layout, [&](const Row& row) { return trainer.get(T::Part::weights, row); });
        });
        const uint64_t loading = peak_of([&] {
            load_weights(dir.path, c, layout, [&](const Row& row, std::span<const float> values) {
                trainer.set(T::Part::weights, row, values);
            });
        });
        if (!loading) GTEST_SKIP() << "/proc/self/clear_refs cannot be written";
        EXPECT_GT(loading, largest / 2);              // or nothing was measured
        EXPECT_LT(loading, largest + slack);
        EXPECT_LT(saving, largest + slack);
    }
}
