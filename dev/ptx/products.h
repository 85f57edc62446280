// Accumulators of a warpgroup's products. dev/simt holds the values of those that are not done; the registers are
// poisoned.
#pragma once
#include <deque>
#include "warp.h"

namespace ptx {

struct Staged {
    const Place* places;  // of its registers
    unsigned count;
    bool held;  // by a product that is not done
    float values[warp_lanes][128];
};

class Products {
public:
    Staged& of(Place first, unsigned count) {
        for (Staged& s : all)
            if (s.places[0] == first && s.count == count) return s;
        all.emplace_back();
        all.back().count = count;
        return all.back();
    }
    // What the registers hold, which must be the poison still: dev/simt looks at it.
    void show(Warp& w, Mask lanes) {
        for (Staged& s : all)
            for (Mask m = s.held ? lanes : 0; m; m &= m - 1)
                for (unsigned k = 0, l = unsigned(__builtin_ctz(m)); k < s.count; k++)
                    s.values[l][k] = w.at<float>(s.places[k])[l];
    }
    // What is done goes to the registers.
    void deliver(Warp& w, Mask lanes) {
        for (Staged& s : all) {
            if (!s.held || simt::in_flight(s.values[__builtin_ctz(lanes)][0])) continue;
            s.held = false;
            for (unsigned l = 0; l < warp_lanes; l++)
                for (unsigned k = 0; k < s.count; k++) w.at<float>(s.places[k])[l] = s.values[l][k];
        }
    }
    void forget() { all.clear(); }

private:
    std::deque<Staged> all;
};

}  // namespace ptx
