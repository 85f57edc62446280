// The speed gate: what an earlier run measured on the same kind of GPU, held against this one's. --against FILE
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "bench_table.h"

class SpeedRecord {
public:
    // What --json wrote, or gpu_check's results.json. Throws Error{input} for anything else.
    SpeedRecord(const Json& record, std::string file);
    explicit SpeedRecord(const std::string& file) : SpeedRecord(read_json(file), file) {}

    static constexpr double at_least = 0.97;  // of the speed on record

    // Throws Error{usage} where the record is another GPU's.
    void require_gpu(const std::string& gpu) const;

    // This row's speed beside the one on record: 1 is as fast. A kernel is not to blame for a lower clock: so the best
    // of three counts, by time; by time and clock, unless memory is the limit; and by the speed beside another
    // library's, which was timed in turn. Nothing where the record has no such row.
    std::optional<double> beside(const std::string& model, const KernelTime& row) const;
    bool slower(const std::string& model, const KernelTime& row) const {
        return beside(model, row).value_or(1) < at_least;
    }

    // Counts a row, and keeps it if it is slower.
    void judge(const std::string& model, const KernelTime& row);
    // Prints what was compared. Throws Error{device} naming what is slower, or that nothing could be compared.
    void conclude() const;

private:
    const Json& find(const std::string& model, const KernelTime& row) const;

    std::string file, gpu;
    Json rows;
    int compared = 0, unknown = 0;
    std::vector<std::string> slow;
};

// The one that --against names, if it does.
std::optional<SpeedRecord>& speed_record();
