// Which room of the house may include which, read from the sources themselves: includes run one way, no file includes
// itself in a circle, and what a header declares is defined in the .cpp of its name.    ./test_gpt --gtest_filter='rooms.*'
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include "host/base/files.h"

namespace {
namespace fs = std::filesystem;

using Texts = std::vector<std::string>;
using Tree = std::map<std::string, std::string>;  // path -> text

// Rooms from the ground up. A file includes what is in its own room or on a lower floor, so that neighbours on one floor
// know nothing of each other. "": the programs.
using Floors = std::vector<Texts>;
const Floors house = {{"host/base"},
                      {"host/reference", "host/tokenizer/unicode"},
                      {"host/tokenizer", "host/model"},
                      {"host/checkpoint", "host/data"},
                      {"host/training"},
                      {"host/options"},
                      {"host/plan", "host/generate"},
                      {"host/run", "host/evaluate"},
                      {"host/report"},
                      {"host/commands"},
                      {"kernels/tools"},
                      {"kernels"},
                      {"kernels/instances"},
                      {"dev/simt/include/simt"},
                      {"dev/simt/include"},
                      {"dev/simt"},
                      {"dev/ptx"},
                      {"dev/simt/test", "dev/ptx/test", "dev/test/support", "dev/budget", "dev/fuzz"},
                      {"dev/test/base", "dev/test/reference", "dev/test/tokenizer", "dev/test/data",
                       "dev/test/checkpoint", "dev/test/kernels"},
                      {"dev/test/model", "dev/test/commands", "dev/bench"},
                      {"dev/test/scripts", "dev/oracle"},
                      {""}};

std::string room_of(const std::string& path) { return fs::path(path).parent_path().string(); }
std::string unit_of(const std::string& path) {
    return fs::path(path).replace_extension().string();
}  // .h and .cpp are one
bool is_inside(const std::string& path, const std::string& folder) { return path.starts_with(folder + "/"); }

// ---- includes ----

struct Include {
    std::string written, path;  // path "": there is no such file
};

std::vector<Include> includes_of(const Tree& tree, const std::string& path) {
    std::vector<Include> all;
    const std::string& text = tree.at(path);
    const std::string word = "#include \"";
    for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
        if (at > 0 && text[at - 1] != '\n') continue;
        const size_t begin = at + word.size();
        Include include{text.substr(begin, text.find('"', begin) - begin), ""};
        const std::string beside = (fs::path(room_of(path)) / include.written).lexically_normal().string();
        for (const std::string& place : {beside, include.written, "dev/simt/include/" + include.written})
            if (include.path.empty() && tree.contains(place)) include.path = place;
        all.push_back(include);
    }
    return all;
}

std::optional<size_t> floor_of(const Floors& floors, const std::string& room) {
    for (size_t floor = 0; floor < floors.size(); floor++)
        if (std::ranges::count(floors[floor], room)) return floor;
    return std::nullopt;
}

std::string fault_of_arrow(const Floors& floors, const std::string& from, const Include& include) {
    const std::string arrow = from + " -> " + (include.path.empty() ? include.written : include.path) + ": ";
    if (include.path.empty()) return arrow + "there is no such file";
    const std::string here = room_of(from), there = room_of(include.path);
    if (here == there) return "";
    const auto floor = floor_of(floors, here), other = floor_of(floors, there);
    if (!floor || !other) return arrow + (floor ? there : here) + " is not in the table of rooms";
    if (*other > *floor) return fmt::format("{}{} is above {}", arrow, there, here);
    if (*other == *floor) return fmt::format("{}{} is beside {}, on the same floor", arrow, there, here);
    // dev/simt pretends to be CUDA: it stands alone, and its headers are found as CUDA's are.
    if (is_inside(here + "/", "dev/simt") && here != "dev/simt/test")
        return is_inside(there + "/", "dev/simt") ? "" : arrow + "dev/simt includes nothing else of the house";
    if (include.written != include.path) return arrow + "an include of another room is written from the root";
    return "";
}

