#include "bpe_merges.h"
#include <algorithm>
#include <array>
#include <bit>
#include <queue>

namespace {

constexpr size_t longest_scanned = 64;

// Looks at every neighbour for each merge: the fastest for words.
void merge_short(std::vector<int>& out, std::span<int> tokens, const MergeTable& table) {
    std::array<Merge, longest_scanned> merge;  // of a token and the next
    size_t n = tokens.size();
    for (size_t i = 0; i + 1 < n; i++) merge[i] = table.find(tokens[i], tokens[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (merge[i].rank < merge[best].rank) best = i;
        if (merge[best].rank == ~0u) break;
        tokens[best] = merge[best].token;
        for (size_t i = best + 1; i + 1 < n; i++) tokens[i] = tokens[i + 1], merge[i] = merge[i + 1];
        n--;
        if (best + 1 < n) merge[best] = table.find(tokens[best], tokens[best + 1]);
        if (best > 0) merge[best - 1] = table.find(tokens[best - 1], tokens[best]);
    }
    out.insert(out.end(), tokens.begin(), tokens.begin() + std::ptrdiff_t(n));
}

struct Candidate {
    uint32_t rank;
    uint32_t at;
    int token;
    bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
};

constexpr uint32_t nowhere = ~0u;

// A linked list of tokens and a priority queue of merges. A queued merge is stale if its place would give another by
// now.
void merge_long(std::vector<int>& out, std::span<int> tokens, const MergeTable& table) {
    const uint32_t n = uint32_t(tokens.size());
    std::vector<uint32_t> next(n), previous(n);
    for (uint32_t i = 0; i < n; i++) next[i] = i + 1 < n ? i + 1 : nowhere, previous[i] = i ? i - 1 : nowhere;
    std::vector<Candidate> start;
    const auto candidate = [&](uint32_t i) {
        const Merge m = table.find(tokens[i], tokens[next[i]]);
        return Candidate{m.rank, i, m.token};
    };
    for (uint32_t i = 0; i + 1 < n; i++)
        if (const Candidate c = candidate(i); c.rank != ~0u) start.push_back(c);
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>(), std::move(start));
    constexpr int gone = -1;
    while (!queue.empty()) {
        const Candidate c = queue.top();
        queue.pop();
        if (tokens[c.at] == gone || next[c.at] == nowhere) continue;
        if (const Candidate now = candidate(c.at); now.rank != c.rank || now.token != c.token) continue;
        const uint32_t right = next[c.at], after = next[right], before = previous[c.at];
        tokens[c.at] = c.token, tokens[right] = gone;
        next[c.at] = after;
        if (after != nowhere) {
            previous[after] = c.at;
            if (const Candidate fresh = candidate(c.at); fresh.rank != ~0u) queue.push(fresh);
        }
        if (before != nowhere)
            if (const Candidate fresh = candidate(before); fresh.rank != ~0u) queue.push(fresh);
    }
    for (uint32_t i = 0; i != nowhere && i < n; i = next[i]) out.push_back(tokens[i]);
}

}  // namespace

void MergeTable::reserve(size_t merges) {
    slots.assign(std::bit_ceil(std::max<size_t>(2 * merges, 2)), {});
    shift = 64 - std::countr_zero(slots.size());
}

void MergeTable::insert(int left, int right, Merge merge) {
    const uint64_t key = uint64_t(uint32_t(left)) << 32 | uint32_t(right);
    size_t i = home(key);
    while (slots[i].key != empty && slots[i].key != key) i = (i + 1) & (slots.size() - 1);
    slots[i] = {key, merge};
}

void merge_piece(std::vector<int>& out, std::span<int> tokens, const MergeTable& table) {
    if (tokens.size() <= longest_scanned) merge_short(out, tokens, table);
    else merge_long(out, tokens, table);
}
