// The built-in corpora: an independent reader recovers every story's probability from its text alone,
// over all derivations there are.
#include "host/data/corpus.h"
#include <gtest/gtest.h>
#include <cmath>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include "host/base/error.h"
#include "host/data/corpus_stories.h"

namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (size_t cut; (cut = text.find(separator)) != text.npos; text.remove_prefix(cut + 1))
        parts.push_back(text.substr(0, cut));
    parts.push_back(text);
    return parts;
}

using Memory = std::map<std::string, std::string>;

// Reads a text backwards into derivations: tries every alternative everywhere, and hands each way to read on to `next`.
struct Reader {
    using Next = std::function<void(size_t at, Memory memory, double log_p)>;
    struct Weighted {
        double weight;
        std::string_view text;
    };

    std::string_view text;
    const std::map<std::string, std::vector<Weighted>>& rules;

    void rule(const std::string& name, bool capital, size_t at, const Memory& memory, double log_p,
              const Next& next) const {
        double sum = 0;
        for (const Weighted& w : rules.at(name)) sum += w.weight;
        for (const Weighted& w : rules.at(name))
            sequence(w.text, capital, at, memory, log_p + std::log(w.weight / sum), next);
    }

    // An alternative's pieces, one after the other; `capital` says that its first letter is written large.
    void sequence(std::string_view pieces, bool capital, size_t at, const Memory& memory, double log_p,
                  const Next& next) const {
        if (pieces.empty()) return next(at, memory, log_p);
        if (pieces[0] != '<') {
            const std::string_view plain = pieces.substr(0, pieces.find('<'));
            if (matches(plain, capital, at))
                sequence(pieces.substr(plain.size()), false, at + plain.size(), memory, log_p, next);
            return;
        }
        const size_t close = pieces.find('>');
        std::string inside(pieces.substr(1, close - 1));
        const std::string_view rest = pieces.substr(close + 1);
        const bool large = inside[0] == '^' || capital;
        if (inside[0] == '^') inside.erase(0, 1);
        if (const size_t equals = inside.find('='); equals != inside.npos) {
            Memory changed = memory;
            changed[inside.substr(0, equals)] = inside.substr(equals + 1);
            return sequence(rest, capital, at, changed, log_p, next);
        }
        if (std::isupper(inside[0]) && inside.find(':') == inside.npos) {
            const std::string& said = memory.at(inside);
            if (matches(said, large, at)) sequence(rest, false, at + said.size(), memory, log_p, next);
            return;
        }
        const size_t colon = inside.find(':');
        const std::string keep = colon == inside.npos ? "" : inside.substr(0, colon);
        rule(inside.substr(colon + 1), large, at, memory, log_p, [&](size_t end, Memory after, double p) {
            if (!keep.empty()) after[keep] = text.substr(at, end - at);
            sequence(rest, false, end, after, p, next);
        });
    }

    bool matches(std::string_view word, bool capital, size_t at) const {
        if (text.size() - at < word.size()) return false;
        for (size_t i = 0; i < word.size(); i++)
            if (text[at + i] != (capital && i == 0 ? char(std::toupper(word[i])) : word[i])) return false;
        return true;
    }
};

std::map<std::string, std::vector<Reader::Weighted>> rules() {
    std::map<std::string, std::vector<Reader::Weighted>> all;
    for (const GrammarRule& row : story_rules)
        for (std::string_view alternative : split(row.alternatives, '|')) {
            size_t digits = 0;
            while (digits < alternative.size() && std::isdigit(alternative[digits])) digits++;
            const double weight = digits ? std::stod(std::string(alternative.substr(0, digits))) : 1;
            all[row.name].push_back({weight, alternative.substr(digits ? digits + 1 : 0)});
        }
    return all;
}

struct Reading {
    int derivations = 0;
    double log_p = 0;
};

Reading read(std::string_view story, const std::map<std::string, std::vector<Reader::Weighted>>& all) {
    Reading reading;
    Reader{story, all}.rule("story", false, 0, {}, 0, [&](size_t end, const Memory&, double log_p) {
        if (end == story.size()) reading.derivations++, reading.log_p = log_p;
    });
    return reading;
}

std::vector<std::string_view> lines_of(const Corpus& corpus) {
    std::vector<std::string_view> lines = split(corpus.text, '\n');
    EXPECT_TRUE(lines.back().empty()) << "the text ends with a newline";
    lines.pop_back();
    return lines;
}

}  // namespace