Texts faults_of_arrows(const Tree& tree, const Floors& floors) {
    Texts faults;
    for (const auto& [path, text] : tree) {
        if (!floor_of(floors, room_of(path))) faults.push_back(path + ": its room is not in the table");
        for (const Include& include : includes_of(tree, path))
            if (std::string fault = fault_of_arrow(floors, path, include); !fault.empty()) faults.push_back(fault);
    }
    return faults;
}

// Finds a way from a unit back to itself, depth first.
struct Circles {
    std::map<std::string, std::set<std::string>> arrows;
    std::set<std::string> done;
    Texts way, faults;

    void follow(const std::string& unit) {
        if (!faults.empty()) return;  // one arrow may close many: the first is enough
        if (const auto seen = std::ranges::find(way, unit); seen != way.end()) {
            std::string circle;
            for (auto at = seen; at != way.end(); ++at) circle += *at + " -> ";
            faults.push_back(circle + unit + ": a circle");
            return;
        }
        if (!done.insert(unit).second) return;
        way.push_back(unit);
        for (const std::string& next : arrows[unit]) follow(next);
        way.pop_back();
    }
};

Texts faults_of_circles(const Tree& tree) {
    Circles circles;
    for (const auto& [path, text] : tree)
        for (const Include& include : includes_of(tree, path))
            if (!include.path.empty() && unit_of(include.path) != unit_of(path))
                circles.arrows[unit_of(path)].insert(unit_of(include.path));
    for (const auto& [path, text] : tree) circles.follow(unit_of(path));
    return circles.faults;
}

// ---- headers and their .cpp ----

// Without comments, texts and lines of the preprocessor.
std::string code_of(const std::string& text) {
    std::string code;
    for (size_t i = 0; i < text.size(); i++) {
        const auto skip_to = [&](const std::string& end) { i = std::min(text.find(end, i), text.size() - 1); };
        const bool line_begins = code.empty() || code.back() == '\n';
        if (text.compare(i, 2, "//") == 0 || (text[i] == '#' && line_begins)) {
            do skip_to("\n");
            while (i + 1 < text.size() && text[i - 1] == '\\' && i++);
            code += '\n';
        } else if (text.compare(i, 2, "/*") == 0) {
            skip_to("*/"), i++;
        } else if (text.compare(i, 2, "R\"") == 0) {
            const size_t open = text.find('(', i);
            const std::string end = ")" + text.substr(i + 2, open - i - 2) + "\"";
            skip_to(end), i += end.size() - 1;
        } else if (text[i] == '"' || (text[i] == '\'' && (i == 0 || !std::isalnum(uint8_t(text[i - 1]))))) {
            const char quote = text[i++];
            while (i < text.size() && text[i] != quote) i += text[i] == '\\' ? 2 : 1;
        } else {
            code += text[i];
        }
    }
    return code;
}

bool is_word(char c) { return std::isalnum(uint8_t(c)) || c == '_'; }

bool has_word(const std::string& text, const std::string& word) {
    for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
        const size_t end = at + word.size();
        if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) return true;
    }
    return false;
}

// The name of the function that this begins, with its class or namespace; "" if it is something else, or may stand in a header.
std::string function_of(const std::string& statement) {
    for (const char* word : {"inline", "constexpr", "static", "template", "using", "typedef", "extern", "friend",
                             "operator", "static_assert", "concept"})
        if (has_word(statement, word)) return "";
    int angles = 0;
    for (size_t i = 0; i < statement.size(); i++) {
        if (statement[i] == '<') angles++;
        if (statement[i] == '>') angles--;
        if (statement[i] == '=') return "";
        if (statement[i] != '(' || angles) continue;
        size_t end = i;
        while (end > 0 && std::isspace(uint8_t(statement[end - 1]))) end--;
        size_t begin = end;
        while (begin > 0 &&
               (is_word(statement[begin - 1]) || statement[begin - 1] == ':' || statement[begin - 1] == '~'))
            begin--;
        return statement.substr(begin, end - begin);
    }
    return "";
}

