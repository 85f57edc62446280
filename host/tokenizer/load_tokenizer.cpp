#include "load_tokenizer.h"
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

Tokenizer load_directory(const std::string& directory, std::optional<SplitRule> pattern) {
    const auto has = [&](const std::string& name) { return files::exists(directory + "/" + name); };
    const auto read = [&](const std::string& name) { return files::read_file(directory + "/" + name, longest_file); };
    if (has("tokenizer.json")) return load_tokenizer(directory + "/tokenizer.json");
    for (const auto& [vocab, merges] : {std::pair("vocab.json", "merges.txt"), std::pair("encoder.json", "vocab.bpe")})
        if (has(vocab) && has(merges))
            return bpe_from_vocab_and_merges(read(vocab), read(merges), directory + "/" + vocab);
    std::vector<std::string> found;
    for (const std::string& name : files::list(directory))
        if (name.ends_with(".tiktoken") || name == "tokenizer.model") found.push_back(name);
    if (found.size() == 1) return load_tokenizer(directory + "/" + found[0], pattern);
    refuse(directory,
           found.empty() ? "has no tokenizer.json, no vocab.json with merges.txt and no tiktoken file"
                         : "has several tiktoken files",
           "name a tokenizer's file or directory");
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

}  // namespace

Tokenizer load_tokenizer(const std::string& path, std::optional<SplitRule> pattern) {
    std::error_code ignored;  // reading it says what is wrong
    if (std::filesystem::is_directory(path, ignored)) return load_directory(path, pattern);
    const std::string text = files::read_file(path, longest_file);
    if (text.empty()) refuse(path, "is empty");
    const std::string name = std::filesystem::path(path).filename().string();
    if (name == "vocab.json" || name == "merges.txt" || name == "encoder.json" || name == "vocab.bpe")
        refuse(path, "is half of a tokenizer", "name its directory");
    Tokenizer tokenizer =
        looks_like_ranks(text) ? bpe_from_tiktoken(text, path, pattern) : tokenizer_from_json(text, path);
    if (!tokenizer.bpe) return tokenizer;
    // Nobody else holds it yet.
    Bpe& bpe = *std::const_pointer_cast<Bpe>(tokenizer.bpe);
    bpe.config = config_beside(path);
    apply_config(bpe);
    return tokenizer;
}
