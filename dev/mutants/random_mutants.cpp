// Small edits to the kernels that nobody chose: an operator, a bound, a stride, two operands, a barrier that is lost.
//
//   random_mutants SEED < FILES > MUTANTS       in the project's folder
//
// FILES: lines such as "kernels/rmsnorm.cuh rmsnorm", a file and the layer whose tests must notice.
//
// Every place of every file where an edit is possible, in an order that the seed shuffles; a mutant as in mutants.txt.
// Those in equivalent.txt are left out: no test can notice them.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Text = std::string;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

struct Token {
    size_t at;
    Text text;
};
std::vector<Token> tokens_of(const Text& line) {
    std::vector<Token> all;
    for (size_t i = 0; i < line.size();) {
        if (std::isspace(static_cast<unsigned char>(line[i]))) {
            i++;
            continue;
        }
        size_t end = i + 1;
        while (is_word(line[i]) && end < line.size() && is_word(line[end])) end++;
        all.push_back({i, line.substr(i, end - i)});
        i = end;
    }
    return all;
}

struct Mutant {
    Text file, layer, kind, from, to;
    int line, number;  // number: which occurrence of `from` in the file
};

// The code of a line, without its comment; empty where no edit is wanted: directives, declarations of names and types,
// what is checked before a launch or at compile time.
Text code_of(const Text& line) {
    Text code = line.substr(0, line.find("//"));
    code.erase(0, code.find_first_not_of(" \t"));
    while (!code.empty() && std::isspace(static_cast<unsigned char>(code.back()))) code.pop_back();
    for (const char* begin : {"#", "template", "static_assert", "using ", "namespace", "REQUIRE", "struct", "friend",
                              "public:", "private:", "UNROLL", "extern", "inline ", "constexpr bool", "}"})
        if (code.rfind(begin, 0) == 0) return "";
    for (const char* part : {"launch(", "__global__", "operator", "\"", "throw ", "static_assert", "REQUIRE", "CUDA("})
        if (code.find(part) != Text::npos) return "";
    return code;
}

class Edits {
public:
    Edits(const Text& code, std::vector<std::pair<Text, Text>>& out) : code(code), tokens(tokens_of(code)), out(out) {
        for (size_t i = 0; i < tokens.size(); i++) {
            operators(i);
            numbers(i);
            operands(i);
        }
        lost();
    }

private:
    Text at(size_t i) const { return i < tokens.size() ? tokens[i].text : ""; }
    bool beside(size_t i) const {  // no blank between this and the next
        return i + 1 < tokens.size() && tokens[i].at + tokens[i].text.size() == tokens[i + 1].at;
    }
    bool blank_before(size_t i) const { return tokens[i].at > 0 && code[tokens[i].at - 1] == ' '; }
    bool blank_after(size_t i) const {
        const size_t end = tokens[i].at + tokens[i].text.size();
        return end < code.size() && code[end] == ' ';
    }
    void replace(const Text& kind, size_t begin, size_t length, const Text& by) {
        Text to = code;
        to.replace(begin, length, by);
        out.push_back({kind, to});
    }
    // An operator between blanks: templates and pointers have none.
    void operators(size_t i) {
        const Text& t = tokens[i].text;
        const size_t p = tokens[i].at;
        if (!blank_before(i)) return;
        const Text two = beside(i) ? t + at(i + 1) : t;
        const auto swap = [&](const char* from, const char* to, const char* kind) {
            const size_t n = Text(from).size();
            if ((n == 2 ? two : t) == from && p + n < code.size() && code[p + n] == ' ') replace(kind, p, n, to);
        };
        swap("<", "<=", "bound"), swap("<=", "<", "bound"), swap(">", ">=", "bound"), swap(">=", ">", "bound");
        swap("==", "!=", "condition"), swap("!=", "==", "condition");
        swap("&&", "||", "condition"), swap("||", "&&", "condition");
        swap("+=", "-=", "stride"), swap("-", "+", "operator"), swap("+", "-", "operator");
        swap("*", "+", "operator"), swap("/", "*", "operator"), swap("%", "/", "operator");
        swap(">>", "<<", "operator"), swap("<<", ">>", "operator"), swap("^", "|", "operator");
        swap("&", "|", "operator"), swap("|", "&", "operator");
    }
    // A factor of a product that is left out: a stride.
    void operands(size_t i) {
        if (i + 2 < tokens.size() && at(i + 1) == "*" && blank_before(i + 1) && blank_after(i + 1) &&
            is_word(at(i)[0]) && is_word(at(i + 2)[0]))
            replace("stride", tokens[i].at, tokens[i + 2].at - tokens[i].at, "");
        // f(a, b): its first two arguments change places, if they are names.
        if (at(i) == "(" && i > 0 && is_word(at(i - 1)[0]) && at(i + 2) == "," && is_word(at(i + 1)[0]) &&
            is_word(at(i + 3)[0]) && (at(i + 4) == "," || at(i + 4) == ")") && at(i + 1) != at(i + 3))
            replace("swapped", tokens[i + 1].at, tokens[i + 3].at + tokens[i + 3].text.size() - tokens[i + 1].at,
                    at(i + 3) + ", " + at(i + 1));
    }
    void numbers(size_t i) {
        const Text& t = tokens[i].text;
        if (t.size() > 6 || !std::all_of(t.begin(), t.end(), [](unsigned char c) { return std::isdigit(c); })) return;
        const Text before = i ? at(i - 1) : "", after = at(i + 1);
        if (before == "." || after == "." || before == "<" || after == ">") return;  // a fraction, a template's
        replace("number", tokens[i].at, t.size(), std::to_string(std::atoi(t.c_str()) + 1));
    }
    // A statement that only orders or waits.
    void lost() {
        for (const char* call : {"__syncthreads(", "__syncwarp(", "barrier_wait(", "barrier_arrive(", "copy_wait",
                                 "copy_commit(", "wgmma_fence(", "wgmma_wait", "wgmma_commit(", "proxy_fence(",
                                 "barrier_init_fence(", "bar_sync", "bar_arrive", "fence(", "wait("})
            if (code.rfind(call, 0) == 0 && code.back() == ';') return out.push_back({"lost", ";"});
    }