TEST(corpus, a_story_has_one_derivation_and_its_probability) {
    const Corpus corpus = builtin_corpus("builtin:stories");
    const auto lines = lines_of(corpus);
    const auto all = rules();
    ASSERT_EQ(lines.size(), corpus.log_p.size());
    for (size_t i = 0; i < lines.size(); i++) {
        const Reading reading = read(lines[i], all);
        ASSERT_EQ(reading.derivations, 1) << "line " << i << ": " << lines[i];
        ASSERT_NEAR(reading.log_p, corpus.log_p[i], 1e-9) << "line " << i << ": " << lines[i];
    }
}

TEST(corpus, what_is_no_story_has_no_derivation) {
    const auto all = rules();
    const Corpus corpus = builtin_corpus("builtin:stories");
    const std::string story(lines_of(corpus)[0]);
    EXPECT_EQ(read(story, all).derivations, 1);
    EXPECT_EQ(read(story.substr(1), all).derivations, 0);
    EXPECT_EQ(read(story + " ", all).derivations, 0);
    EXPECT_EQ(read(story + "\n" + story, all).derivations, 0);
}

TEST(corpus, stories_fit_a_context_and_are_plain) {
    const Corpus corpus = builtin_corpus("builtin:stories");
    EXPECT_NEAR(double(corpus.text.size()), 1e6, 1e5);
    for (const char c : corpus.text) ASSERT_TRUE(c == '\n' || (c >= 32 && c < 127));
    for (const std::string_view line : lines_of(corpus)) {
        ASSERT_LE(line.size(), 127u) << line;
        const auto sentences = std::count(line.begin(), line.end(), '.') + std::count(line.begin(), line.end(), '!');
        ASSERT_TRUE(sentences >= 3 && sentences <= 5) << line;
    }
}

// What every reader of English expects, asked of the text without the grammar.
TEST(corpus, stories_agree) {
    const Corpus corpus = builtin_corpus("builtin:stories");
    const std::regex wrong(
        "\\ba [aeiou]|\\ban [^aeiou]|\\b(He|She|he|she|it|It) were|\\b([Tt]hey) was|  | \\.|\\.[^ \"]",
        std::regex::optimize);
    std::map<std::string, std::set<std::string>> pronouns;
    for (const std::string_view line : lines_of(corpus)) {
        const std::string story(line);
        ASSERT_FALSE(std::regex_search(story, wrong)) << story;
        const bool she = std::regex_search(story, std::regex("\\b([Ss]he|her)\\b")),
                   he = std::regex_search(story, std::regex("\\b([Hh]e|his)\\b"));
        ASSERT_FALSE(she && he) << story;
        if (she || he) pronouns[story.substr(0, story.find(' '))].insert(she ? "she" : "he");
    }
    EXPECT_GE(pronouns.size(), 20u);
    for (const auto& [name, said] : pronouns) EXPECT_EQ(said.size(), 1u) << name;
}

TEST(corpus, the_ideal_loss_is_worth_learning) {
    const Corpus corpus = builtin_corpus("builtin:stories");
    EXPECT_GE(ideal_loss(corpus.log_p, 0, corpus.text.size()), 0.35);
    const size_t half = corpus.log_p.size() / 2;
    double sum = 0;
    for (size_t i = half; i < corpus.log_p.size(); i++) sum -= corpus.log_p[i];
    EXPECT_NEAR(ideal_loss(corpus.log_p, half, 1000), sum / 1000, 1e-9);
}

TEST(corpus, is_always_the_same) {
    for (const char* name : {"builtin:stories", "builtin:counting"}) {
        EXPECT_TRUE(is_builtin(name));
        EXPECT_EQ(builtin_corpus(name).text, builtin_corpus(name).text);
    }
    EXPECT_FALSE(is_builtin("stories.txt"));
    EXPECT_THROW(builtin_corpus("builtin:songs"), Error);
}

TEST(corpus, counting_counts) {
    const Corpus corpus = builtin_corpus("builtin:counting");
    const auto lines = lines_of(corpus);
    ASSERT_EQ(lines.size(), corpus.log_p.size());
    std::set<size_t> lengths;
    std::set<int> starts;
    for (size_t i = 0; i < lines.size(); i++) {
        const auto numbers = split(lines[i], ' ');
        for (size_t k = 0; k < numbers.size(); k++)
            ASSERT_EQ(std::stoi(std::string(numbers[k])), std::stoi(std::string(numbers[0])) + int(k)) << lines[i];
        lengths.insert(numbers.size());
        starts.insert(std::stoi(std::string(numbers[0])));
        ASSERT_LE(lines[i].size(), 127u);
    }
    // Both are uniform and independent, and in so many lines every value occurs.
    for (const double log_p : corpus.log_p) ASSERT_NEAR(log_p, -std::log(double(lengths.size() * starts.size())), 1e-9);
}
