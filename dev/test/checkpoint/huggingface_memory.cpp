// Loading and saving stream: beside the model they hold its largest tensor and little more.
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fstream>
#include "dev/test/support/temporary_directory.h"
#include "host/checkpoint/huggingface_weights.h"
#include "host/checkpoint/model_files.h"
#include "host/training/trainer.h"

namespace {

uint64_t bytes_of(const std::string& key) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
        if (uint64_t kib; word == key + ":" && status >> kib) return kib << 10;
    return 0;
}

// How far work() raises the memory in use at its peak, in bytes. In a process of its own, as a fork's peak begins anew.
template <class Work>
uint64_t peak_of(Work work) {
    int ends[2];
    if (pipe(ends)) throw std::runtime_error("no pipe");
    malloc_trim(0);  // or `work` takes, unseen, what earlier tests have freed
    const pid_t child = fork();
    if (child == 0) {
        const uint64_t before = bytes_of("VmRSS");
        try {
            work();
        } catch (...) { _exit(1); }
        const uint64_t more = bytes_of("VmHWM") - before;
        _exit(write(ends[1], &more, sizeof more) != sizeof more);
    }
    close(ends[1]);
    uint64_t more = 0;
    const bool told = read(ends[0], &more, sizeof more) == sizeof more;
    close(ends[0]);
    int status;
    if (waitpid(child, &status, 0) != child || status || !told) throw std::runtime_error("the child failed");
    return more;
}

}  // namespace

TEST(huggingface_memory, one_tensor_beside_the_model) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer's memory counts too";
#endif
    const Config c = {.T = 32, .V = 32768, .L = 8, .C = 256, .NH = 4, .NKV = 4, .HS = 64, .F = 1024};
    using T = Trainer<Cpu<float>>;
    T trainer(c, 1, 1, Recompute::none, 0, Cpu<float>());
    trainer.initialise(1);  // every page of it is now in memory
    const Layout& layout = trainer.model.weights;
    const uint64_t largest = uint64_t(c.V) * c.C * 4, slack = 8 << 20;
    for (const auto dtype : {safetensors::Dtype::F32, safetensors::Dtype::BF16}) {
        const Temporary dir;
        const uint64_t saving = peak_of([&] {
            save_weights(dir.path, {c, {}, dtype}, layout,
                         [&](const Parameter& parameter, size_t first, std::span<float> out) {
                             trainer.get(T::Part::weights, parameter, first, out);
                         });
        });
        const uint64_t loading = peak_of([&] {
            load_weights(dir.path, c, layout, [&](const Parameter& parameter, std::span<const float> values) {
                trainer.set(T::Part::weights, parameter, values);
            });
        });
        EXPECT_GT(loading, largest / 2);  // or nothing was measured
        EXPECT_LT(loading, largest + slack);
        EXPECT_GT(saving, slack / 2);
        EXPECT_LT(saving, largest);  // in pieces: these tensors keep their order
    }
}