    const Text& code;
    std::vector<Token> tokens;
    std::vector<std::pair<Text, Text>>& out;
};

// Which occurrence of that code in the file this line's is, as mutants.sh counts them: by words and signs, not blanks.
int number_of(const std::vector<Token>& file, const Text& code, size_t begin_in_file) {
    const std::vector<Token> wanted = tokens_of(code);
    int number = 0;
    for (size_t i = 0; i + wanted.size() <= file.size(); i++) {
        bool same = true;
        for (size_t k = 0; k < wanted.size() && same; k++) same = file[i + k].text == wanted[k].text;
        number += same;
        if (file[i].at >= begin_in_file) return number;
    }
    return number;
}

std::set<Text> equivalent() {
    std::set<Text> all;
    std::ifstream in("dev/mutants/equivalent.txt");
    for (Text line; std::getline(in, line);)
        if (!line.empty() && line[0] != '#') all.insert(line.substr(0, line.rfind(" | ")));
    return all;
}

std::vector<Mutant> mutants_of(const Text& path, const Text& layer, const std::set<Text>& known) {
    std::ifstream in(path);
    std::stringstream content;
    content << in.rdbuf();
    const Text text = content.str();
    const std::vector<Token> tokens = tokens_of(text);
    std::vector<Mutant> all;
    int line = 0;
    for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
        end = std::min(text.find('\n', begin), text.size());
        line++;
        const Text code = code_of(text.substr(begin, end - begin));
        std::vector<std::pair<Text, Text>> edits;
        if (!code.empty()) Edits(code, edits);
        if (edits.empty()) continue;
        const int number = number_of(tokens, code, text.find_first_not_of(" \t", begin));
        for (const auto& [kind, to] : edits)
            if (!known.count(path + " | " + code + " | " + to))
                all.push_back({path, layer, kind, code, to, line, number});
    }
    return all;
}

void print(const Mutant& m) {
    std::printf("mutant: %s:%d %s\nlayer: %s\nfile: %s\nnumber: %d\nfrom: %s\nto: %s\n\n", m.file.c_str(), m.line,
                m.kind.c_str(), m.layer.c_str(), m.file.substr(m.file.find('/') + 1).c_str(), m.number, m.from.c_str(),
                m.to.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return std::fprintf(stderr, "random_mutants SEED < FILES\n"), 2;
    const std::set<Text> known = equivalent();
    std::vector<Mutant> all;
    for (Text path, layer; std::cin >> path >> layer;)
        for (Mutant& m : mutants_of(path, layer, known)) all.push_back(std::move(m));
    std::mt19937_64 random(std::strtoull(argv[1], nullptr, 10));
    for (size_t i = all.size(); i > 1; i--) std::swap(all[i - 1], all[random() % i]);  // the same on every machine
    // Kinds take turns, lines come once before any comes again.
    std::set<Text> seen;
    std::map<Text, std::deque<Mutant>> kinds, again;
    for (const Mutant& m : all)
        (seen.insert(m.file + ':' + std::to_string(m.line)).second ? kinds : again)[m.kind].push_back(m);
    for (const auto& [kind, others] : again) kinds[kind].insert(kinds[kind].end(), others.begin(), others.end());
    for (bool any = true; any;) {
        any = false;
        for (auto& [kind, waiting] : kinds) {
            if (waiting.empty()) continue;
            print(waiting.front());
            waiting.pop_front();
            any = true;
        }
    }
    return 0;
}
