// Counts of every kernel's machine instructions.
//
//   sass FILE.cubin   prints, one line a kernel: mangled name, instructions, local memory accesses, double arithmetic,
//                     float atomics and reductions, global loads and stores, those of 128 bits, products of tensor
//                     cores (HMMA), ldmatrix (LDSM), cp.async (LDGSTS), Hopper's products of a warpgroup (HGMMA) and
//                     tensor copies (UTMALDG)
#include <array>
#include <iostream>
#include "cubin.h"

namespace {

enum Kind { local, doubles, atomics, global, wide, products, matrices, copies, warpgroups, tensors, kinds };
struct Opcode {
    unsigned code;
    Kind kind;
};
constexpr Opcode opcodes[] = {
    {0x983, local},
    {0x387, local},
    {0x987, local},  // LDL, STL
    // DADD DMUL DFMA.
    {0x229, doubles},
    {0xc29, doubles},
    {0x228, doubles},
    {0xc28, doubles},
    {0x22b, doubles},
    {0xc2b, doubles},
    // RED, ATOMG of sm_80 and of sm_90.
    {0x98e, atomics},
    {0x9a6, atomics},
    {0x9a8, atomics},
    {0x9a3, atomics},
    {0x981, global},
    {0x986, global},  // LDG, STG
    {0x23c, products},
    {0x83b, matrices},
    {0xfae, copies},  // HMMA, LDSM, LDGSTS
    {0x9f0, warpgroups},
    {0xdf0, warpgroups},
    {0x5b4, tensors},  // HGMMA of shared memory and of registers, UTMALDG
};

void print_counts(const KernelCode& kernel) {
    std::array<size_t, kinds> counts{};
    for (const Instruction& i : kernel.instructions)
        for (const Opcode& o : opcodes) {
            if (i.opcode() != o.code) continue;
            counts[o.kind]++;
            if (o.kind == global && i.width() == 6) counts[wide]++;
        }
    std::cout << kernel.name << ' ' << kernel.instructions.size();
    for (const size_t n : counts) std::cout << ' ' << n;
    std::cout << '\n';
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 2) throw std::runtime_error("usage: sass FILE.cubin");
    for (const KernelCode& kernel : Cubin(argv[1]).kernels()) print_counts(kernel);
} catch (const std::exception& e) {
    std::cerr << "error: sass: " << e.what() << '\n';
    return 1;
}
