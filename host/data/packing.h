// Documents packed into windows of T inputs without gaps to speak of: best fit, longest first (Ding et al. 2024, "Fewer
// Truncations Improve Language Modeling"). A document longer than T is cut into pieces of T; what is left of it, and
// every shorter one, goes whole into the window with the least room that is enough. The same documents give the same
// windows, whatever the seed.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

class Packing {
public:
    // Inputs begin .. begin + count - 1, each of which predicts the token after it.
    struct Piece {
        uint64_t begin : 40, count : 24;
    };
    static constexpr uint64_t most_tokens = uint64_t(1) << 40;
    static constexpr int longest_window = (1 << 24) - 1;

    // Documents begin at `begin` and at every separator up to `end`, the last token, which is no input. At most
    // most_tokens, and longest_window of them in a window.
    Packing(std::span<const uint64_t> separators, uint64_t begin, uint64_t end, int T);

    uint64_t windows() const { return first_piece.size() - 1; }
    uint64_t documents() const { return documents_; }
    std::span<const Piece> pieces(uint64_t window) const {
        return std::span(all).subspan(first_piece[window], first_piece[window + 1] - first_piece[window]);
    }
    int inputs(uint64_t window) const;

private:
    std::vector<Piece> all;             // window after window
    std::vector<uint64_t> first_piece;  // of each window, and the end
    uint64_t documents_ = 0;
};
