// Windows: each token is visited once, in an order that depends on nothing but seed and number.
#include <map>
#include "dataset_case.h"
#include "host/data/permutation.h"

namespace {

// How often each token of the data is a target that counts, in samples first .. first+count-1.
std::map<uint64_t, int> visits(const Dataset& data, uint64_t first, uint64_t count) {
    std::map<uint64_t, int> times;
    for (uint64_t i = first; i < first + count; i++) {
        const Window w = data.window(i);
        for (int t = 0; t < w.scored; t++) times[w.begin + 1 + uint64_t(t)]++;
    }
    return times;
}

void expect_each_scored_once(const Dataset& data) {
    const auto times = visits(data, 0, data.windows());
    EXPECT_EQ(times.size(), data.tokens());
    for (const auto& [token, n] : times)
        ASSERT_TRUE(n == 1 && token > data.begin && token < data.end) << "token " << token << " " << n << " times";
    EXPECT_EQ(data.valid(0, data.windows()), data.tokens());
}

bool same(const HostBatch& a, const HostBatch& b) {
    return a.token == b.token && a.target == b.target && a.position == b.position && a.first == b.first;
}

}  // namespace

TEST(data, a_permutation_is_one) {
    for (const uint64_t n : {1, 2, 3, 4, 5, 15, 16, 17, 100, 1000, 4096, 4097})
        for (const uint32_t key : {0, 1, 77}) {
            std::vector<bool> seen(n);
            const Permutation order{n, 42, key};
            for (uint64_t i = 0; i < n; i++) {
                const uint64_t place = order(i);
                ASSERT_TRUE(place < n && !seen[place]) << n << " " << key << " " << i;
                seen[place] = true;
            }
        }
    const Permutation huge{uint64_t(1) << 62, 1, 0};
    EXPECT_LT(huge(12345), uint64_t(1) << 62);
}

TEST(data, a_permutation_mixes) {
    const uint64_t n = 1000;
    double moved = 0;
    int fixed = 0, followed = 0;
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t a = Permutation{n, 1, 0}(i), b = Permutation{n, 1, 1}(i), c = Permutation{n, 2, 0}(i);
        moved += std::abs(double(a) - double(i)) / n;
        fixed += (a == i) + (a == b) + (a == c);
        followed += i + 1 < n && Permutation{n, 1, 0}(i + 1) == a + 1;
    }
    EXPECT_NEAR(moved, 333, 60);  // two random places are n/3 apart
    EXPECT_LT(fixed, 20);
    EXPECT_LT(followed, 10);
}

TEST(data, an_epoch_visits_every_window_once) {
    const Temporary folder;
    for (const auto& [length, T] :
         std::vector<std::pair<size_t, int>>{{1000, 7}, {1000, 128}, {129, 128}, {257, 128}, {2, 1}, {5000, 64}}) {
        const Data data =
            load({write(folder, "a.txt", letters(length))}, T, [](DataOptions& o) { o.val_fraction = 0; });
        const uint64_t n = data.train.windows();
        std::map<uint64_t, int> offsets;
        for (uint64_t epoch = 0; epoch < 5; epoch++) {
            std::map<uint64_t, int> begins;
            for (uint64_t i = 0; i < n; i++) {
                const Window w = data.train.window(epoch * n + i);
                EXPECT_EQ(w.scored, T);
                ASSERT_LE(w.begin + uint64_t(T), length - 1);
                begins[w.begin]++;
            }
            ASSERT_EQ(begins.size(), n) << length << " " << T << " epoch " << epoch;
            ASSERT_EQ(begins.rbegin()->first - begins.begin()->first, (n - 1) * uint64_t(T));
            offsets[begins.begin()->first]++;
        }
        EXPECT_TRUE(offsets.size() > 1 || length <= size_t(T) + 1)
            << "boundaries stay where they are: " << length << " " << T;
    }
}

TEST(data, epochs_have_orders_of_their_own) {
    const Temporary folder;
    const Data data = load({write(folder, "a.txt", letters(5000))}, 16);
    const uint64_t n = data.train.windows();
    int alike = 0;
    for (uint64_t i = 0; i < n; i++) alike += data.train.window(i).begin / 16 == data.train.window(n + i).begin / 16;
    EXPECT_LT(alike, 15);
}

TEST(data, order_does_not_depend_on_the_batch) {
    for (const DocumentMask mask : {DocumentMask::off, DocumentMask::on}) {
        const Data data = load({"builtin:counting"}, 32, [&](DataOptions& o) { o.mask = mask; });
        const uint64_t first = data.train.windows() - 11;  // across the end of an epoch
        const HostBatch whole = batch_of(data.train, first, 24);
        for (const int B : {1, 2, 3, 8}) {
            HostBatch all;
            for (int b = 0; b < 24; b += B) {
                const HostBatch part = batch_of(data.train, first + uint64_t(b), B);
                all.token.insert(all.token.end(), part.token.begin(), part.token.end());
                all.target.insert(all.target.end(), part.target.begin(), part.target.end());
                all.position.insert(all.position.end(), part.position.begin(), part.position.end());
                all.first.insert(all.first.end(), part.first.begin(), part.first.end());
            }
            EXPECT_TRUE(same(all, whole)) << B;
        }
        EXPECT_EQ(whole.valid(), data.train.valid(first, 24));
    }
}

