// Documents packed into windows, as sets of pieces and as what a model is given.
#include "host/data/packing.h"
#include <map>
#include <random>
#include <set>
#include "dataset_case.h"

using namespace data_case;

namespace {

// Separators of documents of these lengths, one after the other from `begin` on, and where the last one ends.
std::vector<uint64_t> separators_of(const std::vector<uint64_t>& lengths, uint64_t begin, uint64_t& end) {
    std::vector<uint64_t> separators;
    end = begin;
    for (const uint64_t length : lengths) separators.push_back(end), end += length;
    return separators;
}

// Every input once; a window has room for its pieces; a document that fits is whole, of others all pieces but the last
// are as long as a window.
void check_pieces(const std::vector<uint64_t>& lengths, uint64_t begin, int T) {
    uint64_t end;
    const std::vector<uint64_t> separators = separators_of(lengths, begin, end);
    const Packing packing(separators, begin, end, T);
    EXPECT_EQ(packing.documents(), lengths.size());
    std::map<uint64_t, uint64_t> pieces;  // from their beginnings to their ends
    for (uint64_t w = 0; w < packing.windows(); w++) {
        int inputs = 0;
        for (const Packing::Piece& p : packing.pieces(w)) {
            EXPECT_TRUE(pieces.emplace(p.begin, p.begin + p.count).second) << "twice";
            inputs += int(p.count);
        }
        EXPECT_GT(inputs, 0);
        EXPECT_LE(inputs, T);
        EXPECT_EQ(inputs, packing.inputs(w));
    }
    uint64_t at = begin;
    for (const uint64_t length : lengths)
        for (uint64_t left = length; left > 0; left -= std::min(left, uint64_t(T))) {
            const auto piece = pieces.find(at);
            ASSERT_NE(piece, pieces.end()) << "no piece begins at " << at;
            ASSERT_EQ(piece->second, at + std::min(left, uint64_t(T)));
            at = piece->second;
        }
    EXPECT_EQ(at, end);
}

// The share of the windows that inputs fill.
double filled(const std::vector<uint64_t>& lengths, int T) {
    uint64_t end;
    const std::vector<uint64_t> separators = separators_of(lengths, 0, end);
    return double(end) / double(Packing(separators, 0, end, T).windows() * uint64_t(T));
}

std::vector<uint64_t> random_lengths(size_t n, uint64_t most, unsigned seed) {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> lengths(n);
    for (uint64_t& length : lengths) length = 1 + random() % most;
    return lengths;
}

}  // namespace

TEST(packing, every_input_once_and_documents_whole) {
    check_pieces({1}, 0, 1);
    check_pieces({5}, 3, 8);
    check_pieces({8, 8, 8}, 0, 8);
    check_pieces({9, 17, 1, 3}, 2, 8);
    check_pieces({3, 5, 5, 3, 4, 4, 2, 6, 1}, 0, 8);
    for (unsigned seed = 0; seed < 20; seed++) {
        check_pieces(random_lengths(200, 40, seed), seed, 16);
        check_pieces(random_lengths(50, 300, seed), seed, 64);
    }
}

TEST(packing, windows_are_full) {
    EXPECT_EQ(filled({3, 5, 5, 3, 4, 4, 2, 6}, 8), 1);  // only where 6 goes with 2, and 5 with 3
    EXPECT_EQ(filled({7, 6, 5, 1, 2, 3}, 8), 1);
    EXPECT_GT(filled(random_lengths(20000, 1500, 1), 1024), 0.9999);  // one after the other, each whole: 0.74
    EXPECT_GT(filled(random_lengths(5000, 200, 2), 1024), 0.998);
    EXPECT_GT(filled(random_lengths(5000, 100, 3), 128), 0.999);
}

// A shard of documents of many lengths, as a model gets them.
TEST(packing, what_a_model_is_given) {
    const Temporary folder;
    constexpr uint16_t separator = 50256;
    std::vector<uint16_t> tokens;
    std::mt19937 random(5);
    for (int i = 0; i < 60; i++) {
        tokens.push_back(separator);
        for (size_t n = 1 + random() % 50; n > 0; n--) tokens.push_back(uint16_t(random() % 50000));
    }
    const std::string path = write(folder, "a.bin", gpt2_shard(tokens));
    const int T = 24;
    for (const DocumentMask mask : {DocumentMask::where_known, DocumentMask::off}) {
        const Data data = load({path}, T, [&](DataOptions& o) { o.pack = true, o.mask = mask, o.val_fraction = 0; });
        const Dataset& train = data.train;
        ASSERT_TRUE(train.packing);
        EXPECT_EQ(train.packing->documents(), 60u);
        const bool masked = mask != DocumentMask::off;
        std::multiset<std::pair<int, int>> given, there;  // every token and the one after it
        for (size_t i = 0; i + 1 < tokens.size(); i++) there.emplace(tokens[i], tokens[i + 1]);
        HostBatch batch;
        for (uint64_t i = 0; i < train.windows(); i++) {
            train.fill(batch, i, 1);
            EXPECT_EQ(batch.valid(), train.valid(i, 1));
            EXPECT_EQ(batch.first.empty(), !masked);
            for (size_t t = 0; t < size_t(T); t++) {
                if (batch.target[t] != ignored_target) given.emplace(batch.token[t], batch.target[t]);
                const int first = masked ? batch.first[t] : 0;
                EXPECT_EQ(batch.position[t], int(t) - first);
                if (!masked) continue;
                const bool begins = batch.token[t] == separator || t == 0;
                EXPECT_TRUE(begins ? first == int(t) : first == batch.first[t - 1] || first == int(t)) << t;
            }
        }
        EXPECT_TRUE(given == there);
    }
}

TEST(packing, batches_do_not_depend_on_their_size) {
    const Temporary folder;
    const Data data = load({"builtin:stories"}, 64, [](DataOptions& o) { o.pack = true, o.mask = DocumentMask::on; });
    HostBatch all, one;
    const uint64_t first = data.train.windows() - 5;  // across the end of an epoch
    data.train.fill(all, first, 12);
    for (int b = 0; b < 12; b++) {
        data.train.fill(one, first + uint64_t(b), 1);
        EXPECT_TRUE(std::equal(one.token.begin(), one.token.end(), all.token.begin() + b * 64)) << b;
        EXPECT_TRUE(std::equal(one.first.begin(), one.first.end(), all.first.begin() + b * 64)) << b;
    }
}

TEST(packing, asks_for_documents) {
    const Temporary folder;
    const std::string path = write(folder, "a.txt", letters(500));
    expect_failure(Exit::usage, "--pack: ", [&] { load({path}, 8, [](DataOptions& o) { o.pack = true; }); });
    expect_failure(Exit::usage,
                   "--doc-mask: ", [&] { load({path}, 8, [](DataOptions& o) { o.mask = DocumentMask::on; }); });
    EXPECT_EQ(load({path}, 8, [](DataOptions& o) { o.mask = DocumentMask::where_known; }).train.mask,
              DocumentMask::off);
}
