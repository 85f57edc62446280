// Fat binaries of our own making.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace ptx {

class MadeFatBinary {
public:
    explicit MadeFatBinary(const std::string& source = "a.cu") : source(source) {
        append(uint64_t(0)), append(uint64_t(0));
    }
    // kind 1: PTX, 2: machine code. compressed_bytes 0: `payload` is as it is.
    void add(int kind, int capability, std::string payload, uint32_t compressed_bytes = 0) {
        payload.resize((payload.size() + 8) / 8 * 8);
        append(uint16_t(kind)), append(uint16_t(0x101)), append(uint32_t(64 + name().size()));
        append(uint64_t(payload.size())), append(compressed_bytes), append(uint32_t(0));
        append(uint16_t(0)), append(uint16_t(9)), append(uint32_t(capability));
        append(uint32_t(64)), append(uint32_t(source.size()));
        append(uint64_t(0x11)), append(uint64_t(0)), append(uint64_t(compressed_bytes ? 1000 : 0));
        bytes += name() + payload;
    }
    void add_ptx(const std::string& target, const std::string& entries = "") {
        add(1, std::atoi(target.c_str()), "\n\n.version 8.0\n.target sm_" + target + "\n.address_size 64\n" + entries);
    }
    // As __cudaRegisterFatBinary takes it; good as long as this lives and does not change.
    const void* wrapper() {
        const uint32_t magic = 0xba55ed50, version_and_header = 1 | 16 << 16;
        const uint64_t size = bytes.size() - 16;
        std::memcpy(bytes.data(), &magic, 4), std::memcpy(bytes.data() + 4, &version_and_header, 4);
        std::memcpy(bytes.data() + 8, &size, 8);
        outside = {0x466243b1, 1, bytes.data(), nullptr};
        return &outside;
    }
    std::string bytes;

private:
    std::string name() const {
        std::string padded = source;
        padded.resize((source.size() + 8) / 8 * 8);
        return padded;
    }
    template <class T>
    void append(T x) {
        bytes.append(reinterpret_cast<const char*>(&x), sizeof x);
    }
    std::string source;
    struct {
        uint32_t magic, version;
        const char* container;
        const void* unused;
    } outside{};
};

}  // namespace ptx
