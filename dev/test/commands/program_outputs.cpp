// What a command writes: to streams that nobody reads or that are full, and into files that a user named.
#include <fcntl.h>
#include "child_case.h"
#include "dev/test/support/text_search.h"
#include "host/base/json.h"
#include "host/checkpoint/checkpoint.h"
#include "host/data/shard_writer.h"
#include "program_case.h"

// ---- streams ----

TEST(program, a_run_without_standard_streams) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run";
    Child child(small(out, text), [] {
        for (int file = 0; file < 3; file++) close(file);
    });
    EXPECT_EQ(child.wait(), 0);
    std::ifstream log(out / "log.jsonl");
    for (std::string line; std::getline(log, line);) EXPECT_TRUE(Json::accept(line)) << line;
    EXPECT_TRUE(files::read_file((out / ".lock").string(), 1000).starts_with("pid "));
}

TEST(program, a_run_that_nobody_can_hear) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run";
    std::ofstream(text, std::ios::app) << "\xff";  // a warning
    Child child(small(out, text), [] {
        for (int file : {1, 2}) dup2(open("/dev/full", O_WRONLY), file);
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_TRUE(fs::exists(out / "step_00000008/manifest.json"));
}

TEST(program, output_that_is_lost_is_an_error) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    for (const Args& args : {Args{"plan", "--memory", "1GiB"}, Args{"--help"}, Args{"--version"},
                             Args{"tokenize", "--tokenizer", "byte", "--text", "a"}})
        EXPECT_EQ(Child(args, [] { dup2(open("/dev/full", O_WRONLY), 1); }).wait(), int(Exit::io)) << args[0];
}

// `train_gpt --help | head -1`
TEST(program, a_reader_that_has_seen_enough_is_no_error) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const std::string error = at / "error";
    for (const Args& args : {Args{"plan", "--memory", "1GiB"}, Args{"--help"}}) {
        Child child(args, [&] {
            int ends[2];
            if (pipe(ends)) _exit(99);
            close(ends[0]);
            dup2(ends[1], 1);
            dup2(open(error.c_str(), O_WRONLY | O_CREAT, 0600), 2);
        });
        EXPECT_EQ(child.wait(), 0);
        EXPECT_EQ(files::read_file(error, 1000), "");
    }
}

TEST(program, lost_lines_of_the_log_are_said_once) {
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run";
    ASSERT_EQ(program(small(out, text)).code, 0);
    fs::remove(out / "log.jsonl");
    fs::create_symlink("/dev/full", out / "log.jsonl");
    const Said said = program({"--resume", out.string(), "--steps", "12", "--device", "cpu"});
    EXPECT_EQ(said.code, 0) << said.error;
    EXPECT_EQ(count(said.error, "warning: "), 1) << said.error;
    EXPECT_TRUE(has(said.error, "lines of the log cannot be written")) << said.error;
}

// ---- files that a user names ----

TEST(program, pictures_replace_pictures_only) {
    const Temporary at;
    const fs::path text = write_text(at), out = at.path / "run", pipe = at.path / "pipe", link = at.path / "link";
    ASSERT_EQ(program(small(out, text)).code, 0);
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    fs::create_symlink("absent", link);
    fs::create_directory(at.path / "folder");
    overwrite(at / "notes.txt", "my notes");
    const auto plot = [&](const fs::path& to) { return program({"plot", out.string(), "--out", to.string()}); };
    const auto report = [&](const fs::path& to) { return program({"report", out.string(), "--out", to.string()}); };
    for (const fs::path& to : {pipe, link, at.path / "notes.txt", at.path / "folder"})
        for (const Said& said : {plot(to), report(to)}) {
            EXPECT_EQ(said.code, int(Exit::usage)) << said.error;
            EXPECT_TRUE(has(said.error, "not replaced")) << said.error;
        }
    EXPECT_TRUE(fs::is_fifo(pipe));
    EXPECT_TRUE(fs::is_symlink(link) && !fs::exists(at.path / "absent"));
    EXPECT_EQ(files::read_file(at / "notes.txt", 100), "my notes");
    EXPECT_EQ(plot(at.path / "a.svg").code, 0);
    EXPECT_EQ(plot(at.path / "a.svg").code, 0);
    EXPECT_EQ(report(at.path / "a.svg").code, int(Exit::usage));
    fs::remove(link), fs::create_symlink("a.svg", link);
    EXPECT_EQ(plot(link).code, 0);
    EXPECT_TRUE(fs::is_symlink(link));
    overwrite(at / "empty", "");
    EXPECT_EQ(report(at.path / "empty").code, 0);
}

