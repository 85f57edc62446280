// Who owns what of a flat buffer.      ./test_gpt --gtest_filter='shards.*'
#include "host/world/shards.h"
#include <gtest/gtest.h>
#include <map>
#include <vector>

namespace {

constexpr size_t sizes[] = {128, 1000, 70000, 300000, 644224, 5000000};

TEST(shards, every_element_has_one_owner_and_one_place_in_its_state) {
    for (const size_t elements : sizes)
        for (const int R : {1, 2, 3, 4, 7}) {
            const Shards shards(Shards::padded(elements, R), R);
            EXPECT_LT(shards.n - elements, 128u * size_t(R));
            std::vector<int> owner(shards.n, -1);
            for (int rank = 0; rank < R; rank++) {
                std::vector<bool> used(shards.state_size(), false);
                for (int b = 0; b < shards.buckets(); b++) {
                    const Shards::Piece p = shards.piece(b, rank);
                    EXPECT_EQ(p.size, shards.piece(b, 0).size);
                    EXPECT_TRUE(R == 1 || (p.begin % 128 == 0 && p.size % 128 == 0));
                    for (size_t i = 0; i < p.size; i++) {
                        ASSERT_EQ(std::exchange(owner.at(p.begin + i), rank), -1) << elements << " " << R;
                        ASSERT_FALSE(used.at(p.state + i)) << elements << " " << R;
                        used[p.state + i] = true;
                    }
                }
                EXPECT_EQ(std::count(used.begin(), used.end(), false), 0) << elements << " " << R;
            }
            EXPECT_EQ(std::count(owner.begin(), owner.end(), -1), 0) << elements << " " << R;
        }
}

TEST(shards, of_a_range_the_ranks_have_all) {
    for (const size_t elements : {size_t(1000), size_t(300000)})
        for (const int R : {2, 3, 4}) {
            const Shards shards(Shards::padded(elements, R), R);
            for (const auto& [begin, n] : std::map<size_t, size_t>{{0, elements}, {127, 2}, {1, 998}, {500, 0}}) {
                std::vector<int> found(n, 0);
                for (int rank = 0; rank < R; rank++)
                    shards.overlap(begin, n, rank, [&, begin = begin](size_t from, size_t size, size_t state) {
                        for (size_t i = 0; i < size; i++) found.at(from + i)++;
                        for (int b = 0; b < shards.buckets(); b++) {
                            const Shards::Piece p = shards.piece(b, rank);
                            if (p.begin > begin + from || begin + from >= p.end()) continue;
                            EXPECT_EQ(state, p.state + begin + from - p.begin);
                        }
                    });
                EXPECT_EQ(std::count(found.begin(), found.end(), 1), long(n)) << R << " " << begin;
            }
        }
}

// Buckets, and with them memory and messages, stay within bounds: 16 MiB of gradients and as much received.
TEST(shards, buckets_are_bounded) {
    for (const int R : {2, 3, 8, 64}) {
        const Shards large(Shards::padded(size_t(8) << 30, R), R), small(Shards::padded(5000, R), R);
        EXPECT_LE(large.bucket, Shards::most_elements + 128 * size_t(R));
        EXPECT_EQ(small.buckets(), 1);
    }
    EXPECT_EQ(Shards(1000, 1).buckets(), 1);  // one rank's step is one launch
    EXPECT_EQ(Shards(0, 1).buckets(), 0);
}

}  // namespace
