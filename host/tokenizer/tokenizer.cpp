#include "tokenizer.h"
#include <xxhash.h>
#include <algorithm>
#include <cstdio>
#include "bpe.h"
#include "host/base/error.h"
#include "host/base/utf8.h"
#include "host/tokenizer/unicode/unicode.h"

namespace {

constexpr const char* unknown_word = "<unk>";

enum class CharacterClass { letter, digit, ideograph, space, apostrophe, symbol };

// Scripts written without spaces, where a character is the better word.
// The regular expression of tokenizer_json says the same.
bool is_ideograph(char32_t c) {
    return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

CharacterClass class_of(char32_t c) {
    using enum CharacterClass;
    if (is_ideograph(c)) return ideograph;
    if (c == '\'' || c == 0x2019) return apostrophe;
    switch (unicode::class_of(c)) {
        case unicode::Class::letter:
        case unicode::Class::mark: return letter;
        case unicode::Class::number: return digit;
        case unicode::Class::space: return space;
        default: return symbol;
    }
}

struct Classified {
    CharacterClass what;
    int length;
};

// Of the character at `at`; what is not UTF-8 is a symbol of one byte.
Classified classify(std::string_view text, size_t at) {
    const CodePoint c = decode_utf8(text.substr(at, 4));
    return c.length ? Classified{class_of(c.value), c.length} : Classified{CharacterClass::symbol, 1};
}

std::vector<std::string> characters_of(std::string_view text) {
    std::vector<bool> seen(0x110000);
    seen[replacement_character] = true;
    for (size_t at = 0; at < text.size();) {
        const CodePoint c = decode_utf8(text.substr(at, 4));
        seen[c.length ? c.value : replacement_character] = true;
        at += size_t(std::max(c.length, 1));
    }
    std::vector<std::string> tokens;
    for (size_t c = 0; c < seen.size(); c++)
        if (seen[c]) tokens.push_back(to_utf8(char32_t(c)));
    return tokens;
}

// The unknown word, then the most frequent words; of equally frequent ones the first in the order of bytes.
std::vector<std::string> words_of(std::string_view text, int most) {
    std::unordered_map<std::string_view, uint64_t, TextHash> count;
    for (size_t at = 0, n; at < text.size(); at += n) count[text.substr(at, n = word_length(text.substr(at)))]++;
    std::vector<std::pair<std::string_view, uint64_t>> words(count.begin(), count.end());
    std::sort(words.begin(), words.end(), [](const auto& a, const auto& b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    std::vector<std::string> tokens{unknown_word};
    for (const auto& [word, times] : words)
        if (int(tokens.size()) <= most) tokens.emplace_back(word);
    return tokens;
}

void encode_characters(std::vector<int>& ids, std::string_view text, const Tokenizer& tokenizer) {
    const std::vector<int>& table = tokenizer.id_of_code_point;
    for (size_t at = 0; at < text.size();) {
        CodePoint c{char32_t(uint8_t(text[at])), 1};
        if (c.value >= 0x80) c = decode_utf8(text.substr(at, 4));
        const int id = c.length && c.value < table.size() ? table[c.value] : -1;
        ids.push_back(id >= 0 ? id : tokenizer.unknown);
        at += size_t(std::max(c.length, 1));
    }
}

void encode_words(std::vector<int>& ids, std::string_view text, const Tokenizer& tokenizer) {
    for (size_t at = 0, n; at < text.size(); at += n) {
        n = word_length(text.substr(at));
        const auto found = tokenizer.id_of.find(text.substr(at, n));
        ids.push_back(found != tokenizer.id_of.end() ? found->second : tokenizer.unknown);
    }
}

}  // namespace

size_t TextHash::operator()(std::string_view text) const { return XXH3_64bits(text.data(), text.size()); }

size_t word_length(std::string_view text) {
    using enum CharacterClass;
    const Classified head = classify(text, 0);
    size_t at = size_t(head.length);
    Classified first = head;
    if (text[0] == ' ' && text.size() > 1) {
        first = classify(text, 1);
        if (first.what == space || first.what == ideograph) return 1;
        at += size_t(first.length);
    }
    if (first.what != letter) return at;
    while (at < text.size()) {
        const Classified next = classify(text, at);
        if (next.what == letter) {
            at += size_t(next.length);
            continue;
        }
        const size_t after = at + size_t(next.length);
        if (next.what != apostrophe || after >= text.size() || classify(text, after).what != letter) break;
        at = after;
    }
    return at;
}

void Tokenizer::index() {
    id_of_code_point.clear();
    id_of.clear();
    for (int id = 0; id < vocab_size(); id++) {
        if (kind == TokenizerKind::word) id_of.emplace(tokens[size_t(id)], id);
        if (kind != TokenizerKind::character) continue;
        const char32_t c = decode_utf8(tokens[size_t(id)]).value;
        if (c >= id_of_code_point.size()) id_of_code_point.resize(c + 1, -1);
        id_of_code_point[c] = id;
    }
}

std::vector<int> Tokenizer::encode(std::string_view text, Specials specials, Place place) const {
    std::vector<int> ids;
    ids.reserve(kind == TokenizerKind::word || kind == TokenizerKind::bpe ? text.size() / 4 : text.size());
    switch (kind) {
        case TokenizerKind::character: encode_characters(ids, text, *this); break;
        case TokenizerKind::word: encode_words(ids, text, *this); break;
        case TokenizerKind::byte:
            for (const char c : text) ids.push_back(uint8_t(c));
            break;
        case TokenizerKind::bpe: bpe->encode(ids, text, specials, place); break;
    }
    return ids;
}

std::string Tokenizer::decode(std::span<const int> ids) const {
    if (bpe && bpe->metaspace) return decode_marked(*bpe->metaspace, tokens, bpe->is_byte, ids);
    std::string text;
    for (const int id : ids)
        if (id >= 0 && id < vocab_size()) text += tokens[size_t(id)];
    return text;
}

int Tokenizer::leading_spaces() const { return bpe && bpe->metaspace ? bpe->metaspace->strips : 0; }

bool Tokenizer::adds_space(std::string_view text) const {
    if (!bpe || text.empty()) return false;
    if (!bpe->metaspace) return bpe->add_prefix_space && text[0] != ' ';
    const Metaspace& how = *bpe->metaspace;
    const bool prefix = how.prefix.value_or(Prefix::never) != Prefix::never;
    return how.prepends || (prefix && text[0] != ' ' && !text.starts_with(space_mark));
}

std::string Tokenizer::token_text(int id) const {
    if (id < 0 || id >= vocab_size()) return "?";
    std::string out;
    const std::string_view token = tokens[size_t(id)];
    for (size_t at = 0; at < token.size();) {
        const CodePoint c = decode_utf8(token.substr(at));
        const unsigned byte = uint8_t(token[at]);
        char escape[8];
        if (c.length > 1) out += token.substr(at, size_t(c.length));
        else if (byte == '\n') out += "\\n";
        else if (byte == '\t') out += "\\t";
        else if (byte == '\\') out += "\\\\";
        else if (byte >= 0x20 && byte < 0x7F) out += char(byte);
        else std::snprintf(escape, sizeof escape, "\\x%02X", byte), out += escape;
        at += size_t(std::max(c.length, 1));
    }
    return out;
}

uint64_t Tokenizer::hash() const {
    std::string all = name_of(kind);
    for (const std::string& token : tokens) all.append(std::to_string(token.size())).append(":").append(token);
    const uint64_t hash = XXH64(all.data(), all.size(), uint64_t(unknown));
    return bpe ? bpe->hash(hash) : hash;
}

std::optional<std::vector<int>> Tokenizer::before_prompt() const {
    if (!bpe) return std::nullopt;
    return bpe->before_prompt.value_or(bpe->before);
}

int Tokenizer::separator() const {
    if (!bpe) return -1;
    if (!bpe->before.empty()) return bpe->before[0];
    for (const char* name : {"<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "</s>"})
        for (const AddedToken& token : bpe->added)
            if (token.content == name) return token.id;
    return -1;
}

size_t Tokenizer::safe_cut(std::string_view text, size_t near) const {
    if (kind == TokenizerKind::byte) return std::min(near, text.size());
    if (kind == TokenizerKind::bpe) return bpe->safe_cut(text, near);
    for (size_t at = near; at < text.size(); at++) {
        // A space starts a word, a line feed is one; a character starts at any byte that does not continue one.
        if (kind == TokenizerKind::word ? text[at] == ' ' || text[at] == '\n' : (uint8_t(text[at]) & 0xC0) != 0x80)
            return at;
    }
    return text.size();
}

Tokenizer byte_tokenizer() {
    Tokenizer tokenizer;
    for (int byte = 0; byte < 256; byte++) tokenizer.tokens.emplace_back(1, char(byte));
    return tokenizer;
}

Tokenizer train_tokenizer(TokenizerKind kind, std::string_view text, int most_words) {
    if (kind == TokenizerKind::byte) return byte_tokenizer();
    if (kind == TokenizerKind::bpe)
        throw Error(Exit::usage, "--tokenizer bpe", "is not trained along the way",
                    "train one with: train_gpt tokenize --train-bpe N, then name its directory");
    Tokenizer tokenizer;
    tokenizer.kind = kind;
    if (kind == TokenizerKind::word) {
        tokenizer.tokens = words_of(text, most_words);
        tokenizer.unknown = 0;
    } else {
        tokenizer.tokens = characters_of(text);
        tokenizer.unknown =
            int(std::find(tokenizer.tokens.begin(), tokenizer.tokens.end(), to_utf8(replacement_character)) -
                tokenizer.tokens.begin());
    }
    tokenizer.index();
    return tokenizer;
}

std::string StreamDecoder::push(int id) {
    if (id >= 0 && id < tokenizer.vocab_size()) waiting += tokenizer.tokens[size_t(id)];
    while (drops > 0 && !waiting.empty()) {
        if (waiting[0] == ' ') waiting.erase(0, 1), drops--;
        else drops = 0;
    }
    const size_t whole = complete_utf8(waiting);
    std::string out = waiting.substr(0, whole);
    waiting.erase(0, whole);
    repair_utf8(out);
    return out;
}

std::string StreamDecoder::flush() {
    std::string out = std::move(waiting);
    waiting.clear();
    repair_utf8(out);
    return out;
}
