// What kernels/tools/nccl.cuh says of NCCL against NVIDIA's header, where a build has it, and what becomes of a machine
// without the library.      ./test_gpt --gtest_filter='nccl.*'
#include <gtest/gtest.h>
#include "kernels/tools/nccl.cuh"
#if defined(__CUDACC__) && __has_include(<nccl.h>)
#include <nccl.h>
#define NCCL_HEADER
#endif

namespace {

#ifdef NCCL_HEADER
// Arguments that are handed over in the same way: numbers of one size, pointers, or the id.
template <class A, class B>
constexpr bool alike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>;
template <class RA, class... A, class RB, class... B>
constexpr bool same_call(RA (*)(A...), RB (*)(B...)) {
    return sizeof...(A) == sizeof...(B) && alike<RA, RB> && (alike<A, B> && ...);
}

TEST(nccl, is_as_declared_here) {
    const Nccl ours{};
    EXPECT_TRUE(same_call(ours.status_text, &ncclGetErrorString));
    EXPECT_TRUE(same_call(ours.new_id, &ncclGetUniqueId));
    EXPECT_TRUE(same_call(ours.join, &ncclCommInitRank));
    EXPECT_TRUE(same_call(ours.leave, &ncclCommDestroy));
    EXPECT_TRUE(same_call(ours.reduce_scatter, &ncclReduceScatter));
    EXPECT_TRUE(same_call(ours.all_gather, &ncclAllGather));
    EXPECT_EQ(sizeof(NcclId), sizeof(ncclUniqueId));
    EXPECT_EQ(int(NcclType::fp32), int(ncclFloat32));
    EXPECT_EQ(int(NcclType::bf16), int(ncclBfloat16));
    EXPECT_EQ(nccl_sum, int(ncclSum));
    EXPECT_EQ(nccl_success, int(ncclSuccess));
}
#endif

TEST(nccl, a_library_that_is_not_there) {
    const NcclFound none = load_nccl("/nowhere/libnccl.so.2"), other = load_nccl("libc.so.6");
    EXPECT_TRUE(!none.table && none.reason.find("/nowhere/libnccl.so.2") != std::string::npos) << none.reason;
    EXPECT_EQ(other.reason, "libc.so.6 has no ncclGetErrorString");
}

}  // namespace
