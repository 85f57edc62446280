#include "shard_writer.h"
#include <cstring>
#include <filesystem>
#include <limits>
#include "data_paths.h"
#include "host/base/error.h"
#include "host/tokenizer/tokenizer_json.h"
#include "token_source.h"

namespace {

constexpr size_t buffer = 1 << 20;

int small_number(const Json& json, const char* name, int least, const std::string& what) {
    const Json value = json.contains(name) ? json[name] : Json();
    if (!value.is_number_integer() || value.get<int64_t>() < least ||
        value.get<int64_t>() > std::numeric_limits<int32_t>::max())
        throw Error(Exit::input, what, std::string(name) + " is missing or no such number");
    return value.get<int>();
}

}  // namespace

bool ShardWriter::is_ours(const std::string& name) {
    if (name == sidecar) return true;
    const std::string digits = name.starts_with("tokens_") && is_shard(name) ? name.substr(7, name.size() - 11) : "";
    return digits.size() >= 6 && digits.find_first_not_of("0123456789") == digits.npos;
}

ShardWriter::ShardWriter(const std::string& path, files::IsOurs replaces, const Tokenizer& tokenizer, int separator,
                         uint64_t tokens_per_shard)
    : tokenizer(tokenizer),
      separator(separator),
      tokens_per_shard(tokens_per_shard),
      bytes(tokenizer.vocab_size() <= 1 << 16 ? 2 : 4),
      directory(std::filesystem::path(path).parent_path().string(), std::filesystem::path(path).filename().string(),
                std::move(replaces)) {
    pending.reserve(buffer + 4);
}

void ShardWriter::begin_document() {
    documents_++;
    if (separator >= 0) put(separator);
}

void ShardWriter::add(std::span<const int> tokens) {
    for (const int token : tokens) put(token);
}

void ShardWriter::put(int token) {
    if (in_shard + pending.size() / bytes == tokens_per_shard) close_shard();
    char raw[4];
    std::memcpy(raw, &token, sizeof raw);  // the low bytes come first
    pending.insert(pending.end(), raw, raw + bytes);
    if (pending.size() >= buffer) flush();
}

void ShardWriter::flush() {
    if (!shard) {
        char name[32];
        std::snprintf(name, sizeof name, "tokens_%06zu.bin", shards.size());
        shard = std::make_unique<files::Writer>(directory.path() + "/" + name);
        const auto header = llmc_header(bytes, 0);
        shard->write(header.data(), sizeof header);
    }
    shard->write(pending.data(), pending.size());
    in_shard += pending.size() / bytes, total += pending.size() / bytes;
    pending.clear();
}

void ShardWriter::close_shard() {
    flush();
    const auto header = llmc_header(bytes, in_shard);
    shard->write_again(header.data(), sizeof header);
    const std::string path = shard->path();
    shard->close();
    shards.push_back({{"name", std::filesystem::path(path).filename().string()},
                      {"tokens", in_shard},
                      {"bytes", shard->size()},
                      {"xxh64", files::hex(files::hash_file(path))}});
    shard.reset();
    in_shard = 0;
}

std::string ShardWriter::commit(const Json& facts) {
    if (in_shard || !pending.empty()) close_shard();
    if (shards.empty()) throw Error(Exit::input, "--data", "holds no text");
    Json all = {{"format", "llm.c shards"},
                {"vocab", tokenizer.vocab_size()},
                {"bytes_per_token", bytes},
                {"separator", separator >= 0 ? Json(separator) : Json()},
                {"tokenizer", files::hex(tokenizer.hash())},
                {"documents", documents_},
                {"tokens", total},
                {"shards", shards}};
    all.update(facts);
    files::write_file(directory.path() + "/" + sidecar, to_text(all));
    files::write_file(directory.path() + "/tokenizer.json", tokenizer_json(tokenizer));
    files::write_file(directory.path() + "/tokenizer_config.json", tokenizer_config_json(tokenizer));
    return directory.commit();
}

std::optional<Sidecar> read_sidecar(const std::string& shard_path, uint64_t tokens) {
    const std::filesystem::path folder = std::filesystem::path(shard_path).parent_path();
    const std::string path = (folder / ShardWriter::sidecar).string();
    if (!files::exists(path)) return std::nullopt;
    const Json json = read_json(path);
    if (!json.is_object() || !json.contains("shards") || !json["shards"].is_array())
        throw Error(Exit::input, path, "lists no shards");
    for (const Json& row : json["shards"]) {
        if (!row.is_object() || row.value("name", Json()) != std::filesystem::path(shard_path).filename().string())
            continue;
        if (row.value("tokens", Json()) != tokens)
            throw Error(
                Exit::input, shard_path,
                "has " + std::to_string(tokens) + " tokens, " + path + " says " + row.value("tokens", Json()).dump());
        Sidecar sidecar;
        sidecar.vocab = small_number(json, "vocab", 1, path);
        if (json.contains("separator") && !json["separator"].is_null())
            sidecar.separator = small_number(json, "separator", 0, path);
        if (sidecar.separator >= sidecar.vocab)
            throw Error(Exit::input, path, "its separator is not in its vocabulary");
        if (const Json sum = row.value("xxh64", Json()); sum.is_string()) sidecar.xxh64 = sum.get<std::string>();
        const Json hash = json.value("tokenizer", Json());
        if (hash.is_string()) sidecar.tokenizer_hash = hash.get<std::string>();
        const std::string tokenizer = (folder / "tokenizer.json").string();
        if (files::exists(tokenizer)) sidecar.tokenizer_path = tokenizer;
        return sidecar;
    }
    return std::nullopt;  // of other shards
}

void require_listed(const std::string& shard_path, const std::string& listed_xxh64, uint64_t hash) {
    if (!listed_xxh64.empty() && listed_xxh64 != files::hex(hash))
        throw Error(Exit::input, shard_path, std::string("its checksum does not match ") + ShardWriter::sidecar,
                    "it is damaged or was changed: make the shards again");
}
