#include "bpe_files.h"
#include <algorithm>
#include <charconv>
#include "bpe.h"
#include "bpe_build.h"
#include "bpe_published.h"
#include "host/base/error.h"
#include "host/base/json.h"
#include "host/base/utf8.h"

namespace {

constexpr size_t longest_token = 1024;  // bytes: the splits of a token are looked at one by one

[[noreturn]] void refuse(const std::string& what, const std::string& reason, const std::string& hint = "") {
    throw Error(Exit::input, what, reason, hint);
}

void add_special(Bpe& bpe, int id, const std::string& content) {
    AddedToken token;
    token.content = content, token.id = id, token.special = true;
    bpe.added.push_back(token);
}

// Names the ids that have no rank, and says what stands around texts.
void add_published(Bpe& bpe, const Published& vocabulary) {
    bpe.names.resize(std::max(bpe.names.size(), vocabulary.all));
    const auto special = [&](size_t id) {
        const auto row = std::find_if(vocabulary.specials.begin(), vocabulary.specials.end(),
                                      [&](const auto& s) { return size_t(s.first) == id; });
        return row != vocabulary.specials.end() ? row->second : "<|reserved_" + std::to_string(id) + "|>";
    };
    for (size_t id = 0; id < bpe.names.size(); id++)
        if (bpe.names[id].empty()) add_special(bpe, int(id), bpe.names[id] = special(id));
    if (vocabulary.begins_texts) bpe.before = {vocabulary.specials[0].first};
    bpe.nfc = vocabulary.nfc;
}

std::string decode_base64(std::string_view text, const std::string& where) {
    static constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
    if (text.empty() || text.size() % 4) refuse(where, "is not base64 and a number");
    std::string bytes;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.size() - padding; i++) {
        const size_t value = alphabet.find(text[i]);
        if (value == alphabet.npos) refuse(where, "is not base64 and a number");
        bits = bits << 6 | uint32_t(value);
        if (i % 4 == 1) bytes += char(bits >> 4);
        if (i % 4 == 2) bytes += char(bits >> 2);
        if (i % 4 == 3) bytes += char(bits);
    }
    return bytes;
}

