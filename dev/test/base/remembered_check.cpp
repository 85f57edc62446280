// What is remembered of a GPU's check.      ./test_gpt --gtest_filter='remembered_check*'
#include "host/base/remembered_check.h"
#include <gtest/gtest.h>
#include <cstdlib>
#include "dev/test/support/cache_folder.h"
#include "dev/test/support/temporary_directory.h"
#include "host/base/files.h"

namespace {

const CheckedOn usual{"GPU of a kind", 13000, 12040, "0123", "bf16", "auto"};
const std::vector<KernelFault> none,
    two{{Kernels::linear_few, "out: element 3"}, {Kernels::attention_backward, "d_qkv \"x\"\n"}};

TEST(remembered_check, as_it_was) {
    const Temporary at;
    const CacheFolder cache(at / "cache");
    EXPECT_FALSE(recall_check(usual));
    remember_check(usual, none);
    EXPECT_EQ(recall_check(usual), none);
    remember_check(usual, two);
    EXPECT_EQ(recall_check(usual), two);
    ASSERT_EQ(files::list(at / "cache/gpt.cu").size(), 1u);
}

TEST(remembered_check, of_this_gpu_driver_and_build_only) {
    const Temporary at;
    const CacheFolder cache(at / "cache");
    remember_check(usual, two);
    const std::pair<const char*, CheckedOn> others[] = {{"gpu", {"another", 13000, 12040, "0123", "bf16", "auto"}},
                                                        {"driver", {usual.gpu, 13010, 12040, "0123", "bf16", "auto"}},
                                                        {"runtime", {usual.gpu, 13000, 13000, "0123", "bf16", "auto"}},
                                                        {"build", {usual.gpu, 13000, 12040, "4567", "bf16", "auto"}},
                                                        {"dtype", {usual.gpu, 13000, 12040, "0123", "fp32", "auto"}},
                                                        {"gemm", {usual.gpu, 13000, 12040, "0123", "bf16", "native"}}};
    for (const auto& [what, other] : others) {
        EXPECT_FALSE(recall_check(other)) << what;
        remember_check(other, none);
        EXPECT_EQ(recall_check(other), none) << what;
    }
    EXPECT_EQ(recall_check(usual), two);
}

TEST(remembered_check, damaged_files_are_none) {
    const Temporary at;
    const CacheFolder cache(at / "cache");
    remember_check(usual, two);
    const std::string file = at / "cache/gpt.cu/" + files::list(at / "cache/gpt.cu").at(0),
                      whole = files::read_file(file, 1 << 20);
    for (size_t size = 0; size + 2 < whole.size(); size += 7) {
        overwrite(file, whole.substr(0, size));
        EXPECT_FALSE(recall_check(usual)) << size;
    }
    std::string unknown = whole;
    unknown.replace(unknown.find("linear_few"), 10, "linear_new");
    for (const std::string& text : {unknown, std::string("[]"), std::string("{\"on\": 1}"), std::string("\xff")}) {
        overwrite(file, text);
        EXPECT_FALSE(recall_check(usual)) << text;
    }
    overwrite(file, whole);
    EXPECT_EQ(recall_check(usual), two);
}

TEST(remembered_check, nowhere_to_keep_it) {
    const Temporary at;
    CheckedOn nameless = usual;
    nameless.build = "";
    {
        const CacheFolder cache(at / "cache");
        remember_check(nameless, none);
        EXPECT_FALSE(recall_check(nameless));
        EXPECT_FALSE(files::exists(at / "cache"));
    }
    overwrite(at / "file", "");
    for (const std::string& folder : {at / "file", std::string("/proc/nowhere")}) {  // no folder, and none can be made
        const CacheFolder cache(folder);
        remember_check(usual, none);
        EXPECT_FALSE(recall_check(usual)) << folder;
    }
}

// A relative $XDG_CACHE_HOME is none; then it is the home folder's.
TEST(remembered_check, folders) {
    const Temporary at;
    const Variable home("HOME", at / "home");
    for (const char* none_given : {"", "relative"}) {
        const CacheFolder cache(none_given);
        remember_check(usual, none);
        EXPECT_EQ(files::list(at / "home/.cache/gpt.cu").size(), 1u);
        EXPECT_EQ(recall_check(usual), none);
    }
    const Variable homeless("HOME", "");
    const CacheFolder cache("");
    remember_check(usual, none);
    EXPECT_FALSE(recall_check(usual));
}

TEST(remembered_check, a_build_has_a_name) {
    EXPECT_EQ(this_build().size(), 16u);
    EXPECT_EQ(this_build(), this_build());
}

}  // namespace
