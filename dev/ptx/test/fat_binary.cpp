// What is read out of fat binaries, and what is said of those that hold no PTX to run.
#include "dev/ptx/fat_binary.h"
#include <gtest/gtest.h>
#include "host/base/error.h"
#include "made_fat_binary.h"

namespace ptx {
namespace {

std::string refusal(const std::string& target, MadeFatBinary& made) {
    try {
        ptx_for(target, read_fat_binary(made.wrapper()));
    } catch (const Error& error) {
        EXPECT_EQ(error.code, Exit::device);
        return error.what();
    }
    return "";
}
std::string fault(MadeFatBinary& made) {
    try {
        read_fat_binary(made.wrapper());
    } catch (const std::runtime_error& error) { return error.what(); }
    return "";
}

}  // namespace

TEST(ptx_fat_binary, ptx_for_several_targets) {
    MadeFatBinary made("kernels/a.cu");
    made.add_ptx("80", "// first");
    made.add(2, 80,
             "\x7f"
             "ELF");
    made.add_ptx("90a", "// second");
    made.add_ptx("90", "// third");
    const FatBinary binary = read_fat_binary(made.wrapper());
    ASSERT_EQ(binary.images.size(), 4u);
    EXPECT_EQ(binary.source, "kernels/a.cu");
    EXPECT_EQ(binary.images[1].kind, Image::Kind::machine_code);
    EXPECT_EQ(binary.images[2].capability, 90);
    EXPECT_EQ(highest_target(binary), "90a");
    EXPECT_TRUE(ptx_for("80", binary).ends_with("// first"));
    EXPECT_TRUE(ptx_for("90a", binary).ends_with("// second"));
    EXPECT_TRUE(ptx_for("90", binary).ends_with("// third"));
}

TEST(ptx_fat_binary, order_of_targets) {
    EXPECT_TRUE(is_above("90", "80"));
    EXPECT_TRUE(is_above("100", "90a"));
    EXPECT_TRUE(is_above("90a", "90"));
    EXPECT_TRUE(is_above("80", ""));
    EXPECT_FALSE(is_above("90", "90a"));
    EXPECT_FALSE(is_above("80", "80"));
}

TEST(ptx_fat_binary, without_ptx_to_run) {
    MadeFatBinary code, compressed, other;
    code.add(2, 90,
             "\x7f"
             "ELF");
    compressed.add(1, 90, "\x28\xb5\x2f\xfd", 4);
    other.add_ptx("80");
    other.add_ptx("90a");
    EXPECT_EQ(highest_target(read_fat_binary(code.wrapper())), "");
    EXPECT_EQ(highest_target(read_fat_binary(compressed.wrapper())), "");
    const std::string hint =
        "compile with nvcc -gencode arch=compute_90a,code=compute_90a --no-compress, as make does for "
        "GPU_ARCH=compute_90a";
    EXPECT_EQ(refusal("90a", code), "PTX of a.cu: there is none beside the machine code; " + hint);
    EXPECT_EQ(refusal("90a", compressed), "PTX of a.cu: it is compressed; " + hint);
    EXPECT_NE(refusal("75", other).find("PTX of a.cu: it is for sm_80, sm_90a, none for sm_75; "), std::string::npos);
    EXPECT_EQ(refusal("90a", other), "");
}

TEST(ptx_fat_binary, broken) {
    MadeFatBinary cut, wild;
    cut.add_ptx("80");
    cut.bytes += "short";
    EXPECT_EQ(fault(cut), "a fat binary that ends too early");
    wild.add_ptx("80");
    wild.bytes[16 + 8] = '\x7f';  // more bytes of PTX than there are
    EXPECT_EQ(fault(wild), "a fat binary whose entries do not fit into it");
}

}  // namespace ptx
