// Writes tensors to a file in pieces: while one is written, the next is prepared.
#pragma once
#include <algorithm>
#include <future>
#include <span>
#include <string>
#include <vector>
#include "safetensors.h"

class TensorPieces {
public:
    explicit TensorPieces(safetensors::Writer& writer) : writer(writer), made(limit), written(limit) {}
    ~TensorPieces() {
        if (writing.valid()) writing.wait();
    }

    // The writer's next tensor: `lines` of `width` values; make(first, out) gives the lines from `first` on.
    template <class Make>
    void write(const std::string& name, size_t lines, size_t width, Make make) {
        const size_t most = std::max<size_t>(limit / width, 1);
        for (size_t first = 0; first < lines; first += most) {
            const size_t n = std::min(most, lines - first) * width;
            if (made.size() < n) made.resize(n);
            make(first, std::span(made).first(n));
            require_finite(std::span(made).first(n), first * width, name);
            finish();
            made.swap(written);
            // Where no thread is to be had it is written when somebody waits for it.
            writing = std::async(std::launch::async | std::launch::deferred,
                                 [this, n] { writer.write(std::span(written).first(n)); });
        }
    }
    void finish() {
        if (writing.valid()) writing.get();
    }

private:
    // Throws Error{numeric} at an infinity or NaN. `first`: of the values, in the tensor.
    static void require_finite(std::span<const float> values, size_t first, const std::string& name);

    static constexpr size_t limit = 1 << 20;
    safetensors::Writer& writer;
    std::vector<float> made, written;
    std::future<void> writing;
};
