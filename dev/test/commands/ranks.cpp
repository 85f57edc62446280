// Several ranks train as one does.      ./test_gpt --gtest_filter='ranks.*'
#include <fmt/core.h>
#include <random>
#include "dev/test/support/text_search.h"
#include "host/base/progress.h"
#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/model_files.h"
#include "host/options/options_check.h"
#include "host/plan/plan.h"
#include "ranks_case.h"

namespace {

constexpr int steps = 20;

std::string write_long_text(const Temporary& at) {
    std::ofstream file(at.path / "text.txt");
    for (int i = 0; i < 600; i++) file << "line " << i << " of " << i * i % 997 << " words, and " << i % 7 << " more\n";
    return at / "text.txt";
}

// A model of more than one bucket, with dropout; 12 sequences are a step of 1, 2, 3 or 4 ranks.
std::vector<std::string> flags(const std::string& out, const std::string& data,
                               const std::vector<std::string>& changes = {}) {
    std::vector<std::string> all{"--dim",           "64",
                                 "--heads",         "4",
                                 "--ffn",           "256",
                                 "--batch",         "12",
                                 "--steps",         std::to_string(steps),
                                 "--dropout",       "0.1",
                                 "--eval-every",    "10",
                                 "--save-every",    "5",
                                 "--keep",          "99",
                                 "--sample-tokens", "0",
                                 "--val-fraction",  "0.2"};
    all.insert(all.end(), changes.begin(), changes.end());
    return small(out, data, all);
}

std::vector<std::string> train_gpt(std::vector<std::string> args) {
    args.insert(args.begin(), {self(), "--train-gpt"});
    return args;
}
int run_program_of(const std::vector<std::string>& args, const std::string& said) {
    Program program(train_gpt(args), said);
    const int code = program.wait();
    if (code != 0) std::printf("%s\n", program.said().c_str());
    return code;
}

// The same run on 1 to 4 ranks, once for all tests.
struct Runs {
    Temporary at;
    std::string data = write_long_text(at);
    Runs() {
        for (int R = 1; R <= 4; R++)
            EXPECT_EQ(run_program_of(flags(of(R), data, {"--ranks", std::to_string(R)}), of(R) + ".txt"), 0);
    }
    std::string of(int R) const { return at / fmt::format("ranks{}", R); }
};
const Runs& runs() {
    static const Runs all;
    return all;
}

// A copy of a run as it was after a step.
std::string copy_at(const std::string& run, int step, const std::string& to) {
    const std::string name = checkpoint_name(step);
    fs::create_directory(to);
    fs::copy(run + "/" + name, to + "/" + name, fs::copy_options::recursive);
    fs::copy(run + "/log.jsonl", to + "/log.jsonl");
    return to;
}

bool stands_at(const fs::path& run, int step) { return fs::exists(run / checkpoint_name(step) / "manifest.json"); }

}  // namespace

TEST(ranks, losses_are_those_of_one) {
    SKIP_WITHOUT_MPI();
    ASSERT_EQ(loss_values(runs().of(1)).size(), size_t(steps) + 2);
    for (int R = 2; R <= 4; R++) expect_same_losses(runs().of(1), runs().of(R));
}

// Between machines it would be TCP that carries the bytes, in other pieces.
TEST(ranks, over_tcp_it_is_the_same) {
    SKIP_WITHOUT_MPI();
    const std::string tcp = runs().at / "tcp";
    std::vector<std::string> words = train_gpt(flags(tcp, runs().data, {"--ranks", "3"}));
    words.insert(words.begin(), {"env", "OMPI_MCA_btl=tcp,self", "OMPI_MCA_pml=ob1"});
    Program program(words, tcp + ".txt");
    ASSERT_EQ(program.wait(), 0) << program.said();
    EXPECT_EQ(losses(tcp), losses(runs().of(3)));
}

// Two on each of two machines: namespaces of the network, as far as Open MPI can tell.
TEST(ranks, on_two_machines_they_are_the_same) {
    SKIP_WITHOUT_MPI();
    const std::string spread = runs().at / "spread";
    std::vector<std::string> words = train_gpt(flags(spread, runs().data));
    words.insert(words.begin(), {"dev/two_hosts.sh", "2"});
    Program program(words, spread + ".txt");
    const int code = program.wait();
    if (code == 77 || code == 127) GTEST_SKIP() << program.said();
    ASSERT_EQ(code, 0) << program.said();
    EXPECT_EQ(losses(spread), losses(runs().of(4)));
    EXPECT_TRUE(has(program.said(), "on 4 ranks")) << program.said();
}

