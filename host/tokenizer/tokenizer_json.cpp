#include "tokenizer_json.h"
#include <algorithm>
#include "bpe.h"
#include "bpe_build.h"
#include "bpe_read_json.h"
#include "bpe_write_json.h"
#include "host/base/error.h"
#include "host/base/json.h"
#include "host/base/text.h"
#include "host/base/utf8.h"

namespace {

using nlohmann::json;

// The rule of word_length.
#define IDEOGRAPHS "\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\U00020000-\U0003FFFF"
constexpr const char* word_pattern = "[" IDEOGRAPHS
                                     "]"
                                     "| ?(?:(?![" IDEOGRAPHS "])[\\p{L}\\p{M}])+(?:['\u2019](?:(?![" IDEOGRAPHS
                                     "])[\\p{L}\\p{M}])+)*"
                                     "| ?\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}" IDEOGRAPHS "]|\\s";
#undef IDEOGRAPHS

json bpe_model(const json& unknown) {
    return {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", unknown},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", json::object()},
            {"merges", json::array()}};
}

// tokenizer.json without its vocabulary.
json skeleton(const Tokenizer& tokenizer) {
    const std::string unknown = tokenizer.unknown >= 0 ? tokenizer.tokens[size_t(tokenizer.unknown)] : "";
    json file = {{"version", "1.0"},          {"truncation", nullptr},
                 {"padding", nullptr},        {"added_tokens", json::array()},
                 {"normalizer", nullptr},     {"pre_tokenizer", nullptr},
                 {"post_processor", nullptr}, {"decoder", {{"type", "Fuse"}}}};
    switch (tokenizer.kind) {
        case TokenizerKind::character: file["model"] = bpe_model(unknown); break;
        case TokenizerKind::word:
            file["pre_tokenizer"] = {
                {"type", "Split"}, {"pattern", {{"Regex", word_pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
            file["model"] = {{"type", "WordLevel"}, {"vocab", json::object()}, {"unk_token", unknown}};
            break;
        case TokenizerKind::bpe: break;  // bpe_write_json writes it
        case TokenizerKind::byte:
            file["pre_tokenizer"] = file["decoder"] = {
                {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
            file["model"] = bpe_model(nullptr);
            break;
    }
    return file;
}

json type_of(const json& part) { return part.is_object() ? part.value("type", json()) : json(); }

// What the file lacks becomes null in it.
TokenizerKind kind_of(json& file) {
    if (type_of(file["model"]) == "WordLevel") return TokenizerKind::word;
    const json& merges = file["model"]["merges"];
    const bool merges_any = !merges.is_array() || !merges.empty() || file["model"]["byte_fallback"] == true;
    if (!merges_any && type_of(file["decoder"]) != "ByteLevel") return TokenizerKind::character;
    const bool bytes = !merges_any && file["added_tokens"] == json::array() && file["model"]["vocab"].size() == 256;
    return bytes ? TokenizerKind::byte : TokenizerKind::bpe;
}

bool one_character_each(const std::vector<std::string>& tokens) {
    return std::all_of(tokens.begin(), tokens.end(),
                       [](const std::string& t) { return decode_utf8(t).length == int(t.size()) && !t.empty(); });
}

bool is_byte_order(const std::vector<std::string>& tokens) {
    const auto& symbols = byte_symbols();
    return std::equal(tokens.begin(), tokens.end(), symbols.begin(), symbols.end());
}

}  // namespace

std::string tokenizer_json(const Tokenizer& tokenizer) {
    if (tokenizer.bpe) return bpe_to_json(*tokenizer.bpe);
    const bool bytes = tokenizer.kind == TokenizerKind::byte;
    const auto& symbols = byte_symbols();
    json vocab = json::object();
    for (int id = 0; id < tokenizer.vocab_size(); id++)
        vocab[bytes ? symbols[size_t(id)] : tokenizer.tokens[size_t(id)]] = id;
    json file = skeleton(tokenizer);
    file["model"]["vocab"] = std::move(vocab);
    return file.dump(1) + "\n";
}

std::string tokenizer_config_json(const Tokenizer& tokenizer) {
    if (tokenizer.bpe) return bpe_config_json(*tokenizer.bpe, tokenizer.separator());
    // No unk_token here: transformers would take those characters in a text for the token itself.
    return json{{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}}.dump(2) + "\n";
}

Tokenizer tokenizer_from_json(std::string_view text, const std::string& what) {
    const Error foreign(Exit::input, what,
                        "is neither a BPE of bytes or of characters with byte_fallback, nor a char, word or byte "
                        "tokenizer of this program");
    json file = parse_large_json(text, what);
    const json type = file.is_object() ? type_of(file["model"]) : json();
    if (type.is_string() && type != "BPE" && type != "WordLevel")
        throw Error(Exit::input, what, "its model is " + in_quotes(type.get<std::string>()) + ", only BPE is known");
    if (!file.is_object() || !file["model"].is_object() || !file["model"]["vocab"].is_object())
        throw Error(Exit::input, what, "is not a tokenizer.json: it has no model with a vocabulary");
    Tokenizer tokenizer;
    tokenizer.kind = kind_of(file);
    if (tokenizer.kind == TokenizerKind::bpe) return bpe_from_json(file, text, what);
    tokenizer.tokens = tokens_of(file["model"]["vocab"], what);
    file["model"]["vocab"] = json::object();
    if (file["model"]["unk_token"].is_string()) {
        const auto found =
            std::find(tokenizer.tokens.begin(), tokenizer.tokens.end(), file["model"]["unk_token"].get<std::string>());
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
        case TokenizerKind::bpe: break;
    }
    tokenizer.index();
    return tokenizer;
}
