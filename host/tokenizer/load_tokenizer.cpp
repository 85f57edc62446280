#include "load_tokenizer.h"
#include <algorithm>
#include <filesystem>
#include "bpe.h"
#include "bpe_files.h"
#include "host/base/error.h"
#include "host/base/files.h"
#include "host/base/json.h"
#include "tokenizer_json.h"

namespace {

constexpr uint64_t longest_file = 256 << 20;

[[noreturn]] void refuse(const std::string& what, const std::string& reason, const std::string& hint = "") {
    throw Error(Exit::input, what, reason, hint);
}

// tokenizer_config.json beside the file, which goes along into checkpoints.
std::string config_beside(const std::string& path) {
    const std::string config = (std::filesystem::path(path).parent_path() / "tokenizer_config.json").string();
    if (!files::exists(config)) return "";
    std::string text = files::read_file(config, 16 << 20);
    if (!parse_json(text, config).is_object()) refuse(config, "is not a JSON object");
    return text;
}

// tokenizer_config.json may say against the template of tokenizer.json whether bos_token stands before a text.
void apply_config(Bpe& bpe) {
    if (bpe.config.empty()) return;
    const Json config = parse_json(bpe.config, "tokenizer_config.json");
    const Json adds = config.value("add_bos_token", Json());
    Json name = config.value("bos_token", Json());
    if (name.is_object()) name = name.value("content", Json());
    const int bos = name.is_string() ? bpe.find(name.get<std::string>()) : -1;
    if (!adds.is_boolean() || bos < 0) return;
    std::vector<int> before = bpe.before;
    const bool there = !before.empty() && before[0] == bos;
    if (there && !adds.get<bool>()) before.erase(before.begin());
    if (!there && adds.get<bool>()) before.insert(before.begin(), bos);
    bpe.before_prompt = before;
}

Tokenizer with_config(Tokenizer tokenizer, const std::string& path) {
    if (!tokenizer.bpe) return tokenizer;
    // Nobody else holds it yet.
    Bpe& bpe = *std::const_pointer_cast<Bpe>(tokenizer.bpe);
    bpe.config = config_beside(path);
    apply_config(bpe);
    return tokenizer;
}

constexpr const char* how_to_convert =
    "transformers writes a tokenizer.json: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)";

struct Halves {
    const char *vocab, *merges;
};
constexpr Halves halves[] = {{"vocab.json", "merges.txt"}, {"encoder.json", "vocab.bpe"}};

// The formats of others, by their names.
constexpr const char* others[] = {"spiece.model", "vocab.txt", "sentencepiece.bpe.model", "tokenizer_config.json"};

bool may_be_ranks(const std::string& name) { return name.ends_with(".tiktoken") || name == "tokenizer.model"; }

[[noreturn]] void refuse_directory(const std::string& directory) {
    const auto has = [&](const char* name) { return files::exists(directory + "/" + name); };
    for (const auto& [vocab, merges] : halves)
        if (has(vocab) != has(merges))
            refuse(directory,
                   std::string("has ") + (has(vocab) ? vocab : merges) + " but no " + (has(vocab) ? merges : vocab),
                   "the two are one tokenizer");
    for (const char* name : others)
        if (has(name))
            refuse(directory, std::string("has ") + name + ", but no file of a tokenizer that is read", how_to_convert);
    refuse(directory, "has no tokenizer.json, no vocab.json with merges.txt and no tiktoken file",
           "name a tokenizer's file or directory");
}

Tokenizer load_halves(const std::string& directory, const Halves& names, std::optional<SplitRule> pattern) {
    const auto read = [&](const char* name) { return files::read_file(directory + "/" + name, longest_file); };
    return bpe_from_vocab_and_merges(read(names.vocab), read(names.merges), directory + "/" + names.vocab, pattern);
}

Tokenizer load_directory(const std::string& directory, std::optional<SplitRule> pattern) {
    const auto has = [&](const std::string& name) { return files::exists(directory + "/" + name); };
    if (has("tokenizer.json")) return load_tokenizer(directory + "/tokenizer.json");
    for (const Halves& names : halves)
        if (has(names.vocab) && has(names.merges))
            return with_config(load_halves(directory, names, pattern), directory + "/" + names.vocab);
    std::vector<std::string> found;
    for (const std::string& name : files::list(directory))
        if (may_be_ranks(name)) found.push_back(name);
    if (found.size() == 1) return load_tokenizer(directory + "/" + found[0], pattern);
    if (found.empty()) refuse_directory(directory);
    refuse(directory, "has several tiktoken files", "name one of them");
}

}  // namespace

Tokenizer load_tokenizer(const std::string& path, std::optional<SplitRule> pattern) {
    std::error_code ignored;  // reading it says what is wrong
    if (std::filesystem::is_directory(path, ignored)) return load_directory(path, pattern);
    const std::string text = files::read_file(path, longest_file);
    if (text.empty()) refuse(path, "is empty");
    const std::string name = std::filesystem::path(path).filename().string();
    if (name == "vocab.json" || name == "merges.txt" || name == "encoder.json" || name == "vocab.bpe")
        refuse(path, "is half of a tokenizer", "name its directory");
    if (looks_like_ranks(text)) return with_config(bpe_from_tiktoken(text, path, pattern), path);
    if (text.find_first_not_of(" \t\r\n") != text.find('{'))
        refuse(path, name.ends_with(".model") ? "is a model of SentencePiece, which is not read" : "is no tokenizer",
               how_to_convert);
    return with_config(tokenizer_from_json(text, path), path);
}

bool has_tokenizer(const std::string& directory) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(directory, ignored)) return false;
    const auto has = [&](const char* name) { return files::exists(directory + "/" + name); };
    if (has("tokenizer.json")) return true;
    for (const auto& [vocab, merges] : halves)
        if (has(vocab) || has(merges)) return true;
    if (std::any_of(std::begin(others), std::end(others), has)) return true;
    const std::vector<std::string> names = files::list(directory);
    return std::any_of(names.begin(), names.end(), may_be_ranks);
}
