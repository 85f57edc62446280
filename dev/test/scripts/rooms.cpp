// Which room of the house may include which, read from the sources themselves: includes run one way, and no file
// includes itself in a circle. Every room is in README's map, and no line is wider than 120 columns.
//     ./test_gpt --gtest_filter='rooms*'
#include <fmt/core.h>
#include <optional>
#include <set>
#include "house.h"

namespace {

// Rooms from the ground up. A file includes what is in its own room or on a lower floor, so that neighbours on one
// floor know nothing of each other. "": the programs.
using Floors = std::vector<Texts>;
const Floors house = {{"host/base"},
                      {"host/reference", "host/tokenizer/unicode"},
                      {"host/tokenizer", "host/model", "host/world"},
                      {"host/checkpoint", "host/data"},
                      {"host/training"},
                      {"host/options"},
                      {"host/plan", "host/generate"},
                      {"host/run", "host/evaluate", "host/export"},
                      {"host/report"},
                      {"host/commands"},
                      {"kernels/tools"},
                      {"kernels"},
                      {"kernels/instances"},
                      {"dev/simt/include/simt"},
                      {"dev/simt/include"},
                      {"dev/simt"},
                      {"dev/ptx"},
                      {"dev/simt/test"},
                      {"dev/ptx/test", "dev/test/support", "dev/budget", "dev/fuzz", "dev/mutants"},
                      {"dev/test/base", "dev/test/reference", "dev/test/tokenizer", "dev/test/data",
                       "dev/test/checkpoint", "dev/test/kernels", "dev/test/world"},
                      {"dev/test/model", "dev/test/commands", "dev/bench"},
                      {"dev/test/scripts", "dev/oracle"},
                      {""}};

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

// clang-format lays code out, but leaves comments and texts as long as they are. Tables that it must leave alone may be
// wider, too.
Texts faults_of_width(const Tree& tree) {
    constexpr size_t columns = 120;
    Texts faults;
    for (const auto& [path, text] : tree) {
        bool table = false;
        size_t number = 0;
        for (size_t at = 0, end; at < text.size(); at = end + 1) {
            end = std::min(text.find('\n', at), text.size());
            const std::string line = text.substr(at, end - at);
            number++;
            if (line.ends_with("// clang-format off")) table = true;
            if (line.ends_with("// clang-format on")) table = false;
            const size_t width = std::ranges::count_if(line, [](char c) { return (c & 0xc0) != 0x80; });  // UTF-8
            if (width > columns && !table) faults.push_back(fmt::format("{}:{}: {} columns", path, number, width));
        }
    }
    return faults;
}

TEST_F(rooms, includes_run_one_way) { EXPECT_EQ(lines_of(faults_of_arrows(read_house(), house)), ""); }
TEST_F(rooms, lines_keep_to_120_columns) { EXPECT_EQ(lines_of(faults_of_width(read_house())), ""); }
TEST_F(rooms, no_circles) { EXPECT_EQ(lines_of(faults_of_circles(read_house())), ""); }
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

TEST(rooms_rules, a_room_without_a_line_in_the_map) {
    const std::string map = "| `host/base` | files |\n| `host/data` | |\n| `kernels` | |\n| `dev/simt` | |\n";
    EXPECT_EQ(lines_of(faults_of_map(map, small_house)), "README.md: its map has no `host/model`\n");
}

TEST(rooms_rules, lines_that_are_too_wide) {
    const std::string wide = "// " + std::string(118, '-') + "\n", accents = "// é" + std::string(116, '-') + "\n";
    const std::string table = "    // clang-format off\n" + wide + "    // clang-format on\n";
    EXPECT_EQ(lines_of(faults_of_width({{"host/a.h", accents + table + "\n"}})), "");
    EXPECT_EQ(lines_of(faults_of_width({{"host/a.h", table + wide}, {"host/b.h", accents + "é" + wide}})),
              "host/a.h:4: 121 columns\nhost/b.h:2: 122 columns\n");
}

}  // namespace
