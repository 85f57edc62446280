// How fast a model reaches the disk, beside dd.      ./test_gpt --bench save
// GPT-2 1.5B is written too: 6.2 GB below the current folder.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "bench.h"
#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/huggingface_weights.h"
#include "host/model/gpt.h"

BENCH(save_gpt2_xl) {
    const std::filesystem::path folder = "bench_checkpoint.tmp";
    const Config c = *find_preset("gpt2-xl");
    const Layout layout = Gpt<Cpu<float>>(c, 1, Recompute::none, Cpu<float>()).weights;
    std::vector<float> values(size_t(c.V) * c.C);  // of the largest tensor: every one is some of these
    for (size_t i = 0; i < values.size(); i++) values[i] = float(i % 65521) * 0x1p-16f;
    const GetParameter get = [&](const Parameter&, size_t first, std::span<float> out) {
        std::copy_n(values.begin() + std::ptrdiff_t(first), out.size(), out.begin());
    };
    uint64_t bytes = 0;
    for (const Parameter& parameter : layout.parameters) bytes += 4 * parameter.size();
    double ours = 1e9, dd = 1e9;
    for (int round = 0; round < 3; round++) {
        std::filesystem::remove_all(folder);
        std::filesystem::create_directories(folder);
        const std::string command = "dd if=/dev/zero of=" + (folder / "dd").string() +
                                    " bs=1M count=" + std::to_string(bytes >> 20) + " conv=fsync status=none";
        dd = std::min(dd, seconds([&] {
                          if (std::system(command.c_str())) std::abort();
                      }));
        std::filesystem::remove(folder / "dd");
        ours = std::min(ours, seconds([&] { save_weights(folder.string(), {c, {}}, layout, get); }));
    }
    std::filesystem::remove_all(folder);
    std::printf("%-28s %.2f GB: %.2f s, %.0f MB/s; dd conv=fsync %.2f s, %.0f MB/s; %.0f%%\n",
                "save gpt2-xl, checksummed", double(bytes) / 1e9, ours, double(bytes) / 1e6 / ours, dd,
                double(bytes) / 1e6 / dd, 100 * dd / ours);
}
