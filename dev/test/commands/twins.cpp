#include "twins.h"
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/syscall.h>
#include <map>
#include <random>
#include "dev/test/support/traced.h"
#include "host/base/run_lock.h"
#include "host/checkpoint/checkpoint.h"
#include "run_case.h"

namespace {

using Args = std::vector<std::string>;

class Chance {
public:
    explicit Chance(uint64_t seed) : random(seed) {}
    int from(int least, int most) { return least + int(random() % uint64_t(most - least + 1)); }
    bool one_in(int n) { return from(1, n) == 1; }
    std::string of(std::initializer_list<const char*> names) { return names.begin()[from(0, int(names.size()) - 1)]; }

private:
    std::mt19937_64 random;
};

Args random_settings(Chance& chance, const RunsOn& on) {
    const bool slow = on.device != "cpu";
    const int T = chance.from(1, 2) * 8, B = chance.from(1, slow ? 2 : 3), heads = chance.from(1, 2),
              steps = chance.from(2, slow ? 9 : 24);
    const std::string norm = chance.of({"layernorm", "rmsnorm"}),
                      position = chance.of({"learned", "rope", "sinusoidal"});
    Args args{"--model",
              "tiny",
              "--layers",
              std::to_string(chance.from(1, 2)),
              "--dim",
              std::to_string(8 * heads),
              "--heads",
              std::to_string(heads),
              "--ffn",
              "16",
              "--norm",
              norm,
              "--position",
              position,
              "--activation",
              chance.of({"gelu", "relu", "swiglu"}),
              "--context",
              std::to_string(T),
              "--batch",
              std::to_string(B),
              "--total-batch",
              std::to_string(T * B * chance.from(1, 3)),
              "--steps",
              std::to_string(steps),
              "--warmup",
              std::to_string(chance.from(0, steps / 2)),
              "--schedule",
              chance.of({"cosine", "linear", "constant", "wsd"}),
              "--lr",
              "0.01",
              "--dropout",
              chance.of({"0", "0.1"}),
              "--save-every",
              std::to_string(chance.from(0, 5)),
              "--keep",
              std::to_string(chance.from(1, 3)),
              "--eval-every",
              std::to_string(chance.from(1, 6)),
              "--eval-sequences",
              std::to_string(chance.from(0, 3)),
              "--sample-every",
              std::to_string(3 * chance.from(0, 1)),
              "--sample-tokens",
              "4",
              "--log-every",
              std::to_string(chance.from(1, 3)),
              "--recompute",
              chance.of({"none", "mlp", "block"}),
              "--seed",
              std::to_string(chance.from(0, 999)),
              "--threads",
              "1",
              "--device",
              on.device,
              "--dtype",
              on.dtype};
    const auto sometimes = [&](int one_in, const Args& more) {
        if (chance.one_in(one_in)) args.insert(args.end(), more.begin(), more.end());
    };
    sometimes(3, {"--early-stop", "2"});
    sometimes(3, {"--spike-window", "3", "--spike-factor", "1.5"});
    sometimes(4, {"--verify-every", "3"});
    sometimes(4, {"--tensorboard"});
    return args;
}

// Text, or shards of two sizes, an epoch of a few steps.
std::string any_data(Chance& chance, const Temporary& at) {
    const fs::path text = at.path / "text.txt";
    std::ofstream file(text);
    for (int i = 0; i < chance.from(6, 12); i++) file << "the cat sat on mat " << i % 10 << "\n";
    file.close();
    if (chance.one_in(2)) return text.string();
    run({"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", text.string(), "--shard-tokens", "67",
         "--out", (at.path / "shards").string()});
    return (at.path / "shards/*.bin").string();
}

// ---- what is done to the other twin ---------------------------------------------------------------------------------

struct Blow {
    enum class Kind { kill, signal, fault, interruption, none } kind = Kind::none;
    int at = 0;  // the call
    int error = 0, calls = 1;
};

Blow random_blow(Chance& chance, int calls) {
    Blow blow{Blow::Kind(chance.from(0, 3)), chance.from(0, std::max(calls, 1)), 0, 1};
    if (chance.one_in(2)) blow.kind = Blow::Kind::kill;
    const int errors[] = {ENOSPC, EIO, EDQUOT, EROFS};
    blow.error = errors[chance.from(0, 3)];
    blow.calls = chance.one_in(2) ? 1 : 1000000;
    return blow;
}

bool changes_disk(const SystemCall& call) {
    switch (call.number) {
        case SYS_read:
        case SYS_pread64:
        case SYS_close:
        case SYS_access: return false;
        case SYS_openat: return call.arguments[2] & O_CREAT;
        case SYS_open: return call.arguments[1] & O_CREAT;
        default: return true;
    }
}

// Runs it; returns its exit code, or minus the signal. `calls`: how many it made in its directory.
int run_with(const Args& args, const fs::path& out, const Blow& blow, int& calls) {
    calls = 0;
    const auto on_call = [&](const SystemCall& call) -> Verdict {
        if (!changes_disk(call) || !call.file().starts_with(out.string())) return {};
        const int number = calls++;
        const bool now = number >= blow.at && number < blow.at + blow.calls;
        if (blow.kind == Blow::Kind::interruption && call.writes() && number % 3 == blow.at % 3)
            return number % 2 ? Verdict::fails(EINTR) : Verdict::of_at_most(1 + size_t(number) % 5);
        if (!now || blow.kind == Blow::Kind::none) return {};
        if (blow.kind == Blow::Kind::kill) return Verdict::kills();
        if (blow.kind == Blow::Kind::signal && number == blow.at) kill(call.process, SIGTERM);
        // Lines of the log that a full disk swallows are lost: that is said, and no fault.
        const bool of_log = call.file().ends_with(".jsonl");
        if (blow.kind == Blow::Kind::fault && !of_log) return Verdict::fails(blow.error);
        return {};
    };
    return run_traced(
        [&] {
            catch_signals();
            _exit(run_program(args));
        },
        on_call);
}

// ---- what must be the same ------------------------------------------------------------------------------------------

// The log without times, and without texts to look at, which a signal cuts short.
std::vector<std::string> lines_of(const fs::path& out) {
    std::vector<std::string> all;
    for (Json line : log_lines(out)) {
        if (line.contains("sample")) continue;
        for (const char* key : {"ms", "tokens_per_s", "gflops", "run"}) line.erase(key);
        all.push_back(line.dump());
    }
    return all;
}

}  // namespace

