// The queues of work: what the other parts of the runtime do with them,
// and the internals that events and graphs also need.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>
#include "broken.h"
#include "include/simt/runtime_api.h"

// What functions of the runtime begin with, but for those that free something or do no more than call another: tests
// make one of them fail (broken.h).
#define SIMT_CALL() \
    if (const int error = simt::error_of_this_call(__func__)) return simt::remember(cudaError_t(error))

namespace simt {

cudaError_t remember(cudaError_t);  // for cudaGetLastError; returns it
// Does the work when its stream comes to it; while the stream is being captured it becomes part of the graph instead.
cudaError_t submit(cudaStream_t, std::function<cudaError_t()> work);
bool capturing();            // any stream, so that this thread must not allocate
cudaError_t finish_all();    // everything queued on any stream
cudaError_t sticky_error();  // of a kernel that failed: no later call succeeds

struct Work {
    uint64_t number;  // counts over all streams, from 1
    std::function<cudaError_t()> run;
};
struct Recording {
    Stream* origin;
    std::vector<std::function<cudaError_t()>> work{};  // in the order it was captured, which respects every dependency
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    std::thread::id thread = std::this_thread::get_id();  // that began it
};
struct Stream {
    unsigned flags;
    std::deque<Work> queue{};
    std::shared_ptr<Recording> capture{};  // that this stream is recorded into
    size_t captured_work = 0;              // of this stream in that graph
    bool joined = true;                    // everything captured here comes before something on another stream
    bool blocking() const { return !(flags & cudaStreamNonBlocking); }
};
struct StateLock {
    StateLock();
    ~StateLock();
};  // host threads may share streams

cudaError_t finish(Stream&, uint64_t last);
cudaError_t wait_for(cudaStream_t);
uint64_t last_submitted();
Stream* stream_of(cudaStream_t);  // null: no such stream
const std::vector<Stream*>& all_streams();

}  // namespace simt
