// The moments of AdamW or Muon, and the fp32 master copy of bf16 weights. With several ranks each holds those of its
// pieces only (ZeRO stage 1, Rajbhandari et al. 2020), and steps those; one rank alone holds all. Muon, which needs
// whole matrices and only their first moment, is for one rank alone.
#pragma once
#include <optional>
#include <span>
#include <vector>
#include "host/model/layout.h"
#include "host/reference/adamw.h"
#include "host/reference/global_norm.h"
#include "host/world/exchange.h"
#include "muon.h"

template <class Device>
class ShardedState {
public:
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;
    enum Part { master, m, v };
    static constexpr bool has_master = !std::is_same_v<Real, Stat>;  // else the weights are their own master copy

    const Shards shards;

    // Of weights whose layout has a size that the ranks can share. Without a scale of Muon AdamW steps all of them.
    ShardedState(const Layout& layout, float weight_decay, std::optional<MuonScale> scale, const World& world,
                 Device device)
        : shards(layout.size, world.size()), world(world), on(device) {
        if (scale) muon.emplace(layout, *scale, weight_decay, device);
        cut_segments(layout, weight_decay);
        for (const Part part : {master, m, v})
            if (part != master || has_master)
                state[part] = on.template allocate<Stat>(part == v ? second_moments : shards.state_size());
        norms = on.template allocate<Stat>(pieces.size());
        norms_of_ranks = on.template allocate<Stat>(size_t(world.size()));
    }

    // Begins to sum all ranks' gradients in the buckets that lie wholly behind `from` and below bucket `next`, which
    // becomes the first that was begun. At the end wait_for_exchange().
    void sum_gradients(Stat* dw, size_t from, int& next) const {
        while (next > 0 && shards.bucket_begin(next - 1) >= from) reduce_scatter(dw, shards, --next, world, on);
    }
    // Of the summed gradients, of which this rank's pieces of dw are made.
    void gradient_norm(Stat* norm, const Stat* dw, size_t n) const {
        if (world.alone()) return global_norm(norm, dw, n, on);
        for (size_t p = 0; p < pieces.size(); p++)
            global_norm(norms + p, dw + pieces[p].at.begin, pieces[p].at.size, on);
        global_norm(norms_of_ranks + world.rank(), norms, pieces.size(), on);
        all_gather(norms_of_ranks, world, on);
        wait_for_exchange(world, on);
        global_norm(norm, norms_of_ranks, size_t(world.size()), on);
    }

    // Steps this rank's pieces of the weights, and gets the others' from those that step them.
    void step(Real* w, const Stat* dw, const Stat* norm, const AdamwStep* how, const MuonStep* how_muon) const {
        for (const Mine& p : pieces)
            adamw_update(w + p.at.begin, master_of(w, p.at), state[m] + p.at.state, state[v] + p.second,
                         dw + p.at.begin, norm, how, segments + p.segment, p.segment_count, on);
        if (muon) muon->step(w, master_of(w, {}), state[m], dw, norm, how_muon);
        if (world.alone()) return;
        for (int b = 0; b < shards.buckets(); b++) all_gather(w, shards, b, world, on);
        wait_for_exchange(world, on);
    }

    // The elements from `begin` on, for the first rank, while the others serve() what they have of them.
    void get(Part part, size_t begin, std::span<Stat> out) const {
        if (world.alone()) return on.download(out.data(), values(part, begin), out.size());
        collect(world.of_first(Request{part, begin, out.size()}), out);
    }
    // Until the first rank says end().
    void serve() const {
        for (;;) {
            const Request request = world.of_first(Request{});
            if (request.n == 0) return;
            collect(request, {});
        }
    }
    void end() const {
        if (!world.alone()) world.of_first(Request{});
    }
    bool has_second_moment(const Parameter& parameter) const { return !muon || parameter.matrices.empty(); }
    // Of one rank alone, from element `begin` of the buffers on.
    const Stat* values(Part part, size_t begin) const { return state[part] + begin - (part == v ? missing(begin) : 0); }
    // Takes over what is this rank's of values for the elements from `begin` on.
    void set(Part part, size_t begin, std::span<const Stat> values) const {
        shards.overlap(begin, values.size(), world.rank(), [&](size_t from, size_t size, size_t at) {
            on.upload(state[part] + at - (part == v ? missing(begin) : 0), values.data() + from, size);
        });
    }

private:
    struct Mine {
        Shards::Piece at;
        size_t second;               // where its second moments are
        int segment, segment_count;  // of `segments`
    };