struct Functions {
    std::set<std::string> declared, defined;  // outside of classes and of namespaces without a name
};

Functions functions_of(const std::string& text) {
    Functions all;
    const std::string code = code_of(text);
    std::string statement;
    const auto end_of_body = [&](size_t i) {
        int depth = 0;
        for (; i < code.size(); i++) {
            if (code[i] == '{') depth++;
            if (code[i] == '}' && --depth == 0) break;
        }
        return i;
    };
    for (size_t i = 0; i < code.size(); i++) {
        const char c = code[i];
        if (c != '{' && c != '}' && c != ';') {
            statement += c;
            continue;
        }
        if (c == '{' && std::ranges::count(statement, '(') > std::ranges::count(statement, ')')) {
            i = end_of_body(i);  // an argument
            continue;
        }
        const bool space = has_word(statement, "namespace");
        statement.erase(statement.find_last_not_of(" \n") + 1);
        const bool named =
            space && !statement.ends_with("namespace");  // what is in one without a name is the file's own
        if (const std::string name = function_of(statement); c != '}' && !name.empty())
            (c == '{' ? all.defined : all.declared).insert(name);
        if (c == '{' && !named) i = end_of_body(i);
        statement.clear();
    }
    return all;
}

std::string last_name(const std::string& name) { return name.substr(name.rfind(':') + 1); }

// Of every .cpp below `folder`: its header is there and comes first, and the classes whose members it defines are its own.
// Of every header: its functions are defined in the .cpp, or the .cu elsewhere, of its name.
Texts faults_of_pairs(const Tree& tree, const std::string& folder) {
    Texts faults;
    for (const auto& [path, text] : tree) {
        if (!is_inside(path, folder) || !path.ends_with(".cpp")) continue;
        const std::string header = unit_of(path) + ".h";
        const auto own = tree.find(header);
        if (own == tree.end()) {
            faults.push_back(path + ": has no " + header);
            continue;
        }
        const size_t first = text.find("#include "), end = std::min(text.find('\n', first), text.size());
        const std::string name = fs::path(header).filename().string();
        if (first == text.npos || text.substr(first, end - first) != "#include \"" + name + "\"")
            faults.push_back(path + ": does not include its header first");
        for (const std::string& function : functions_of(text).defined) {
            const size_t colon = function.rfind("::");
            if (colon == function.npos) continue;
            const std::string owner = last_name(function.substr(0, colon));
            const auto holds = [&](const std::string& t) {
                return has_word(t, "struct " + owner) || has_word(t, "class " + owner) ||
                       has_word(t, "namespace " + owner);
            };
            if (!holds(own->second) && !holds(text))
                faults.push_back(fmt::format("{}: defines {}, which {} does not declare", path, function, header));
        }
    }
    for (const auto& [path, text] : tree) {
        if (!is_inside(path, folder) || !path.ends_with(".h")) continue;
        const Functions own = functions_of(text);
        std::set<std::string> defined;
        for (const std::string& name : own.defined)
            if (name.find(':') == name.npos)
                faults.push_back(fmt::format("{}: defines {}, which is not inline", path, name));
        for (const auto& [other, body] : tree)
            if (!other.ends_with(".h") && fs::path(other).stem() == fs::path(path).stem() && !is_inside(other, "dev"))
                for (const std::string& name : functions_of(body).defined) defined.insert(last_name(name));
        for (const std::string& name : own.declared)
            if (!defined.contains(last_name(name)))
                faults.push_back(
                    fmt::format("{}: declares {}, which {}.cpp does not define", path, name, unit_of(path)));
    }
    return faults;
}

