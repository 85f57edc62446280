// Reads a cubin without a disassembler: counts of every kernel's machine instructions.
//
//   sass FILE.cubin   prints, one line a kernel: mangled name, instructions, local memory accesses, double arithmetic,
//                        float atomics and reductions, global loads and stores, those of 128 bits, products of tensor cores (HMMA),
//                        ldmatrix (LDSM), cp.async (LDGSTS)
//
// From sm_80 on an instruction has 16 bytes, its opcode in the lowest 12 bits; the width of a global access stands in
// bits 73 to 75 (6 = 128 bits). Opcodes were found by compiling one-line kernels with nvcc 13.
#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace {

enum Kind { local, doubles, atomics, global, wide, products, matrices, copies, kinds };
struct Opcode { unsigned code; Kind kind; };
constexpr Opcode opcodes[] = {
    {0x983, local}, {0x387, local}, {0x987, local},                                        // LDL, STL
    // DADD DMUL DFMA.
    {0x229, doubles}, {0xc29, doubles}, {0x228, doubles}, {0xc28, doubles}, {0x22b, doubles}, {0xc2b, doubles},
    // RED, ATOMG of sm_80 and of sm_90.
    {0x98e, atomics}, {0x9a6, atomics}, {0x9a8, atomics}, {0x9a3, atomics},
    {0x981, global}, {0x986, global},                                                      // LDG, STG
    {0x23c, products}, {0x83b, matrices}, {0xfae, copies},                                 // HMMA, LDSM, LDGSTS
};

struct Section { uint32_t name, type; uint64_t flags, address, offset, size; };

template <class T> T read(const std::string& file, size_t at) {
    if (at > file.size() || sizeof(T) > file.size() - at) throw std::runtime_error("the file ends too early");
    T value;
    std::memcpy(&value, file.data() + at, sizeof value);
    return value;
}

std::array<size_t, kinds> count(const std::string& file, const Section& text) {
    std::array<size_t, kinds> counts{};
    for (size_t at = text.offset; at < text.offset + text.size; at += 16) {
        const auto low = read<uint64_t>(file, at), high = read<uint64_t>(file, at + 8);
        for (const Opcode& o : opcodes) {
            if ((low & 0xfff) != o.code) continue;
            counts[o.kind]++;
            if (o.kind == global && (high >> 9 & 7) == 6) counts[wide]++;
        }
    }
    return counts;
}

void print_kernels(const std::string& file) {
    if (file.compare(0, 4, "\x7f" "ELF") != 0) throw std::runtime_error("not an ELF file");
    const auto table = read<uint64_t>(file, 0x28);
    const auto entry = read<uint16_t>(file, 0x3a), sections = read<uint16_t>(file, 0x3c),
               names = read<uint16_t>(file, 0x3e);
    const auto section = [&](size_t i) { return read<Section>(file, table + i * entry); };
    const std::string prefix = ".text.";
    for (size_t i = 0; i < sections; i++) {
        const Section s = section(i);
        const size_t at = section(names).offset + s.name;
        const std::string name = at < file.size() ? file.c_str() + at : "";
        if (name.compare(0, prefix.size(), prefix) != 0) continue;
        std::cout << name.substr(prefix.size()) << ' ' << s.size / 16;
        for (const size_t n : count(file, s)) std::cout << ' ' << n;
        std::cout << '\n';
    }
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 2) throw std::runtime_error("usage: sass FILE.cubin");
    std::ifstream in(argv[1], std::ios::binary);
    if (!in) throw std::runtime_error(std::string(argv[1]) + " cannot be opened");
    print_kernels(std::string(std::istreambuf_iterator<char>(in), {}));
} catch (const std::exception& e) {
    std::cerr << "error: sass: " << e.what() << '\n';
    return 1;
}
