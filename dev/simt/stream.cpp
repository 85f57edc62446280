// Streams, events and graphs. Work is queued, and done at the last moment the rules allow: when the host waits for it,
// or when work that does so must come after it. A program that forgets to wait reads what was there before.
#include "stream.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace simt {
namespace {

struct State {
    std::recursive_mutex mutex;
    Stream legacy{cudaStreamDefault};  // the stream 0: in step with all blocking streams
    std::vector<Stream*> streams{&legacy};
    uint64_t last = 0;  // number of the last work that was queued
    cudaError_t sticky = cudaSuccess, recent = cudaSuccess;
    const bool at_once = std::getenv("CUDA_LAUNCH_BLOCKING") && std::atoi(std::getenv("CUDA_LAUNCH_BLOCKING"));
};
State& state() {
    static State* s = new State;
    return *s;
}
Stream* find(cudaStream_t handle) {
    State& s = state();
    if (!handle || handle == &s.legacy) return &s.legacy;
    return std::find(s.streams.begin(), s.streams.end(), handle) == s.streams.end() ? nullptr : handle;
}

}  // namespace

StateLock::StateLock() { state().mutex.lock(); }
StateLock::~StateLock() { state().mutex.unlock(); }

cudaError_t remember(cudaError_t error) {
    if (error) state().recent = error;
    return error;
}
cudaError_t sticky_error() { return state().sticky; }
bool capturing() {
    const StateLock lock;
    const auto& streams = state().streams;
    return std::any_of(streams.begin(), streams.end(), [](const Stream* s) {
        return s->capture && (s->capture->mode == cudaStreamCaptureModeGlobal ||
                              (s->capture->mode == cudaStreamCaptureModeThreadLocal &&
                               s->capture->thread == std::this_thread::get_id()));
    });
}

// Does what stands in the queue up to work number `last`.
cudaError_t finish(Stream& stream, uint64_t last) {
    State& s = state();
    while (!stream.queue.empty() && stream.queue.front().number <= last) {
        const Work work = std::move(stream.queue.front());
        stream.queue.pop_front();
        if (&stream == &s.legacy) {
            for (Stream* other : s.streams)
                if (other != &stream && other->blocking()) finish(*other, work.number);
        } else if (stream.blocking()) {
            finish(s.legacy, work.number);
        }
        if (s.sticky) continue;
        if (const cudaError_t error = work.run()) s.sticky = remember(error);
    }
    return s.sticky;
}

cudaError_t finish_all() {
    const StateLock lock;
    for (Stream* stream : state().streams) finish(*stream, state().last);
    return state().sticky;
}

cudaError_t submit(cudaStream_t handle, std::function<cudaError_t()> run) {
    const StateLock lock;
    State& s = state();
    if (s.sticky) return s.sticky;
    Stream* stream = find(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    if (stream->capture) {
        stream->capture->work.push_back(std::move(run));
        stream->captured_work++;
        stream->joined = false;
        return cudaSuccess;
    }
    if (stream == &s.legacy &&
        std::any_of(s.streams.begin(), s.streams.end(), [](Stream* t) { return t->capture && t->blocking(); }))
        return remember(cudaErrorStreamCaptureUnsupported);
    stream->queue.push_back({++s.last, std::move(run)});
    return s.at_once ? finish(*stream, s.last) : cudaSuccess;
}

// What a host may not do while work is only being recorded.
cudaError_t wait_for(cudaStream_t handle) {
    const StateLock lock;
    State& s = state();
    Stream* stream = find(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    if (stream->capture) return remember(cudaErrorStreamCaptureUnsupported);
    return finish(*stream, s.last);
}

uint64_t last_submitted() { return state().last; }
Stream* stream_of(cudaStream_t handle) { return find(handle); }
void add(Stream* stream) { state().streams.push_back(stream); }
void remove(Stream* stream) { std::erase(state().streams, stream); }
const std::vector<Stream*>& all_streams() { return state().streams; }
void forget_errors() { state().sticky = state().recent = cudaSuccess; }

}  // namespace simt

using namespace simt;

cudaError_t cudaGetLastError() {
    State& s = state();
    if (s.sticky) return s.sticky;
    return std::exchange(s.recent, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() { return state().sticky ? state().sticky : state().recent; }
cudaError_t cudaDeviceSynchronize() {
    SIMT_CALL();
    const StateLock lock;
    return capturing() ? remember(cudaErrorStreamCaptureUnsupported) : finish_all();
}
cudaError_t cudaDeviceReset() {
    const StateLock lock;
    for (Stream* stream : all_streams()) stream->queue.clear(), stream->capture.reset();
    forget_errors();
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    SIMT_CALL();
    const StateLock lock;
    add(*stream = new Stream{flags});
    return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
    return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
    const StateLock lock;
    Stream* stream = stream_of(handle);
    if (!stream || !handle) return remember(cudaErrorInvalidResourceHandle);
    const cudaError_t error = finish(*stream, last_submitted());
    remove(stream);
    delete stream;
    return error;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    SIMT_CALL();
    return wait_for(stream);
}
// A program may ask until it is told that all is done: each question does one piece of work.
cudaError_t cudaStreamQuery(cudaStream_t handle) {
    SIMT_CALL();
    const StateLock lock;
    Stream* stream = stream_of(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    if (stream->capture) return remember(cudaErrorStreamCaptureUnsupported);
    if (!stream->queue.empty()) finish(*stream, stream->queue.front().number);
    return sticky_error() ? sticky_error() : stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, void (*function)(void*), void* data) {
    SIMT_CALL();
    return submit(stream, [=] { return function(data), cudaSuccess; });
}