TEST(program, tokenize_replaces_only_what_it_wrote) {
    const Temporary at;
    const fs::path text = write_text(at), model = at.path / "run/step_00000008", shards = at.path / "shards";
    ASSERT_EQ(program(small(at.path / "run", text)).code, 0);
    const auto shard = [&](const fs::path& out, const std::string& data) {
        return program({"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", data, "--out", out.string(),
                        "--overwrite"});
    };
    const auto train = [&](const fs::path& out, const std::string& data) {
        return program({"tokenize", "--train-bpe", "260", "--data", data, "--out", out.string(), "--overwrite"});
    };
    ASSERT_EQ(shard(shards, text.string()).code, 0);
    ASSERT_EQ(shard(shards, text.string()).code, 0);
    ASSERT_EQ(train(shards, text.string()).code, 0);
    const auto refused = [&](const Said& said, const char* says) {
        EXPECT_EQ(said.code, int(Exit::usage)) << said.error;
        EXPECT_TRUE(has(said.error, says)) << said.error;
    };
    for (const fs::path& out : {model, at.path / "run"}) refused(shard(out, text.string()), "not written by tokenize");
    refused(train(model, text.string()), "not written by tokenize");
    open_checkpoint(model.string());
    overwrite((shards / "notes.txt").string(), "mine");
    refused(shard(shards, text.string()), "notes.txt");
    EXPECT_EQ(files::read_file((shards / "notes.txt").string(), 100), "mine");
    fs::remove(shards / "notes.txt");
    refused(program({"tokenize", "--tokenizer", shards.string(), "--separator", "none", "--data", text.string(),
                     "--out", shards.string(), "--overwrite"}),
            "which is read");
    for (const char* other : {"tokens_1.bin", "tokens_000000.bin.bak", "tokens_x00000.bin"}) {
        EXPECT_FALSE(ShardWriter::is_ours(other));
        EXPECT_TRUE(ShardWriter::is_ours("tokens_1000000.bin"));
    }
}

// What a killed one left goes with the next one to the same place; one that still works is let alone.
TEST(program, tokenize_clears_up_after_killed_ones) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path text = write_text(at);
    const Args args{"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", "-", "--out", at / "out"};
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const auto temporaries = [&] {
        int n = 0;
        for (const std::string& name : files::list(at.path)) n += name.starts_with(".tmp.out.");
        return n;
    };
    Child killed(args, [&] { dup2(ends[0], 0), close(ends[1]); });
    EXPECT_TRUE(comes_true([&] { return temporaries() == 1; }));
    killed.signal(SIGKILL);
    killed.wait();
    EXPECT_EQ(temporaries(), 1);
    Child working(args, [&] { dup2(ends[0], 0), close(ends[1]); });
    EXPECT_TRUE(comes_true([&] { return temporaries() == 1 && !fs::exists(at / "out"); }));
    sleep_ms(100);
    EXPECT_EQ(temporaries(), 1);  // the working one's
    EXPECT_EQ(program({"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", text.string(), "--out",
                       at / "out"})
                  .code,
              0);
    EXPECT_EQ(temporaries(), 1);
    ASSERT_EQ(write(ends[1], "text", 4), 4);
    close(ends[1]), close(ends[0]);
    EXPECT_EQ(working.wait(), int(Exit::io));  // the other was first
    EXPECT_EQ(temporaries(), 0);
    EXPECT_EQ(read_json(at / "out/dataset.json")["source_bytes"], fs::file_size(text));
}
