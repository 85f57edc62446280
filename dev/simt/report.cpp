#include "report.h"
#include <cstdio>
#include <mutex>
#include <utility>

namespace simt {
namespace {

std::mutex report_mutex;
std::string report;

}  // namespace

std::string take_report() {
    const std::lock_guard lock(report_mutex);
    return std::exchange(report, "");
}

void say(const std::string& message) {
    const std::lock_guard lock(report_mutex);
    std::fprintf(stderr, "simt: %s\n", message.c_str());
    report += message + '\n';
}

}  // namespace simt