// The GPU's streams, graphs and buckets, on the CPU, with MPI in NCCL's place.
TEST(ranks, of_simulated_gpus) {
    SKIP_WITHOUT_MPI();
    const GpuFound gpu = find_gpu();
    if (gpu.kind != GpuFound::Kind::simulated) GTEST_SKIP() << "this build's kernels do not run on the CPU";
    for (const std::string dtype : {"fp32", "bf16"}) {
        const auto train = [&](int R) {
            const std::string run = runs().at / (dtype + std::to_string(R));
            const std::vector<std::string> changes{"--ranks",        std::to_string(R),
                                                   "--device",       kernels_of(gpu),
                                                   "--dtype",        dtype,
                                                   "--steps",        "3",
                                                   "--dim",          "32",
                                                   "--layers",       "1",
                                                   "--heads",        "1",
                                                   "--ffn",          "64",
                                                   "--total-batch",  "64",
                                                   "--batch",        "1",
                                                   "--eval-every",   "0",
                                                   "--save-every",   "0",
                                                   "--val-fraction", "0.01"};
            EXPECT_EQ(run_program_of(flags(run, runs().data, changes), run + ".txt"), 0);
            return loss_values(run);
        };
        const auto one = train(1), two = train(2);
        ASSERT_EQ(one.size(), 4u);
        for (const auto& [what, loss] : one) EXPECT_NEAR(two.at(what) / loss, 1, dtype == "fp32" ? 1e-6 : 1e-3) << what;
    }
}

TEST(ranks, as_many_give_the_same_bits) {
    SKIP_WITHOUT_MPI();
    const std::string again = runs().at / "again";
    ASSERT_EQ(run_program_of(flags(again, runs().data, {"--ranks", "3"}), again + ".txt"), 0);
    EXPECT_EQ(losses(again), losses(runs().of(3)));
    EXPECT_EQ(weights_of(again, steps), weights_of(runs().of(3), steps));
}

TEST(ranks, one_is_no_other_program) {
    SKIP_WITHOUT_MPI();
    const std::string plain = runs().at / "plain";
    ASSERT_EQ(run_program_of(flags(plain, runs().data), plain + ".txt"), 0);
    EXPECT_EQ(losses(plain), losses(runs().of(1)));
    EXPECT_EQ(weights_of(plain, steps), weights_of(runs().of(1), steps));
}

TEST(ranks, send_what_the_plan_says_to_the_byte) {
    SKIP_WITHOUT_MPI();
    for (int R = 2; R <= 4; R++) {
        const Config c = read_model_description(runs().of(R) + "/" + checkpoint_name(steps)).config;
        const Plan plan = make_plan(c, 12 / R, Dtype::fp32, Recompute::none, R);
        EXPECT_GE(plan.traffic.gradients, plan.parameters() * 4 * uint64_t(R - 1) / uint64_t(R));
        int found = 0;
        for (const Json& line : log_lines(runs().of(R)))
            if (line.contains("bytes_sent")) {
                EXPECT_EQ(line["bytes_sent"].get<uint64_t>(), plan.traffic.total()) << R << line;
                found++;
            }
        EXPECT_EQ(found, steps);
    }
}

TEST(ranks, checkpoints_are_resumed_by_any_number) {
    SKIP_WITHOUT_MPI();
    std::string run = runs().of(4);
    const std::pair<int, int> links[] = {{2, 5}, {3, 10}, {1, 15}};
    for (const auto& [R, step] : links) {
        const std::string next = copy_at(run, step, runs().at / fmt::format("resumed_by_{}", R));
        ASSERT_EQ(run_program_of({"--resume", next, "--ranks", std::to_string(R)}, next + ".txt"), 0);
        expect_same_losses(runs().of(1), next);
        run = next;
    }
}

TEST(ranks, print_into_files_of_their_own) {
    SKIP_WITHOUT_MPI();
    const std::string said = files::read_file(runs().of(3) + ".txt", 1 << 20);
    EXPECT_EQ(count(said, "model   "), 1) << said;
    EXPECT_TRUE(has(said, "12 sequences of 16 = 192 tokens a step on 3 ranks"));
    EXPECT_FALSE(has(said, "\r") || has(said, "\033"));  // mpirun gives ranks a terminal
    for (int rank = 1; rank < 3; rank++) {
        const std::string log = files::read_file(runs().of(3) + fmt::format("/rank_{}.log", rank), 1 << 20);
        EXPECT_TRUE(log.starts_with(fmt::format("rank {}: process ", rank)) && has(log, "\nstep 20 ")) << log;
    }
    EXPECT_FALSE(fs::exists(runs().of(3) + "/rank_0.log") || fs::exists(runs().of(1) + "/rank_1.log"));
    // They are the run's: they go with it.
    const std::string copy = runs().at / "overwritten";
    fs::copy(runs().of(3), copy, fs::copy_options::recursive);
    ASSERT_EQ(run_program_of(flags(copy, runs().data, {"--steps", "2", "--overwrite"}), copy + ".txt"), 0);
    EXPECT_FALSE(fs::exists(copy + "/rank_1.log"));
}

