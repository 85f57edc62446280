#include "gguf_tokenizer.h"
#include <algorithm>
#include <set>
#include "gguf_sentencepiece.h"
#include "host/base/error.h"
#include "host/base/json.h"
#include "host/tokenizer/bpe.h"

namespace gguf {

namespace {

enum TokenType { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

constexpr const char* without = "--tokenizer none writes the model without one, for programs that give it ids";

struct Vocabulary {
    std::vector<std::string> names;
    std::vector<int32_t> types;
    std::vector<std::string> merges;
    std::vector<float> scores;  // of SentencePiece's
    const char* kind = "gpt2";
    std::string cuts = "qwen2";  // the name of what cuts a text into pieces; where every token is one, any will do
};

// Every character by itself: bytes become a character by merges that begin with its first byte, and only there.
Vocabulary of_characters(const Tokenizer& tokenizer) {
    Vocabulary all;
    std::set<std::string> seen;
    for (const std::string& token : tokenizer.tokens) {
        all.names.push_back(symbols_of_bytes(token));
        for (size_t n = 1; n < token.size(); n++) {
            const std::string merge = symbols_of_bytes(token.substr(0, n)) + " " + symbols_of_bytes(token.substr(n, 1));
            if (seen.insert(merge).second) all.merges.push_back(merge);
        }
    }
    return all;
}

// Whether merges make every token of the model, so that ignore_merges says nothing.
bool merges_make_all(const Bpe& bpe) {
    MergeTable table;
    table.reserve(bpe.merges.size());
    for (size_t rank = 0; rank < bpe.merges.size(); rank++) {
        const MergeRule& rule = bpe.merges[rank];
        table.insert(rule.left, rule.right, {uint32_t(rank), rule.token});
    }
    const size_t tokens = bpe.model_tokens ? bpe.model_tokens : bpe.names.size();
    for (size_t id = 0; id < tokens; id++) {
        const std::string& name = bpe.names[id];
        const bool is_added = std::ranges::any_of(bpe.added, [&](const AddedToken& t) { return t.id == int(id); });
        if (name.empty() || is_added) continue;
        std::vector<int> symbols, merged;
        for (const char c : bytes_of_symbols(name)) symbols.push_back(bpe.find(byte_symbols()[uint8_t(c)]));
        merge_piece(merged, symbols, table);
        if (merged != std::vector<int>{int(id)}) return false;
    }
    return true;
}

std::string cuts_of(const Bpe& bpe, std::vector<std::string>& warnings, const std::string& what) {
    const bool whole = bpe.ignore_merges && !merges_make_all(bpe);
    std::string name;
    switch (bpe.split) {
        case SplitRule::gpt2: name = "gpt-2"; break;
        case SplitRule::cl100k:
            warnings.push_back("llama.cpp cuts white space at the very end of a text otherwise");
            [[fallthrough]];
        case SplitRule::llama3: return bpe.ignore_merges ? "llama-bpe" : "smaug-bpe";
        case SplitRule::qwen2: name = "qwen2"; break;
        case SplitRule::o200k: name = "gpt-4o"; break;
        case SplitRule::digits: name = "smollm"; break;
        case SplitRule::numbers:
        case SplitRule::none:
            throw Error(Exit::input, what, "llama.cpp cannot cut text by the rule " + std::string(name_of(bpe.split)),
                        without);
    }
    if (whole) warnings.push_back("llama.cpp cuts tokens that no merges make, which ignore_merges keeps whole");
    return name;
}

// Of a pair that is listed twice the later counts, and in llama.cpp the first.
std::vector<std::string> merges_of(const Bpe& bpe) {
    std::set<std::pair<int, int>> seen;
    std::vector<std::string> merges;
    for (size_t i = bpe.merges.size(); i-- > 0;) {
        const MergeRule& rule = bpe.merges[i];
        if (seen.emplace(rule.left, rule.right).second)
            merges.push_back(bpe.names[size_t(rule.left)] + " " + bpe.names[size_t(rule.right)]);
    }
    std::ranges::reverse(merges);
    return merges;
}

void mark_added(Vocabulary& all, const Bpe& bpe) {
    for (const AddedToken& token : bpe.added) all.types[size_t(token.id)] = token.special ? control : user_defined;
}

Vocabulary of_bpe(const Bpe& bpe, std::vector<std::string>& warnings, const std::string& what) {
    Vocabulary all;
    all.names = bpe.names;
    all.types.assign(bpe.names.size(), normal);
    if (bpe.metaspace) {
        all.kind = "llama", all.cuts = "default";
        all.scores = sentencepiece_scores(bpe, what, without);
        for (size_t id = 0; id < bpe.is_byte.size(); id++)
            if (bpe.is_byte[id]) all.types[id] = byte;
    } else {
        all.cuts = cuts_of(bpe, warnings, what);
        all.merges = merges_of(bpe);
        if (bpe.add_prefix_space)
            warnings.push_back("llama.cpp puts no space before a text, as this tokenizer does: begin prompts with one");
    }
    mark_added(all, bpe);
    if (const int id = bpe.metaspace ? bpe.find("<unk>") : -1; id >= 0) all.types[size_t(id)] = unknown;
    return all;
}

// Ids without a token, and those up to the model's V, get names that no other has.
void fill(Vocabulary& all, int V) {
    std::set<std::string> names(all.names.begin(), all.names.end());
    all.types.resize(all.names.size(), normal);
    all.names.resize(size_t(V));
    all.types.resize(size_t(V), unused);
    if (!all.scores.empty()) all.scores.resize(size_t(V), -float(V));
    for (int id = 0; id < V; id++) {
        std::string& name = all.names[size_t(id)];
        if (!name.empty()) continue;
        name = "[PAD" + std::to_string(id) + "]";
        while (!names.insert(name).second) name += "_";
        all.types[size_t(id)] = unused;
    }
}

// llama.cpp takes token 11 for the end of a text, or 2, where a file names none: of a model without an end this is a
// token that it will not write, the unknown one or the byte that no text holds.
int never_written(const Tokenizer& tokenizer) {
    if (tokenizer.unknown >= 0) return tokenizer.unknown;
    if (tokenizer.kind == TokenizerKind::byte) return 0xFF;
    const Bpe& bpe = *tokenizer.bpe;
    if (!bpe.metaspace) return bpe.find(byte_symbols()[0xFF]);
    const int unk = bpe.find("<unk>");
    return unk >= 0 ? unk : bpe.find(byte_name(0xFF));
}

void add_special(Metadata& all, const Tokenizer& tokenizer, const ModelDescription& model,
                 std::vector<std::string>& warnings) {
    const auto id = [&](const char* name, int token) {
        if (token >= 0) all.emplace_back(std::string("tokenizer.ggml.") + name + "_token_id", uint32_t(token));
    };
    const int never = never_written(tokenizer);
    // As `sample` has it: what the tokenizer's files say, else the model's first token.
    const std::vector<int> otherwise = model.special.bos >= 0 ? std::vector{model.special.bos} : std::vector<int>{};
    const std::vector<int> before = tokenizer.before_prompt().value_or(otherwise);
    if (before.size() > 1)
        warnings.push_back("llama.cpp puts one token before a text, the first of the " + std::to_string(before.size()) +
                           " of this tokenizer");
    std::vector<int> ends = model.ends;
    if (ends.empty() && tokenizer.separator() >= 0) ends = {tokenizer.separator()};
    const int bos = !before.empty() ? before[0] : model.special.bos >= 0 ? model.special.bos : never;
    id("bos", bos);
    id("eos", ends.empty() ? never : ends[0]);
    if (ends.size() > 1) id("eot", ends[1]);  // these end a text as well
    if (ends.size() > 2) id("eom", ends[2]);
    if (ends.size() > 3) warnings.push_back("llama.cpp ends a text at the first three of the model's end tokens only");
    id("unknown", tokenizer.bpe && tokenizer.bpe->metaspace ? tokenizer.bpe->find("<unk>") : tokenizer.unknown);
    id("padding", model.special.pad);
    all.emplace_back("tokenizer.ggml.add_bos_token", !before.empty());
    all.emplace_back("tokenizer.ggml.add_eos_token", false);
}

// One text, or a list of named ones of which "default" is for chats.
void add_chat_template(Metadata& all, const Tokenizer& tokenizer, const std::string& template_file) {
    const std::string key = "tokenizer.chat_template";
    if (!template_file.empty()) return all.emplace_back(key, template_file), void();
    if (!tokenizer.bpe || tokenizer.bpe->config.empty()) return;
    const Json config = parse_json(tokenizer.bpe->config, "tokenizer_config.json");
    const Json chat = config.is_object() ? config.value("chat_template", Json()) : Json();
    if (chat.is_string()) return all.emplace_back(key, chat.get<std::string>()), void();
    if (!chat.is_array()) return;
    std::vector<std::string> names;
    for (const Json& one : chat) {
        if (!one.is_object() || !one.value("name", Json()).is_string() || !one.value("template", Json()).is_string())
            continue;
        const std::string name = one["name"], text = one["template"];
        if (std::ranges::count(names, name)) continue;
        names.push_back(name);
        all.emplace_back(name == "default" ? key : key + "." + name, text);
    }
    std::erase(names, "default");
    if (!names.empty()) all.emplace_back("tokenizer.chat_templates", names);
}

}  // namespace

TokenizerMetadata tokenizer_metadata(const Tokenizer& tokenizer, const ModelDescription& model,
                                     const std::string& template_file, const std::string& what) {
    TokenizerMetadata made;
    const int V = model.config.V;
    if (tokenizer.vocab_size() > V)
        throw Error(Exit::input, what,
                    "the tokenizer has " + std::to_string(tokenizer.vocab_size()) + " tokens, the model only " +
                        std::to_string(V),
                    "use the tokenizer the model was trained with");
    if (tokenizer.kind == TokenizerKind::word)
        throw Error(Exit::input, what, "llama.cpp cannot cut a text into words as this tokenizer does", without);
    Vocabulary vocabulary = tokenizer.bpe ? of_bpe(*tokenizer.bpe, made.warnings, what) : of_characters(tokenizer);
    fill(vocabulary, V);
    Metadata& all = made.metadata;
    all = {{"tokenizer.ggml.model", vocabulary.kind},
           {"tokenizer.ggml.pre", vocabulary.cuts},
           {"tokenizer.ggml.tokens", std::move(vocabulary.names)},
           {"tokenizer.ggml.token_type", std::move(vocabulary.types)}};
    if (vocabulary.scores.empty()) {
        all.emplace_back("tokenizer.ggml.merges", std::move(vocabulary.merges));
    } else {
        all.emplace_back("tokenizer.ggml.scores", std::move(vocabulary.scores));
        all.emplace_back("tokenizer.ggml.add_space_prefix", puts_space_first(*tokenizer.bpe));
    }
    add_special(all, tokenizer, model, made.warnings);
    add_chat_template(all, tokenizer, template_file);
    return made;
}

Metadata no_tokenizer() { return {{"tokenizer.ggml.model", "none"}}; }

}  // namespace gguf
