// Shards that are not what they were, and shards of another vocabulary than the model's.
#include <filesystem>
#include "dataset_case.h"
#include "host/base/json.h"
#include "host/data/shard_writer.h"
#include "host/tokenizer/tokenizer.h"

namespace {

// Tokens enough for a fingerprint that does not read all of them.
constexpr size_t many = 400'000;

std::vector<uint16_t> tokens_of(size_t n, int vocab) {
    std::vector<uint16_t> tokens;
    for (size_t i = 0; i < n; i++)
        tokens.push_back(uint16_t(philox({{uint32_t(i), 0, 0, 1}}, 3).w[0] % uint32_t(vocab)));
    return tokens;
}

// A directory of shards as `tokenize` writes it.
std::string written(const Temporary& folder, size_t n) {
    const Tokenizer bytes = byte_tokenizer();
    ShardWriter writer(folder / "shards", nullptr, bytes, -1, 300'000);
    writer.begin_document();
    for (const uint16_t token : tokens_of(n, 256)) {
        const int id = token;
        writer.add({&id, 1});
    }
    return writer.commit(Json::object());
}

void change_token(const std::string& path, uint64_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(std::streamoff(1024 + 2 * at));
    file.put('\x07');
}

// A place that the 64 blocks of hash_shard do not cover.
uint64_t unseen(const std::string& path, uint64_t tokens) {
    const uint64_t before = hash_shard(open_shard(path));
    for (uint64_t at = 3000; at < tokens; at += 500) {
        const std::string bytes = files::read_file(path, 1 << 24);
        change_token(path, at);
        const bool same = hash_shard(open_shard(path)) == before;
        std::ofstream(path, std::ios::binary) << bytes;
        if (same && bytes[1024 + 2 * at] != 7) return at;
    }
    return 0;
}

bool warns(const Data& data, const std::string& words) {
    for (const std::string& line : data.warnings)
        if (line.find(words) != line.npos) return true;
    return false;
}

}  // namespace

TEST(changed_shards, are_told_by_their_checksum) {
    const Temporary folder;
    const std::string shard = written(folder, many) + "/tokens_000001.bin";
    const std::vector<std::string> all{folder / "shards/*.bin"};
    load(all, 16);
    for (const uint64_t at : {uint64_t(0), uint64_t(4321), uint64_t(99'999)}) {
        const std::string bytes = files::read_file(shard, 1 << 24);
        if (bytes[1024 + 2 * at] == 7) continue;
        change_token(shard, at);
        expect_failure(Exit::input, "tokens_000001.bin: its checksum does not match dataset.json",
                       [&] { load(all, 16); });
        std::ofstream(shard, std::ios::binary) << bytes;
    }
    load(all, 16);
}

// Other programs' shards have no checksum: a resumed run must know every one of their tokens.
TEST(changed_shards, change_what_a_run_remembers) {
    const Temporary folder;
    const std::string shard = write(folder, "a.bin", gpt2_shard(tokens_of(many, 50257)));
    const uint64_t at = unseen(shard, many);
    ASSERT_GT(at, 0u);
    const Data before = load({shard}, 16);
    change_token(shard, at);
    const Data after = load({shard}, 16);
    EXPECT_EQ(before.fingerprint, after.fingerprint);  // as of old: what was saved with it may be resumed
    EXPECT_NE(before.shards_hash, after.shards_hash);
}

// A run reads its shards to the end: what comes into their place meanwhile is not trained on.
TEST(changed_shards, are_noticed_while_they_are_read) {
    const Temporary folder;
    const std::string shard = write(folder, "a.bin", gpt2_shard(tokens_of(5000, 50257)));
    const Data data = load({shard}, 16);
    batch_of(data.train, 0, 2);
    const std::string bytes = files::read_file(shard, 1 << 24);
    std::filesystem::remove(shard);
    write(folder, "a.bin", bytes);  // copied back: the same tokens
    batch_of(data.train, 0, 2);
    for (const bool in_place : {true, false}) {
        if (!in_place) std::filesystem::remove(shard);
        write(folder, "a.bin", gpt2_shard(tokens_of(5001, 50257)).erase(1024, 2).replace(8, 4, bytes.substr(8, 4)));
        expect_failure(Exit::input, "a.bin: was replaced or changed while it is being read",
                       [&] { batch_of(data.train, 0, 2); });
        std::filesystem::remove(shard);
        write(folder, "a.bin", bytes);
        batch_of(data.train, 0, 2);
    }
}

TEST(changed_shards, of_another_vocabulary) {
    const Temporary folder;
    const std::string shard = write(folder, "a.bin", gpt2_shard(tokens_of(5000, 300)));
    const auto vocab = [](int V) { return [V](DataOptions& o) { o.vocab = V; }; };
    for (const int usual : {300, 50257, 50304})  // a smaller one and one with padding are used on purpose
        EXPECT_TRUE(load({shard}, 16, vocab(usual)).warnings.empty()) << usual;
    for (const int larger : {100'000, 151'936}) {
        const Data data = load({shard}, 16, vocab(larger));
        EXPECT_TRUE(warns(data, "are of 50257, the model's vocabulary is " + std::to_string(larger))) << larger;
    }
    const std::string ours = written(folder, 2000) + "/tokens_000000.bin";  // it is known whose these are
    EXPECT_TRUE(load({ours}, 16, vocab(256)).warnings.empty());
    EXPECT_TRUE(warns(load({ours}, 16, vocab(50257)), "its tokens are of 256"));
    expect_failure(Exit::input, "its tokens are of 256, the model's vocabulary is 200",
                   [&] { load({ours}, 16, vocab(200)); });
}
