// AdamW's moments, and the fp32 master copy of bf16 weights. With several ranks each holds those of its pieces only
// (ZeRO stage 1, Rajbhandari et al. 2020), and steps those; one rank alone holds all.
#pragma once
#include <span>
#include <vector>
#include "host/model/layout.h"
#include "host/reference/adamw.h"
#include "host/reference/global_norm.h"
#include "host/world/exchange.h"

template <class Device>
class ShardedState {
public:
    using Real = typename Device::Real;
    using Stat = typename Device::Stat;
    enum Part { master, m, v };
    static constexpr bool has_master = !std::is_same_v<Real, Stat>;  // else the weights are their own master copy

    const Shards shards;

    // Of weights whose layout has a size that the ranks can share.
    ShardedState(const Layout& layout, float weight_decay, const World& world, Device device)
        : shards(layout.size, world.size()), world(world), on(device) {
        for (const Part part : {master, m, v})
            if (part != master || has_master) state[part] = on.template allocate<Stat>(shards.state_size());
        cut_segments(layout, weight_decay);
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
    void step(Real* w, const Stat* dw, const Stat* norm, const AdamwStep* how) const {
        for (const Mine& p : pieces)
            adamw_update(w + p.at.begin, master_of(w, p.at), state[m] + p.at.state, state[v] + p.at.state,
                         dw + p.at.begin, norm, how, segments + p.segment, p.segment_count, on);
        if (world.alone()) return;
        for (int b = 0; b < shards.buckets(); b++) all_gather(w, shards, b, world, on);
        wait_for_exchange(world, on);
    }

    // The elements from `begin` on, for the first rank, while the others serve() what they have of them.
    void get(Part part, size_t begin, std::span<Stat> out) const {
        if (world.alone()) return on.download(out.data(), state[part] + begin, out.size());
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
    const Stat* values(Part part) const { return state[part]; }  // this rank's
    // Takes over what is this rank's of values for the elements from `begin` on.
    void set(Part part, size_t begin, std::span<const Stat> values) const {
        shards.overlap(begin, values.size(), world.rank(), [&](size_t from, size_t size, size_t at) {
            on.upload(state[part] + at, values.data() + from, size);
        });
    }

private:
    struct Mine {
        Shards::Piece at;
        int segment, segment_count;  // of `segments`
    };

    // The rows of the layout, cut where pieces of this rank begin and end; a segment's begin counts from the piece's.
    void cut_segments(const Layout& layout, float weight_decay) {
        std::vector<AdamwSegment> cut;
        for (int b = 0; b < shards.buckets(); b++) {
            const Shards::Piece at = shards.piece(b, world.rank());
            const int first = int(cut.size());
            for (const Parameter& parameter : layout.parameters) {
                const size_t from = std::max(parameter.slot.offset, at.begin),
                             to = std::min(parameter.slot.offset + parameter.size(), at.end());
                if (from < to) cut.push_back({from - at.begin, to - from, parameter.decays() ? weight_decay : 0});
            }
            pieces.push_back({at, first, int(cut.size()) - first});
        }
        segments = on.template allocate<AdamwSegment>(cut.size());
        on.upload(segments, cut.data(), cut.size());
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
    Stat* state[3] = {};  // (shards.state_size()) each
    Stat *norms, *norms_of_ranks;
    std::vector<Mine> pieces;
    AdamwSegment* segments;
};
