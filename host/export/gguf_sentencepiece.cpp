#include "gguf_sentencepiece.h"
#include <algorithm>
#include <set>
#include <unordered_map>
#include "host/base/error.h"
#include "host/base/utf8.h"

namespace gguf {

namespace {

// Why llama.cpp, which makes ▁ of every space and cuts nowhere, would see another text; "": it does not.
std::string other_text(const Bpe& bpe) {
    const Metaspace& how = *bpe.metaspace;
    if (!how.replaces && !how.prefix) return "it keeps spaces, of which llama.cpp makes \u2581";
    if (how.splits && std::ranges::any_of(bpe.names, has_inner_mark))
        return "it cuts text at spaces and has tokens with a space inside, which llama.cpp would make";
    return "";
}

}  // namespace

std::vector<float> sentencepiece_scores(const Bpe& bpe, const std::string& what, const std::string& hint) {
    const auto refuse = [&](const std::string& why) {
        throw Error(Exit::input, what, "llama.cpp cannot do what this tokenizer does: " + why, hint);
    };
    if (const std::string why = other_text(bpe); !why.empty()) refuse(why);
    const size_t n = bpe.names.size();
    std::vector<float> scores(n, -float(n));
    std::vector<bool> scored(n), plain(n, true);
    std::set<std::pair<int, int>> listed;
    int rank = 0, last = -1;
    for (const MergeRule& rule : bpe.merges) {
        listed.emplace(rule.left, rule.right);
        if (rule.token == last) continue;
        if (scored[size_t(rule.token)]) refuse("merges of two tokens alternate in its list");
        scores[size_t(rule.token)] = float(-rank++);
        scored[size_t(last = rule.token)] = true;
    }
    for (const AddedToken& token : bpe.added) plain[size_t(token.id)] = false;
    for (size_t id = 0; id < bpe.is_byte.size(); id++)
        if (bpe.is_byte[id]) plain[id] = false;
    std::unordered_map<std::string_view, int> ids;
    for (size_t id = 0; id < n; id++)
        if (plain[id]) ids.emplace(bpe.names[id], int(id));
    for (const auto& [name, id] : ids)
        for (size_t at = 1; at < name.size(); at++) {
            const auto left = ids.find(name.substr(0, at)), right = ids.find(name.substr(at));
            if (left == ids.end() || right == ids.end() || listed.contains({left->second, right->second})) continue;
            refuse("its tokens \"" + std::string(left->first) + "\" and \"" + std::string(right->first) +
                   "\" make another that it does not merge them to");
        }
    return scores;
}

bool puts_space_first(const Bpe& bpe) {
    return bpe.metaspace->prepends || bpe.metaspace->prefix.value_or(Prefix::never) != Prefix::never;
}

}  // namespace gguf
