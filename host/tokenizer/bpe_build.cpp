#include "bpe_build.h"
#include <nlohmann/json.hpp>
#include "bpe.h"
#include "host/base/error.h"
#include "host/base/text.h"

std::vector<std::string> tokens_of(const nlohmann::json& vocab, const std::string& what) {
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

std::unordered_map<std::string_view, int> ids_of(const std::vector<std::string>& names) {
    std::unordered_map<std::string_view, int> ids;
    ids.reserve(2 * names.size());
    for (size_t i = 0; i < names.size(); i++) ids.emplace(names[i], int(i));
    return ids;
}

void add_merge(Bpe& bpe, const std::unordered_map<std::string_view, int>& ids, std::string_view left,
               std::string_view right, const std::string& what) {
    const std::string both = std::string(left) + std::string(right);
    const auto token = [&](std::string_view name) {
        const auto found = ids.find(name);
        if (found == ids.end())
            throw Error(Exit::input, what,
                        "merge " + std::to_string(bpe.merges.size()) + " needs " + in_quotes(std::string(name)) +
                            ", which is not in the vocabulary");
        return found->second;
    };
    bpe.merges.push_back({token(left), token(right), token(both)});
}

namespace {

// Added tokens are found as they are, so they stand for that: the library takes é for the byte that GPT-2's alphabet
// writes so. One that bytes and merges make as well keeps their meaning.
void restore_added_tokens(std::vector<std::string>& tokens, const Bpe& bpe) {
    std::vector<bool> made(bpe.names.size());
    for (const std::string& symbol : byte_symbols()) made[size_t(bpe.find(symbol))] = true;
    for (const MergeRule& rule : bpe.merges) made[size_t(rule.token)] = true;
    for (const AddedToken& token : bpe.added)
        if (!made[size_t(token.id)]) tokens[size_t(token.id)] = token.content;
}

// A token that is looked for in normalised text is decoded from that: the ▁ before it is its own.
std::vector<std::string> decoded_marked(Bpe& bpe) {
    std::vector<std::string> tokens = bpe.names;
    for (const AddedToken& token : bpe.added)
        if (token.normalized) tokens[size_t(token.id)] = bpe.normalized_text(token.content, Section::first);
    for (std::string& token : tokens) {
        bpe.is_byte.push_back(byte_of_name(token) >= 0);
        token = text_of_name(token);
    }
    return tokens;
}

std::vector<std::string> decoded_bytes(const Bpe& bpe) {
    std::vector<std::string> tokens;
    for (const std::string& name : bpe.names) tokens.push_back(bytes_of_symbols(name));
    restore_added_tokens(tokens, bpe);
    return tokens;
}

}  // namespace

Tokenizer make_tokenizer(std::shared_ptr<Bpe> bpe, const std::string& what) {
    bpe->index(what);
    Tokenizer tokenizer;
    tokenizer.kind = TokenizerKind::bpe;
    tokenizer.tokens = bpe->metaspace ? decoded_marked(*bpe) : decoded_bytes(*bpe);
    tokenizer.bpe = std::move(bpe);
    return tokenizer;
}
