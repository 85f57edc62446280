// Small files, what is loaded from them, and what goes wrong.
#pragma once
#include <gtest/gtest.h>
#include <fstream>
#include "dev/test/support/temporary_directory.h"
#include "host/base/error.h"
#include "host/data/load_data.h"
#include "host/data/token_source.h"
#include "host/reference/philox.h"

namespace data_case {

inline std::string write(const Temporary& folder, const std::string& name, const std::string& bytes) {
    const std::string path = folder.path / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
}

template <class Token>
std::string shard_bytes(const std::vector<Token>& tokens, int magic, int version, int count) {
    std::vector<int> header(256);
    header[0] = magic, header[1] = version, header[2] = count;
    std::string bytes(reinterpret_cast<const char*>(header.data()), 1024);
    return bytes.append(reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(Token));
}
inline std::string gpt2_shard(const std::vector<uint16_t>& tokens) {
    return shard_bytes(tokens, 20240520, 1, int(tokens.size()));
}
inline std::string llama3_shard(const std::vector<uint32_t>& tokens) {
    return shard_bytes(tokens, 20240801, 7, int(tokens.size()));
}

// Letters in an order from which every place is told apart.
inline std::string letters(size_t n) {
    std::string text;
    for (size_t i = 0; i < n; i++) text += char('a' + philox({{uint32_t(i), 0, 0, 0}}, 7).w[0] % 26);
    return text;
}

inline Data load(std::vector<std::string> paths, int T, const std::function<void(DataOptions&)>& change = {}) {
    DataOptions options;
    options.data = std::move(paths);
    options.T = T;
    options.kind = TokenizerKind::byte;
    if (change) change(options);
    return load_data(options);
}

// What goes wrong, in one line, and its exit code.
inline std::pair<Exit, std::string> failure(const std::function<void()>& act) {
    try {
        act();
    } catch (const Error& e) { return {e.code, e.what()}; }
    return {Exit::done, ""};
}
inline void expect_failure(Exit code, const std::string& reason, const std::function<void()>& act) {
    const auto [got, message] = failure(act);
    EXPECT_EQ(got, code) << message;
    EXPECT_NE(message.find(reason), message.npos) << "'" << message << "' does not say '" << reason << "'";
    EXPECT_EQ(message.find('\n'), message.npos) << message;
}

inline HostBatch batch_of(const Dataset& data, uint64_t first, int B) {
    HostBatch batch;
    data.fill(batch, first, B);
    return batch;
}

}  // namespace data_case

using namespace data_case;
