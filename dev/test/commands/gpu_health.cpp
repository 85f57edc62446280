// What a run says of its GPU before it begins, with a management library that says what we like.
#include "host/run/gpu_health.h"
#include <gtest/gtest.h>
#include "dev/test/support/text_search.h"

namespace {

struct Gpu {
    int ecc = 1;
    unsigned long long errors = 0, reasons = 0, used = 0;
    unsigned waiting = 0, failed = 0;
};
Gpu gpu;

ManagementLibrary fake() {
    ManagementLibrary l;
    l.start = [] { return 0; };
    l.device = [](const char* id, void** handle) {
        return *handle = nullptr, std::string(id) == "0000:01:00.0" ? 0 : 1;
    };
    l.ecc_mode = [](void*, int* now, int* pending) { return *now = *pending = gpu.ecc, 0; };
    l.ecc_errors = [](void*, int, int, unsigned long long* count) { return *count = gpu.errors, 0; };
    l.throttled = [](void*, unsigned long long* reasons) { return *reasons = gpu.reasons, 0; };
    l.remapped = [](void*, unsigned*, unsigned*, unsigned* waiting, unsigned* failed) {
        return *waiting = gpu.waiting, *failed = gpu.failed, 0;
    };
    l.memory = [](void*, unsigned long long* bytes) { return bytes[2] = gpu.used, 0; };
    return l;
}

std::string only_line(const Gpu& of) {
    gpu = of;
    const std::vector<std::string> lines = gpu_problems(fake(), "0000:01:00.0", uint64_t(2) << 30);
    return lines.size() == 1 ? lines[0] : std::to_string(lines.size()) + " lines";
}

}  // namespace

TEST(gpu_health, a_line_for_each_problem_with_its_remedy) {
    const std::pair<Gpu, const char*> problems[] = {
        {{.ecc = 0}, "ECC is off"},
        {{.errors = 3}, "3 errors of its memory"},
        {{.waiting = 1}, "restart the GPU"},
        {{.failed = 1}, "have the GPU exchanged"},
        {{.reasons = 0x40}, "too hot"},
        {{.reasons = 0x80}, "power supply"},
        {{.reasons = 0x8}, "the hardware asks it to"},
        {{.used = 12'000'000'000}, "9.85GB of its memory are taken by others"}};
    for (const auto& [with, says] : problems) EXPECT_TRUE(has(only_line(with), says)) << only_line(with);
    EXPECT_EQ(only_line({}), "0 lines");
    EXPECT_EQ(only_line({.reasons = 0x4}), "0 lines");  // its power limit, which is as it should be
    EXPECT_EQ(only_line({.used = uint64_t(5) << 29}), "0 lines");
}

TEST(gpu_health, a_machine_without_the_library_has_nothing_to_say) {
    EXPECT_TRUE(gpu_problems({}, "0000:01:00.0", 0).empty());
    gpu = {.ecc = 0};
    EXPECT_TRUE(gpu_problems(fake(), "another", 0).empty());
    ManagementLibrary old = fake();
    old.ecc_mode = nullptr;
    EXPECT_TRUE(gpu_problems(old, "0000:01:00.0", 0).empty());
}
