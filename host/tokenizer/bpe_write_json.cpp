#include "bpe_write_json.h"
#include "bpe.h"
#include "host/base/json.h"

namespace {

Json byte_level(bool add_prefix_space, bool use_regex) {
    return {{"type", "ByteLevel"},
            {"add_prefix_space", add_prefix_space},
            {"trim_offsets", true},
            {"use_regex", use_regex}};
}

Json pre_tokenizer(const Bpe& bpe) {
    if (bpe.split == SplitRule::gpt2) return byte_level(bpe.add_prefix_space, true);
    if (bpe.split == SplitRule::none) return byte_level(bpe.add_prefix_space, false);
    if (bpe.split == SplitRule::digits || bpe.split == SplitRule::numbers) {
        const Json digits = {{"type", "Digits"}, {"individual_digits", bpe.split == SplitRule::digits}};
        return {{"type", "Sequence"}, {"pretokenizers", {digits, byte_level(false, true)}}};
    }
    const Json split = {{"type", "Split"},
                        {"pattern", {{"Regex", pattern_of(bpe.split)}}},
                        {"behavior", "Isolated"},
                        {"invert", false}};
    return {{"type", "Sequence"}, {"pretokenizers", {split, byte_level(false, false)}}};
}

// Appends to an object without looking whether the key is there: for hundreds of thousands of them.
void append(Json& object, const std::string& key, Json value) {
    Json::object_t& members = object.get_ref<Json::object_t&>();
    static_cast<Json::object_t::Container&>(members).emplace_back(key, std::move(value));
}

Json template_of(const Bpe& bpe) {
    Json single = Json::array(), tokens = Json::object();
    const auto put = [&](int id) {
        const std::string& name = bpe.names[size_t(id)];
        single.push_back({{"SpecialToken", {{"id", name}, {"type_id", 0}}}});
        tokens[name] = {{"id", name}, {"ids", {id}}, {"tokens", {name}}};
    };
    for (const int id : bpe.before) put(id);
    single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    for (const int id : bpe.after) put(id);
    const Json pair = {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}};
    return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

Json added_tokens(const Bpe& bpe) {
    Json list = Json::array();
    for (const AddedToken& t : bpe.added)
        list.push_back({{"id", t.id},
                        {"content", t.content},
                        {"single_word", t.single_word},
                        {"lstrip", t.lstrip},
                        {"rstrip", t.rstrip},
                        {"normalized", t.normalized},
                        {"special", t.special}});
    return list;
}

}  // namespace

std::string bpe_to_json(const Bpe& bpe) {
    if (!bpe.file.empty()) return bpe.file;
    Json vocab = Json::object(), merges = Json::array();
    for (size_t id = 0; id < bpe.names.size(); id++) append(vocab, bpe.names[id], int(id));
    for (const MergeRule& rule : bpe.merges)
        merges.push_back({bpe.names[size_t(rule.left)], bpe.names[size_t(rule.right)]});
    Json file = {{"version", "1.0"},
                 {"truncation", nullptr},
                 {"padding", nullptr},
                 {"added_tokens", added_tokens(bpe)},
                 {"normalizer", bpe.nfc ? Json{{"type", "NFC"}} : Json()},
                 {"pre_tokenizer", pre_tokenizer(bpe)},
                 {"post_processor", bpe.before.empty() && bpe.after.empty() ? Json() : template_of(bpe)},
                 {"decoder", byte_level(true, true)}};
    file["model"] = {{"type", "BPE"},
                     {"dropout", nullptr},
                     {"unk_token", nullptr},
                     {"continuing_subword_prefix", nullptr},
                     {"end_of_word_suffix", nullptr},
                     {"fuse_unk", false},
                     {"byte_fallback", false},
                     {"ignore_merges", bpe.ignore_merges}};
    // The library passes over these two.
    if (bpe.ranks == Ranks::tokens) file["model"]["tiktoken_ranks"] = true;
    if (!bpe.recognises_specials) file["model"]["special_tokens_are_text"] = true;
    file["model"]["vocab"] = std::move(vocab);
    file["model"]["merges"] = std::move(merges);
    return file.dump() + "\n";
}

std::string bpe_config_json(const Bpe& bpe, int separator) {
    if (!bpe.config.empty()) return bpe.config;
    Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
    if (!bpe.before.empty()) config["bos_token"] = bpe.names[size_t(bpe.before[0])];
    if (separator >= 0) config["eos_token"] = bpe.names[size_t(separator)];
    return to_text(config);
}
