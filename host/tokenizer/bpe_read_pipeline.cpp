#include "bpe_read_pipeline.h"
#include "bpe.h"
#include "json_parts.h"

namespace {

class PipelineReader : JsonParts {
public:
    PipelineReader(const nlohmann::json& file, const std::string& what) : JsonParts(what), file(file) {}

    void read(Bpe& bpe) const {
        const std::vector<json> decoders = steps(part(file, "decoder"), "decoders");
        if (decoders.size() != 1 || type(decoders[0]) != "ByteLevel") {
            bpe.metaspace.emplace();
            read_decoders(*bpe.metaspace, decoders);
            if (!flag(part(file, "model"), "byte_fallback", false))
                refuse("byte_fallback", "must be true without ByteLevel: characters without a token would be lost");
        }
        read_normalizer(bpe, part(file, "normalizer"));
        const std::vector<json> pre_tokenizers = steps(part(file, "pre_tokenizer"), "pretokenizers");
        if (bpe.metaspace) read_marks(*bpe.metaspace, pre_tokenizers);
        else read_byte_level(bpe, pre_tokenizers);
    }

private:
    const json& file;

    std::string string_pattern(const json& step) const {
        const json& pattern = part(part(step, "pattern"), "String");
        return pattern.is_string() ? pattern.get<std::string>() : "";
    }

    // Replace, ByteFallback, Fuse and perhaps Strip.
    void read_decoders(Metaspace& metaspace, const std::vector<json>& list) const {
        std::string types;
        for (const json& step : list) types += (types.empty() ? "" : ", ") + type(step);
        if (types != "Replace, ByteFallback, Fuse" && types != "Replace, ByteFallback, Fuse, Strip")
            refuse("decoder", "only ByteLevel is known, and Replace, ByteFallback, Fuse, Strip (Llama 2's)");
        if (string_pattern(list[0]) != space_mark || part(list[0], "content") != " ")
            refuse("decoder", "Replace is only known to make spaces of \u2581");
        if (list.size() < 4) return;
        const json& strip = list[3];
        if (part(strip, "content") != " " || part(strip, "stop") != 0)
            refuse("decoder", "Strip is only known for spaces at the start");
        metaspace.strips = id(part(strip, "start"), "start of Strip", 1 << 16);
    }

    void read_normalizer(Bpe& bpe, const json& normalizer) const {
        const char* known = bpe.metaspace ? " is not known, only NFC, Prepend and Replace" : " is not known, only NFC";
        for (const json& step : steps(normalizer, "normalizers")) {
            const std::string name = type(step);
            if (name == "NFC") bpe.nfc = true;
            else if (name == "Prepend" && bpe.metaspace) read_prepend(*bpe.metaspace, step);
            else if (name == "Replace" && bpe.metaspace) read_replace(*bpe.metaspace, step);
            else refuse("normalizer", shown(part(step, "type")) + known);
        }
    }

    void read_prepend(Metaspace& metaspace, const json& step) const {
        if (part(step, "prepend") != space_mark || metaspace.prepends)
            refuse("normalizer", "Prepend is only known for one \u2581");
        metaspace.prepends = true;
    }

    void read_replace(Metaspace& metaspace, const json& step) const {
        if (string_pattern(step) != " " || part(step, "content") != space_mark)
            refuse("normalizer", "Replace is only known to make \u2581 of spaces");
        metaspace.replaces = true;
    }

    void read_marks(Metaspace& metaspace, const std::vector<json>& pre_tokenizers) const {
        if (pre_tokenizers.empty()) return;
        const json& step = pre_tokenizers[0];
        if (pre_tokenizers.size() > 1 || type(step) != "Metaspace")
            refuse("pre_tokenizer", "only Metaspace is known beside ByteFallback");
        if (part(step, "replacement") != space_mark)
            refuse("pre_tokenizer", "Metaspace is only known with \u2581, not " + shown(part(step, "replacement")));
        const json& scheme = part(step, "prepend_scheme");
        if (scheme.is_null() || scheme == "always") metaspace.prefix = Prefix::always;
        else if (scheme == "first") metaspace.prefix = Prefix::first;
        else if (scheme == "never") metaspace.prefix = Prefix::never;
        else refuse("prepend_scheme", shown(scheme) + " is not known, only always, first and never");
        if (!flag(step, "add_prefix_space", true) && metaspace.prefix != Prefix::never)
            refuse("pre_tokenizer", "add_prefix_space contradicts prepend_scheme");
        metaspace.splits = flag(step, "split", true);
    }

    void read_byte_level(Bpe& bpe, const std::vector<json>& all) const {
        if (all.empty() || type(all.back()) != "ByteLevel" || all.size() > 2)
            refuse("pre_tokenizer", "only ByteLevel is known, and Split or Digits with ByteLevel");
        const bool regex = flag(all.back(), "use_regex", true);
        bpe.add_prefix_space = flag(all.back(), "add_prefix_space", true);
        bpe.split = regex ? SplitRule::gpt2 : SplitRule::none;
        if (all.size() == 1) return;
        const std::string first = type(all[0]);
        if (first != "Split" && first != "Digits")
            refuse("pre_tokenizer", shown(part(all[0], "type")) + " is not known, only Split, Digits and ByteLevel");
        if (bpe.add_prefix_space)
            refuse("pre_tokenizer", "add_prefix_space after " + first + " would add a space to every piece");
        if (first == "Split" && regex)
            refuse("pre_tokenizer", "a Split and then ByteLevel with use_regex would split twice");
        if (first == "Digits" && !regex)
            refuse("pre_tokenizer", "Digits is only known before ByteLevel with use_regex");
        bpe.split = first == "Split" ? read_split(all[0]) : read_digits(all[0]);
    }

    SplitRule read_digits(const json& digits) const {
        if (!part(digits, "individual_digits").is_boolean()) refuse("individual_digits", "must be true or false");
        return flag(digits, "individual_digits", true) ? SplitRule::digits : SplitRule::numbers;
    }

    SplitRule read_split(const json& split) const {
        const bool matches = part(split, "behavior") == "Isolated" ||
                             (part(split, "behavior") == "Removed" && flag(split, "invert", false));
        if (!matches)
            refuse("pre_tokenizer", "behavior " + shown(part(split, "behavior")) + " is not known, only Isolated");
        const json& pattern = part(part(split, "pattern"), "Regex");
        const auto rule = pattern.is_string() ? rule_of(pattern.get<std::string>()) : std::nullopt;
        if (!rule)
            refuse("pre_tokenizer", "the pattern " + shown(part(split, "pattern")) +
                                        " is none of GPT-2's, GPT-4o's, Llama 3's and Qwen's");
        return *rule;
    }
};

}  // namespace

void read_pipeline(Bpe& bpe, const nlohmann::json& file, const std::string& what) {
    PipelineReader(file, what).read(bpe);
}
