// All of main: whatever the arguments and the machine, an error is one readable line and the code of its kind.
#include <sys/resource.h>
#include "child_case.h"
#include "dev/test/support/text_search.h"
#include "program_case.h"

namespace {

void expect_line(const Args& args, std::initializer_list<Exit> codes) {
    const Said said = program(args);
    SCOPED_TRACE(printable(args[0] + " " + args.back()).substr(0, 100) + ": " + said.error.substr(0, 200));
    EXPECT_TRUE(std::ranges::any_of(codes, [&](Exit code) { return said.code == int(code); })) << said.code;
    EXPECT_TRUE(said.error.starts_with("error: ")) << said.error;
    EXPECT_TRUE(is_readable(said.error));
    EXPECT_FALSE(has(said.error, "internal"));
}

// Every place of a command line that names a file.
std::vector<Args> with_path(const std::string& path) {
    return {{"--data", path},
            {"--val", path},
            {"--tokenizer", path},
            {"--model", path},
            {"--out", path + "/x"},
            {"--resume", path},
            {"--resume", path + "/step_00000001"},
            {"sample", "--model", path},
            {"sample", "--model", path, "--prompt-file", path},
            {"eval", "--model", path, "--data", path},
            {"plan", "--model", path},
            {"plot", path},
            {"report", path},
            {"tokenize", "--tokenizer", path, "--text", "a"},
            {"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", path, "--out", path + "/x"},
            {"tokenize", "--train-bpe", "300", "--data", path, "--out", path + "/x"}};
}

}  // namespace

TEST(program, paths_that_cannot_be) {
    const Temporary at;
    fs::create_symlink("loop", at.path / "loop");
    overwrite(at / "file", "text");
    const std::string hostile[] = {std::string(5000, 'x'),
                                   "/" + std::string(300, 'y'),
                                   at / "loop",
                                   at / "loop/x",
                                   at / "file/x",
                                   at / "file/absent\xff\xfe",
                                   at / "file/absent\x1b[2J\nerror: forged",
                                   "/proc/self/mem",
                                   "/dev/zero"};
    for (const std::string& path : hostile)
        for (const Args& args : with_path(path)) expect_line(args, {Exit::usage, Exit::input, Exit::io});
    EXPECT_EQ(files::list(at.path), (Args{"file", "loop"}));
}

TEST(program, files_whose_names_are_not_utf8_are_trained_on) {
    const Temporary at;
    const fs::path text = write_text(at, "t\xff\x1b[2J.txt"), out = at.path / "run\xfe";
    const Said said = program(small(out, text));
    EXPECT_EQ(said.code, 0) << said.error;
    EXPECT_EQ(said.out.find('\x1b'), said.out.npos);
    EXPECT_TRUE(fs::exists(out / "latest/manifest.json"));
    EXPECT_EQ(program({"sample", "--model", out.string(), "--tokens", "3", "--device", "cpu"}).code, 0);
}

TEST(program, a_current_directory_that_was_deleted) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
    const Temporary at;
    const fs::path gone = at.path / "gone", text = write_text(at);
    const auto leave = [&] {
        fs::create_directory(gone);
        fs::current_path(gone);
        fs::remove(gone);
    };
    Args args = small("x", text);
    EXPECT_EQ(Child(args, leave).wait(), int(Exit::io));
    args.resize(args.size() - 2);
    EXPECT_EQ(Child(args, leave).wait(), int(Exit::io));
    EXPECT_EQ(
        Child({"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", text.string(), "--out", "x"}, leave)
            .wait(),
        int(Exit::io));
}

// Names inside files: of tensors, keys and tokens, long and of any bytes.
TEST(program, names_in_files_are_shown_harmlessly) {
    const Temporary at;
    const std::string names[] = {"a\\u0000b", "\\u001b[2J", "x\\nerror: forged", "\\u202e",
                                 std::string(10'000'000, 'n')};
    fs::create_directory(at.path / "model");
    const auto model = [&](const std::string& config) {
        overwrite(at / "model/config.json", config);
        expect_line({"plan", "--model", at / "model"}, {Exit::input});
    };
    for (const std::string& name : names) {
        if (name.size() < 1 << 20) {  // longer ones are refused for that
            model("{\"model_type\": \"" + name + "\"}");
            model("{\"" + name + "\": 1, \"" + name + "\": 2}");
        }
        const std::string header = "{\"" + name + "\": {\"dtype\": \"F99\", \"shape\": [1], \"data_offsets\": [0, 4]}}";
        uint64_t size = header.size();
        std::string file(reinterpret_cast<const char*>(&size), 8);
        overwrite(at / "model/model.safetensors", file + header + "1234");
        overwrite(at / "model/config.json",
                  "{\"model_type\": \"gpt2\", \"n_layer\": 1, \"n_embd\": 8, \"n_head\": 1, \"vocab_size\": 300}");
        expect_line({"eval", "--model", at / "model", "--data", at / "model/config.json", "--tokenizer", "byte",
                     "--device", "cpu"},
                    {Exit::input});
        overwrite(at / "lines.jsonl", "{\"" + name + "\": 1}\n");
        expect_line({"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", at / "lines.jsonl", "--out",
                     at / "out"},
                    {Exit::input});
        overwrite(at / "tokenizer.json", "{\"" + name + "\": {}, \"model\": {\"type\": \"" + name + "\"}}");
        expect_line({"tokenize", "--tokenizer", at / "tokenizer.json", "--text", "a"}, {Exit::input});
    }
}

