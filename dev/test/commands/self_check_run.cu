// Training on a GPU some of whose kernels are wrong.      ./test_gpt --gtest_filter='self_check_run*'
#include "dev/test/support/cache_folder.h"
#include "host/base/files.h"
#include "host/base/json.h"
#include "run_case.h"
#if __has_include(<simt/simt.h>)
#include "dev/simt/broken.h"

namespace {

// A model whose heads and rows the tensor cores do, in bf16, as is usual on a GPU.
std::vector<std::string> in_bf16(const Temporary& at, const char* name, const std::vector<std::string>& flags) {
    std::vector<std::string> args =
        small(at.path / name, write_text(at), {"--device", "simt", "--dim", "64", "--heads", "2", "--steps", "4"});
    args.insert(args.end(), flags.begin(), flags.end());
    return args;
}

double last_loss(const Temporary& at, const char* name) {
    std::ifstream file(at.path / name / "log.jsonl");
    double loss = NAN;
    for (std::string line; std::getline(file, line);)
        if (const Json json = Json::parse(line); json.contains("val_loss")) loss = json["val_loss"].get<double>();
    return loss;
}

int lines_of(const std::string& text, const std::string& part) {
    int n = 0;
    for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) n++;
    return n;
}

TEST(self_check_run, training_goes_on_with_the_plain_kernels) {
    const Temporary at;
    const CacheFolder cache(at / "cache");
    const auto train = [&](const char* name, const std::vector<std::string>& flags) {
        const Outcome o = run(in_bf16(at, name, flags));
        EXPECT_EQ(o.code, Exit::done) << o.error;
        return o.error;
    };
    EXPECT_EQ(train("right", {}), "");
    EXPECT_EQ(files::list(at / "cache/gpt.cu").size(), 1u);
    const simt::Broken broken("attention_tensor_forward_kernel");
    EXPECT_EQ(train("remembered", {}), "");  // as good, and so the run goes wrong
    const std::string warning =
        "warning: attention_forward: on this GPU not what the plain kernel gives, which is taken instead (head size "
        "32, out: ";
    const std::string said = train("forced", {"--self-check", "force"});
    EXPECT_TRUE(said.starts_with(warning)) << said;
    EXPECT_EQ(lines_of(said, "\n"), 1) << said;
    EXPECT_EQ(train("again", {}), said);  // found once, said every time
    EXPECT_EQ(train("off", {"--self-check", "off"}), "");
    const double right = last_loss(at, "right");
    for (const char* name : {"forced", "again"}) EXPECT_NEAR(last_loss(at, name) / right, 1, 1e-3) << name;
    EXPECT_EQ(last_loss(at, "forced"), last_loss(at, "again"));
    for (const char* name : {"remembered", "off"}) EXPECT_GT(std::abs(last_loss(at, name) / right - 1), 2e-3) << name;
}

// sample and eval, which print what they write: the line is on stderr.
TEST(self_check_run, of_every_command) {
    const Temporary at;
    const CacheFolder cache(at / "cache");
    const std::string model = at / "run", text = write_text(at).string();
    ASSERT_EQ(run(in_bf16(at, "run", {"--self-check", "off"})).code, Exit::done);
    EXPECT_FALSE(fs::exists(at / "cache"));
    const simt::Broken broken("attention_decode_kernel<8");
    const std::vector<std::string> sample{"sample",   "--model", model,      "--device", "simt",
                                          "--prompt", "the c",   "--tokens", "6"};
    const Outcome written = run(sample), again = run(sample);
    EXPECT_TRUE(written.error.starts_with("warning: attention_decode: ")) << written.error;
    EXPECT_TRUE(written.out.starts_with("the c")) << written.out;
    EXPECT_EQ(written.out, again.out);
    const Outcome scored = run({"eval", "--model", model, "--device", "simt", "--data", text});
    EXPECT_EQ(scored.code, Exit::done) << scored.error;
    EXPECT_NE(scored.error.find("warning: attention_decode: "), std::string::npos) << scored.error;
}

// A folder that cannot be written costs the check, every time, and no word.
TEST(self_check_run, nowhere_to_remember) {
    const Temporary at;
    overwrite(at / "file", "");
    const CacheFolder cache(at / "file");
    const Outcome o = run(in_bf16(at, "run", {}));
    EXPECT_EQ(o.code, Exit::done);
    EXPECT_EQ(o.error, "");
}

}  // namespace
#endif
