#include "version.h"
#include <fmt/core.h>
#ifdef GPT_DNNL
#include <dnnl.h>
#endif

namespace {

#ifdef __clang__
constexpr const char* compiler = "clang " __clang_version__;
#else
constexpr const char* compiler = "g++ " __VERSION__;
#endif

std::string matmul_library() {
#ifdef GPT_DNNL
    const dnnl_version_t* v = dnnl_version();
    return fmt::format("oneDNN {}.{}.{}", v->major, v->minor, v->patch);
#else
    return "plain loops (DNNL=0)";
#endif
}

}  // namespace

std::string version_text(const std::string& kernels) {
    return fmt::format("gpt.cu    commit {}\ncompiler  {}\nkernels   {}\nCPU       matrix multiplication by {}\n",
                       GPT_COMMIT, compiler, kernels, matmul_library());
}
