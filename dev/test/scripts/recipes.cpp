// dev/recipes: every recipe says in the same words what it needs and must reach, and runs dry.
//     ./test_gpt --gtest_filter='recipes.*'
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <filesystem>
#include <map>
#include <regex>
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/text_search.h"
#include "host/base/files.h"
#include "host/commands/commands.h"

namespace {
namespace fs = std::filesystem;

using Texts = std::vector<std::string>;

struct recipes : testing::Test {
    const Temporary at;
    std::string output;
    int code = -1;

    void SetUp() override {
        if (!fs::exists("/bin/sh") || !fs::exists("dev/recipes/recipe.sh")) GTEST_SKIP() << "there is nothing to run";
    }
    void run(const std::string& command) {
        FILE* pipe = popen(("{ " + command + "; } 2>&1").c_str(), "r");
        char text[4096];
        for (output.clear(); std::fgets(text, sizeof text, pipe);) output += text;
        code = WEXITSTATUS(pclose(pipe));
    }
    static Texts all() {
        Texts names;
        for (const auto& entry : fs::directory_iterator("dev/recipes"))
            if (entry.path().extension() == ".sh" && entry.path().filename() != "recipe.sh" &&
                entry.path().filename() != "dry_run.sh")
                names.push_back(entry.path().string());
        return names;
    }
};

// The lines below the first: "# what it is", then these five, in this order.
Texts faults_of_header(const std::string& text) {
    Texts faults;
    std::vector<std::string> lines(1);
    for (const char c : text)
        if (c == '\n') lines.emplace_back();
        else lines.back() += c;
    lines.resize(std::max<size_t>(lines.size(), 7));
    if (lines[0] != "#!/bin/sh") faults.push_back("does not begin with #!/bin/sh");
    if (!std::regex_match(lines[1], std::regex("# [A-Z].*\\.   dev/recipes/[a-z0-9_.]+\\.sh.*")))
        faults.push_back("does not say what it is and how it is called");
    size_t at = 2;
    for (const char* what : {"hardware", "time", "figure", "source", "status"}) {
        const std::string begin = ("# " + std::string(what) + ":          ").substr(0, 12);
        if (!lines[at].starts_with(begin) || lines[at].size() < begin.size() + 3)
            faults.push_back("line " + std::to_string(at + 1) + " is not its " + what);
        at++;
    }
    if (!std::regex_search(lines[4], std::regex("[<>] [0-9.]+"))) faults.push_back("its figure is no number to reach");
    if (!std::regex_match(lines[6], std::regex("# status:   (not yet run|run 20[0-9-]{8}, .*[0-9].*)")))
        faults.push_back("its status is neither \"not yet run\" nor \"run DATE, what it reached\"");
    return faults;
}

std::string contents(const std::string& path) { return files::read_file(path, 1 << 20); }

TEST_F(recipes, say_what_they_need_and_must_reach) {
    EXPECT_GE(all().size(), 6u);
    for (const std::string& name : all()) {
        EXPECT_EQ(faults_of_header(contents(name)), Texts()) << name;
        EXPECT_TRUE(has(contents(name), "   " + name)) << name << " calls itself otherwise";
        EXPECT_EQ(access(name.c_str(), X_OK), 0) << name;
        EXPECT_TRUE(has(contents("README.md"), fs::path(name).stem().string())) << name << " is not in the README";
    }
}

TEST_F(recipes, a_header_with_a_fault_is_found) {
    const std::string good = contents("dev/recipes/tiny_shakespeare.sh");
    ASSERT_EQ(faults_of_header(good), Texts());
    for (const auto& [was, is] : std::map<std::string, std::string>{{"# hardware: ", "# needs:    "},
                                                                    {"# time:     ", "# time: "},
                                                                    {" < 1", " about 1"},
                                                                    {"# source:   ", "#"},
                                                                    {"# status:   ", "# status:   perhaps "},
                                                                    {"#!/bin/sh", "#!/bin/bash"}}) {
        std::string bad = good;
        bad.replace(bad.find(was), was.size(), is);
        EXPECT_FALSE(faults_of_header(bad).empty()) << is;
    }
}

// With the program that the tests have in them.
TEST_F(recipes, run_dry) {
    const std::string program = at / "train_gpt";
    overwrite(program, "#!/bin/sh\nexec " + fs::read_symlink("/proc/self/exe").string() + " --train-gpt \"$@\"\n");
    fs::permissions(program, fs::perms::owner_all);
    run("TRAIN_GPT=" + program + " dev/recipes/dry_run.sh");
    EXPECT_EQ(code, 0) << output;
    for (const std::string& name : all()) EXPECT_TRUE(has(output, "ok      " + name)) << name << '\n' << output;
}

TEST_F(recipes, a_recipe_that_breaks_is_named) {
    fs::create_directories(at.path / "recipes");
    for (const char* file : {"recipe.sh", "dry_run.sh"})
        fs::copy_file(std::string("dev/recipes/") + file, at.path / "recipes" / file);
    overwrite(at / "recipes/good.sh", "#!/bin/sh\necho fine\n");
    overwrite(at / "recipes/bad.sh", "#!/bin/sh\necho this went wrong >&2\nexit 3\n");
    for (const char* file : {"good.sh", "bad.sh"}) fs::permissions(at.path / "recipes" / file, fs::perms::owner_all);
    run("TRAIN_GPT=true '" + (at / "recipes/dry_run.sh") + "'");
    EXPECT_EQ(code, 1) << output;
    EXPECT_TRUE(has(output, "FAILED  ") && has(output, "bad.sh") && has(output, "this went wrong")) << output;
    EXPECT_TRUE(std::regex_search(output, std::regex("(^|\n)ok      [^\n]*good\\.sh"))) << output;
}

// Without a network, and with a file that is not the one it should be.
TEST_F(recipes, say_what_they_cannot_fetch) {
    const std::string in = "cd '" + at.path.string() + "' && BASE_URL=file://" + at.path.string() +
                           "/there TRAIN_GPT=/bin/true " + fs::absolute("dev/recipes/tiny_shakespeare.sh").string();
    run(in);
    EXPECT_EQ(code, 4) << output;
    EXPECT_TRUE(has(output, "error: data/tinyshakespeare.txt: could not be fetched from ")) << output;
    fs::create_directories(at.path / "there");
    overwrite(at / "there/input.txt", "too short");
    run(in);
    EXPECT_EQ(code, 3) << output;
    EXPECT_TRUE(has(output, "error: data/tinyshakespeare.txt: is not the file of 1115394 bytes")) << output;
    run("cd '" + at.path.string() + "' && TRAIN_GPT=./none " + fs::absolute("dev/recipes/chinese_book.sh").string());
    EXPECT_EQ(code, 2) << output;
    EXPECT_TRUE(has(output, "run make train_gpt first")) << output;
    run("cd '" + at.path.string() + "' && TRAIN_GPT=/bin/true " + fs::absolute("dev/recipes/chinese_book.sh").string());
    EXPECT_EQ(code, 2) << output;
    EXPECT_TRUE(has(output, "error: which book?")) << output;
}

// A figure that is missed ends a recipe with 6, however well it ran.
TEST_F(recipes, compare_the_figure) {
    for (const auto& [sign, value, expected] :
         {std::tuple("<", "1.69", 0), {"<", "1.71", 6}, {">", "1.71", 0}, {">", "1.69", 6}}) {
        overwrite(at / "one.sh", std::string("#!/bin/sh\n# figure:   val loss ") + sign + " 1.7, of all\nset -eu\n. " +
                                     fs::absolute("dev/recipes").string() + "/recipe.sh\nreached 'val loss' " + value +
                                     "\n");
        run("TRAIN_GPT=/bin/true sh '" + (at / "one.sh") + "'");
        EXPECT_EQ(code, expected) << sign << value << output;
        EXPECT_EQ(has(output, "NOT reached"), expected == 6) << output;
    }
}

}  // namespace
