#include "bench.h"
#include <fmt/core.h>

int run_benchmarks(const std::vector<std::string_view>& names) {
    const auto wanted = [&](const Benchmark& b) {
        return names.empty() || std::ranges::any_of(names, [&](auto n) { return b.name.find(n) != b.name.npos; });
    };
    int count = 0;
    for (const Benchmark& b : benchmarks()) {
        if (!wanted(b)) continue;
        fmt::print("{}{}\n", count++ ? "\n" : "", b.name);
        b.run();
    }
    if (count == 0) fmt::print("no benchmark has such a name\n");
    return count == 0;
}
