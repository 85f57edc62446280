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

Tokenizer make_tokenizer(std::shared_ptr<Bpe> bpe, const std::string& what) {
    bpe->index(what);
    Tokenizer tokenizer;
    tokenizer.kind = TokenizerKind::bpe;
    for (const std::string& name : bpe->names) tokenizer.tokens.push_back(bytes_of_symbols(name));
    // They are found as they are, so they stand for that: the library takes é for the byte that GPT-2's alphabet writes
    // so. One that bytes and merges make as well keeps their meaning.
    std::vector<bool> made(bpe->names.size());
    for (const std::string& symbol : byte_symbols()) made[size_t(bpe->find(symbol))] = true;
    for (const MergeRule& rule : bpe->merges) made[size_t(rule.token)] = true;
    for (const AddedToken& token : bpe->added)
        if (!made[size_t(token.id)]) tokenizer.tokens[size_t(token.id)] = token.content;
    tokenizer.bpe = std::move(bpe);
    return tokenizer;
}