// Calls take(line, number) for every line that is not empty.
template <class F>
void each_line(std::string_view text, F take) {
    for (size_t number = 1; !text.empty(); number++) {
        const size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (!line.empty()) take(line, number);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

// The tokens' bytes in the order of their ranks; empty where a vocabulary of this size has a special token in between.
std::vector<std::string> read_ranks(std::string_view text, const std::string& what) {
    std::vector<std::pair<uint32_t, std::string>> rows;
    each_line(text, [&](std::string_view line, size_t number) {
        const std::string where = what + ": line " + std::to_string(number);
        const size_t space = line.find(' ');
        if (space == line.npos) refuse(where, "is not base64 and a number");
        uint32_t rank = 0;
        const auto [end, error] = std::from_chars(line.data() + space + 1, line.data() + line.size(), rank);
        if (error != std::errc() || end != line.data() + line.size()) refuse(where, "its rank is no number");
        rows.emplace_back(rank, decode_base64(line.substr(0, space), where));
        if (rows.back().second.size() > longest_token)
            refuse(where, "its token is longer than " + std::to_string(longest_token) + " bytes");
    });
    std::sort(rows.begin(), rows.end());
    std::vector<std::string> tokens;
    for (auto& [rank, bytes] : rows) {
        if (rank == tokens.size() + 1 && is_published_gap(rows.size(), tokens.size())) tokens.emplace_back();
        if (rank != tokens.size()) refuse(what, "its ranks are not 0, 1, 2, ... each once");
        tokens.push_back(std::move(bytes));
    }
    return tokens;
}

// The vocabulary that these tokens are, if it is one we know. Throws Error{input} where the rule is not known.
const Published* require_published(const std::vector<std::string>& tokens, std::optional<SplitRule> pattern,
                                   const std::string& what) {
    const Published* found = find_published(tokens, pattern);
    if (!found && !pattern)
        refuse(what,
               "does not say how its " + std::to_string(tokens.size()) +
                   " tokens cut text, and they are of no vocabulary known here",
               "name the pattern they were made with: --pattern " + split_rules());
    return found;
}

// Every way to make a token from two, in Hugging Face's order.
void add_all_merges(Bpe& bpe, const std::vector<std::string>& tokens) {
    const auto ids = ids_of(tokens);
    for (size_t id = 0; id < tokens.size(); id++) {
        const std::string_view token = tokens[id];
        if (token.empty()) continue;
        const size_t first = bpe.merges.size();
        for (size_t cut = 1; cut < token.size(); cut++) {
            const auto left = ids.find(token.substr(0, cut)), right = ids.find(token.substr(cut));
            if (left != ids.end() && right != ids.end()) bpe.merges.push_back({left->second, right->second, int(id)});
        }
        std::sort(bpe.merges.begin() + std::ptrdiff_t(first), bpe.merges.end(),
                  [](const MergeRule& a, const MergeRule& b) {
                      return std::pair(a.left, a.right) < std::pair(b.left, b.right);
                  });
    }
}

// Such files do not say how they cut text either: it is GPT-2's rule, but for Qwen's vocabulary, which is published
// so too.
const Published* choose_rule(Bpe& bpe, std::optional<SplitRule> pattern, const std::string& what) {
    std::vector<std::string> all, merged;
    for (const std::string& name : bpe.names) all.push_back(bytes_of_symbols(name));
    for (const MergeRule& rule : bpe.merges) merged.push_back(all[size_t(rule.token)]);
    const Published* found = find_published(all, pattern);
    bpe.split = found ? found->split : pattern.value_or(SplitRule::gpt2);
    if (!found && !pattern && !fits(merged, SplitRule::gpt2))
        refuse(what, "its merges reach across where GPT-2's pattern cuts, and it is no vocabulary known here",
               "name the pattern it was made with: --pattern " + split_rules());
    return found;
}

}  // namespace

bool looks_like_ranks(std::string_view text) {
    const std::string_view line = text.substr(0, std::min({text.find('\n'), text.size(), 2 * longest_token}));
    const size_t space = line.find(' ');
    return space != line.npos && space > 0 && line.find_first_not_of("0123456789\r", space + 1) == line.npos &&
           line.find_first_of("{}[]\":,") == line.npos;
}

Tokenizer bpe_from_tiktoken(std::string_view text, const std::string& what, std::optional<SplitRule> pattern) {
    const std::vector<std::string> tokens = read_ranks(text, what);
    if (tokens.empty()) refuse(what, "is empty");
    const Published* vocabulary = require_published(tokens, pattern, what);
    auto bpe = std::make_shared<Bpe>();
    bpe->ranks = Ranks::tokens;
    bpe->ignore_merges = true;
    bpe->recognises_specials = false;
    bpe->split = vocabulary ? vocabulary->split : *pattern;
    for (const std::string& token : tokens) bpe->names.push_back(symbols_of_bytes(token));
    add_all_merges(*bpe, tokens);
    bpe->model_tokens = tokens.size();
    if (vocabulary) add_published(*bpe, *vocabulary);
    return make_tokenizer(std::move(bpe), what);
}

Tokenizer bpe_from_vocab_and_merges(std::string_view vocab, std::string_view merges, const std::string& what,
                                    std::optional<SplitRule> pattern) {
    auto bpe = std::make_shared<Bpe>();
    const nlohmann::json file = parse_large_json(vocab, what);
    if (!file.is_object()) refuse(what, "is not a JSON object of tokens and their ids");
    bpe->names = tokens_of(file, what);
    bpe->recognises_specials = false;
    const auto ids = ids_of(bpe->names);
    each_line(merges, [&](std::string_view line, size_t number) {
        if (line.starts_with("#version")) return;
        const size_t space = line.find(' ');
        if (space == line.npos || line.find(' ', space + 1) != line.npos)
            refuse(what, "line " + std::to_string(number) + " of its merges is not two tokens with a space between");
        add_merge(*bpe, ids, line.substr(0, space), line.substr(space + 1), what);
    });
    const Published* vocabulary = choose_rule(*bpe, pattern, what);
    const auto end = ids.find("<|endoftext|>");
    if (end != ids.end()) add_special(*bpe, end->second, "<|endoftext|>");
    bpe->model_tokens = bpe->names.size();
    if (vocabulary) add_published(*bpe, *vocabulary);
    return make_tokenizer(std::move(bpe), what);
}