// Every room that people look for has a line in the map; those below dev/test, dev/simt and dev/ptx are found there.
Texts faults_of_map(const std::string& readme, const Floors& floors) {
    Texts faults;
    for (const Texts& floor : floors)
        for (std::string room : floor) {
            for (const char* whole : {"dev/test", "dev/simt", "dev/ptx", "host/tokenizer"})
                if (is_inside(room, whole)) room = whole;
            const std::string fault = "README.md: its map has no `" + room + "`";
            if (!room.empty() && readme.find("`" + room + "`") == readme.npos && !std::ranges::count(faults, fault))
                faults.push_back(fault);
        }
    return faults;
}

// ---- the house ----

Tree read_house() {
    Tree tree;
    const auto add = [&](const fs::path& path) {
        for (const char* kind : {".h", ".cpp", ".cu", ".cuh"})
            if (path.extension() == kind)
                tree[path.lexically_normal().string()] = files::read_file(path.string(), 1 << 24);
    };
    for (const auto& entry : fs::directory_iterator(".")) add(entry.path());
    for (const char* folder : {"host", "kernels", "dev"})
        for (const auto& entry : fs::recursive_directory_iterator(folder)) add(entry.path());
    return tree;
}

std::string lines_of(const Texts& faults) {
    std::string lines;
    for (const std::string& fault : faults) lines += fault + "\n";
    return lines;
}

struct rooms : testing::Test {
    void SetUp() override {
        if (!fs::exists("host/base")) GTEST_SKIP() << "the sources are not here";
    }
};

TEST_F(rooms, includes_run_one_way) { EXPECT_EQ(lines_of(faults_of_arrows(read_house(), house)), ""); }
TEST_F(rooms, no_circles) { EXPECT_EQ(lines_of(faults_of_circles(read_house())), ""); }
TEST_F(rooms, headers_and_their_cpp) { EXPECT_EQ(lines_of(faults_of_pairs(read_house(), "host")), ""); }
TEST_F(rooms, all_are_in_the_map) {
    EXPECT_EQ(lines_of(faults_of_map(files::read_file("README.md", 1 << 20), house)), "");
}

// ---- houses with faults ----

const Floors small_house = {
    {"host/base"}, {"host/data", "host/model"}, {"kernels"}, {"dev/simt/include/simt"}, {"dev/simt"}};

TEST(rooms_rules, arrows_that_run_upward_are_named) {
    const auto faults = [](const std::string& path, const std::string& text) {
        Tree tree = {{"host/base/text.h", ""},
                     {"host/base/file.h", "#include \"text.h\"\n#include <host/data/nothing.h>\n"},
                     {"host/data/set.h", "// Text.\n#include \"host/base/file.h\"\n"},
                     {"host/model/gpt.h", ""},
                     {"kernels/gelu.cuh", "#include \"host/model/gpt.h\"\n"},
                     {"dev/simt/include/simt/warp.h", ""},
                     {"dev/simt/block.h", "#include \"include/simt/warp.h\"\n"}};
        tree[path] += text;
        return lines_of(faults_of_arrows(tree, small_house));
    };
    EXPECT_EQ(faults("host/base/text.h", ""), "");
    EXPECT_EQ(faults("host/base/text.h", "#include \"host/data/set.h\"\n"),
              "host/base/text.h -> host/data/set.h: host/data is above host/base\n");
    EXPECT_EQ(faults("host/data/set.h", "#include \"host/model/gpt.h\"\n"),
              "host/data/set.h -> host/model/gpt.h: host/model is beside host/data, on the same floor\n");
    EXPECT_EQ(faults("host/model/gpt.h", "#include \"../base/text.h\"\n"),
              "host/model/gpt.h -> host/base/text.h: an include of another room is written from the root\n");
    EXPECT_EQ(faults("host/model/gpt.h", "#include \"layout.h\"\n"),
              "host/model/gpt.h -> layout.h: there is no such file\n");
    EXPECT_EQ(faults("host/cellar/x.h", ""), "host/cellar/x.h: its room is not in the table\n");
    EXPECT_EQ(faults("dev/simt/block.h", "#include \"host/base/text.h\"\n"),
              "dev/simt/block.h -> host/base/text.h: dev/simt includes nothing else of the house\n");
}