TEST(data, resumed_is_uninterrupted) {
    const Data before = load({"builtin:stories"}, 64), after = load({"builtin:stories"}, 64);
    EXPECT_EQ(before.fingerprint, after.fingerprint);
    for (uint64_t k = 0; k < 3 * before.train.windows(); k += 1777)
        EXPECT_TRUE(same(batch_of(before.train, k, 4), batch_of(after.train, k, 4)));
    const Data other = load({"builtin:stories"}, 64, [](DataOptions& o) { o.seed = 2; });
    EXPECT_FALSE(same(batch_of(before.train, 0, 4), batch_of(other.train, 0, 4)));
}

TEST(data, windows_hold_the_text) {
    const Temporary folder;
    const std::string text = letters(1000);
    const Data data = load({write(folder, "a.txt", text)}, 32);
    EXPECT_EQ(data.train.tokens() + 1 + data.val->tokens(), 1000u);
    EXPECT_EQ(data.val->tokens(), 100u);
    for (const Dataset* part : {&data.train, &*data.val})
        for (uint64_t i = 0; i < part->windows(); i++) {
            const Window w = part->window(i);
            const HostBatch batch = batch_of(*part, i, 1);
            for (int t = 0; t < 32; t++) {
                ASSERT_EQ(batch.token[size_t(t)], t <= w.scored ? text[w.begin + size_t(t)] : batch.token[0]);
                ASSERT_EQ(batch.target[size_t(t)], t < w.scored ? text[w.begin + size_t(t) + 1] : ignored_target);
                ASSERT_EQ(batch.position[size_t(t)], t);
            }
        }
}

TEST(data, validation_scores_every_token_once) {
    const Temporary folder;
    for (const size_t length : {20, 100, 1000, 1285})
        for (const int T : {1, 7, 16}) expect_each_scored_once(*load({write(folder, "a.txt", letters(length))}, T).val);
    for (const int T : {1, 5, 20, 64, 127, 128, 129, 500})  // documents longer than T, about T, and many in a T
        for (const char* corpus : {"builtin:stories", "builtin:counting"})
            expect_each_scored_once(*load({corpus}, T).val);
}

TEST(data, documents_start_their_windows_and_are_not_torn) {
    const int T = 256;
    const Data data = load({"builtin:stories"}, T);
    for (uint64_t i = 0; i < data.val->windows(); i++) {
        const HostBatch batch = batch_of(*data.val, i, 1);
        const Window w = data.val->window(i);
        ASSERT_EQ(batch.token[0], '\n');
        ASSERT_EQ(batch.target[size_t(w.scored) - 1], '\n') << "the last scored document is whole";
        for (int t = w.scored; t < T - 1; t++)
            ASSERT_TRUE(batch.token[size_t(t) + 1] != '\n' || i + 1 == data.val->windows())
                << "one more would have fitted";
    }
    std::map<uint64_t, int> begins;
    for (uint64_t i = 0; i < data.train.windows(); i++) begins[data.train.window(i).begin]++;
    EXPECT_EQ(begins.size(), data.train.windows());
    EXPECT_EQ(data.train.end, data.val->begin + 1);  // the newline between is a target there and an input here
    EXPECT_EQ(batch_of(data.train, 0, 1).token[0], '\n');
}

TEST(data, the_document_mask_shows_a_token_its_own_document) {
    const Data data = load({"builtin:counting"}, 64, [](DataOptions& o) { o.mask = DocumentMask::on; });
    const HostBatch batch = batch_of(data.train, 3, 4);
    for (size_t n = 0; n < batch.token.size(); n++) {
        const int t = int(n % 64);
        int start = t;
        while (start > 0 && batch.token[n - size_t(t - start)] != '\n') start--;
        ASSERT_EQ(batch.first[n], start);
        ASSERT_EQ(batch.position[n], t - start);
    }
    EXPECT_TRUE(batch_of(load({"builtin:counting"}, 64).train, 3, 4).first.empty());
    const Temporary folder;
    const std::string plain = write(folder, "a.txt", letters(1000));
    expect_failure(Exit::usage, "no documents",
                   [&] { load({plain}, 8, [](DataOptions& o) { o.mask = DocumentMask::on; }); });
}

// The exact loss of the lines after the split, whatever a token is.
TEST(data, ideal_loss_is_that_of_the_validation_part) {
    const Data bytes = load({"builtin:stories"}, 128);
    const Data words = load({"builtin:stories"}, 128, [](DataOptions& o) { o.kind = TokenizerKind::word; });
    const Data characters = load({"builtin:stories"}, 128, [](DataOptions& o) { o.kind = TokenizerKind::character; });
    EXPECT_EQ(*bytes.ideal_loss, *characters.ideal_loss);
    EXPECT_GT(*words.ideal_loss, 2 * *bytes.ideal_loss);
    EXPECT_NEAR(*words.ideal_loss * double(words.val->tokens()), *bytes.ideal_loss * double(bytes.val->tokens()),
                300);  // other splits
    EXPECT_GE(*bytes.ideal_loss, 0.35);
    EXPECT_LE(characters.vocab, 64);
    EXPECT_FALSE(load({"builtin:stories"}, 128, [](DataOptions& o) { o.val_fraction = 0; }).ideal_loss);
}

// Megabytes of text, cut into chunks for several threads, in every kind of line.