// ---- faults ----

namespace {

// A long run on three ranks that stands at least at step 5.
struct LongRun {
    Temporary at;
    std::string run = at / "run", said = at / "said";
    Program program;
    explicit LongRun(const std::string& patience)
        : program(train_gpt(flags(run, runs().data,
                                  {"--ranks", "3", "--steps", "100000", "--rank-timeout", patience, "--eval-every", "0",
                                   "--keep", "2"})),
                  said) {
        EXPECT_TRUE(comes_true([&] { return stands_at(run, 5); }));
    }
    // Resumed by another number of ranks, it goes on from its last checkpoint for a step.
    void expect_resumable() {
        const auto last = newest_checkpoint(run, [](const std::string&) {});
        ASSERT_TRUE(last);
        const std::string end = std::to_string(last->step + 1);
        EXPECT_EQ(run_program_of({"--resume", run, "--ranks", "2", "--steps", end}, said), 0);
    }
};

}  // namespace

TEST(ranks, one_that_is_killed_ends_all) {
    SKIP_WITHOUT_MPI();
    LongRun run("60");
    const double start = seconds();
    signal_rank(1, run.run, SIGKILL);
    EXPECT_EQ(run.program.wait(), 5);
    EXPECT_LT(seconds() - start, 30);
    const std::string said = run.program.said();
    EXPECT_TRUE(has(said, "error: rank 1: was killed by signal 9; ")) << said;
    EXPECT_FALSE(has(said, "mpirun")) << said;
    EXPECT_EQ(process_of(0, run.run), -1);
    run.expect_resumable();
}

TEST(ranks, one_that_stops_ends_all) {
    SKIP_WITHOUT_MPI();
    LongRun run("5");
    signal_rank(2, run.run, SIGSTOP);
    EXPECT_EQ(run.program.wait(), 5);
    const std::string said = run.program.said();
    EXPECT_TRUE(has(said, "error: rank 2: the others have waited 5 s for it: ")) << said;
    EXPECT_EQ(process_of(2, run.run), -1);
    run.expect_resumable();
}

TEST(ranks, a_signal_saves_and_stops_all) {
    SKIP_WITHOUT_MPI();
    LongRun run("60");
    run.program.signal(SIGTERM);
    EXPECT_EQ(run.program.wait(), 75) << run.program.said();
    EXPECT_TRUE(has(run.program.said(), "stopped: step "));
    run.expect_resumable();
}

// Any rank, or the program that started them, at any moment; then the run goes on with another number of ranks, or from
// its beginning if nothing was saved. RANKS_KILLS=100 does so a hundred times.
TEST(ranks, killed_again_and_again_lose_nothing) {
    SKIP_WITHOUT_MPI();
    const Temporary at;
    const std::string run = at / "run", said = at / "said";
    const char* const asked = std::getenv("RANKS_KILLS");
    std::mt19937 random(7);
    const auto draw = [&](int n) { return int(random() % unsigned(n)); };
    for (int kills = asked ? std::atoi(asked) : 3;; kills--) {
        const bool begun = fs::exists(run) && newest_checkpoint(run, [](const std::string&) {});
        const int R = kills > 0 ? 2 + draw(3) : 1;
        std::vector<std::string> args{"--resume", run, "--ranks", std::to_string(R)};
        if (!begun) args = flags(run, runs().data, {"--ranks", std::to_string(R), "--overwrite", "true"});
        Program program(train_gpt(args), said);
        if (kills == 0) {
            ASSERT_EQ(program.wait(), 0) << program.said();
            break;
        }
        const int victim = draw(R + 1) - 1;  // -1: who started them
        EXPECT_TRUE(comes_true([&] { return process_of(std::max(victim, 0), run) > 0; }));
        sleep_ms(draw(1500));
        if (victim < 0) program.signal(SIGKILL);
        else signal_rank(victim, run, SIGKILL);
        const int code = program.wait();
        EXPECT_TRUE(code == 5 || code == -SIGKILL || code == 0) << code << "\n" << program.said();
        EXPECT_TRUE(comes_true([&] { return process_of(0, run) < 0; }));  // it has the run's directory
    }
    expect_same_losses(runs().of(1), run);
}

// ---- ranks that are not the same ----

namespace {

// Two ranks in directories of their own; `first` and `second` follow what they have in common.
struct Pair {
    Temporary at;
    std::string a = at / "a", b = at / "b", said = at / "said", program_of_b = self();
    Pair() { fs::create_directory(a), fs::create_directory(b); }

