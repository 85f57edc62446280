#include "snapshot.h"
#include <algorithm>
#include <chrono>
#include <ctime>
#include <new>
#include "host/base/error.h"
#include "host/reference/threads.h"

Snapshot::Snapshot(const Layout& layout, std::vector<Part> given, Copying copying)
    : layout(layout), parts(std::move(given)), copying(copying), values(parts.size()) {
    for (size_t i = 0; i < parts.size(); i++)
        for (size_t k = 0; k < layout.parameters.size(); k++)
            values[i][layout.parameters[k].slot.offset] = {parts[i].reads.at(k), {}};
}

GetParameter Snapshot::part(size_t i) {
    return [this, i](const Parameter& p, size_t first, std::span<float> out) { read(i, p, first, out); };
}

// In pieces, as who is about to change the weights may wait for the lock.
void Snapshot::read(size_t part, const Parameter& parameter, size_t first, std::span<float> out) {
    constexpr size_t most = 1 << 18;
    do {
        const std::span<float> piece = out.first(std::min(most, out.size()));
        read_piece(part, parameter, first, piece);
        first += piece.size(), out = out.subspan(piece.size());
    } while (!out.empty());
    if (copying == Copying::by_all_threads) let_training_go_on();
}

// The calling thread had at most a 64th of a processor so far. It makes what another one writes, which takes as much.
void Snapshot::let_training_go_on() {
    constexpr double share = 1.0 / 64, longest = 1;
    timespec used;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used)) return;
    const double owed = (double(used.tv_sec) + 1e-9 * double(used.tv_nsec)) / share - (seconds() - begun);
    std::unique_lock lock(mutex);
    if (owed > 0)
        is_hurried.wait_for(lock, std::chrono::duration<double>(std::min(owed, longest)), [&] { return hurried; });
}

void Snapshot::hurry() {
    const std::lock_guard lock(mutex);
    hurried = true;
    is_hurried.notify_all();
}

void Snapshot::read_piece(size_t part, const Parameter& parameter, size_t first, std::span<float> out) {
    const std::lock_guard lock(mutex);
    Values& v = values[part].at(parameter.slot.offset);
    if (!v.copy) {
        REQUIRE(!detached || out.empty());
        parts[part].live(parameter, first, out);
    } else {
        std::copy_n(v.copy.get() + first, out.size(), out.begin());
    }
    REQUIRE(out.size() <= v.left);
    v.left -= out.size();
    if (v.left == 0) v.copy.reset();
    was_read.notify_all();
}

bool Snapshot::nothing_left() const {
    return std::all_of(values.begin(), values.end(), [](const auto& part) {
        return std::all_of(part.begin(), part.end(), [](const auto& v) { return v.second.left == 0; });
    });
}

bool Snapshot::take_memory() {
    size_t bytes = 0;
    try {
        for (size_t i = 0; i < parts.size(); i++)
            for (const Parameter& p : layout.parameters)
                if (Values& v = values[i][p.slot.offset]; v.left > 0)
                    // Not zeroed: the threads that copy are the first to touch it.
                    v.copy = std::make_unique_for_overwrite<float[]>(p.size()), bytes += p.size() * sizeof(float);
    } catch (const std::bad_alloc&) {
        for (auto& part : values)
            for (auto& [offset, v] : part) v.copy.reset();
        return false;
    }
    most = std::max(most, bytes);
    return true;
}

void Snapshot::detach() {
    std::unique_lock lock(mutex);
    if (detached || ended) return;
    if (!take_memory()) {
        hurried = true;
        is_hurried.notify_all();
        return was_read.wait(lock, [&] { return nothing_left() || ended; });
    }
    copy();
    detached = true;
}

bool Snapshot::detach_now() {
    const std::lock_guard lock(mutex);
    if (!take_memory()) return false;
    copy();
    return detached = true;
}

void Snapshot::copy() {
    struct Piece {
        const GetParameter& live;
        const Parameter& parameter;
        size_t first;
        std::span<float> to;
    };
    constexpr size_t most_values = 1 << 20;
    std::vector<Piece> pieces;
    for (size_t i = 0; i < parts.size(); i++)
        for (const Parameter& p : layout.parameters) {
            const Values& v = values[i][p.slot.offset];
            const std::span<float> all(v.copy.get(), v.copy ? p.size() : 0);
            for (size_t first = 0; first < all.size(); first += most_values)
                pieces.push_back(
                    {parts[i].live, p, first, all.subspan(first, std::min(most_values, all.size() - first))});
        }
    const auto take = [&](int i) {
        const Piece& piece = pieces[size_t(i)];
        piece.live(piece.parameter, piece.first, piece.to);
    };
    if (copying == Copying::by_all_threads) return parallel_for(int(pieces.size()), take);
    for (size_t i = 0; i < pieces.size(); i++) take(int(i));
}

bool Snapshot::all_read() {
    const std::lock_guard lock(mutex);
    return nothing_left();
}

void Snapshot::end() {
    const std::lock_guard lock(mutex);
    ended = true;
    was_read.notify_all();
}
