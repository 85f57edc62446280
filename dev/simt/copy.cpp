// Copies and fills between host and device, with CUDA's rules of what is asynchronous: pageable host memory is read
// before the call returns and written before it returns; pinned memory when the stream comes to it.
// And what the device is.
#include <cstring>
#include <memory>
#include "device_memory.h"
#include "report.h"
#include "stream.h"

using namespace simt;

namespace {

struct Copy {
    char* to;
    const char* from;
    size_t to_pitch, from_pitch, width, height;
    cudaError_t operator()() const {
        for (size_t row = 0; row < height; row++) {
            std::memmove(to + row * to_pitch, from + row * from_pitch, width);
            if (when_written) when_written(to + row * to_pitch, width);
        }
        return cudaSuccess;
    }
    bool on_device(const char* p, size_t pitch) const { return is_device(p, pitch * (height - 1) + width); }
};

bool named_right(const Copy& c, cudaMemcpyKind kind) {
    const bool to = c.on_device(c.to, c.to_pitch), from = c.on_device(c.from, c.from_pitch);
    switch (kind) {
        case cudaMemcpyHostToDevice: return to;
        case cudaMemcpyDeviceToHost: return from;
        case cudaMemcpyDeviceToDevice: return to && from;
        default: return true;
    }
}

// Wants the range inside of one buffer if it starts in one: with cudaMemcpyDefault nothing else tells what was meant.
cudaError_t copy_async(const Copy& c, cudaMemcpyKind kind, cudaStream_t handle) {
    if (!c.width || !c.height) return cudaSuccess;
    if (!named_right(c, kind)) {
        say("cudaMemcpy of " + std::to_string(c.width * c.height) +
            " bytes: the device's side is not inside one buffer");
        return remember(cudaErrorInvalidValue);
    }
    const StateLock lock;
    Stream* stream = stream_of(handle);
    const bool recorded = stream && stream->capture;
    if (!recorded && !c.on_device(c.from, c.from_pitch)) {  // pageable: staged now
        const size_t bytes = c.from_pitch * (c.height - 1) + c.width;
        auto staged = std::make_shared<std::unique_ptr<char[]>>(new char[bytes]);
        std::memcpy(staged->get(), c.from, bytes);
        return submit(handle, [c, staged] {
            Copy from_stage = c;
            from_stage.from = staged->get();
            return from_stage();
        });
    }
    if (const cudaError_t error = submit(handle, c)) return error;
    return recorded || c.on_device(c.to, c.to_pitch) ? cudaSuccess : wait_for(handle);
}

}  // namespace

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    SIMT_CALL();
    return copy_async({static_cast<char*>(to), static_cast<const char*>(from), bytes, bytes, bytes, 1}, kind, stream);
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    SIMT_CALL();
    if (const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr)) return error;
    return kind == cudaMemcpyDeviceToDevice ? cudaSuccess : wait_for(nullptr);
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    SIMT_CALL();
    if (width > to_pitch || width > from_pitch) return remember(cudaErrorInvalidValue);
    return copy_async({static_cast<char*>(to), static_cast<const char*>(from), to_pitch, from_pitch, width, height},
                      kind, stream);
}
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream) {
    SIMT_CALL();
    if (!bytes) return cudaSuccess;
    if (!is_device(p, bytes)) {
        say("cudaMemset of " + std::to_string(bytes) + " bytes: not inside one device buffer");
        return remember(cudaErrorInvalidValue);
    }
    return submit(stream, [=] {
        std::memset(p, value, bytes);
        if (when_written) when_written(p, bytes);
        return cudaSuccess;
    });
}
cudaError_t cudaMemset(void* p, int value, size_t bytes) { return cudaMemsetAsync(p, value, bytes, nullptr); }
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
    if (const cudaError_t error = wait_for(stream)) return error;
    return cudaFree(p);
}
