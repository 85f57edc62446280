// Tokens carried to the device of a model, and the logits that come back.
#pragma once
#include <numeric>
#include <span>
#include "batch.h"
#include "gpt.h"

// Uploads floats to the device as T, converting them in pieces to save host memory.
template <class T, class Device>
void upload_as(T* device, std::span<const float> values, const Device& on) {
    if constexpr (std::is_same_v<T, float>) {
        on.upload(device, values.data(), values.size());
    } else {
        constexpr size_t piece = 1 << 18;
        std::vector<T> converted;
        for (size_t at = 0; at < values.size(); at += piece) {
            const std::span<const float> part = values.subspan(at, std::min(piece, values.size() - at));
            converted.assign(part.begin(), part.end());
            on.upload(device + at, converted.data(), converted.size());
        }
    }
}

// Memory on the device for the tokens of a batch of at most N, for a model of which layers may slide (Config::window).
template <class Device>
class BatchBuffer {
public:
    BatchBuffer(int N, int window, Device device)
        : N(N), window(window), on(device), tokens(on.template allocate<int>(size())) {}

    size_t size() const { return (window ? 5 : 4) * size_t(N); }

    // What upload_async takes: size() integers, one array of the batch after the other.
    void pack(int* to, const HostBatch& batch) const {
        REQUIRE(batch.token.size() == size_t(batch.B) * batch.T && batch.token.size() <= size_t(N));
        for (const std::vector<int>* part : {&batch.token, &batch.target, &batch.position, &batch.first}) {
            std::copy(part->begin(), part->end(), to);
            to += N;
        }
        if (!window) return;
        for (size_t i = 0; i < batch.token.size(); i++)
            to[i] = std::max(batch.first.empty() ? 0 : batch.first[i], first_in_window(int(i) % batch.T, window));
    }
    // Where the batch is, or will be.
    Batch place(const HostBatch& batch) const {
        const auto part = [&](int i, const std::vector<int>& host) -> const int* {
            return host.empty() ? nullptr : tokens + i * size_t(N);
        };
        return {.B = batch.B,
                .T = batch.T,
                .token = part(0, batch.token),
                .target = part(1, batch.target),
                .position = part(2, batch.position),
                .first = part(3, batch.first),
                .first_sliding = window ? tokens + 4 * size_t(N) : nullptr};
    }
    void upload_async(const int* packed) const { on.upload_async(tokens, packed, size()); }

    Batch upload(const HostBatch& batch) const {
        std::vector<int> packed(size());
        pack(packed.data(), batch);
        on.upload(tokens, packed.data(), packed.size());
        return place(batch);
    }

private:
    int N, window;
    Device on;
    int* tokens;  // (4,N), or (5,N)
};

// One text from its beginning.
inline HostBatch whole_text(std::span<const int> tokens) {
    HostBatch one{1, int(tokens.size()), {tokens.begin(), tokens.end()}, {}, std::vector<int>(tokens.size()), {}};
    std::iota(one.position.begin(), one.position.end(), 0);
    return one;
}

// Logits (V) of the token that follows `tokens`; at most the model's context of them.
template <class Device>
std::vector<float> next_logits(Gpt<Device>& model, const BatchBuffer<Device>& buffer, std::span<const int> tokens) {
    const int last = int(tokens.size()) - 1;
    model.forward_blocks(buffer.upload(whole_text(tokens)));
    model.forward_head(last, 1, nullptr, Use::infer);
    std::vector<typename Device::Real> row(model.V);
    model.on.download(row.data(), model.logits_of(last), row.size());
    return {row.begin(), row.end()};
}
