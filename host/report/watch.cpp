#include "watch.h"
#include <fmt/core.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <thread>
#include "host/base/files.h"
#include "host/base/messages.h"
#include "host/base/progress.h"
#include "host/base/run_lock.h"
#include "host/base/signals.h"
#include "host/checkpoint/checkpoint.h"
#include "report.h"

namespace {

// Of the time, the part that rewriting takes at most: a log of hundreds of megabytes is read from its beginning.
constexpr double most_of_the_time = 0.1;
constexpr double sign_of_life = 50;  // seconds after which a page is written again, though its steps take longer
constexpr int most_failures = 5;

class Watcher {
public:
    explicit Watcher(const Options& options)
        : options(options), run(files::without_slash(options.runs.at(0))), path(report_path(options)) {}

    Exit watch() {
        while (!stop_requested) {
            const double start = seconds();
            if (look()) return Exit::done;
            rest = std::max(options.every, (seconds() - start) * (1 / most_of_the_time - 1));
            wait(rest);
        }
        progress.clear();
        if (written) write(story, {}), progress.note("stopped: " + printable(path) + " stays as it is");
        return Exit::stopped;
    }

private:
    const Options& options;
    const std::string run, path;
    Progress progress;
    std::string waits_for;  // said once
    bool written = false;
    int failures = 0;                             // in a row
    double rest = options.every, last_write = 0;  // seconds
    Story story;
    uint64_t log_size = 0;
    Insides insides{{}, "The run has no checkpoint yet."};
    std::string seen;  // the checkpoint whose insides those are

    // True: the run has ended. While a run is taken up again or overwritten, its log may go under our hands.
    bool look() {
        try {
            const bool ended = has_begun() && write_if_new();
            failures = 0;
            return ended;
        } catch (const Error& error) {
            if (error.code != Exit::input || !files::RunLock::is_held(run) || ++failures > most_failures) throw;
            return false;
        }
    }

    void wait_for(const std::string& what) {
        if (waits_for != what) progress.note("waiting for " + what);
        waits_for = what;
    }

    // A line that is still being written is none.
    static bool has_line(const std::string& log) {
        const files::Reader file(log);
        std::string begin(std::min<uint64_t>(file.size(), 1 << 20), ' ');
        file.read(begin.data(), begin.size(), 0);
        return begin.find('\n') != std::string::npos;
    }

    // Whether the log has a line.
    bool has_begun() {
        const std::string log = run + "/log.jsonl";
        std::error_code ignored;
        if (files::exists(log)) {
            if (has_line(log)) return true;
        } else if (files::exists(run) && !files::RunLock::is_held(run)) {
            if (!std::filesystem::is_directory(run, ignored))
                throw Error(Exit::input, run, "is not a directory", "name that of a run, such as runs/tiny-1");
            for (const std::string& name : files::list(run))
                if (name != files::RunLock::name)
                    throw Error(Exit::input, run, "is no run: it has no log.jsonl",
                                "name the directory of a run, such as runs/tiny-1");
        }
        wait_for(printable(run) + " to begin; Ctrl-C ends this");
        return false;
    }

    // True: the run has ended, and its last report is written.
    bool write_if_new() {
        const uint64_t size = std::filesystem::file_size(run + "/log.jsonl");
        Story now = read_story(run);
        const bool ended = now.ending != Ending::unknown || !now.goes_on;
        if (now.curve.steps.empty() && now.curve.validations.empty()) {
            if (ended) throw Error(Exit::input, run, "ended before its first step", "what did it say?");
            wait_for("the first step of " + printable(run));
            return false;
        }
        if (written && !ended && size == log_size && seconds() - last_write < sign_of_life) return false;
        story = std::move(now), log_size = size;
        look_inside();
        if (!std::exchange(written, true) && !ended)
            progress.note("watching " + printable(run) + ": open " + printable(path) +
                          " in a browser; Ctrl-C ends this");
        write(story, ended ? Reload{} : Reload{std::max(1, int(std::ceil(rest))), std::time(nullptr)});
        if (ended) say_end();
        else progress.status(fmt::format("step {:.0f}: wrote {}", story.last_step(), printable(path)), false);
        return ended;
    }

    void write(const Story& of, const Reload& reload) {
        files::replace_output(path, report_page(of, insides, reload));
        last_write = seconds();
    }

    // The model is loaded again when there is another checkpoint. That may go while it is read.
    void look_inside() {
        try {
            const std::string directory = model_directory(run);
            if (directory == seen) return;
            insides = insides_of(run, story, options.prompt);
            seen = directory;
        } catch (const Error&) {}
    }

    void say_end() {
        progress.clear();
        const bool done = story.ending == Ending::finished || story.ending == Ending::early_stop;
        progress.note(fmt::format("{}: {} after step {:.0f}, wrote {}", done ? "done" : "stopped", printable(run),
                                  story.last_step(), printable(path)));
    }

    static void wait(double time) {
        for (const double end = seconds() + time; !stop_requested && seconds() < end;)
            std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(end - seconds(), 0.0, 0.1)));
    }
};

}  // namespace

Exit watch(const Options& options) { return Watcher(options).watch(); }
