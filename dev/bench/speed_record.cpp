#include "speed_record.h"
#include <fmt/core.h>
#include "host/base/error.h"

std::optional<SpeedRecord>& speed_record() {
    static std::optional<SpeedRecord> record;
    return record;
}

namespace {

double number(const Json& row, const char* key) {
    const auto found = row.find(key);
    return found != row.end() && found->is_number() ? found->get<double>() : 0;
}

}  // namespace

SpeedRecord::SpeedRecord(const Json& record, std::string file) : file(std::move(file)) {
    const Json* bench = &record;
    if (record.is_object() && record.contains("kernels") && record["kernels"].is_object()) bench = &record["kernels"];
    const auto has = [&](const char* key, const Json& in, auto is) {
        return in.is_object() && in.contains(key) && is(in[key]);
    };
    const auto is_text = [](const Json& j) { return j.is_string(); };
    if (!has("kernels", *bench, [](const Json& j) { return j.is_array(); }) ||
        !has("ceilings", *bench, [&](const Json& j) { return has("gpu", j, is_text); }))
        throw Error(Exit::input, this->file, "is no record of a benchmark on a GPU",
                    "./test_gpt --bench kernels --json FILE writes one there");
    gpu = (*bench)["ceilings"]["gpu"];
    for (const Json& row : (*bench)["kernels"])
        if (has("model", row, is_text) && has("kernel", row, is_text) && has("shape", row, is_text) &&
            number(row, "us") > 0)
            rows.push_back(row);
}

void SpeedRecord::require_gpu(const std::string& now) const {
    if (now != gpu)
        throw Error(Exit::usage, "--against", fmt::format("{} is a record of {}, and this is {}", file, gpu, now),
                    "speeds of different GPUs are not compared");
}

const Json& SpeedRecord::find(const std::string& model, const KernelTime& row) const {
    static const Json none;
    for (const Json& r : rows)
        if (r["model"] == model && r["kernel"] == row.kernel && r["shape"] == row.shape) return r;
    return none;
}

std::optional<double> SpeedRecord::beside(const std::string& model, const KernelTime& row) const {
    const Json& then = find(model, row);
    if (then.is_null() || row.seconds <= 0) return std::nullopt;
    const double times = number(then, "us") / (row.seconds * 1e6);
    double best = times;
    const double clock = number(then, "sm_mhz");
    if (clock > 0 && row.state.sm_mhz > 0 && (row.work.products > 0 || row.work.exponentials > 0))
        best = std::max(best, times * clock / row.state.sm_mhz);
    if (const auto rival = then.find("beside"); rival != then.end() && row.ours > 0 && number(*rival, "ours_us") > 0)
        best = std::max(best, row.theirs / row.ours / (number(*rival, "theirs_us") / number(*rival, "ours_us")));
    return best;
}

void SpeedRecord::judge(const std::string& model, const KernelTime& row) {
    const std::optional<double> speed = beside(model, row);
    if (!speed) {
        unknown++;
        return;
    }
    compared++;
    if (slower(model, row))
        slow.push_back(fmt::format("{} {} {}: {:.1f} us, {:.0f}% of the speed on record", model, row.kernel, row.shape,
                                   row.seconds * 1e6, 100 * *speed));
}

void SpeedRecord::conclude() const {
    if (!compared) throw Error(Exit::device, "--against", "no kernel was timed that is in " + file);
    fmt::print("\nagainst {}: {} kernels compared, {} slower than {:.0f}% of their record{}\n", file, compared,
               slow.size(), 100 * at_least, unknown ? fmt::format("; {} are not in it", unknown) : "");
    for (const std::string& line : slow) fmt::print("  {}\n", line);
    if (!slow.empty())
        throw Error(Exit::device, "--against",
                    fmt::format("{} of {} kernels are slower than in {}", slow.size(), compared, file),
                    "each was timed three times, and the fastest counted");
}