std::string difference_of(const fs::path& a, const fs::path& b, bool disk_failed) {
    const std::vector<std::string> lines[] = {lines_of(a), lines_of(b)};
    for (size_t i = 0; i < std::max(lines[0].size(), lines[1].size()); i++)
        if (i >= lines[0].size() || i >= lines[1].size() || lines[0][i] != lines[1][i])
            return fmt::format("line {} of the log: {} / {}", i + 1, i < lines[0].size() ? lines[0][i] : "nothing",
                               i < lines[1].size() ? lines[1][i] : "nothing");
    for (const std::string link : {"best", "latest"}) {
        if (link == "best" && disk_failed) continue;
        const std::string names[] = {pointed_at(a.string(), link), pointed_at(b.string(), link)};
        if (names[0] != names[1]) return fmt::format("{}: {} / {}", link, names[0], names[1]);
    }
    const fs::path last[] = {a / pointed_at(a.string(), "latest"), b / pointed_at(b.string(), "latest")};
    if (files::list(last[0].string()) != files::list(last[1].string())) return "the files of the last checkpoint";
    for (const std::string& name : files::list(last[0].string())) {
        if (name == "manifest.json") continue;
        if (name == "state.json") {
            Json states[] = {read_json((last[0] / name).string())["loop"],
                             read_json((last[1] / name).string())["loop"]};
            for (Json& state : states) state.erase("log_bytes");  // lines with times in them
            if (states[0] != states[1]) return states[0].dump() + " / " + states[1].dump();
        } else if (files::hash_file((last[0] / name).string()) != files::hash_file((last[1] / name).string())) {
            return "bytes of " + name;
        }
    }
    return "";
}

namespace {

void count(TwinCounts& counts, const Blow& blow, int code) {
    counts.kills += code == -SIGKILL;
    counts.signals += blow.kind == Blow::Kind::signal && code == int(Exit::stopped);
    counts.faults += blow.kind == Blow::Kind::fault;
    counts.interruptions += blow.kind == Blow::Kind::interruption;
}

std::string joined(const Args& args) {
    std::string text;
    for (const std::string& arg : args) text += " " + arg;
    return text;
}

}  // namespace

std::string TwinCounts::text() const {
    return fmt::format(
        "{} pairs, {} kills, {} signals, {} failing disks, {} with interrupted and short writes, {} second processes, "
        "{} resumes, {} runs begun again before their first checkpoint: {} lost",
        pairs, kills, signals, faults, interruptions, intruders, resumes, restarts, lost);
}

std::string try_twins(uint64_t seed, const RunsOn& on, TwinCounts& counts) {
    Chance chance(seed);
    const Temporary at;
    Args settings = random_settings(chance, on);
    settings.insert(settings.end(), {"--tokenizer", "byte", "--data", any_data(chance, at)});
    const fs::path calm = at.path / "calm", tried = at.path / "tried";
    const auto named = [&](const fs::path& out) {
        Args args = settings;
        args.insert(args.end(), {"--out", out.string()});
        return args;
    };
    counts.pairs++;
    const auto wrong = [&](const std::string& what) {
        counts.lost++;
        return fmt::format("seed {}: {}; {}", seed, what, joined(settings));
    };
    int calls = 0;
    if (const int code = run_with(named(calm), calm, {}, calls); code != 0)
        return wrong(fmt::format("the calm twin ends with {}", code));

    const int blows = chance.from(1, 4);
    bool begun = false, disk_failed = false;
    for (int round = 0, code = -1; code != 0; round++) {
        if (round > 12) return wrong("it does not come to its end");
        const Blow blow = round < blows ? random_blow(chance, calls) : Blow{};
        Args args = named(tried);
        const bool any = fs::exists(tried) && !list_checkpoints(tried.string()).empty();
        if (any) args = {"--resume", tried.string(), "--threads", "1", "--device", on.device}, counts.resumes++;
        else if (fs::exists(tried)) args.push_back("--overwrite"), counts.restarts += begun;
        begun = true;
        if (any && chance.one_in(4)) {  // another process has the run
            const files::RunLock held(tried.string());
            int none = 0;
            counts.intruders++;
            if (const int code = run_with(args, tried, {}, none); code != int(Exit::locked))
                return wrong(fmt::format("a second process ends with {}", code));
        }
        int used = 0;
        code = run_with(args, tried, blow, used);
        count(counts, blow, code);
        disk_failed |= blow.kind == Blow::Kind::fault;
        const bool expected = code == 0 || code == -SIGKILL || (blow.kind == Blow::Kind::signal && code == 75) ||
                              (blow.kind == Blow::Kind::fault && code == int(Exit::io));
        if (!expected) return wrong(fmt::format("it ends with {} in round {}", code, round));
        if (any && list_checkpoints(tried.string()).empty()) return wrong("its checkpoints are gone");
    }
    const std::string what = difference_of(calm, tried, disk_failed);
    return what.empty() ? "" : wrong(what);
}
