// What a header declares is defined in the .cpp of its name, read from the sources.
//     ./test_gpt --gtest_filter='rooms*'
#include <fmt/core.h>
#include <set>
#include "dev/test/support/text_search.h"
#include "house.h"

namespace {

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

// The name of the function that this begins, with its class or namespace; "" if it is something else,
// or may stand in a header.
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

// Of every .cpp below `folder`: its header is there and comes first, and the classes whose members it defines are its
// own. Of every header: its functions are defined in the .cpp, or the .cu elsewhere, of its name.
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

TEST_F(rooms, headers_and_their_cpp) { EXPECT_EQ(lines_of(faults_of_pairs(read_house(), "host")), ""); }

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

}  // namespace