    // What AdamW steps: this rank's pieces, or what lies between Muon's matrices.
    std::vector<Shards::Piece> pieces_of_adamw(const Layout& layout) const {
        std::vector<Shards::Piece> all;
        if (!muon) {
            for (int b = 0; b < shards.buckets(); b++) all.push_back(shards.piece(b, world.rank()));
            return all;
        }
        REQUIRE(world.alone());
        size_t begin = 0;
        const auto cut = [&](size_t end, size_t next) {
            if (begin < end) all.push_back({begin, end - begin, begin});
            begin = next;
        };
        for (size_t i = 0; i < layout.parameters.size(); i++) {
            const Parameter& p = layout.parameters[i];
            const bool last = i + 1 == layout.parameters.size();
            if (!p.matrices.empty()) cut(p.slot.offset, last ? layout.size : layout.parameters[i + 1].slot.offset);
        }
        cut(layout.size, layout.size);
        return all;
    }

    // The rows of the layout, cut where pieces begin and end; a segment's begin counts from the piece's.
    void cut_segments(const Layout& layout, float weight_decay) {
        std::vector<AdamwSegment> cut;
        for (const Shards::Piece& at : pieces_of_adamw(layout)) {
            const int first = int(cut.size());
            for (const Parameter& parameter : layout.parameters) {
                const size_t from = std::max(parameter.slot.offset, at.begin),
                             to = std::min(parameter.slot.offset + parameter.size(), at.end());
                if (from < to) cut.push_back({from - at.begin, to - from, parameter.decays() ? weight_decay : 0});
            }
            pieces.push_back({at, second_moments, first, int(cut.size()) - first});
            second_moments += at.size;
        }
        segments = on.template allocate<AdamwSegment>(cut.size());
        on.upload(segments, cut.data(), cut.size());
    }

    // Elements before `begin` without a second moment, in the state of one rank alone.
    size_t missing(size_t begin) const {
        if (!muon) return 0;
        const auto of = std::find_if(pieces.begin(), pieces.end(),
                                     [=](const Mine& p) { return p.at.begin <= begin && begin < p.at.end(); });
        REQUIRE(of != pieces.end());  // Muon's have none
        return of->at.begin - of->second;
    }

    struct Request {
        Part part = master;
        size_t begin = 0, n = 0;  // 0: no more
    };

    void collect(const Request& request, std::span<Stat> out) const {
        std::vector<size_t> bytes(static_cast<size_t>(world.size()), 0);
        for (int r = 0; r < world.size(); r++)
            shards.overlap(request.begin, request.n, r,
                           [&](size_t, size_t size, size_t) { bytes[size_t(r)] += size * sizeof(Stat); });
        std::vector<Stat> mine(bytes[size_t(world.rank())] / sizeof(Stat)), all(out.size());
        Stat* next = mine.data();
        shards.overlap(request.begin, request.n, world.rank(), [&](size_t, size_t size, size_t at) {
            on.download(next, state[request.part] + at, size);
            next += size;
        });
        world.mpi().gather(all.data(), mine.data(), bytes);
        if (!world.first()) return;
        const Stat* from = all.data();
        for (int r = 0; r < world.size(); r++)
            shards.overlap(request.begin, request.n, r, [&](size_t place, size_t size, size_t) {
                std::copy_n(from, size, out.data() + place);
                from += size;
            });
    }

    Stat* master_of(Real* w, const Shards::Piece& at) const {
        if constexpr (has_master) return state[master] + at.state;
        else return w + at.begin;
    }

    World world;
    Device on;
    Stat* state[3] = {};  // (shards.state_size()) each, but of v with Muon (second_moments)
    size_t second_moments = 0;
    std::optional<Muon<Device>> muon;
    Stat *norms, *norms_of_ranks;
    std::vector<Mine> pieces;
    AdamwSegment* segments;
};
