// The speed gate.      ./test_gpt --gtest_filter='speed_record*'
#include "speed_record.h"
#include <gtest/gtest.h>
#include <functional>
#include "dev/test/support/captured.h"
#include "host/base/error.h"

namespace {

Json row(const char* kernel, double us) {
    return {{"model", "gpt2"}, {"kernel", kernel}, {"shape", "N8"}, {"us", us}, {"sm_mhz", 1800}};
}
Json record() {
    Json matmul = row("linear_forward", 100), absent = row("left_out", 0);
    matmul["beside"] = {{"library", "cuBLAS"}, {"ours_us", 110}, {"theirs_us", 99}};
    absent.erase("us");
    return {{"ceilings", {{"gpu", "H100"}}}, {"kernels", {row("adamw", 200), matmul, absent}}};
}
KernelTime now(const char* kernel, double us, int mhz = 1800) {
    KernelTime time{kernel, "N8", 1, {.bytes = 1e6}};
    time.seconds = us * 1e-6, time.state.sm_mhz = mhz;
    if (time.kernel != "adamw") time.work.products = 1e9;
    return time;
}
KernelTime beside_cublas(double us, double ours, double theirs) {
    KernelTime time = now("linear_forward", us);
    time.ours = ours, time.theirs = theirs;
    return time;
}

TEST(speed_record, three_per_cent) {
    const SpeedRecord r(record(), "then.json");
    EXPECT_DOUBLE_EQ(*r.beside("gpt2", now("adamw", 100)), 2);
    EXPECT_FALSE(r.slower("gpt2", now("adamw", 206)));
    EXPECT_TRUE(r.slower("gpt2", now("adamw", 207)));
    EXPECT_TRUE(r.slower("gpt2", now("linear_forward", 104)));
}

TEST(speed_record, a_lower_clock_is_no_fault_of_a_matmul) {
    const SpeedRecord r(record(), "then.json");
    EXPECT_FALSE(r.slower("gpt2", now("linear_forward", 120, 1500)));
    EXPECT_TRUE(r.slower("gpt2", now("linear_forward", 125, 1500)));
    EXPECT_TRUE(r.slower("gpt2", now("adamw", 240, 1500)));            // memory has a clock of its own
    EXPECT_FALSE(r.slower("gpt2", now("linear_forward", 101, 1980)));  // nor is a higher one
    EXPECT_FALSE(r.slower("gpt2", beside_cublas(130, 130, 120)));      // when cuBLAS is as slow
    EXPECT_TRUE(r.slower("gpt2", beside_cublas(130, 130, 110)));
}

TEST(speed_record, rows_that_are_not_there) {
    const SpeedRecord r(record(), "then.json");
    EXPECT_FALSE(r.beside("gpt2", now("left_out", 100)));
    EXPECT_FALSE(r.beside("qwen", now("adamw", 100)));
    EXPECT_FALSE(r.beside("gpt2", now("adamw", 0)));
}

std::string thrown(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) { return std::to_string(int(error.code)) + " " + error.what(); }
    return "";
}

std::string said_by(const std::function<void()>& call) {
    Captured out;
    call();
    return out.take();
}

TEST(speed_record, verdict) {
    SpeedRecord r(record(), "then.json");
    r.judge("gpt2", now("adamw", 199)), r.judge("gpt2", now("other", 1));
    EXPECT_EQ(said_by([&] { r.conclude(); }),
              "\nagainst then.json: 1 kernels compared, 0 slower than 97% of their record; 1 are not in it\n");
    r.judge("gpt2", now("linear_forward", 125));
    std::string why;
    const std::string said = said_by([&] { why = thrown([&] { r.conclude(); }); });
    EXPECT_NE(said.find("gpt2 linear_forward N8: 125.0 us, 80% of the speed on record"), said.npos) << said;
    EXPECT_NE(why.find("5 --against: 1 of 2 kernels are slower than in then.json"), why.npos) << why;
}

TEST(speed_record, is_of_one_kind_of_gpu) {
    const SpeedRecord r({{"date", "2026-11-27"}, {"kernels", record()}}, "results.json");  // as gpu_check writes it
    EXPECT_DOUBLE_EQ(*r.beside("gpt2", now("adamw", 200)), 1);
    r.require_gpu("H100");
    EXPECT_NE(
        thrown([&] { r.require_gpu("A100"); }).find("2 --against: results.json is a record of H100, and this is A100"),
        std::string::npos);
    EXPECT_NE(thrown([&] { SpeedRecord(record(), "a").conclude(); }).find("no kernel was timed"), std::string::npos);
}

TEST(speed_record, other_files) {
    for (const Json& bad : {Json(1), Json::array(), Json::object(), Json{{"kernels", Json::array()}},
                            Json{{"kernels", Json::array()}, {"ceilings", {{"gpu", 3}}}},
                            Json{{"kernels", 1}, {"ceilings", {{"gpu", "H100"}}}}})
        EXPECT_EQ(thrown([&] { SpeedRecord(bad, "x.json"); }).substr(0, 16), "3 x.json: is no ") << bad;
    const SpeedRecord odd({{"ceilings", {{"gpu", "H100"}}}, {"kernels", {1, {{"model", 2}}, {{"model", "gpt2"}}}}},
                          "x");
    EXPECT_FALSE(odd.beside("gpt2", now("adamw", 100)));
}

}  // namespace
