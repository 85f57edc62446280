// `train_gpt` as several processes, as a user starts them.
#pragma once
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <map>
#include "child_case.h"
#include "host/world/mpi.h"

#define SKIP_WITHOUT_MPI() \
    if (!there_is_mpirun()) GTEST_SKIP() << "no MPI: apt-get install libopenmpi-dev openmpi-bin, then build again"

inline bool there_is_mpirun() {
    static const bool found = Mpi::built_in() && std::system("command -v mpirun >/dev/null 2>&1") == 0;
    return found;
}

inline std::string self() { return fs::read_symlink("/proc/self/exe").string(); }

// A program in a process of its own, its output in a file.
class Program {
public:
    // `words`: the command line.
    Program(std::vector<std::string> words, std::string said) : said_(std::move(said)) {
        std::fflush(nullptr);
        id = fork();
        ended = id < 0;
        EXPECT_FALSE(ended) << "no process to be had";
        if (id != 0) return;
        const int out = open(said_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(out, STDOUT_FILENO), dup2(out, STDERR_FILENO);
        for (const char* allowed :
             {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_rmaps_base_oversubscribe"})
            setenv(allowed, "1", 1);
        std::vector<char*> arguments;
        for (std::string& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        execvp(arguments[0], arguments.data());
        _exit(127);
    }
    ~Program() {
        if (!ended) kill(id, SIGTERM), waitpid(id, nullptr, 0);
    }
    Program(const Program&) = delete;

    int wait() {
        ended = true;
        return code_of(id);
    }
    std::string said() const { return files::read_file(said_, 1 << 20); }
    void signal(int number) const {
        if (!ended) kill(id, number);
    }

private:
    std::string said_;
    pid_t id;
    bool ended = false;
};

// The process that is rank `rank` of the run whose command line names `run`; -1: there is none yet.
inline pid_t process_of(int rank, const std::string& run) {
    const std::string wanted = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
    for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
        const pid_t id = std::atoi(entry.path().filename().c_str());
        if (id <= 0) continue;
        const auto lines = [&](const char* name) {
            std::ifstream file(entry.path() / name);
            std::vector<std::string> all;
            for (std::string line; std::getline(file, line, '\0');) all.push_back(line);
            return all;
        };
        if (std::ranges::count(lines("cmdline"), run) && std::ranges::count(lines("environ"), wanted)) return id;
    }
    return -1;
}

// If it is there: to kill process -1 would be to kill all.
inline void signal_rank(int rank, const std::string& run, int number) {
    if (const pid_t id = process_of(rank, run); id > 0) kill(id, number);
}

// Losses, and those of validations, by step.
inline std::map<std::string, double> loss_values(const fs::path& run) {
    std::map<std::string, double> all;
    for (const Json& line : log_lines(run))
        for (const char* key : {"loss", "val_loss"})
            if (line.contains(key)) all[std::string(key) + " " + std::to_string(line["step"].get<int>())] = line[key];
    return all;
}

inline void expect_same_losses(const fs::path& run, const fs::path& other) {
    const auto a = loss_values(run), b = loss_values(other);
    EXPECT_EQ(a.size(), b.size());
    for (const auto& [what, loss] : a) {
        ASSERT_TRUE(b.contains(what)) << what;
        EXPECT_NEAR(b.at(what) / loss, 1, 1e-6) << other << ": " << what;
    }
}
