// Benchmarks: ./test_gpt --bench [NAME...] runs those of these names, or whose name contains
// one that is no benchmark's own; all without one.
#pragma once
#include <algorithm>
#include <chrono>
#include <limits>
#include <string_view>
#include <vector>

struct Benchmark {
    std::string_view name;
    void (*run)();
};

inline std::vector<Benchmark>& benchmarks() {
    static std::vector<Benchmark> all;
    return all;
}

// BENCH(name) { body } adds a benchmark; its body measures and prints.
#define BENCH(name)                                                                                 \
    static void bench_##name();                                                                     \
    static const bool bench_##name##_added = (benchmarks().push_back({#name, bench_##name}), true); \
    static void bench_##name()

template <class Work>
double seconds(Work work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The shortest times of several works that take turns, so that a temporary disturbance of the machine affects all of
// them.
template <class... Work>
std::vector<double> shortest(int rounds, Work... work) {
    std::vector<double> best(sizeof...(work), std::numeric_limits<double>::infinity());
    for (int round = 0; round < rounds; round++) {
        size_t i = 0;
        ((best[i] = std::min(best[i], seconds(work)), i++), ...);
    }
    return best;
}

// Runs those of these names, or whose name contains one that is no benchmark's own, all without one;
// the process's exit status.
int run_benchmarks(const std::vector<std::string_view>& names);
