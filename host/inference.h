// A model at work: tokens carried to its device, and the logits that come back.
#pragma once
#include <numeric>
#include "batch.h"
#include "gpt.h"

// Memory on the device for the tokens of a batch of at most N.
template <class Device>
class BatchBuffer {
public:
    BatchBuffer(int N, Device device) : N(N), on(device) {
        for (int** p : {&token, &target, &position, &first}) *p = on.template allocate<int>(N);
    }

    Batch upload(const HostBatch& batch) const {
        auto put = [&](int* device, const std::vector<int>& host) -> const int* {
            if (host.empty()) return nullptr;
            REQUIRE(host.size() == size_t(batch.B) * batch.T && host.size() <= size_t(N));
            on.upload(device, host.data(), host.size());
            return device;
        };
        return {batch.B, batch.T, put(token, batch.token), put(target, batch.target), put(position, batch.position),
                put(first, batch.first)};
    }

private:
    int N;
    Device on;
    int *token, *target, *position, *first;
};

// Logits (V) of the token that follows `tokens`; at most the model's context of them.
template <class Device>
std::vector<float> next_logits(Gpt<Device>& model, const BatchBuffer<Device>& buffer, const std::vector<int>& tokens) {
    HostBatch one{1, int(tokens.size()), tokens, {}, std::vector<int>(tokens.size()), {}};
    std::iota(one.position.begin(), one.position.end(), 0);
    model.forward(buffer.upload(one));
    std::vector<typename Device::Real> last(model.V);
    model.on.download(last.data(), model.x[model.logits] + (tokens.size() - 1) * model.P, last.size());
    return {last.begin(), last.end()};
}
