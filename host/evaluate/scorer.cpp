#include "scorer.h"

bool PackedRows::add(size_t index, const Segment& segment) {
    const size_t inputs = segment.tokens.size() - 1, room = size_t(T);
    REQUIRE(inputs >= 1 && inputs <= room && segment.scored >= 1);
    const auto fits = std::find_if(rows.begin(), rows.end(), [&](size_t used) { return used + inputs <= room; });
    const size_t row = size_t(fits - rows.begin());
    if (fits == rows.end()) {
        if (rows.size() == size_t(B)) return false;
        rows.push_back(0);
    }
    all.push_back({index, row, rows[row], inputs});
    segments.push_back(segment);
    rows[row] += inputs;
    return true;
}

HostBatch PackedRows::batch() const {
    const size_t width = *std::max_element(rows.begin(), rows.end()), n = rows.size() * width;
    HostBatch batch{int(rows.size()),    int(width), std::vector<int>(n), std::vector<int>(n, ignored_target),
                    std::vector<int>(n), {}};
    const bool alone = std::all_of(all.begin(), all.end(), [](const Place& p) { return p.begin == 0; });
    if (!alone) {  // what no segment covers sees itself
        batch.first.resize(n);
        for (size_t i = 0; i < n; i++) batch.first[i] = int(i % width);
    }
    for (size_t k = 0; k < all.size(); k++) {
        const Place& p = all[k];
        const Segment& s = segments[k];
        for (size_t i = 0; i < p.inputs; i++) {
            const size_t at = p.row * width + p.begin + i;
            batch.token[at] = s.tokens[i];
            batch.position[at] = int(i);
            if (i + 1 >= size_t(s.scored)) batch.target[at] = s.tokens[i + 1];
            if (!alone) batch.first[at] = int(p.begin);
        }
    }
    return batch;
}
