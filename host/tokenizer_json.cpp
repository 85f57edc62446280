// A Tokenizer as Hugging Face's tokenizer.json, and back. Every field is written as their library writes it, so a file that
// went through it is still ours; anything else is refused by comparing all but the vocabulary.
#include <nlohmann/json.hpp>
#include "error.h"
#include "files.h"
#include "tokenizer.h"
#include "utf8.h"

namespace {

using nlohmann::json;

constexpr uint64_t longest_file = 256 << 20;

// The rule of word_length. The library's classes are of Unicode 16, ours of utf8proc: letters newer than that may differ.
#define IDEOGRAPHS "\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\U00020000-\U0003FFFF"
constexpr const char* word_pattern =
    "[" IDEOGRAPHS "]"
    "| ?(?:(?![" IDEOGRAPHS "])[\\p{L}\\p{M}])+(?:['\u2019](?:(?![" IDEOGRAPHS "])[\\p{L}\\p{M}])+)*"
    "| ?\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}" IDEOGRAPHS "]|\\s";
#undef IDEOGRAPHS

// The characters that stand for bytes in GPT-2's vocabulary: printable ones for themselves, the others from U+0100 on.
std::array<std::string, 256> byte_symbols() {
    std::array<std::string, 256> symbols;
    char32_t next = 0x100;
    for (uint32_t b = 0; b < 256; b++) {
        const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        symbols[b] = to_utf8(printable ? char32_t(b) : next++);
    }
    return symbols;
}

json bpe_model(const json& unknown) {
    return {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", unknown}, {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr}, {"fuse_unk", false}, {"byte_fallback", false}, {"ignore_merges", false},
            {"vocab", json::object()}, {"merges", json::array()}};
}

// tokenizer.json without its vocabulary.
json skeleton(const Tokenizer& tokenizer) {
    const std::string unknown = tokenizer.unknown >= 0 ? tokenizer.tokens[size_t(tokenizer.unknown)] : "";
    json file = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"added_tokens", json::array()},
                 {"normalizer", nullptr}, {"pre_tokenizer", nullptr}, {"post_processor", nullptr}, {"decoder", {{"type", "Fuse"}}}};
    switch (tokenizer.kind) {
        case TokenizerKind::character: file["model"] = bpe_model(unknown); break;
        case TokenizerKind::word:
            file["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", word_pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
            file["model"] = {{"type", "WordLevel"}, {"vocab", json::object()}, {"unk_token", unknown}};
            break;
        case TokenizerKind::byte:
            file["pre_tokenizer"] = file["decoder"] =
                {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
            file["model"] = bpe_model(nullptr);
            break;
    }
    return file;
}

// The tokens in the order of their ids. Throws if those are not 0, 1, 2, ...
std::vector<std::string> tokens_of(const json& vocab, const std::string& what) {
    const Error gap(Exit::input, what, "the ids of its vocabulary are not 0, 1, 2, ... each once");
    std::vector<std::string> tokens(vocab.size());
    std::vector<bool> seen(vocab.size());
    for (const auto& [token, id] : vocab.items()) {
        if (!id.is_number_unsigned() || id.get<uint64_t>() >= vocab.size() || seen[id.get<uint64_t>()]) throw gap;
        seen[id.get<uint64_t>()] = true;
        tokens[id.get<uint64_t>()] = token;
    }
    return tokens;
}

TokenizerKind kind_of(const json& file) {
    if (file["model"]["type"] == "WordLevel") return TokenizerKind::word;
    return file["decoder"].is_object() && file["decoder"]["type"] == "ByteLevel" ? TokenizerKind::byte : TokenizerKind::character;
}

bool one_character_each(const std::vector<std::string>& tokens) {
    return std::all_of(tokens.begin(), tokens.end(), [](const std::string& t) { return decode_utf8(t).length == int(t.size()) && !t.empty(); });
}

bool is_byte_order(const std::vector<std::string>& tokens) {
    const auto symbols = byte_symbols();
    return std::equal(tokens.begin(), tokens.end(), symbols.begin(), symbols.end());
}

}  // namespace

std::string Tokenizer::to_json() const {
    const auto symbols = byte_symbols();
    json vocab = json::object();
    for (int id = 0; id < vocab_size(); id++) vocab[kind == TokenizerKind::byte ? symbols[size_t(id)] : tokens[size_t(id)]] = id;
    json file = skeleton(*this);
    file["model"]["vocab"] = std::move(vocab);
    return file.dump(1) + "\n";
}

std::string Tokenizer::config_json() const {
    // No unk_token here: transformers would take those characters in a text for the token itself.
    return json{{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}}.dump(2) + "\n";
}

Tokenizer tokenizer_from_json(std::string_view text, const std::string& what) {
    const Error foreign(Exit::input, what, "is not a char, word or byte tokenizer of this program");
    json file = json::parse(text, nullptr, false);
    if (file.is_discarded()) throw Error(Exit::input, what, "is not JSON");
    if (!file.is_object() || !file["model"].is_object() || !file["model"]["vocab"].is_object()) throw foreign;
    Tokenizer tokenizer;
    tokenizer.kind = kind_of(file);
    tokenizer.tokens = tokens_of(file["model"]["vocab"], what);
    file["model"]["vocab"] = json::object();
    if (file["model"]["unk_token"].is_string()) {
        const auto found = std::find(tokenizer.tokens.begin(), tokenizer.tokens.end(), file["model"]["unk_token"].get<std::string>());
        if (found == tokenizer.tokens.end()) throw Error(Exit::input, what, "its vocabulary lacks its unk_token");
        tokenizer.unknown = int(found - tokenizer.tokens.begin());
    }
    if (file != skeleton(tokenizer)) throw foreign;
    switch (tokenizer.kind) {
        case TokenizerKind::character:
            if (tokenizer.unknown < 0 || !one_character_each(tokenizer.tokens)) throw foreign;
            break;
        case TokenizerKind::word:
            if (tokenizer.unknown < 0) throw foreign;
            break;
        case TokenizerKind::byte:
            if (!is_byte_order(tokenizer.tokens)) throw foreign;
            return byte_tokenizer();
    }
    tokenizer.index();
    return tokenizer;
}

Tokenizer load_tokenizer(const std::string& path) { return tokenizer_from_json(files::read_file(path, longest_file), path); }
