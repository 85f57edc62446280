// The calls that nvcc leaves: assert (PTX ISA 9.7.12.6).
#include "dev/ptx/text.h"
#include "program.h"

namespace ptx {
namespace {

constexpr char outside[] = R"(
.extern .func __assertfail
(
.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, .param .b64 e
)
;
.extern .func (.param .b32 result) vprintf (.param .b64 a, .param .b64 b);
.global .align 1 .b8 expression[6] = {110, 32, 60, 32, 52, 0};
.global .align 1 .b8 file[7] = {115, 111, 46, 99, 117, 0};
)";

// assert(n < 4) of each thread
constexpr char body[] = R"(.reg .pred %p;
.reg .b32 %t, %n;
.reg .b64 %rd<5>, %out;
mov.u32 %t, %tid.x;
ld.param.u32 %n, [n];
ld.param.u64 %out, [out];
add.u32 %n, %n, %t;
setp.lt.u32 %p, %n, 4;
@%p bra good;
mov.u64 %rd1, expression;
cvta.global.u64 %rd2, %rd1;
mov.u64 %rd3, file;
cvta.global.u64 %rd4, %rd3;
{
.reg .b32 temp_param_reg;
.param .b64 param0;
st.param.b64 [param0+0], %rd2;
.param .b64 param1;
st.param.b64 [param1+0], %rd4;
.param .b32 param2;
st.param.b32 [param2+0], 77;
.param .b64 param3;
st.param.b64 [param3+0], %rd2;
.param .b64 param4;
st.param.b64 [param4+0], 1;
call.uni __assertfail, (param0, param1, param2, param3, param4);
}
good:
mad.wide.u32 %out, %t, 4, %out;
st.global.u32 [%out], %n;
)";
constexpr char parameters[] = ".param .u64 out, .param .u32 n";

}  // namespace

TEST(ptx_call, an_assertion_that_holds_is_nothing) {
    const Device<uint32_t> out(3);
    OneKernel(parameters, body, outside).must(1, 3, 0, out, uint32_t(1));
    EXPECT_EQ(out.get(), (std::vector<uint32_t>{1, 2, 3}));
}

TEST(ptx_call, an_assertion_that_fails_says_what_and_where) {
    const Device<uint32_t> out(3);
    const Outcome o = OneKernel(parameters, body, outside).launch(1, 3, 0, out, uint32_t(2));
    EXPECT_EQ(o.error, cudaErrorAssert);
    EXPECT_STREQ(cudaGetErrorString(o.error), "device-side assert triggered");
    expect_says(o.said, {"assert(n < 4) failed at so.cu:77", "thread (2,0,0)",
                         "k.cu:" + std::to_string(line_of(body, "call"))});
}

TEST(ptx_call, other_functions_are_refused_where_they_are_called) {
    const Device<uint32_t> out(1);
    const auto refuses = [&](const std::string& call, const std::string& what) {
        try {
            OneKernel(parameters, ".reg .b32 %r;\n.param .b32 result;\n" + call, outside)
                .launch(1, 1, 0, out, uint32_t(1));
            FAIL() << call;
        } catch (const TextError& error) { expect_says(error.what(), {what, "k.cu:3"}); }
    };
    refuses("call.uni (result), vprintf, (result, result);\n", "this machine cannot call vprintf");
    refuses("call __assertfail, (result);\n", "__assertfail with other than five arguments");
    try {
        OneKernel(parameters, "", ".visible .func f() { ret; }\n");
        FAIL() << "took a function";
    } catch (const TextError& error) { expect_says(error.what(), {"functions that are called"}); }
}

}  // namespace ptx
