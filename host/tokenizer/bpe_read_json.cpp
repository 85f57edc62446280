#include "bpe_read_json.h"
#include "bpe.h"
#include "bpe_build.h"
#include "host/base/error.h"
#include "host/base/json.h"

namespace {

using nlohmann::json;

class Reader {
public:
    Reader(const json& file, const std::string& what) : file(file), what(what) {}

    void read(Bpe& bpe) const {
        if (part(file, "version") != "1.0") refuse("version " + part(file, "version").dump(), "only 1.0 is known");
        for (const char* name : {"truncation", "padding"})
            if (!part(file, name).is_null()) refuse(name, "would cut or fill what is encoded; make it null");
        read_model(bpe, part(file, "model"));
        read_normalizer(bpe, part(file, "normalizer"));
        read_pre_tokenizer(bpe, part(file, "pre_tokenizer"));
        read_added_tokens(bpe, part(file, "added_tokens"));
        for (const json& step : steps(part(file, "post_processor"), "processors")) read_post_processor(bpe, step);
        const std::vector<json> decoders = steps(part(file, "decoder"), "decoders");
        if (decoders.size() != 1 || type(decoders[0]) != "ByteLevel") refuse("decoder", "only ByteLevel is known");
    }

private:
    const json& file;
    const std::string& what;

    [[noreturn]] void refuse(const std::string& name, const std::string& reason) const {
        throw Error(Exit::input, what, name + ": " + reason);
    }
    static const json& part(const json& object, const char* name) {
        static const json null;
        if (!object.is_object()) return null;
        const auto found = object.find(name);
        return found == object.end() ? null : *found;
    }
    static std::string shown(const json& value) {
        const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
        return text.size() > 80 ? text.substr(0, 80) + "..." : text;
    }
    static std::string type(const json& object) {
        const json& name = part(object, "type");
        return name.is_string() ? name.get<std::string>() : "";
    }
    bool flag(const json& object, const char* name, bool otherwise) const {
        const json& value = part(object, name);
        if (value.is_null()) return otherwise;
        if (!value.is_boolean()) refuse(name, "must be true or false, is " + shown(value));
        return value.get<bool>();
    }
    std::string text(const json& value, const char* name) const {
        if (!value.is_string()) refuse(name, "must be text, is " + shown(value));
        return value.get<std::string>();
    }
    int id(const json& value, const char* name, size_t limit) const {
        if (!value.is_number_unsigned() || value.get<uint64_t>() >= limit)
            refuse(name, shown(value) + " is no id below " + std::to_string(limit));
        return int(value.get<uint64_t>());
    }

    // What a component does, one after the other: itself, or the members of a Sequence. Null does nothing.
    std::vector<json> steps(const json& component, const char* members) const {
        if (component.is_null()) return {};
        if (type(component) != "Sequence") return {component};
        const json& list = part(component, members);
        if (!list.is_array()) refuse(members, "must be a list");
        std::vector<json> all;
        for (const json& step : list) {
            if (type(step) == "Sequence") refuse(members, "a Sequence within a Sequence is not known");
            all.push_back(step);
        }
        return all;
    }

    void read_model(Bpe& bpe, const json& model) const {
        const json& kind = part(model, "type");
        if (!kind.is_null() && kind != "BPE") refuse("model", shown(kind) + " is not known, only BPE");
        const json& dropout = part(model, "dropout");
        if (!dropout.is_null() && dropout != 0.0) refuse("dropout", "encoding would be random");
        for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"})
            if (const json& affix = part(model, name); !affix.is_null() && affix != "")
                refuse(name, "is not byte-level BPE");
        bpe.ignore_merges = flag(model, "ignore_merges", false);
        bpe.recognises_specials = !flag(model, "special_tokens_are_text", false);  // these two are ours
        bpe.ranks = flag(model, "tiktoken_ranks", false) ? Ranks::tokens : Ranks::listed;
        bpe.names = tokens_of(part(model, "vocab"), what);
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

    void read_normalizer(Bpe& bpe, const json& normalizer) const {
        for (const json& step : steps(normalizer, "normalizers")) {
            if (type(step) != "NFC") refuse("normalizer", shown(part(step, "type")) + " is not known, only NFC");
            bpe.nfc = true;
        }
    }

    void read_pre_tokenizer(Bpe& bpe, const json& pre_tokenizer) const {
        const std::vector<json> all = steps(pre_tokenizer, "pretokenizers");
        if (all.empty() || type(all.back()) != "ByteLevel" || all.size() > 2)
            refuse("pre_tokenizer", "only ByteLevel is known, and Split with ByteLevel");
        const bool regex = flag(all.back(), "use_regex", true);
        bpe.add_prefix_space = flag(all.back(), "add_prefix_space", true);
        bpe.split = regex ? SplitRule::gpt2 : SplitRule::none;
        if (all.size() == 1) return;
        if (regex) refuse("pre_tokenizer", "a Split and then ByteLevel with use_regex would split twice");
        if (bpe.add_prefix_space)
            refuse("pre_tokenizer", "add_prefix_space after a Split would add a space to every piece");
        bpe.split = read_split(all[0]);
    }

    SplitRule read_split(const json& split) const {
        if (type(split) != "Split")
            refuse("pre_tokenizer", shown(part(split, "type")) + " is not known, only Split and ByteLevel");
        const bool matches = part(split, "behavior") == "Isolated" ||
                             (part(split, "behavior") == "Removed" && flag(split, "invert", false));
        if (!matches)
            refuse("pre_tokenizer", "behavior " + shown(part(split, "behavior")) + " is not known, only Isolated");
        const json& pattern = part(part(split, "pattern"), "Regex");
        const auto rule = pattern.is_string() ? rule_of(pattern.get<std::string>()) : std::nullopt;
        if (!rule)
            refuse("pre_tokenizer",
                   "the pattern " + shown(part(split, "pattern")) + " is none of GPT-2's, Llama 3's and Qwen's");
        return *rule;
    }

    // The library takes the id of a token of that name, else the next free one:
    // a file that says otherwise contradicts itself.
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
