#include "available_memory.h"
#include <fstream>
#include <limits>
#include <string>

namespace {

constexpr uint64_t unknown = std::numeric_limits<uint64_t>::max();

// The number in a file that holds one; "max", or no such file: unknown.
uint64_t number_in(const std::string& path) {
    std::ifstream file(path);
    uint64_t n = 0;
    return file >> n ? n : unknown;
}

uint64_t of_machine() {
    std::ifstream file("/proc/meminfo");
    std::string name;
    uint64_t kilobytes = 0;
    for (std::string unit; file >> name >> kilobytes; std::getline(file, unit))
        if (name == "MemAvailable:") return kilobytes << 10;
    return unknown;
}

// Of version 2, and of all the groups around it. What it has in files' pages can be had again.
uint64_t of_control_group() {
    std::ifstream file("/proc/self/cgroup");
    std::string line, path;
    while (std::getline(file, line))
        if (line.starts_with("0::/")) path = line.substr(3);
    uint64_t least = unknown;
    for (;; path.erase(path.find_last_of('/'))) {
        const std::string group = "/sys/fs/cgroup" + path;
        const uint64_t most = number_in(group + "/memory.max"), used = number_in(group + "/memory.current");
        if (most != unknown && used != unknown) {
            uint64_t pages = 0;
            std::ifstream stat(group + "/memory.stat");
            std::string name;
            for (uint64_t n = 0; stat >> name >> n;)
                if (name == "inactive_file") pages = n;
            least = std::min(least, most - std::min(most, used - std::min(used, pages)));
        }
        if (path.find('/') == path.npos) return least;
    }
}

}  // namespace

uint64_t available_memory() {
    const uint64_t least = std::min(of_machine(), of_control_group());
    return least == unknown ? 0 : least;
}
