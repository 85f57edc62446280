// The power fails while a command runs: what it said it saved is there, what it replaces is the old or the new, and a
// run goes on to the same end.
#include "dev/test/support/power_cut.h"
#include "dev/test/support/power_cut_case.h"
#include "host/base/remembered_check.h"
#include "host/checkpoint/checkpoint.h"
#include "run_case.h"

using power_cut::Recording;
using power_cut::State;

namespace {

// `train_gpt ARGS` in a process of its own; that it ended well is a mark.
Recording record_command(const fs::path& folder, std::vector<std::string> args) {
    args.insert(args.end(), {"--threads", "1"});
    const Recording recording = power_cut::record(folder.string(), [&] {
        run_command(parse(args));
        power_cut::mark("all is done");
    });
    EXPECT_EQ(recording.exit_code, 0);
    return recording;
}

std::string resume_fault(const fs::path& out, const std::vector<std::string>& expected) {
    const Outcome o = run({"--resume", out.string()});
    if (o.code != Exit::done) return "cannot be resumed: " + o.error;
    return losses(out) == expected ? "" : "the losses of the resumed run are others";
}

}  // namespace

// Of a run from its first directory to its last words, and of one that was resumed in between.
TEST(power_cut, a_whole_run) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    const Temporary texts, whole;
    const fs::path text = write_text(texts);
    const std::vector<std::string> flags{"--save-every", "3", "--keep", "2"};
    ASSERT_EQ(run(small(whole.path / "run", text, flags)).code, Exit::done);
    const std::vector<std::string> expected = losses(whole.path / "run");

    const Temporary first, second;
    const Recording begun = record_command(first.path, small(first.path / "new/run", text, flags));
    fs::copy(whole.path / "run", second.path / "run", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (const char* name : {"step_00000008", "best", "latest"}) fs::remove_all(second.path / "run" / name);
    const Recording resumed = record_command(second.path, {"--resume", (second.path / "run").string()});
    size_t n = 0;
    const auto fault = [&](const std::string& folder, const State& state) -> std::string {
        const bool is_resumed = fs::exists(fs::path(folder) / "run"), done = state.told("all is done");
        const fs::path out = fs::path(folder) / (is_resumed ? "run" : "new/run");
        if (!fs::exists(out)) return done ? "the run is lost" : "";
        const std::vector<Checkpoint> listed = list_checkpoints(out.string());
        if (listed.empty()) return done || is_resumed ? "no checkpoint is left" : "";
        try {
            open_checkpoint(listed.back().path);
            const auto lines = read_state(listed.back())["loop"]["log_bytes"].get<uint64_t>();
            if (fs::file_size(out / "log.jsonl") < lines) return "lines of the log are lost";
        } catch (const Error& error) { return error.what(); }
        if (done && listed.back().step != 8) return "the last step is lost";
        return n++ % (every_power_cut() ? 64 : 8) ? "" : resume_fault(out, expected);
    };
    expect_no_violation("a run of 8 steps", try_all(begun, power_cut_stride(40), fault));
    expect_no_violation("a resumed run", try_all(resumed, power_cut_stride(40), fault));
}

namespace {

// Of shards: "" if they are whole, as their list says, or there are none.
std::string fault_of_shards(const fs::path& out, const std::string& tokens) {
    if (!fs::exists(out)) return "";
    try {
        const Json facts = read_json((out / "dataset.json").string());
        for (const Json& shard : facts["shards"])
            if (files::hex(files::hash_file((out / shard["name"].get<std::string>()).string())) != shard["xxh64"])
                return "a shard is not what the list says";
        read_json((out / "tokenizer.json").string());
        if (!tokens.empty() && facts["tokens"].dump() != tokens) return facts["tokens"].dump() + " tokens";
        return "";
    } catch (const Error& error) { return error.what(); }
}

}  // namespace

TEST(power_cut, shards_of_tokens) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    const Temporary texts, at;
    const fs::path text = write_text(texts), more = texts.path / "more.txt";
    overwrite(more.string(), "another text of other words");
    const std::string out = (at.path / "data/out").string();
    const auto args = [&](const fs::path& data) {
        return std::vector<std::string>{"tokenize", "--tokenizer",    "byte", "--separator", "none", "--data",
                                        data,       "--shard-tokens", "64",   "--out",       out,    "--overwrite"};
    };
    const Recording first = record_command(at.path, args(text));
    const std::string old = read_json(out + "/dataset.json")["tokens"].dump();
    const Recording second = record_command(at.path, args(more));
    const std::string now = read_json(out + "/dataset.json")["tokens"].dump();
    ASSERT_NE(old, now);
    expect_no_violation("shards", try_all(first, power_cut_stride(6), [&](const auto& folder, const State& s) {
                            const fs::path out = fs::path(folder) / "data/out";
                            if (!fs::exists(out)) return std::string(s.told("all is done") ? "they are lost" : "");
                            return fault_of_shards(out, old);
                        }));
    expect_no_violation("shards replaced",
                        try_all(second, power_cut_stride(6), [&](const auto& folder, const State& s) {
                            const fs::path out = fs::path(folder) / "data/out";
                            if (!fs::exists(out)) return std::string("both are lost");
                            const bool is_new = fault_of_shards(out, now).empty();
                            return is_new || !s.told("all is done") ? fault_of_shards(out, is_new ? now : old)
                                                                    : std::string("the new ones are lost");
                        }));
}

// Every other file that is replaced: a plot, the page of a report, what is remembered of a GPU.
TEST(power_cut, files_that_are_replaced) {
    SKIP_WHERE_NOTHING_IS_TRACED();
    const Temporary at;
    const std::string old = "<svg version one", now = "<svg version two, " + std::string(9000, 'x');
    const auto replaces = [&](const char* what, const std::string& name,
                              const std::function<void(std::string)>& replace) {
        overwrite(at / name, old);
        const Recording recording = power_cut::record(at.path, [&] {
            replace(at / name);
            power_cut::mark("all is done");
        });
        EXPECT_EQ(recording.exit_code, 0) << what;
        expect_no_violation(what, try_all(recording, 1, [&](const std::string& folder, const State& s) -> std::string {
                                if (!files::exists(folder + "/" + name)) return "it is gone";
                                const std::string is = files::read_file(folder + "/" + name, 1 << 20);
                                if (is != now && (is != old || s.told("all is done"))) return "neither old nor new";
                                return "";
                            }));
    };
    replaces("replace_file", "a.json", [&](const std::string& path) { files::replace_file(path, now); });
    replaces("replace_output", "a.svg", [&](const std::string& path) { files::replace_output(path, now); });
    replaces("replace_output by a link", "b.svg", [&](const std::string& path) {
        if (symlink(path.c_str(), (at / "link.svg").c_str())) throw Error(Exit::io, "link", "cannot be made");
        files::replace_output(at / "link.svg", now);
    });
}
