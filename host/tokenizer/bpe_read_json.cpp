#include "bpe_read_json.h"
#include "bpe.h"
#include "bpe_build.h"
#include "bpe_read_pipeline.h"
#include "host/base/error.h"
#include "host/base/json.h"
#include "json_parts.h"

namespace {

using nlohmann::json;

class Reader : JsonParts {
public:
    Reader(const json& file, const std::string& what) : JsonParts(what), file(file) {}

    void read(Bpe& bpe) const {
        if (part(file, "version") != "1.0") refuse("version " + part(file, "version").dump(), "only 1.0 is known");
        for (const char* name : {"truncation", "padding"})
            if (!part(file, name).is_null()) refuse(name, "would cut or fill what is encoded; make it null");
        read_model(bpe, part(file, "model"));
        read_pipeline(bpe, file, what);
        read_added_tokens(bpe, part(file, "added_tokens"));
        for (const json& step : steps(part(file, "post_processor"), "processors")) read_post_processor(bpe, step);
    }

private:
    const json& file;

    void read_model(Bpe& bpe, const json& model) const {
        const json& kind = part(model, "type");
        if (!kind.is_null() && kind != "BPE") refuse("model", shown(kind) + " is not known, only BPE");
        const json& dropout = part(model, "dropout");
        if (!dropout.is_null() && dropout != 0.0) refuse("dropout", "encoding would be random");
        for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"})
            if (const json& affix = part(model, name); !affix.is_null() && affix != "")
                refuse(name, "marks of words within a token are not known");
        bpe.ignore_merges = flag(model, "ignore_merges", false);
        bpe.recognises_specials = !flag(model, "special_tokens_are_text", false);  // these two are ours
        bpe.ranks = flag(model, "tiktoken_ranks", false) ? Ranks::tokens : Ranks::listed;
        bpe.names = tokens_of(part(model, "vocab"), what);
        bpe.model_tokens = bpe.names.size();
        const auto ids = ids_of(bpe.names);
        const json& merges = part(model, "merges");
        if (!merges.is_array()) refuse("merges", "must be a list");
        for (const json& merge : merges) {
            if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
                add_merge(bpe, ids, merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>(),
                          what);
                continue;
            }
            const std::string line = text(merge, "merges");
            if (line.starts_with("#version")) continue;
            const size_t space = line.find(' ');
            if (space == line.npos || line.find(' ', space + 1) != line.npos)
                refuse("merges", shown(merge) + " is not two tokens with a space between");
            add_merge(bpe, ids, std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1),
                      what);
        }
    }

    // The library takes the id of a token of that name, else the next free one: a file that says otherwise
    // contradicts itself.
    void read_added_tokens(Bpe& bpe, const json& list) const {
        constexpr size_t longest_content = 4096;
        if (list.is_null()) return;
        if (!list.is_array()) refuse("added_tokens", "must be a list");
        const size_t most = bpe.names.size() + list.size();
        bpe.names.reserve(most);  // `ids` points into it
        auto ids = ids_of(bpe.names);
        for (const json& row : list) {
            AddedToken token;
            token.content = text(part(row, "content"), "content of an added token");
            if (token.content.empty() || token.content.size() > longest_content)
                refuse("added_tokens", "a token's content is empty or too long");
            token.id = id(part(row, "id"), "id of an added token", most);
            token.single_word = flag(row, "single_word", false);
            token.lstrip = flag(row, "lstrip", false);
            token.rstrip = flag(row, "rstrip", false);
            token.normalized = flag(row, "normalized", false);
            token.special = flag(row, "special", false);
            const auto known = ids.find(token.content);
            const int expected = known != ids.end() ? known->second : int(bpe.names.size());
            if (token.id != expected)
                refuse("added token " + shown(row["content"]),
                       "has id " + std::to_string(token.id) + ", the vocabulary makes it " + std::to_string(expected));
            if (known == ids.end()) {
                bpe.names.push_back(token.content);
                ids.emplace(bpe.names.back(), token.id);
            }
            bpe.added.push_back(std::move(token));
        }
    }

    void read_post_processor(Bpe& bpe, const json& step) const {
        if (type(step) == "ByteLevel") return;  // moves offsets only
        if (type(step) != "TemplateProcessing")
            refuse("post_processor",
                   shown(part(step, "type")) + " is not known, only ByteLevel and TemplateProcessing");
        const json& single = part(step, "single");
        if (!single.is_array()) refuse("post_processor", "its template must be a list");
        int texts = 0;
        for (const json& item : single) {
            if (!part(item, "Sequence").is_null()) {
                texts++;
                continue;
            }
            const json& name = part(part(item, "SpecialToken"), "id");
            const json& ids =
                part(part(part(step, "special_tokens"), text(name, "special token of post_processor").c_str()), "ids");
            if (!ids.is_array()) refuse("post_processor", shown(name) + " has no ids");
            for (const json& value : ids)
                (texts ? bpe.after : bpe.before).push_back(id(value, "post_processor", bpe.names.size()));
        }
        if (texts != 1) refuse("post_processor", "its template must hold the text once");
    }
};

}  // namespace

Tokenizer bpe_from_json(const json& file, std::string_view text, const std::string& what) {
    auto bpe = std::make_shared<Bpe>();
    Reader(file, what).read(*bpe);
    bpe->file = text;
    return make_tokenizer(std::move(bpe), what);
}
