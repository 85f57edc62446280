// Reads a cubin without a disassembler. From sm_80 on an instruction has 16 bytes, its opcode in the lowest 12 bits; of
// these the lowest 9 say what it does, the others where its operands come from. What stands where was found by
// compiling one-line kernels with nvcc 13.
#pragma once
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

struct Instruction {
    uint64_t low, high;
    unsigned opcode() const { return low & 0xfff; }
    unsigned operation() const { return low & 0x1ff; }
    unsigned width() const { return high >> 9 & 7; }       // of an access: 4, 5, 6 are 32, 64, 128 bits
    bool always() const { return (low >> 12 & 15) == 7; }  // its predicate is "true"
    // Scoreboards, of 6: which it sets when it is done and when it has read its operands (7: none), and, a bit each,
    // for which it waits.
    int sets() const { return int(high >> 46 & 7); }
    int releases() const { return int(high >> 49 & 7); }
    int waits() const { return int(high >> 52 & 63); }
};

struct KernelCode {
    std::string name;      // mangled
    int architecture = 0;  // 80, 90
    int threads = 0;       // of a block, at most: __launch_bounds__; 0 if not given
    std::vector<Instruction> instructions = {};

    // The instruction a branch at `at` goes to, counted in units of 4 bytes from the next one: 48 bits, to which sm_90
    // adds 8 below.
    long target(long at) const {
        const Instruction& i = instructions[at];
        const int64_t far = int64_t((i.low >> 34 | (i.high & 0x3ffff) << 30) << 16) >> 16;  // sign-extended
        return at + 1 + (architecture < 90 ? far : far * 256 + int64_t(i.low >> 16 & 0xff)) / 4;
    }
};

class Cubin {
    struct Section {
        uint32_t name, type;
        uint64_t flags, address, offset, size;
    };
    std::string file;

    template <class T>
    T read(size_t at) const {
        if (at > file.size() || sizeof(T) > file.size() - at) throw std::runtime_error("the file ends too early");
        T value;
        std::memcpy(&value, file.data() + at, sizeof value);
        return value;
    }
    Section section(size_t i) const { return read<Section>(read<uint64_t>(0x28) + i * read<uint16_t>(0x3a)); }
    std::string name(const Section& s) const {
        const size_t at = section(read<uint16_t>(0x3e)).offset + s.name;
        return at < file.size() ? file.c_str() + at : "";
    }

    // Attributes of a kernel: a format, a number, and 16 bits that are the value or, in format 4, the length of what
    // follows.
    int max_threads(const Section& info) const {
        constexpr uint8_t sized = 4, threads = 5;
        for (size_t at = info.offset; at < info.offset + info.size;) {
            const auto format = read<uint8_t>(at), number = read<uint8_t>(at + 1);
            if (format == sized && number == threads)
                return int(read<uint32_t>(at + 4) * read<uint32_t>(at + 8) * read<uint32_t>(at + 12));
            at += 4 + (format == sized ? read<uint16_t>(at + 2) : 0);
        }
        return 0;
    }

    // The flags' layout changed with CUDA 13, which counts the ABI as 8.
    int architecture() const { return read<uint8_t>(read<uint8_t>(0x08) < 8 ? 0x30 : 0x31); }

public:
    explicit Cubin(const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        if (!in) throw std::runtime_error(path + " cannot be opened");
        file.assign(std::istreambuf_iterator<char>(in), {});
        if (file.compare(0, 4,
                         "\x7f"
                         "ELF") != 0)
            throw std::runtime_error(path + " is not an ELF file");
    }

    std::vector<KernelCode> kernels() const {
        std::vector<KernelCode> all;
        const std::string text = ".text.", info = ".nv.info.";
        const size_t sections = read<uint16_t>(0x3c);
        for (size_t i = 0; i < sections; i++) {
            const Section s = section(i);
            const std::string of = name(s);
            if (of.compare(0, text.size(), text) != 0) continue;
            KernelCode kernel{of.substr(text.size()), architecture()};
            for (size_t at = s.offset; at < s.offset + s.size; at += 16)
                kernel.instructions.push_back({read<uint64_t>(at), read<uint64_t>(at + 8)});
            for (size_t k = 0; k < sections; k++)
                if (name(section(k)) == info + kernel.name) kernel.threads = max_threads(section(k));
            all.push_back(std::move(kernel));
        }
        return all;
    }
};
