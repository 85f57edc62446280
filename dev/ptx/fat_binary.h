// Fat binaries: where nvcc puts what it has made of one source file's kernels, for one GPU or several.
//
// A wrapper points at a container, whose header is followed by entries, each a header and what it is of: PTX, as
// text, or machine code. NVIDIA documents no more than the wrapper (fatbinary_section.h); the rest was read off what
// nvcc 12.4 and 13.0 write.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace ptx {

struct Image {
    enum class Kind { ptx = 1, machine_code = 2 };
    Kind kind;
    int capability;  // times ten
    bool compressed;
    std::string_view text;  // PTX that is not compressed, where it lies
    std::string target;     // "80", "90a": of its .target; empty: there is no text
};
struct FatBinary {
    std::string source;  // the .cu file, where nvcc names it
    std::vector<Image> images;
};

// `wrapper`: what __cudaRegisterFatBinary is given. Throws std::runtime_error if it is not laid out so.
FatBinary read_fat_binary(const void* wrapper);

// The highest of the targets that uncompressed PTX is for; empty: none.
std::string highest_target(const FatBinary&);
// That a is for a later GPU: 90a is above 90, and 100 above both.
bool is_above(const std::string& a, const std::string& b);
// Its PTX for that target. Throws Error{device}: there is none, and how to compile so that there is.
std::string_view ptx_for(const std::string& target, const FatBinary&);

}  // namespace ptx
