// What a run's validations measure, and what they decide.
#include <cmath>
#include <map>
#include "host/base/json.h"
#include "run_case.h"

namespace {

// The validation losses of a run's log, by step.
std::map<int, double> validations(const fs::path& run) {
    std::map<int, double> all;
    std::ifstream file(run / "log.jsonl");
    for (std::string text; std::getline(file, text);) {
        const Json line = Json::parse(text);
        if (line.contains("val_loss"))
            all[line["step"]] = line["val_loss"].is_null() ? NAN : line["val_loss"].get<double>();
    }
    return all;
}

// 60 windows to validate on, of which 7 count: which ones must not depend on how many are computed at a time.
TEST(validation, does_not_depend_on_the_batch) {
    Temporary at;
    const fs::path text = write_text(at), val = at.path / "val.txt";
    std::string lines;
    for (int i = 0; i < 60; i++)
        lines += std::string(1, char('a' + i % 26)) + " line number " + std::to_string(i) + "\n";
    overwrite(val.string(), lines);
    std::map<std::string, std::map<int, double>> found;
    for (const char* batch : {"1", "2", "4", "8"}) {
        const Outcome o = run(small(at.path / batch, text,
                                    {"--batch", batch, "--total-batch", "128", "--val", val.string(),
                                     "--eval-sequences", "7", "--steps", "9", "--eval-every", "2"}));
        ASSERT_EQ(o.code, Exit::done) << o.error;
        found[batch] = validations(at.path / batch);
        ASSERT_EQ(found[batch].size(), 5u);
        for (const auto& [step, loss] : found[batch])
            EXPECT_NEAR(loss / found["1"][step], 1, 1e-5) << batch << " " << step;
    }
}

// The last validation, of all the data, is another measure: it does not count as one without a better loss.
TEST(validation, of_a_runs_end_does_not_count_for_early_stop) {
    Temporary at;
    const fs::path text = write_text(at), other = at.path / "other.txt";
    overwrite(other.string(), std::string(40, 'Z') + std::string(40, '#'));  // unlike the text: soon it gets worse
    const auto worse_ones = [&](const fs::path& run, const char* step) {
        return read_json((run / step / "state.json").string())["loop"]["since_best"].get<int>();
    };
    const std::vector<std::string> more{"--val", other.string(), "--early-stop", "50", "--save-every", "1", "--keep",
                                        "99"};
    std::vector<std::string> longer = more;
    longer.insert(longer.end(), {"--steps", "40"});
    ASSERT_EQ(run(small(at.path / "whole", text, longer)).code, Exit::done);
    const int before = worse_ones(at.path / "whole", "step_00000039");
    ASSERT_GT(before, 1) << "it does not get worse";
    EXPECT_EQ(worse_ones(at.path / "whole", "step_00000040"), before);
}

}  // namespace
