#include "corpus.h"
#include <cmath>
#include <map>
#include <numeric>
#include <stdexcept>
#include "corpus_stories.h"
#include "host/base/error.h"
#include "host/reference/philox.h"

namespace {

constexpr uint64_t corpus_seed = 20240520;
constexpr int story_lines = 9600, counting_lines = 20000;
constexpr int count_starts = 90, fewest_counted = 4, most_counted = 12;

// Fair dice that keep the probability of everything they threw.
struct Dice {
    uint64_t throws = 0;
    double log_p = 0;

    // In 0 .. sides-1, with probability (weight of the result)
    // / sides noted for a result that stands for `weight` sides.
    uint64_t roll(uint64_t sides) {
        const Words random = philox({{uint32_t(throws), uint32_t(throws >> 32), 0, 0}}, corpus_seed);
        throws++;
        return (random.w[0] | uint64_t(random.w[1]) << 32) % sides;
    }
    void note(double weight, double sides) { log_p += std::log(weight / sides); }
};

struct Piece {
    enum { text, rule, remembered, assign } what;
    std::string value, name;  // text; rule and where to remember it; name and text
    bool capital = false;
};
struct Alternative {
    uint64_t weight;
    std::vector<Piece> pieces;
};
struct Rule {
    uint64_t weight = 0;
    std::vector<Alternative> alternatives;
};
using Grammar = std::map<std::string, Rule, std::less<>>;

bool is_memory(std::string_view name) { return name[0] >= 'A' && name[0] <= 'Z'; }

// The inside of <...>.
Piece parse_reference(std::string_view inside) {
    Piece piece{};
    if (inside[0] == '^') piece.capital = true, inside.remove_prefix(1);
    const size_t colon = inside.find(':'), equals = inside.find('=');
    if (equals != inside.npos)
        return {Piece::assign, std::string(inside.substr(equals + 1)), std::string(inside.substr(0, equals))};
    if (colon != inside.npos) piece.name = inside.substr(0, colon), inside.remove_prefix(colon + 1);
    piece.what = is_memory(inside) ? Piece::remembered : Piece::rule;
    piece.value = inside;
    return piece;
}

Alternative parse_alternative(std::string_view text) {
    Alternative result{1, {}};
    if (text[0] >= '1' && text[0] <= '9') {
        result.weight = std::stoul(std::string(text));
        text.remove_prefix(text.find(':') + 1);
    }
    while (!text.empty()) {
        const size_t plain = std::min(text.find('<'), text.size());
        if (plain) result.pieces.push_back({Piece::text, std::string(text.substr(0, plain)), ""});
        text.remove_prefix(plain);
        if (text.empty()) break;
        const size_t close = text.find('>');
        result.pieces.push_back(parse_reference(text.substr(1, close - 1)));
        text.remove_prefix(close + 1);
    }
    return result;
}

Grammar parse_grammar() {
    Grammar grammar;
    for (const GrammarRule& row : story_rules) {
        Rule& rule = grammar[row.name];
        for (std::string_view rest = row.alternatives;;) {
            const size_t bar = rest.find('|');
            rule.alternatives.push_back(parse_alternative(rest.substr(0, bar)));
            rule.weight += rule.alternatives.back().weight;
            if (bar == rest.npos) break;
            rest.remove_prefix(bar + 1);
        }
    }
    return grammar;
}

class Storyteller {
public:
    std::string tell(std::string_view rule) {
        memory.clear();
        std::string story;
        expand(story, rule);
        return story;
    }
    Dice dice;

private:
    void expand(std::string& out, std::string_view name) {
        const auto rule = grammar.find(name);
        REQUIRE(rule != grammar.end());
        for (const Piece& piece : choose(rule->second).pieces) write(out, piece);
    }

    const Alternative& choose(const Rule& rule) {
        uint64_t left = dice.roll(rule.weight);
        for (const Alternative& one : rule.alternatives) {
            if (left < one.weight) return dice.note(double(one.weight), double(rule.weight)), one;
            left -= one.weight;
        }
        throw std::logic_error("weights of a rule do not add up");
    }

    void write(std::string& out, const Piece& piece) {
        const size_t from = out.size();
        switch (piece.what) {
            case Piece::text: out += piece.value; break;
            case Piece::assign: memory[piece.name] = piece.value; break;
            case Piece::remembered: out += memory.at(piece.value); break;
            case Piece::rule: expand(out, piece.value); break;
        }
        if (!piece.name.empty() && piece.what == Piece::rule) memory[piece.name] = out.substr(from);
        if (piece.capital) out[from] = char(std::toupper(out[from]));
    }

    const Grammar grammar = parse_grammar();
    std::map<std::string, std::string> memory;
};

Corpus stories() {
    Storyteller teller;
    Corpus corpus;
    for (int i = 0; i < story_lines; i++) {
        teller.dice.log_p = 0;
        corpus.text += teller.tell("story") + "\n";
        corpus.log_p.push_back(teller.dice.log_p);
    }
    return corpus;
}

// "7 8 9 10 11": first number and length are uniform and independent, the rest follows.
Corpus counting() {
    constexpr int lengths = most_counted - fewest_counted + 1;
    Dice dice;
    Corpus corpus;
    for (int i = 0; i < counting_lines; i++) {
        dice.log_p = 0;
        const int start = int(dice.roll(count_starts)), length = fewest_counted + int(dice.roll(lengths));
        dice.note(1, count_starts), dice.note(1, lengths);
        for (int k = 0; k < length; k++) corpus.text += std::to_string(start + k) + (k + 1 < length ? " " : "\n");
        corpus.log_p.push_back(dice.log_p);
    }
    return corpus;
}

}  // namespace

bool is_builtin(std::string_view name) { return name.starts_with("builtin:"); }

Corpus builtin_corpus(std::string_view name) {
    if (name == "builtin:stories") return stories();
    if (name == "builtin:counting") return counting();
    throw Error(Exit::usage, "--data " + std::string(name), "there is no such corpus",
                "use builtin:stories or builtin:counting");
}

double ideal_loss(std::span<const double> log_p, size_t first_line, uint64_t tokens) {
    REQUIRE(first_line < log_p.size() && tokens > 0);
    return -std::accumulate(log_p.begin() + std::ptrdiff_t(first_line), log_p.end(), 0.0) / double(tokens);
}
