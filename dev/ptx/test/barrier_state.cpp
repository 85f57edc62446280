// Asynchronous barriers by the state that an arrival gives, and arrivals of more than one (PTX ISA 9.7.13.15).
#include "program.h"

namespace ptx {
namespace {

std::string body_with(const std::string& arrive, const std::string& wait) {
    return R"(.shared .align 8 .b8 s[8];
setp.ne.u32 %p2, %t, 0;
@%p2 bra made;
mbarrier.init.shared::cta.b64 [s], 64;
fence.mbarrier_init.release.cluster;
made:
bar.sync 0;
mov.u32 %r1, 0;
again:
)" + arrive +
           "\nwait:\n" + wait + R"(
@!%p1 bra wait;
add.u32 %r1, %r1, 1;
setp.lt.u32 %p2, %r1, 5;
@%p2 bra again;
st.global.u32 [%at], %r1;
)";
}

}  // namespace

TEST(ptx_barrier_state, phases_are_over_by_their_state) {
    in_every_order([] {
        for (const char* wait : {"mbarrier.try_wait.shared::cta.b64 %p1, [s], %rd1;",
                                 "mbarrier.test_wait.shared::cta.b64 %p1, [s], %rd1;"})
            EXPECT_EQ(words_of(body_with("mbarrier.arrive.shared::cta.b64 %rd1, [s], 2;", wait)),
                      std::vector<uint32_t>(32, 5));
    });
}

TEST(ptx_barrier_state, another_number_is_no_state) {
    const Device<uint32_t> out(32);
    const std::string body = prelude + body_with("mbarrier.arrive.shared::cta.b64 _, [s], 2;\nmov.u64 %rd1, 1;",
                                                 "mbarrier.try_wait.shared::cta.b64 %p1, [s], %rd1;");
    const Outcome o = OneKernel(".param .u64 out", body).launch(1, 32, 0, out);
    EXPECT_EQ(o.error, cudaErrorLaunchFailure);
    expect_says(o.said,
                {"no state that an arrival gave", "k.cu:" + std::to_string(line_of(body, "mbarrier.try_wait"))});
}

}  // namespace ptx
