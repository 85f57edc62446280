// Events, which order streams and tell the time, and graphs: work that was recorded and is repeated in order.
#include <chrono>
#include "stream.h"

namespace simt {

struct Event {
    struct Mark {  // of one record; waiting for it keeps its meaning when the event is recorded anew
        std::chrono::steady_clock::time_point time{};
        bool reached = false;
    };
    std::shared_ptr<Mark> mark{};  // null: never recorded
    Stream* stream = nullptr;
    uint64_t number = 0;                   // of the work that reaches the mark
    std::shared_ptr<Recording> capture{};  // recorded inside of it, after so much work of its stream
    size_t captured_work = 0;
};
struct Graph {
    std::shared_ptr<Recording> recording;
};
struct GraphExec {
    std::shared_ptr<const Recording> recording;
};

namespace {

bool exists(const Stream* stream) {
    for (const Stream* s : all_streams())
        if (s == stream) return true;
    return false;
}

// A destroyed stream has finished its work.
cudaError_t reach(Stream* stream, uint64_t number) { return exists(stream) ? finish(*stream, number) : sticky_error(); }

}  // namespace
}  // namespace simt

using namespace simt;

cudaError_t cudaEventCreate(cudaEvent_t* event) { return *event = new Event, cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    SIMT_CALL();
    return cudaEventCreate(event);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
    SIMT_CALL();
    const StateLock lock;
    Stream* stream = stream_of(handle);
    if (!stream || !event) return remember(cudaErrorInvalidResourceHandle);
    event->stream = stream;
    if (stream->capture) {
        event->capture = stream->capture;
        event->captured_work = stream->captured_work;
        return cudaSuccess;
    }
    event->capture.reset();
    event->mark = std::make_shared<Event::Mark>();
    const cudaError_t error = submit(handle, [mark = event->mark] {
        mark->time = std::chrono::steady_clock::now();
        mark->reached = true;
        return cudaSuccess;
    });
    event->number = last_submitted();
    return error;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
    SIMT_CALL();
    const StateLock lock;
    Stream* stream = stream_of(handle);
    if (!stream || !event) return remember(cudaErrorInvalidResourceHandle);
    if (event->capture) {
        if (stream->capture && stream->capture != event->capture) return remember(cudaErrorStreamCaptureUnsupported);
        if (!stream->capture) stream->capture = event->capture, stream->captured_work = 0, stream->joined = false;
        if (event->stream != stream && event->stream->captured_work == event->captured_work)
            event->stream->joined = true;
        return cudaSuccess;
    }
    if (stream->capture) return remember(cudaErrorStreamCaptureUnsupported);
    if (!event->mark) return cudaSuccess;
    return submit(handle, [on = event->stream, number = event->number] { return reach(on, number); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    SIMT_CALL();
    const StateLock lock;
    if (event->capture) return remember(cudaErrorStreamCaptureUnsupported);
    return event->mark ? reach(event->stream, event->number) : cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    SIMT_CALL();
    const StateLock lock;
    if (event->capture) return remember(cudaErrorStreamCaptureUnsupported);
    if (!event->mark || event->mark->reached) return sticky_error();
    if (exists(event->stream)) cudaStreamQuery(event->stream);
    return event->mark->reached ? sticky_error() : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
    SIMT_CALL();
    if (!from->mark || !to->mark) return remember(cudaErrorInvalidResourceHandle);
    if (!from->mark->reached || !to->mark->reached) return cudaErrorNotReady;
    *milliseconds = std::chrono::duration<float, std::milli>(to->mark->time - from->mark->time).count();
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
    SIMT_CALL();
    const StateLock lock;
    Stream* stream = stream_of(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    if (!handle || stream->capture) return remember(cudaErrorStreamCaptureUnsupported);  // never the stream 0
    stream->capture = std::make_shared<Recording>(Recording{.origin = stream, .mode = mode});
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
    SIMT_CALL();
    const StateLock lock;
    Stream* stream = stream_of(handle);
    *graph = nullptr;
    if (!stream || !stream->capture || stream->capture->origin != stream) return remember(cudaErrorIllegalState);
    const std::shared_ptr<Recording> recording = stream->capture;
    bool joined = true;
    for (Stream* s : all_streams()) {
        if (s->capture != recording) continue;
        joined = joined && (s == stream || s->joined);
        s->capture.reset();
        s->joined = true;
    }
    if (!joined) return remember(cudaErrorStreamCaptureUnjoined);
    *graph = new Graph{recording};
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
    SIMT_CALL();
    const StateLock lock;
    const Stream* stream = stream_of(handle);
    if (!stream) return remember(cudaErrorInvalidResourceHandle);
    *status = stream->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
    SIMT_CALL();
    if (!graph) return remember(cudaErrorInvalidValue);
    *exec = new GraphExec{graph->recording};
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    SIMT_CALL();
    if (!exec) return remember(cudaErrorInvalidValue);
    return submit(stream, [recording = exec->recording] {
        for (const auto& work : recording->work)
            if (const cudaError_t error = work()) return error;
        return cudaSuccess;
    });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
    SIMT_CALL();
    return *count = graph->recording->work.size(), cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return delete exec, cudaSuccess; }