TEST(rooms_rules, circles_are_named_with_the_way) {
    Tree tree = {{"a/block.h", ""},
                 {"a/block.cpp", "#include \"block.h\"\n#include \"fault.h\"\n"},
                 {"a/fault.h", ""},
                 {"a/fault.cpp", "#include \"fault.h\"\n#include \"memory.h\"\n"},
                 {"a/memory.h", ""}};
    EXPECT_EQ(lines_of(faults_of_circles(tree)), "");
    tree["a/memory.h"] = "#include \"block.h\"\n";
    EXPECT_EQ(lines_of(faults_of_circles(tree)), "a/block -> a/fault -> a/memory -> a/block: a circle\n");
}

TEST(rooms_rules, what_a_header_declares_is_defined_beside_it) {
    const auto faults = [](const std::string& path, const std::string& text) {
        Tree tree = {
            {"host/a/log.h",
             "// read(x); is no function\nstruct Line { int n(int) const; };\nnamespace log {\n"
             "std::function<void(int)> read(const std::string& s = {\"};\"},\n  int n = 1);\ninline int one() { "
             "return 1; }\n"
             "template <class T> void all(T t) {}\nextern void (*hook)(int);\nconstexpr int x = f(1);\n}\n"},
            {"host/a/log.cpp",
             "#include \"log.h\"\n#define A(x) \\\n  { x\nnamespace {\nint hidden() { return '{'; "
             "}\n}\nnamespace log {\n"
             "std::function<void(int)> read(const std::string& s, int n) { return R\"(})\"; }\n}\n"
             "int Line::n(int x) const { return 1'000; }\n"},
            {"host/a/gpu.h", "void run_on_gpu();\n"},
            {"kernels/gpu.cu", "void run_on_gpu() {}\n"}};
        if (text == "gone") tree.erase(path);
        else tree[path] += text;
        return lines_of(faults_of_pairs(tree, "host"));
    };
    EXPECT_EQ(faults("host/a/log.h", ""), "");
    EXPECT_EQ(faults("host/a/log.h", "gone"), "host/a/log.cpp: has no host/a/log.h\n");
    EXPECT_EQ(faults("host/a/log.h", "void write(int x);\n"),
              "host/a/log.h: declares write, which host/a/log.cpp does not define\n");
    EXPECT_EQ(faults("host/a/log.h", "int hidden();\n"),
              "host/a/log.h: declares hidden, which host/a/log.cpp does not define\n");
    EXPECT_EQ(faults("host/a/log.h", "int two() { return 2; }\n"), "host/a/log.h: defines two, which is not inline\n");
    EXPECT_EQ(faults("host/a/log.cpp", "void Run::load() {}\n"),
              "host/a/log.cpp: defines Run::load, which host/a/log.h does not declare\n");
    EXPECT_EQ(faults("host/a/table.cpp", "int x;\n"), "host/a/table.cpp: has no host/a/table.h\n");
    EXPECT_EQ(faults("kernels/gpu.cu", "gone"),
              "host/a/gpu.h: declares run_on_gpu, which host/a/gpu.cpp does not define\n");
    const Tree late = {{"host/a/log.h", ""}, {"host/a/log.cpp", "// Text.\n#include <map>\n#include \"log.h\"\n"}};
    EXPECT_EQ(lines_of(faults_of_pairs(late, "host")), "host/a/log.cpp: does not include its header first\n");
}

TEST(rooms_rules, a_room_without_a_line_in_the_map) {
    const std::string map = "| `host/base` | files |\n| `host/data` | |\n| `kernels` | |\n| `dev/simt` | |\n";
    EXPECT_EQ(lines_of(faults_of_map(map, small_house)), "README.md: its map has no `host/model`\n");
}

}  // namespace
