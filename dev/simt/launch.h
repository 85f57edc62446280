// How the parts of the runtime report errors and queue work.
#pragma once
#include <functional>
#include <string>
#include "include/simt/runtime_api.h"

namespace simt {

void say(const std::string& message);  // on stderr, and kept for take_report
std::string take_report();             // what was said since the last call: tests read it

cudaError_t remember(cudaError_t);  // for cudaGetLastError; returns it
// Does the work when its stream comes to it; while the stream is being captured it becomes part of the graph instead.
cudaError_t submit(cudaStream_t, std::function<cudaError_t()> work);
bool capturing();            // any stream
cudaError_t finish_all();    // everything queued on any stream
cudaError_t sticky_error();  // of a kernel that failed: no later call succeeds

}  // namespace simt
