#include "fat_binary.h"
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include "host/base/error.h"

namespace ptx {
namespace {

constexpr uint32_t wrapper_magic = 0x466243b1, container_magic = 0xba55ed50;

struct Wrapper {
    uint32_t magic, version;
    const char* container;
    const void* unused;
};
struct Container {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t bytes;  // of all entries
};
struct Entry {
    uint16_t kind, version;
    uint32_t header_bytes;
    uint64_t padded_bytes;
    uint32_t compressed_bytes;  // 0: not compressed
    uint32_t options_offset;
    uint16_t minor, major;
    uint32_t capability;
    uint32_t name_offset, name_bytes;  // of the source file
    uint64_t flags, unused, decompressed_bytes;
};
static_assert(sizeof(Container) == 16 && sizeof(Entry) == 64);

// "90a" of ".target sm_90a, debug"
std::string target_of(std::string_view text) {
    const std::string_view word = ".target";
    size_t at = text.find(word);
    while (at != text.npos && at > 0 && text[at - 1] != '\n') at = text.find(word, at + 1);
    if (at == text.npos) return "";
    at = text.find("sm_", at);
    if (at == text.npos) return "";
    return std::string(text.substr(at + 3, text.find_first_not_of("0123456789af", at + 3) - at - 3));
}

Image read_image(const Entry& entry, const char* payload) {
    Image image{Image::Kind(entry.kind), int(entry.capability), entry.compressed_bytes != 0, "", ""};
    if (image.kind != Image::Kind::ptx || image.compressed) return image;
    image.text = {payload, strnlen(payload, entry.padded_bytes)};
    image.target = target_of(image.text);
    return image;
}

std::string quoted(const FatBinary& binary) { return binary.source.empty() ? "an object" : binary.source; }

}  // namespace

FatBinary read_fat_binary(const void* wrapper_address) {
    const auto& wrapper = *static_cast<const Wrapper*>(wrapper_address);
    if (wrapper.magic != wrapper_magic || !wrapper.container) throw std::runtime_error("no fat binary of nvcc");
    const auto& container = *reinterpret_cast<const Container*>(wrapper.container);
    if (container.magic != container_magic) throw std::runtime_error("a fat binary of a kind that is not known");
    FatBinary binary;
    const char* at = wrapper.container + container.header_bytes;
    const char* const end = at + container.bytes;
    while (at < end) {
        Entry entry;
        if (size_t(end - at) < sizeof entry) throw std::runtime_error("a fat binary that ends too early");
        std::memcpy(&entry, at, sizeof entry);
        const size_t rest = size_t(end - at);
        if (entry.header_bytes < sizeof entry || entry.header_bytes > rest ||
            entry.padded_bytes > rest - entry.header_bytes)
            throw std::runtime_error("a fat binary whose entries do not fit into it");
        if (entry.name_bytes && size_t(entry.name_offset) + entry.name_bytes <= entry.header_bytes)
            binary.source.assign(at + entry.name_offset, entry.name_bytes);
        binary.images.push_back(read_image(entry, at + entry.header_bytes));
        at += entry.header_bytes + entry.padded_bytes;
    }
    return binary;
}

bool is_above(const std::string& a, const std::string& b) {
    const int number = std::atoi(a.c_str()), other = std::atoi(b.c_str());
    return number != other ? number > other : a.size() > b.size();
}

std::string highest_target(const FatBinary& binary) {
    std::string highest;
    for (const Image& image : binary.images)
        if (is_above(image.target, highest)) highest = image.target;
    return highest;
}

std::string_view ptx_for(const std::string& target, const FatBinary& binary) {
    bool compressed = false;
    std::string others;
    for (const Image& image : binary.images) {
        if (!target.empty() && image.target == target) return image.text;
        compressed = compressed || (image.kind == Image::Kind::ptx && image.compressed);
        if (!image.target.empty()) others += (others.empty() ? "sm_" : ", sm_") + image.target;
    }
    const std::string reason = !others.empty() ? "it is for " + others + ", none for sm_" + target
                               : compressed    ? "it is compressed"
                                               : "there is none beside the machine code";
    const std::string compute = "compute_" + (target.empty() ? "80" : target);
    throw Error(Exit::device, "PTX of " + quoted(binary), reason,
                "compile with nvcc -gencode arch=" + compute + ",code=" + compute +
                    " --no-compress, as make does for GPU_ARCH=" + compute);
}

}  // namespace ptx