TEST(program, arguments_are_shown_harmlessly) {
    const std::string hostile[] = {"\x1b[2J", "x\nerror: forged", "\xff", std::string(100'000, 'x')};
    for (const std::string& text : hostile) {
        expect_line({text}, {Exit::usage});
        expect_line({"--" + text}, {Exit::usage});
        for (const char* flag : {"--steps", "--lr", "--schedule", "--model", "--gemm", "--token-type"})
            expect_line({flag, text}, {Exit::usage});
        expect_line({"--steps", text, "--steps", "3"}, {Exit::usage});
        expect_line({"tokenize", "--tokenizer", "byte", "--ids", text}, {Exit::usage, Exit::input});
    }
    const Said several = program({"--steps", "x", "--lr", "y"});
    EXPECT_EQ(count(several.error, "error: "), 2);
    EXPECT_EQ(count(several.error, "\n"), 2);
}

// Directories that were named so: in what a command says when it is done.
TEST(program, what_is_said_at_the_end_is_shown_harmlessly) {
    const Temporary at;
    const std::string text = write_text(at).string(), hostile = at / "a\x1b[2J\nb";
    const std::string run = hostile + "run";
    for (const Args& args :
         {Args(small(run, text, {"--sample-tokens", "0"})),
          Args(small(run, text, {"--sample-tokens", "0", "--overwrite"})),
          Args{"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", text, "--out", hostile + "shards"},
          Args{"tokenize", "--train-bpe", "260", "--data", text, "--out", hostile + "bpe"},
          Args{"plot", run, "--out", hostile + ".svg"}, Args{"report", run, "--out", hostile + ".html"}}) {
        const Said said = program(args);
        EXPECT_EQ(said.code, 0) << args[0] << ": " << said.error;
        EXPECT_TRUE(has(said.out, "a\\x1b[2J\\x0ab")) << args[0] << ": " << said.out;
        EXPECT_FALSE(has(said.out + said.error, "\x1b")) << args[0];
    }
}

TEST(program, too_little_memory_is_a_line) {
    SKIP_WHERE_A_CHILD_HAS_NO_THREADS();
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "AddressSanitizer needs all of the address space";
#endif
    const Temporary at;
    overwrite(at / "big.txt", std::string(300 << 20, 'x'));
    std::vector<std::string> args = small(at.path / "run", at.path / "big.txt", {"--threads", "1"});
    // As a program of its own: in a fork there is memory that earlier tests gave back.
    const auto little = [&] {
        const rlimit limit = {rlim_t(700) << 20, rlim_t(700) << 20};
        setrlimit(RLIMIT_AS, &limit);
        std::string program = "test_gpt", command = "--train-gpt";
        std::vector<char*> words{program.data(), command.data()};
        for (std::string& arg : args) words.push_back(arg.data());
        words.push_back(nullptr);
        execv("/proc/self/exe", words.data());
        _exit(99);
    };
    EXPECT_EQ(Child(args, little).wait(), int(Exit::device));
    EXPECT_FALSE(fs::exists(at.path / "run"));
}

TEST(program, a_pipe_that_nobody_writes_into_is_named) {
    const Temporary at;
    const std::string pipe = at / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    std::thread writer([&] {
        sleep_ms(1500);
        overwrite(pipe, "text");
    });
    const Said said =
        program({"tokenize", "--tokenizer", "byte", "--separator", "none", "--data", pipe, "--out", at / "out"});
    writer.join();
    EXPECT_EQ(said.code, 0) << said.error;
    EXPECT_TRUE(has(said.error, "a pipe that nobody has written into yet")) << said.error;
}

TEST(program, models_in_files_are_told_what_to_give) {
    const Temporary at;
    for (const char* name : {"x.gguf", "x.pt", "x.safetensors", "x.txt"}) {
        overwrite(at / name, "1234567890");
        for (const Args& args : {Args{"plan", "--model", at / name}, Args{"sample", "--model", at / name}}) {
            const Said said = program(args);
            EXPECT_EQ(said.code, int(Exit::input));
            EXPECT_TRUE(has(said.error, "directory")) << said.error;
            EXPECT_TRUE(is_readable(said.error)) << said.error;
        }
    }
    EXPECT_TRUE(has(program({"plan", "--model", at / "x.gguf"}).error, "GGUF"));
}

TEST(program, a_tokenizer_that_does_not_fit_is_named) {
    const Temporary at;
    const fs::path text = write_text(at), chars = at.path / "chars", bytes = at.path / "bytes";
    ASSERT_EQ(program(small(chars, text, {"--tokenizer", "char", "--steps", "2"})).code, 0);
    ASSERT_EQ(program(small(bytes, text, {"--steps", "2"})).code, 0);
    const std::string other = (bytes / "latest").string();
    for (const Said& said :
         {program({"sample", "--model", chars.string(), "--tokenizer", other, "--prompt", "zzz", "--device", "cpu"}),
          program(
              {"eval", "--model", chars.string(), "--tokenizer", other, "--data", text.string(), "--device", "cpu"})}) {
        EXPECT_EQ(said.code, int(Exit::input));
        EXPECT_TRUE(has(said.error, other)) << said.error;
    }
}
