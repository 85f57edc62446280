#include "bench.h"
#include <fmt/core.h>
#include "bench_table.h"
#include "host/base/files.h"
#include "speed_record.h"

namespace {

// Takes "FLAG FILE" out of the names; "" if it is not there.
std::string take_file(std::vector<std::string_view>& names, const std::string& name) {
    const auto flag = std::ranges::find(names, name);
    if (flag == names.end()) return "";
    if (flag + 1 == names.end())
        throw Error(Exit::usage, name, "needs a file", "example: --bench " + name + " bench.json");
    const std::string file(flag[1]);
    names.erase(flag, flag + 2);
    return file;
}

Exit failed(const Benchmark& b, const char* why, Exit code) {
    fmt::print(stderr, "error: {}: {}\n", b.name, why);
    bench_json()["failed"][std::string(b.name)] = why;
    return code;
}

int run(std::vector<std::string_view> names) {
    const std::string file = take_file(names, "--json"), against = take_file(names, "--against");
    if (!against.empty()) speed_record().emplace(against);
    // A benchmark's own name means it alone; any other text, all whose names contain it.
    const auto means = [](std::string_view text, const Benchmark& b) {
        const bool exact =
            std::ranges::any_of(benchmarks(), [&](const Benchmark& other) { return other.name == text; });
        return exact ? b.name == text : b.name.find(text) != b.name.npos;
    };
    const auto wanted = [&](const Benchmark& b) {
        return names.empty() || std::ranges::any_of(names, [&](auto text) { return means(text, b); });
    };
    int count = 0;
    Exit code = Exit::done;
    for (const Benchmark& b : benchmarks()) {
        if (!wanted(b)) continue;
        fmt::print("{}{}\n", count++ ? "\n" : "", b.name);
        try {  // the others run, and what was measured is written
            b.run();
        } catch (const Error& error) {
            code = failed(b, error.what(), error.code);
        } catch (const std::exception& error) { code = failed(b, error.what(), Exit::internal); }
        std::fflush(stdout);
    }
    if (count == 0) throw Error(Exit::usage, "--bench", "no benchmark has such a name", "without names it runs all");
    if (!file.empty()) files::replace_file(file, to_text(bench_json()));
    return int(code);
}

}  // namespace

int run_benchmarks(const std::vector<std::string_view>& names) {
    try {
        return run(names);
    } catch (const Error& error) {
        fmt::print(stderr, "error: {}\n", error.what());
        return int(error.code);
    }
}
