#include "version.h"
#include <fmt/core.h>

namespace {

#ifdef __clang__
constexpr const char* compiler = "clang " __clang_version__;
#else
constexpr const char* compiler = "g++ " __VERSION__;
#endif

#if defined(__AVX512F__)
constexpr const char* vectors = "AVX-512";
#elif defined(__AVX2__)
constexpr const char* vectors = "AVX2";
#else
constexpr const char* vectors = "neither AVX2 nor AVX-512";
#endif

}  // namespace

std::string version_text(const std::string& kernels) {
    return fmt::format("gpt.cu    commit {}\ncompiler  {}\nkernels   {}\nCPU       compiled for {}\n", GPT_COMMIT,
                       compiler, kernels, vectors);
}
