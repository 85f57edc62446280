#include "packing.h"
#include <algorithm>
#include <set>
#include "host/base/error.h"

namespace {

// Which window each piece goes to: the fullest that has room. Among those the latest, so that nothing is searched.
std::vector<uint64_t> best_fit(const std::vector<Packing::Piece>& pieces, int T) {
    std::vector<uint64_t> window_of(pieces.size());
    std::vector<std::vector<uint64_t>> with_room(static_cast<size_t>(T));  // windows by the room they have
    std::set<int> rooms;                                                   // of which there are windows
    uint64_t windows = 0;
    for (size_t i = 0; i < pieces.size(); i++) {
        const int count = int(pieces[i].count);
        const auto room = rooms.lower_bound(count);
        int left = T - count;
        if (room == rooms.end()) {
            window_of[i] = windows++;
        } else {
            std::vector<uint64_t>& windows_there = with_room[size_t(*room)];
            window_of[i] = windows_there.back();
            left = *room - count;
            windows_there.pop_back();
            if (windows_there.empty()) rooms.erase(room);
        }
        if (left == 0) continue;
        with_room[size_t(left)].push_back(window_of[i]);
        rooms.insert(left);
    }
    return window_of;
}

}  // namespace

Packing::Packing(std::span<const uint64_t> separators, uint64_t begin, uint64_t end, int T) {
    REQUIRE(T >= 1 && T <= longest_window && end < most_tokens && begin < end);
    std::vector<Piece> pieces;
    const auto add_document = [&](uint64_t from, uint64_t to) {
        if (from == to) return;
        documents_++;
        for (; from < to; from += uint64_t(T)) pieces.push_back({from, std::min(to - from, uint64_t(T))});
    };
    uint64_t from = begin;
    for (auto s = std::upper_bound(separators.begin(), separators.end(), begin); s != separators.end() && *s < end;
         s++) {
        add_document(from, *s);
        from = *s;
    }
    add_document(from, end);
    std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.count > b.count; });

    const std::vector<uint64_t> window_of = best_fit(pieces, T);
    first_piece.assign(*std::max_element(window_of.begin(), window_of.end()) + 2, 0);
    for (const uint64_t w : window_of) first_piece[w + 1]++;
    for (size_t w = 1; w < first_piece.size(); w++) first_piece[w] += first_piece[w - 1];
    std::vector<uint64_t> next(first_piece.begin(), first_piece.end() - 1);
    all.resize(pieces.size());
    for (size_t i = 0; i < pieces.size(); i++) all[next[window_of[i]]++] = pieces[i];
}

int Packing::inputs(uint64_t window) const {
    int sum = 0;
    for (const Piece& piece : pieces(window)) sum += int(piece.count);
    return sum;
}
