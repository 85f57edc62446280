#include "gpu_peaks.h"
#include <algorithm>
#include <cctype>
#include <set>
#include <utility>
#include "host/base/error.h"
#include "host/base/text.h"

namespace {
constexpr double exponentials(int multiprocessors, double ghz) { return 16.0 * multiprocessors * ghz * 1e9; }
constexpr uint64_t GiB(uint64_t n) { return n << 30; }
// NCCL counts 20 GB/s a link of Ampere's, 20.6 of Hopper's, 40.1 of Blackwell's, and 12 GB/s for PCIe 3.
constexpr double links(int count, double gigabytes) { return count * gigabytes * 1e9; }
constexpr double pcie4 = 24e9, pcie5 = 48e9;
}  // namespace

// The first row whose name occurs as words in the GPU's name counts, so more specific names come first.
const std::vector<Peaks>& peaks() {
    static const std::vector<Peaks> table = {
        {"H200 NVL", 835e12, 4.8e12, exponentials(132, 1.785), GiB(140), links(18, 20.6), Inside::nvlink},
        {"H200", 989e12, 4.8e12, exponentials(132, 1.83), GiB(140), links(18, 20.6), Inside::nvlink},
        {"H100 PCIe", 756e12, 2.04e12, exponentials(114, 1.755), GiB(80), pcie5, Inside::pcie},
        {"H100 NVL", 835e12, 3.94e12, exponentials(132, 1.785), GiB(94), pcie5, Inside::pcie},
        {"H100", 989e12, 3.35e12, exponentials(132, 1.83), GiB(80), links(18, 20.6), Inside::nvlink},
        {"B200", 2250e12, 8.0e12, exponentials(148, 1.965), GiB(178), links(18, 40.1), Inside::nvlink},
        {"A100-SXM4-80GB", 312e12, 2.039e12, exponentials(108, 1.41), GiB(80), links(12, 20), Inside::nvlink},
        {"A100 80GB PCIe", 312e12, 1.935e12, exponentials(108, 1.41), GiB(80), pcie4, Inside::pcie},
        {"A100", 312e12, 1.555e12, exponentials(108, 1.41), GiB(40), links(12, 20), Inside::nvlink},
        {"L40S", 362e12, 0.864e12, exponentials(142, 2.52), GiB(44), pcie4, Inside::pcie},
        {"RTX 5090", 209.5e12, 1.792e12, exponentials(170, 2.407), GiB(31), pcie5, Inside::pcie},
        {"RTX 4090", 165.2e12, 1.008e12, exponentials(128, 2.52), GiB(24), pcie4, Inside::pcie},
        {"RTX 3090", 71e12, 0.936e12, exponentials(82, 1.695), GiB(24), pcie4, Inside::pcie},
    };
    return table;
}

const Peaks* find_peaks(std::string_view gpu) {
    if (gpu.find("Laptop") != gpu.npos) return nullptr;
    const auto inside = [&](size_t i) { return i < gpu.size() && std::isalnum(static_cast<unsigned char>(gpu[i])); };
    for (const Peaks& p : peaks()) {
        const size_t at = gpu.find(p.name);
        if (at != gpu.npos && !inside(at - 1) && !inside(at + std::string_view(p.name).size())) return &p;
    }
    return nullptr;
}

namespace {
std::set<std::string> words_of(std::string_view name) {
    std::set<std::string> words;
    std::string word;
    for (const char c : std::string(name) + " ") {
        if (std::isalnum(static_cast<unsigned char>(c))) word += char(std::toupper(static_cast<unsigned char>(c)));
        else if (!word.empty()) words.insert(std::exchange(word, ""));
    }
    return words;
}
}  // namespace

const Peaks& named_gpu(const std::string& name) {
    const std::set<std::string> given = words_of(name);
    std::vector<const Peaks*> found;
    for (const Peaks& p : peaks()) {
        const std::set<std::string> words = words_of(p.name);
        if (words == given) return p;
        if (!given.empty() && std::ranges::includes(words, given)) found.push_back(&p);
    }
    if (found.size() == 1) return *found[0];
    if (const Peaks* p = found.empty() ? find_peaks(name) : nullptr) return *p;
    std::string list;
    for (const Peaks& p : peaks())
        if (found.empty() || std::ranges::count(found, &p)) list += (list.empty() ? "" : ", ") + std::string(p.name);
    throw Error(Exit::usage, "--gpu",
                in_quotes(name) + (found.empty() ? " is none whose data sheet is known here" : " could be several"),
                "one of " + list);
}
