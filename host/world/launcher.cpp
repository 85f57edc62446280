#include "launcher.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>
#include "host/base/signals.h"
#include "host/base/terminal.h"
#include "mpi.h"

namespace {

constexpr const char* install =
    "`dev/setup.sh ranks && make train_gpt` installs Open MPI (libopenmpi-dev, openmpi-bin) and builds with it";

struct Launcher {
    const char *by, *rank, *size;
    const char* needs = nullptr;  // a variable without which the others mean nothing
};
// In this order: an mpirun inside of a batch job of Slurm sees both.
constexpr Launcher launchers[] = {{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                  {"mpirun", "PMI_RANK", "PMI_SIZE"},
                                  {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"},
                                  {"torchrun", "RANK", "WORLD_SIZE", "MASTER_ADDR"}};

std::optional<int> whole(const char* text) {
    int value = 0;
    const char* const end = text + std::strlen(text);
    const auto [stop, error] = std::from_chars(text, end, value);
    return error == std::errc() && stop == end && value >= 0 ? std::optional(value) : std::nullopt;
}

}  // namespace

Launched launched_by(const Environment& environment) {
    for (const Launcher& l : launchers) {
        const char *const rank = environment(l.rank), *const size = environment(l.size);
        if (!rank && !size) continue;
        if (l.needs && !environment(l.needs)) continue;
        const auto is = rank ? whole(rank) : std::nullopt, of = size ? whole(size) : std::nullopt;
        if (is && of && *is < *of) return {*is, *of, l.by};
        const auto shown = [](const char* text) { return text ? "\"" + std::string(text) + "\"" : "not set"; };
        throw Error(Exit::usage, l.rank,
                    std::string("is ") + shown(rank) + " where " + l.size + " is " + shown(size) +
                        ": a rank is a number below the number of ranks",
                    std::string("start all ranks by ") + l.by + ", or unset both for one");
    }
    return {};
}

Launched launched_by() {
    return launched_by([](const char* name) { return static_cast<const char*>(std::getenv(name)); });
}

void require_joinable(const Launched& launched) {
    if (launched.size == 1) return;
    const std::string what = launched.by, ranks = std::to_string(launched.size) + " ranks";
    if (launched.by == "torchrun")
        throw Error(Exit::device, what, "started " + ranks + " that MPI knows nothing of",
                    "start them by `mpirun -n " + std::to_string(launched.size) + "`, `srun --mpi=pmix` or --ranks");
    if (!Mpi::built_in())
        throw Error(Exit::device, what, "started " + ranks + ", and this program was built without MPI", install);
}

namespace {

std::vector<std::string> own_arguments() {
    std::vector<std::string> all;
    std::ifstream file("/proc/self/cmdline");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    for (size_t at = 0, end; at < text.size(); at = end + 1) {
        end = std::min(text.find('\0', at), text.size());
        all.push_back(text.substr(at, end - at));
    }
    return all;
}

void set_default(const char* name, const std::string& value) { setenv(name, value.c_str(), 0); }

// mpirun's options as variables, which those of another MPI do not stumble over: more ranks than cores are fine, a rank
// may use all the cores that are its share, and in a container everything is root's.
void set_environment() {
    set_default("OMPI_MCA_rmaps_base_oversubscribe", "1");
    set_default("OMPI_MCA_hwloc_base_binding_policy", "none");
    set_default("OMPI_ALLOW_RUN_AS_ROOT", "1");
    set_default("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    if (is_terminal()) setenv(columns_variable, std::to_string(terminal_columns()).c_str(), 1);
}

[[noreturn]] void become_mpirun(int ranks, int errors) {
    setpgid(0, 0);  // Ctrl-C is ours to pass on: mpirun would kill
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(errors, STDERR_FILENO);
    set_environment();
    std::vector<std::string> words{"mpirun", "-n", std::to_string(ranks), "/proc/self/exe"};
    char self[4096];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    words.back().assign(self, size_t(std::max<ssize_t>(n, 0)));
    const std::vector<std::string> given = own_arguments();
    words.insert(words.end(), given.begin() + 1, given.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execvp("mpirun", arguments.data());
    _exit(127);
}

// "[host:123] Read -1, expected 9216, errno = 3": MPI's own words about a rank that is gone.
bool is_of_library(const std::string& line) {
    const size_t colon = line.find(':'), end = line.find(']');
    return line.starts_with('[') && colon < end && end < line.size() &&
           line.find_first_not_of("0123456789", colon + 1) == end;
}

// What comes from mpirun's stderr: lines of ranks go on to ours, what mpirun itself says is kept.
class Sieve {
public:
    std::string of_mpirun;
    bool ranks_complained = false;

    void take(std::string_view bytes) {
        for (const char c : bytes) {
            line += c;
            if (c == '\n') end_line();
        }
    }
    void end_line() {
        const bool rule = line.size() > 60 && line.find_first_not_of("-\n") == line.npos;
        if (rule) in_frame = !in_frame;
        else if (in_frame || line.starts_with("mpirun: ") || is_of_library(line)) of_mpirun += line;
        else std::fwrite(line.data(), 1, line.size(), stderr);
        ranks_complained |= !in_frame && line.starts_with("error: ");
        line.clear();
    }

private:
    std::string line;
    bool in_frame = false;
};

// Passes on what was asked of us since the last time.
void pass_on_signals(pid_t mpirun, bool& stopping) {
    if (stop_requested && !std::exchange(stopping, true)) kill(mpirun, SIGUSR1);
    if (save_requested.exchange(false)) kill(mpirun, SIGUSR2);
}

int number_behind(const std::string& text, const std::string& words) {
    const size_t at = text.find(words);
    return at == text.npos ? -1 : std::atoi(text.c_str() + at + words.size());
}

Exit judge(int status, const Sieve& said) {
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (code == 127) throw Error(Exit::device, "--ranks", "there is no mpirun", install);
    const bool ours = code <= int(Exit::locked) || code == int(Exit::stopped);
    if (code == 0 || (ours && (said.ranks_complained || code == int(Exit::stopped)))) return Exit(code);
    const std::string death = death_told_by_mpirun(said.of_mpirun);
    if (death.empty())
        throw Error(Exit::device, "mpirun", "ended with " + std::to_string(code) + ": " + said.of_mpirun);
    throw Error(Exit::device, death.substr(0, death.find(" was")), death.substr(death.find("was")),
                "all ranks have ended; the last checkpoint is whole: --resume");
}

}  // namespace

std::string death_told_by_mpirun(const std::string& said) {
    const int rank = number_behind(said, "process rank "), signal = number_behind(said, "exited on signal ");
    if (rank < 0 || signal < 0) return "";
    return "rank " + std::to_string(rank) + " was killed by signal " + std::to_string(signal);
}

Exit start_ranks(int ranks) {
    if (!Mpi::built_in())
        throw Error(Exit::device, "--ranks " + std::to_string(ranks), "this program was built without MPI", install);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) throw Error(Exit::io, "--ranks", std::strerror(errno));
    std::fflush(nullptr);
    const pid_t mpirun = fork();
    if (mpirun < 0) throw Error(Exit::device, "--ranks", std::strerror(errno));
    if (mpirun == 0) become_mpirun(ranks, ends[1]);
    close(ends[1]);
    Sieve said;
    bool stopping = false;
    char bytes[4096];
    for (pollfd from{ends[0], POLLIN, 0};;) {
        pass_on_signals(mpirun, stopping);
        if (poll(&from, 1, 50) <= 0) continue;
        const ssize_t n = read(ends[0], bytes, sizeof bytes);
        if (n <= 0) break;
        said.take({bytes, size_t(n)});
    }
    said.end_line();
    close(ends[0]);
    int status = 0;
    while (waitpid(mpirun, &status, 0) < 0 && errno == EINTR) {}
    return judge(status, said);
}
