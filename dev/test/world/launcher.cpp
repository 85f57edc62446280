// Who started this process as one of several, by environment variables.      ./test_gpt --gtest_filter='launcher.*'
#include "host/world/launcher.h"
#include <gtest/gtest.h>
#include <map>
#include "dev/test/support/expect_error.h"
#include "host/world/mpi.h"
#include "host/world/rank_output.h"

namespace {

using Variables = std::map<std::string, std::string>;

Environment of(const Variables& variables) {
    return [&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
    };
}

std::string text_of(const Variables& variables) {
    const Launched l = launched_by(of(variables));
    return std::to_string(l.rank) + " of " + std::to_string(l.size) + " " + l.by;
}

TEST(launcher, is_known_by_its_variables) {
    EXPECT_EQ(text_of({}), "0 of 1 ");
    EXPECT_EQ(text_of({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}}), "2 of 4 mpirun");
    EXPECT_EQ(text_of({{"PMI_RANK", "0"}, {"PMI_SIZE", "1"}}), "0 of 1 mpirun");
    const Variables slurm{{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "3"}, {"SLURM_STEP_ID", "0"}};
    EXPECT_EQ(text_of(slurm), "1 of 3 srun");
    Variables both = slurm;
    both.insert({{"OMPI_COMM_WORLD_RANK", "5"}, {"OMPI_COMM_WORLD_SIZE", "8"}});
    EXPECT_EQ(text_of(both), "5 of 8 mpirun");
    EXPECT_EQ(text_of({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "10.0.0.1"}}), "1 of 2 torchrun");
}

// A batch job's own shell is one process however many tasks the job has; RANK may be anybody's variable.
TEST(launcher, variables_that_mean_nothing_alone) {
    EXPECT_EQ(text_of({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}), "0 of 1 ");
    EXPECT_EQ(text_of({{"RANK", "captain"}}), "0 of 1 ");
}

TEST(launcher, variables_that_cannot_be) {
    const Variables wrong[] = {{{"OMPI_COMM_WORLD_RANK", "1"}},
                               {{"OMPI_COMM_WORLD_SIZE", "2"}},
                               {{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "2"}},
                               {{"OMPI_COMM_WORLD_RANK", "-1"}, {"OMPI_COMM_WORLD_SIZE", "2"}},
                               {{"PMI_RANK", "0x1"}, {"PMI_SIZE", "2"}},
                               {{"RANK", ""}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "h"}}};
    for (const Variables& variables : wrong)
        expect_error(Exit::usage, {"a rank is a number below the number of ranks"},
                     [&] { launched_by(of(variables)); });
    expect_error(Exit::usage, {"OMPI_COMM_WORLD_RANK: is \"1\" where OMPI_COMM_WORLD_SIZE is not set"},
                 [&] { launched_by(of(wrong[0])); });
}

TEST(launcher, what_cannot_be_joined) {
    require_joinable({});
    expect_error(Exit::device, {"torchrun: started 2 ranks that MPI knows nothing of", "mpirun -n 2"}, [] {
        require_joinable({0, 2, "torchrun"});
    });
    if (Mpi::built_in()) require_joinable({0, 2, "mpirun"});
    else
        expect_error(Exit::device, {"mpirun: started 2 ranks, and this program was built without MPI", "openmpi-bin"},
                     [] {
                         require_joinable({0, 2, "mpirun"});
                     });
}

TEST(launcher, who_died_by_mpirun_s_words) {
    EXPECT_EQ(death_told_by_mpirun("mpirun noticed that process rank 12 with PID 0 on node vm exited on signal 9 "
                                   "(Killed).\n"),
              "rank 12 was killed by signal 9");
    EXPECT_EQ(death_told_by_mpirun("There are not enough slots available\n"), "");
}

TEST(rank_output, names_of_its_files) {
    EXPECT_EQ(rank_log_name(3), "rank_3.log");
    EXPECT_TRUE(is_rank_log("rank_3.log") && is_rank_log("rank_12.log"));
    for (const char* other : {"rank_.log", "rank_3.log.old", "rank_x.log", "rank_3", "log.jsonl", "rank_3.logx"})
        EXPECT_FALSE(is_rank_log(other)) << other;
}

}  // namespace
