// What training loses to a save in the background: steps while one is written, beside steps without.
//     OMP_NUM_THREADS=2 ./test_gpt --bench saving                  writes below the current folder
//
// A run of train_gpt itself, whose steps are timed by its log. "lost" is the time from a step that is saved after to
// the first one that begins after the save has ended, less as many typical steps; of all saves but the run's last,
// which nothing follows, the median. What we promise is less than 5% of the time that the save takes.
#include <fmt/core.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>
#include "bench.h"
#include "bench_table.h"
#include "dev/test/support/captured.h"
#include "host/base/files.h"
#include "host/commands/commands.h"
#include "host/options/options_parse.h"
#include "host/reference/threads.h"

namespace {

constexpr const char* folder = "bench_saving.tmp";

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// When the log had a line more, and when another thread than the one that trains did something to a file.
struct Times {
    std::mutex mutex;
    std::thread::id training = std::this_thread::get_id();
    std::vector<double> lines, saving;
};
Times* times = nullptr;

void note(const char*, const std::string&) {
    const std::lock_guard lock(times->mutex);
    if (std::this_thread::get_id() != times->training) times->saving.push_back(now());
}

// Notes when the log of a folder's run has another step.
class LogWatch {
public:
    explicit LogWatch(const std::string& folder, std::vector<double>& lines) : events(inotify_init1(IN_NONBLOCK)) {
        if (events < 0 || inotify_add_watch(events, folder.c_str(), IN_MODIFY) < 0)
            throw Error(Exit::io, folder, "cannot be watched");
        thread = std::thread([this, folder, &lines] { watch(folder + "/log.jsonl", lines); });
    }
    ~LogWatch() {
        over = true;
        thread.join();
        close(events);
    }

private:
    void watch(const std::string& log, std::vector<double>& lines) {
        std::ifstream file;
        for (char event[4096]; !over;) {
            pollfd one{events, POLLIN, 0};
            if (poll(&one, 1, 100) <= 0 || read(events, event, sizeof event) <= 0) continue;
            const double at = now();
            if (!file.is_open()) file.open(log);
            file.clear();
            for (std::string line; std::getline(file, line);)
                if (line.find("\"loss\":") != line.npos) lines.push_back(at);
        }
    }
    const int events;
    std::atomic<bool> over = false;
    std::thread thread;
};

double median(std::vector<double> of) {
    std::ranges::nth_element(of, of.begin() + std::ptrdiff_t(of.size() / 2));
    return of[of.size() / 2];
}

struct Case {
    const char* name;
    std::vector<std::string> model;
    int save_every, saves;
};

struct Found {
    double step, save, lost;  // seconds
};
Found find(const Times& t, int save_every, int saves) {
    REQUIRE(t.lines.size() == size_t(save_every * (saves + 1)));
    std::vector<double> steps = t.lines;  // when step i ended
    steps.insert(steps.begin(), steps[0]);
    std::vector<double> undisturbed, took, disturbed;
    std::vector<int> counted;
    for (int save = 1; save <= saves; save++) {
        const int first = save * save_every, next = first + save_every;
        double end = steps[size_t(first)];
        for (const double at : t.saving)
            if (at > steps[size_t(first)] && at < steps[size_t(next)]) end = at;
        int last = first;
        while (last < next && steps[size_t(last)] < end) last++;
        last = std::min(last + 1, next);  // its thread ends, and the next step begins
        if (last > next - 3)
            throw Error(Exit::internal, "bench", "a save takes longer than the steps between two of them");
        took.push_back(end - steps[size_t(first)]);
        disturbed.push_back(steps[size_t(last)] - steps[size_t(first)]);
        counted.push_back(last - first);
        for (int i = last; i < next; i++) undisturbed.push_back(steps[size_t(i) + 1] - steps[size_t(i)]);
    }
    const double step = median(undisturbed);
    for (size_t i = 0; i < disturbed.size(); i++) disturbed[i] -= counted[i] * step;
    return {step, median(took), median(disturbed)};
}

void measure(const Case& c) {
    std::filesystem::remove_all(folder);
    const int steps = c.save_every * (c.saves + 1);
    std::vector<std::string> args = c.model;
    const std::vector<std::string> more{"--steps",         std::to_string(steps),
                                        "--save-every",    std::to_string(c.save_every),
                                        "--eval-every",    "0",
                                        "--sample-every",  "0",
                                        "--sample-tokens", "0",
                                        "--device",        "cpu",
                                        "--out",           folder};
    args.insert(args.end(), more.begin(), more.end());
    Times t;
    times = &t;
    files::before_operation = note;
    std::filesystem::create_directory(folder);
    {
        const LogWatch watch(folder, t.lines);
        Captured out, error(Captured::Stream::error);
        run_command(parse(args));
    }
    files::before_operation = nullptr;
    const Found f = find(t, c.save_every, c.saves);
    std::filesystem::remove_all(folder);
    fmt::print("{:<30} {:>8.1f} {:>9.0f} {:>8.1f} {:>8.1f} {:>10.1f}%\n", c.name, f.step * 1e3, f.save * 1e3,
               f.save / f.step, f.lost * 1e3, 100 * f.lost / f.save);
    bench_json()["saving"].push_back(
        {{"model", c.name}, {"step_ms", f.step * 1e3}, {"save_ms", f.save * 1e3}, {"lost_ms", f.lost * 1e3}});
}

}  // namespace

BENCH(saving) {
    const std::vector<std::string> small{"--model", "tiny",  "--layers", "4",         "--dim", "128",     "--heads",
                                         "4",       "--ffn", "512",      "--context", "64",    "--batch", "12"},
        baby{"--model", "tiny",  "--layers", "6",         "--dim", "384",     "--heads",
             "6",       "--ffn", "1536",     "--context", "256",   "--batch", "2"};
    fmt::print("{:<30} {:>8} {:>9} {:>8} {:>8} {:>11}\n", fmt::format("{} threads", thread_count()), "step ms",
               "save ms", "steps", "lost ms", "of the save");
    for (const Case& c : {Case{"L4 C128 B12 T64", small, 80, 8}, Case{"L6 C384 B2 T256", baby, 40, 5}}) measure(c);
}
