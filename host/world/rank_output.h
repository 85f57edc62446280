// What a rank prints. The first prints where the program was started; the others' stdout and stderr go to a file of
// their own in the run's directory, RUN/rank_1.log, and until it is known are kept in memory.
#pragma once
#include <string>

class RankOutput {
public:
    explicit RankOutput(int rank);
    ~RankOutput();
    RankOutput(const RankOutput&) = delete;

    void move_to(const std::string& directory);
    // "error: TEXT", of ranks other than the first "error: rank 2: TEXT", on the stderr that the program was started
    // with, and in the rank's file.
    void complain(const std::string& text) const;

private:
    int rank, kept = -1, stderr_before = -1;  // files
};
constexpr const char* rank_log_begin = "rank ";  // what every such file begins with
std::string rank_log_name(int rank);
bool is_rank_log(const std::string& name);
