// The book (dev/doc) and the pages beside the README, read as a test: every link, path, function, flag, test and
// benchmark they name exists, and what they quote of the source and of `plan` is there.
//     ./test_gpt --gtest_filter='book.*'
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include "dev/bench/bench.h"
#include "dev/test/support/captured.h"
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/text_search.h"
#include "host/base/files.h"
#include "host/options/flag_table.h"
#include "host/options/model_options.h"
#include "host/options/options_parse.h"
#include "host/plan/plan_command.h"

namespace {
namespace fs = std::filesystem;

using Texts = std::vector<std::string>;

struct Page {
    fs::path path;  // from the repository's root, where the tests run
    std::string text;
};

std::string contents(const fs::path& path) { return files::read_file(path.string(), 1 << 20); }

Texts lines_of(const std::string& text) {
    Texts lines(1);
    for (const char c : text) {
        if (c == '\n') lines.emplace_back();
        else lines.back() += c;
    }
    return lines;
}

// What stands between fences or is indented by four blanks is code: commands, but no links.
Texts prose_of(const std::string& text) {
    Texts prose;
    bool fenced = false;
    for (const std::string& line : lines_of(text)) {
        if (line.starts_with("```")) fenced = !fenced;
        else if (!fenced && !line.starts_with("    ")) prose.push_back(line);
    }
    return prose;
}

// The anchors GitHub gives a page's headings.
std::set<std::string> anchors_of(const std::string& text) {
    std::set<std::string> anchors;
    for (const std::string& line : prose_of(text)) {
        const size_t begin = line.find_first_not_of('#');
        if (begin == 0 || begin == line.npos || line[begin] != ' ') continue;
        std::string anchor;
        for (const char c : line.substr(begin + 1)) {
            if (c == ' ' || c == '-') anchor += '-';
            else if (is_word(c)) anchor += char(std::tolower(c));
        }
        anchors.insert(anchor);
    }
    return anchors;
}

// [`name`](file) says that the file has that name; [text](page#anchor) that the page has that heading.
std::string fault_of_link(const Page& page, const std::string& name, const std::string& target) {
    if (target.starts_with("http")) return "";
    const size_t hash = std::min(target.find('#'), target.size());
    const fs::path path = hash ? (page.path.parent_path() / target.substr(0, hash)).lexically_normal() : page.path;
    if (hash && !fs::exists(path)) return fmt::format("link to {}: there is no {}", target, path.string());
    if (hash && !fs::is_regular_file(path)) return "";
    const std::string text = hash ? contents(path) : page.text;
    if (hash < target.size() && !anchors_of(text).contains(target.substr(hash + 1)))
        return fmt::format("link to {}: no such heading", target);
    if (name.size() > 2 && name.front() == '`' && path.extension() != ".md") {
        const std::string word = name.substr(1, name.size() - 2);
        if (std::ranges::all_of(word, is_word) && !has_word(text, word))
            return fmt::format("{} is not in {}", word, path.string());
    }
    return "";
}

Texts faults_of_links(const Page& page) {
    Texts faults;
    const std::regex link(R"(\[([^\[\]]*)\]\(([^() ]+)\))");
    for (const std::string& line : prose_of(page.text))
        for (std::sregex_iterator at(line.begin(), line.end(), link), end; at != end; ++at)
            faults.push_back(fault_of_link(page, (*at)[1], (*at)[2]));
    return faults;
}

// Names such as dev/bench/bench.h, anywhere. Those with a star or NAME in them stand for several.
Texts faults_of_paths(const Page& page) {
    Texts faults;
    const std::string& text = page.text;
    const auto goes_on = [](char c) { return is_word(c) || c == '/' || c == '.' || c == '-' || c == '*'; };
    for (const std::string folder : {"kernels/", "host/", "dev/"})
        for (size_t at = text.find(folder); at != text.npos; at = text.find(folder, at + 1)) {
            if (at > 0 && goes_on(text[at - 1])) continue;
            size_t end = at;
            while (end < text.size() && goes_on(text[end])) end++;
            while (text[end - 1] == '.') end--;
            const std::string path = text.substr(at, end - at);
            if (path.find('*') != path.npos || path.find("NAME") != path.npos) continue;
            if (!fs::exists(path)) faults.push_back(fmt::format("there is no {}", path));
        }
    return faults;
}

// The words of every command of this program, up to its end: the line's, a comment, a pipe, or the end of `code`.
std::vector<Texts> commands_of(const std::string& text, const std::string& program) {
    const std::string joined = std::regex_replace(text, std::regex(R"(\\\n)"), " ");
    std::vector<Texts> commands;
    for (size_t at = joined.find(program); at != joined.npos; at = joined.find(program, at + 1)) {
        size_t i = at + program.size();
        if (joined.compare(i, 5, "_simt") == 0) i += 5;
        if (i >= joined.size() || joined[i] != ' ') continue;
        Texts words;
        char quote = 0;
        for (; i < joined.size() && joined[i] != '\n'; i++) {
            const char c = joined[i];
            if (quote ? c == quote : c == '\'' || c == '"') {
                if (!quote && words.back().empty()) words.back() = c;  // all of it is text, and no flag
                quote = quote ? 0 : c;
            } else if (quote) words.back() += c;
            else if (c == '`' || c == '|' || c == ';' || c == '&' || c == '#' || c == '(' || c == ')') break;
            else if (c == ' ') words.emplace_back();
            else words.back() += c;
        }
        std::erase(words, "");
        commands.push_back(words);
    }
    return commands;
}

std::string flag_of(const std::string& word) { return word.substr(2, word.find('=') - 2); }
bool is_flag(const std::string& word) { return word.starts_with("--") && word.size() > 2; }

Texts faults_of_flags(const Page& page) {
    Texts faults;
    const std::string text = std::regex_replace(page.text, std::regex(R"(\.py \./train_gpt)"), ".py");  // its argument
    for (const Texts& words : commands_of(text, "./train_gpt"))
        if (!words.empty() && !words[0].starts_with('-') && !from_name<Command>(words[0]))
            faults.push_back(fmt::format("train_gpt has no command {}", words[0]));
    for (const Texts& words : commands_of(page.text, "train_gpt")) {
        const auto named = words.empty() ? std::nullopt : from_name<Command>(words[0]);
        const Command command = named.value_or(Command::train);
        for (const std::string& word : words)
            if (is_flag(word) && flag_of(word) != "help" && !find_flag(flag_of(word), command))
                faults.push_back(fmt::format("train_gpt {} has no --{}", name_of(command), flag_of(word)));
    }
    // `--flag` by itself is one of any command's, or of the other programs that the pages run.
    const std::set<std::string> others = {"bench", "json", "against", "gtest_filter", "clock-control"};
    const std::regex alone("`(--[^`]*)`");
    for (std::sregex_iterator at(page.text.begin(), page.text.end(), alone), end; at != end; ++at)
        for (const Texts& words : commands_of("x " + (*at)[1].str(), "x"))
            for (const std::string& word : words) {
                if (!is_flag(word) || others.contains(flag_of(word))) continue;
                if (std::ranges::none_of(flags(), [&](const Flag& f) { return f.name == flag_of(word); }))
                    faults.push_back(fmt::format("nothing has a flag --{}", flag_of(word)));
            }
    return faults;
}

// Of gtest's filters: * is any text, ? any letter.
bool matches(const char* pattern, const char* name) {
    if (*pattern == '*') return matches(pattern + 1, name) || (*name && matches(pattern, name + 1));
    if (!*pattern || !*name) return *pattern == *name;
    return (*pattern == '?' || *pattern == *name) && matches(pattern + 1, name + 1);
}

bool some_test_matches(const std::string& pattern) {
    const testing::UnitTest& all = *testing::UnitTest::GetInstance();
    for (int s = 0; s < all.total_test_suite_count(); s++)
        for (int t = 0; t < all.GetTestSuite(s)->total_test_count(); t++) {
            const testing::TestInfo& test = *all.GetTestSuite(s)->GetTestInfo(t);
            const std::string name = fmt::format("{}.{}", test.test_suite_name(), test.name());
            if (matches(pattern.c_str(), name.c_str())) return true;
        }
    return false;
}

// Of tests that need dev/simt a program that nvcc has built knows nothing. Of dev/ptx's only the one that runs PTX
// does.
bool is_elsewhere(const std::string& pattern) {
    const auto of = [&](const char* suite) {
        return pattern.starts_with(suite) && !some_test_matches(suite + std::string("*"));
    };
    return of("simt.") || of("ptx_") || of("self_check_run");
}

bool some_benchmark_matches(const std::string& name) {
    return std::ranges::any_of(benchmarks(), [&](const Benchmark& b) { return b.name.find(name) != b.name.npos; });
}

Texts faults_of_tests(const Page& page) {
    Texts faults;
    for (const Texts& words : commands_of(page.text, "test_gpt")) {
        bool bench = false;
        for (size_t i = 0; i < words.size(); i++) {
            if (words[i].starts_with("--gtest_filter=")) {
                std::string patterns = words[i].substr(words[i].find('=') + 1);
                patterns = patterns.substr(0, patterns.find('-')) + ":";
                for (size_t begin = 0, end; (end = patterns.find(':', begin)) != patterns.npos; begin = end + 1)
                    if (const std::string one = patterns.substr(begin, end - begin);
                        !some_test_matches(one) && !is_elsewhere(one))
                        faults.push_back(fmt::format("no test matches {}", one));
            } else if (words[i] == "--bench") {
                bench = true;
            } else if (words[i] == "--json" || words[i] == "--against") {
                i++;
            } else if (bench && !some_benchmark_matches(words[i])) {
                faults.push_back(fmt::format("no benchmark is called {}", words[i]));
            }
        }
    }
    return faults;
}

// Below `$ ./train_gpt plan ...` stand lines that it prints, with a GPU and without; "..." stands for others.
Texts faults_of_quotes(const Page& page) {
    Texts faults, printed;  // by the command that is quoted, if one is
    const auto prints = [](const std::string& line) {
        return [=](const std::string& text) { return text.find("\n" + line + "\n") != text.npos; };
    };
    for (const std::string& line : lines_of(page.text)) {
        if (line.starts_with("```") || line.empty()) printed.clear();
        if (line.starts_with("$ ./train_gpt plan")) {
            Options options = parse(commands_of(line, "train_gpt").at(0));
            printed.clear();
            for (const Dtype dtype :
                 {dtype_on(Processor::cpu, options.dtype), dtype_on(Processor::gpu, options.dtype)}) {
                options.dtype = dtype;
                Captured output;
                run_plan(options, model_config(options));
                printed.push_back("\n" + output.take());
            }
        } else if (line != "..." && !std::ranges::all_of(printed, prints(line))) {
            faults.push_back(fmt::format("plan does not print: {}", line));
        }
    }
    return faults;
}

std::string trimmed(const std::string& line) {
    const size_t begin = line.find_first_not_of(' ');
    return begin == line.npos ? "" : line.substr(begin, line.find_last_not_of(' ') + 1 - begin);
}

// A block of cpp begins with a comment that names a file, in which the rest of it stands.
Texts faults_of_excerpts(const Page& page) {
    Texts faults;
    const Texts lines = lines_of(page.text);
    for (size_t i = 0; i + 1 < lines.size(); i++) {
        if (lines[i] != "```cpp") continue;
        const std::string file = trimmed(lines[i + 1]).substr(std::min<size_t>(3, lines[i + 1].size()));
        std::string excerpt, source;
        for (i += 2; i < lines.size() && lines[i] != "```"; i++) excerpt += trimmed(lines[i]) + "\n";
        if (fs::is_regular_file(file))
            for (const std::string& line : lines_of(contents(file))) source += trimmed(line) + "\n";
        if (source.find("\n" + excerpt) == source.npos) faults.push_back(fmt::format("not in {}: {}", file, excerpt));
    }
    return faults;
}

Texts faults_of(const Page& page) {
    Texts all;
    for (const auto& faults :
         {faults_of_links, faults_of_paths, faults_of_flags, faults_of_tests, faults_of_quotes, faults_of_excerpts})
        std::ranges::move(faults(page), std::back_inserter(all));
    std::erase(all, "");
    return all;
}

TEST(book, names_what_exists) {
    if (!fs::exists("Makefile")) GTEST_SKIP() << "the sources are not here";
    std::vector<fs::path> pages = {"README.md", "README.zh.md", "CONTRIBUTING.md", "CHANGELOG.md"};
    for (const auto& entry : fs::directory_iterator("dev/doc"))
        if (entry.path().extension() == ".md") pages.push_back(entry.path());
    ASSERT_GT(pages.size(), 10u);
    const std::string contents_page = contents("dev/doc/README.md");
    for (const fs::path& path : pages) {
        for (const std::string& fault : faults_of({path, contents(path)})) ADD_FAILURE() << path << ": " << fault;
        const bool listed = contents_page.find("(" + path.filename().string() + ")") != contents_page.npos;
        EXPECT_TRUE(listed || path.filename() == "README.md" || !path.has_parent_path())
            << path << " is not in the book's table of contents";
    }
}

// Tests say in their first lines how they are run.
TEST(book, filters_in_sources_match) {
    if (!fs::exists("dev/test")) GTEST_SKIP() << "the sources are not here";
    for (const char* folder : {"dev/test", "dev/bench", "dev/simt", "dev/ptx"})
        for (const auto& entry : fs::recursive_directory_iterator(folder)) {
            if (!entry.is_regular_file() || entry.path().filename() == "book.cpp") continue;  // wrong ones on purpose
            for (const std::string& fault : faults_of_tests({entry.path(), contents(entry.path())})) {
                EXPECT_FALSE(fault.starts_with("no test")) << entry.path() << ": " << fault;
            }
        }
}

// The faults of a page in dev/doc.
Texts faults_in(const std::string& text) { return faults_of({"dev/doc/page.md", text}); }

TEST(book, mistakes_are_found) {
    if (!fs::exists("Makefile")) GTEST_SKIP() << "the sources are not here";
    const std::vector<std::pair<std::string, std::string>> mistakes = {
        {"see [it](nowhere.md)", "link to nowhere.md: there is no dev/doc/nowhere.md"},
        {"see [it](gemm.md#the-lader)", "link to gemm.md#the-lader: no such heading"},
        {"# One\n\n[two](#two)", "link to #two: no such heading"},
        {"[`softmax_foward`](../../host/reference/softmax.h)", "softmax_foward is not in host/reference/softmax.h"},
        {"[`softmax`](../../host/reference/softmax.h)", "softmax is not in host/reference/softmax.h"},  // not by itself
        {"`host/reference/softmx.h` is", "there is no host/reference/softmx.h"},
        {"in kernels/nothing.cuh.", "there is no kernels/nothing.cuh"},
        {"```\n./train_gpt --learning-rate 1\n```", "train_gpt train has no --learning-rate"},
        {"    ./train_gpt plan --model gpt2 \\\n        --lr 1 # --no", "train_gpt plan has no --lr"},
        {"`./train_gpt_simt sample --prompt '--x' --steps=3`", "train_gpt sample has no --steps"},
        {"`./train_gpt_simt evla --data x` it", "train_gpt has no command evla"},
        {"with `--lr 1 --warmop 3` it", "nothing has a flag --warmop"},
        {"`./test_gpt_simt --gtest_filter='softmax.*:sotfmax.*'`", "no test matches sotfmax.*"},
        {"`./test_gpt --gtest_filter=softmax.golde`", "no test matches softmax.golde"},
        {"    ./test_gpt --bench kernel krenels --json x.json", "no benchmark is called krenels"},
        {"```\n$ ./train_gpt plan --model gpt2\ngpt2: 124,439,808 parameters\n...\n  KV cache\n```",
         "plan does not print:   KV cache"},
        {"```cpp\n// kernels/relu.cuh\nint row_warps = 5;\n```", "not in kernels/relu.cuh: int row_warps = 5;\n"},
        {"```cpp\n// kernels\n#pragma once\n```", "not in kernels: #pragma once\n"},
    };
    for (const auto& [text, fault] : mistakes) EXPECT_EQ(faults_in(text), Texts{fault}) << text;
}

TEST(book, what_is_right_is_no_mistake) {
    if (!fs::exists("Makefile")) GTEST_SKIP() << "the sources are not here";
    for (const std::string text : {
             "see [it](gemm.md#the-ladder), [that](https://example.org/x) and [`dev`](../../dev)",
             "# One, two: 3\n\n[there](#one-two-3)",
             "[`softmax_forward`](../../host/reference/softmax.h) and [`x + y`](../../host/reference/softmax.h)",
             "```\n[no link](nowhere.md)\n```\nand\n\n    [none](nowhere.md)",
             "host/reference/NAME.h, kernels/*.cuh, dev/doc, build/dev/nothing.o, and `dev/bench/bench.h`.",
             "`./train_gpt --model gpt2` | --table | `./train_gpt plan --model tiny --memory 1GiB`, --alone",
             "    ./train_gpt --data 'a b --c' --lr=1 && ls --all      # --nothing",
             "`train_gpt` alone, and `--dropout 0.1 --lr 3` too, `--gtest_filter`",
             "    ./test_gpt --gtest_filter='softmax*:book.m?stakes_are_found-book.x*'",
             "    ./test_gpt --bench --json x.json",
             "`./train_gpt plot a`, `python dev/rivals/tokenizers_rate.py ./train_gpt FOLDER`",
             "```cpp\n// kernels/relu.cuh\n  #pragma once\n#include \"host/reference/relu.h\"\n```",
             "$ ./train_gpt plan --model gpt2 --tied=false\ngpt2: 163,037,184 parameters\n\nno output",
         })
        EXPECT_EQ(faults_in(text), Texts{}) << text;
}

TEST(book, readme_counts_the_mutants) {
    if (!fs::exists("Makefile")) GTEST_SKIP() << "the sources are not here";
    const int mutants = count("\n" + contents("dev/mutants/mutants.txt"), "\nmutant: ");
    EXPECT_EQ(count(contents("README.md"), fmt::format("`dev/mutants/mutants.sh` plants {} bugs", mutants)), 1);
}

// dev/profile.sh runs what dev/doc/profiling.md writes out.
TEST(book, profiling_commands) {
    if (!fs::exists("dev/doc")) GTEST_SKIP() << "the book is not here";
    const Temporary tools;
    for (const char* tool : {"nsys", "ncu"}) {
        std::ofstream(tools.path / tool) << "#!/bin/sh\necho \"${0##*/} $*\"\n";
        fs::permissions(tools.path / tool, fs::perms::owner_all);
    }
    const std::string page = std::regex_replace(contents("dev/doc/profiling.md"), std::regex(R"( \\\n +)"), " ");
    const auto run = [&](const std::string& command, int code) {
        std::FILE* pipe = popen(fmt::format("PATH={}:$PATH; {}", tools.path.string(), command).c_str(), "r");
        std::string output;
        for (int c; (c = std::fgetc(pipe)) != EOF;) output += char(c);
        EXPECT_EQ(WEXITSTATUS(pclose(pipe)), code) << command;
        return output;
    };
    for (const char* arguments : {"nsys", "ncu layernorm_backward"}) {
        std::string output = run(fmt::format("dev/profile.sh {}", arguments), 0);
        output = std::regex_replace(output, std::regex("--out [^ \n]+"), "--out DIR");
        const Texts ran = lines_of(output);
        ASSERT_EQ(ran.size(), 3u) << output;  // to record, to print; and nothing behind the last newline
        for (const std::string& line : {ran[0], ran[1]})
            EXPECT_TRUE(page.find("    " + line + "\n") != page.npos) << "not in dev/doc/profiling.md: " << line;
    }
    const std::string elsewhere = run("cd dev && ./profile.sh nsys --data text", 0);  // paths are the caller's
    const std::string program = fs::current_path().string() + "/train_gpt";
    EXPECT_EQ(count(elsewhere, program + " train --device cuda --data text "), 1) << elsewhere;
    EXPECT_TRUE(run("cd dev && ./profile.sh", 2).starts_with("Profiles steps of training"));
}

}  // namespace