    std::string end(const std::vector<std::string>& first, const std::vector<std::string>& second, int expected) {
        std::vector<std::string> words{"mpirun", "-n", "1", "--wdir", a, self(), "--train-gpt"};
        words.insert(words.end(), first.begin(), first.end());
        words.insert(words.end(), {":", "-n", "1", "--wdir", b, program_of_b, "--train-gpt"});
        words.insert(words.end(), second.begin(), second.end());
        Program program(words, said);
        EXPECT_EQ(program.wait(), expected);
        return program.said();
    }
    std::string end(const std::vector<std::string>& both, int expected) { return end(both, both, expected); }
};

}  // namespace

TEST(ranks, other_flags_are_named) {
    SKIP_WITHOUT_MPI();
    Pair pair;
    const std::string said = pair.end(flags("run", runs().data), flags("run", runs().data, {"--lr", "0.02"}), 5);
    EXPECT_TRUE(has(said, "error: rank 1: was started otherwise (flags.lr: 0.01 on rank 0, 0.02 on rank 1); ")) << said;
    EXPECT_FALSE(fs::exists(pair.a + "/run"));
}

TEST(ranks, another_program_is_named) {
    SKIP_WITHOUT_MPI();
    Pair pair;
    pair.program_of_b = pair.at / "program";
    fs::copy(self(), pair.program_of_b);
    std::ofstream(pair.program_of_b, std::ios::app) << "x";
    const std::string said = pair.end(flags("run", runs().data), 5);
    EXPECT_TRUE(has(said, "error: rank 1: was started otherwise (program: ")) << said;
}

TEST(ranks, other_data_are_named) {
    SKIP_WITHOUT_MPI();
    Pair pair;
    fs::copy(runs().data, pair.a + "/text.txt");
    fs::copy(runs().data, pair.b + "/text.txt");
    std::fstream(pair.b + "/text.txt", std::ios::in | std::ios::out) << "x";  // over the first byte
    const std::string said = pair.end(flags("run", "text.txt"), 5);
    EXPECT_TRUE(has(said, "error: rank 1: has another model, other data or another checkpoint (data: ")) << said;
    EXPECT_FALSE(fs::exists(pair.a + "/run"));
    fs::remove(pair.b + "/text.txt");
    EXPECT_TRUE(has(pair.end(flags("run", "text.txt"), 3), "error: rank 1: text.txt: "));
}

TEST(ranks, another_checkpoint_is_named) {
    SKIP_WITHOUT_MPI();
    Pair pair;
    copy_at(runs().of(2), 5, pair.a + "/run");
    copy_at(runs().of(3), 5, pair.b + "/run");
    const std::string said = pair.end({"--resume", "run"}, 5);
    EXPECT_TRUE(has(said, "error: rank 1: has another model, other data or another checkpoint (checkpoint: ")) << said;
}

TEST(ranks, that_cannot_share_a_step) {
    const auto refused = [](const std::vector<std::string>& more) {
        const Temporary at;
        return run(small(at.path / "run", "absent.txt", more)).error;
    };
    EXPECT_EQ(
        refused({"--batch", "12", "--ranks", "5"}),
        "--ranks: 5 do not divide the 12 sequences of a step; nearest: 4 or 6 ranks, or --total-batch 240 (nearest "
        "of 5 ranks)");
    EXPECT_EQ(refused({"--batch", "2", "--ranks", "3"}),
              "--ranks: 3 are more than the 2 sequences of a step; give --ranks 2, or --total-batch 48");
    EXPECT_EQ(refused({"--total-batch", "100", "--ranks", "2"}),
              "--total-batch: 100 is not a multiple of --context 16; nearest: 96 or 112");
    EXPECT_TRUE(has(refused({"--ranks", "0"}), "--ranks: must be at least 1"));
    EXPECT_TRUE(has(refused({"--rank-timeout", "0"}), "--rank-timeout: must be at least 1"));
    const std::string without_mpi =
        "--ranks 2: this program was built without MPI; `dev/setup.sh ranks && make train_gpt`";
    if (!Mpi::built_in()) { EXPECT_TRUE(has(refused({"--batch", "2", "--ranks", "2"}), without_mpi)); }
}

TEST(ranks, share_a_step_in_equal_micro_batches) {
    const auto micro = [](const std::string& batch, const std::string& ranks, int sequences) {
        return micro_batch(parse({"--batch", batch, "--ranks", ranks, "--total-batch", "30720"}), sequences);
    };
    EXPECT_EQ(micro("16", "4", 16), 4);
    EXPECT_EQ(micro("16", "2", 48), 12);
    EXPECT_EQ(micro("16", "3", 96), 16);
    EXPECT_EQ(micro("16", "2", 34), 1);
}
