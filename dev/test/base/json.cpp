// JSON from files nobody vouches for.
#include "host/base/json.h"
#include <cmath>
#include "dev/test/support/expect_error.h"

TEST(json, strict) {
    const auto refuse = [](const std::string& text, const std::string& why) {
        expect_error(Exit::input, {"f.json", why}, [&] { parse_json(text, "f.json"); });
    };
    refuse("", "not valid JSON");
    refuse("{\"a\":1,\"b\":{\"a\":1,\"a\":2}}", "the key \"a\" stands twice");
    refuse("// comment\n{}", "not valid JSON");
    refuse("\xef\xbb\xbf{}", "byte order mark");
    refuse("{}" + std::string(3, '\0'), "zero byte");
    refuse("{\"a\":1e999}", "out of range");
    refuse("{\"a\":\"\xff\"}", "not valid JSON");
    refuse(std::string(100'000, '['), "nested deeper than 64");
    const auto keys = [](int n) {
        std::string text = "{\"k\":0";
        for (int i = 1; i < n; i++) text += ",\"k" + std::to_string(i) + "\":0";
        return text + "}";
    };
    EXPECT_EQ(parse_json(keys(4096), "x").size(), 4096u);
    refuse(keys(4097), "more than 4096 keys");
    EXPECT_EQ(parse_large_json(keys(4097), "x").size(), 4097u);
    EXPECT_EQ(parse_json(R"([{"a":1},{"a":2}])", "f.json")[1]["a"], 2);
}

TEST(json, counts) {
    EXPECT_EQ(parse_count(parse_json("9223372036854775807", "x"), "x"), INT64_MAX);
    for (const char* bad : {"1e83", "9223372036854775808", "-1", "1.0", "\"1\"", "null", "11"})
        expect_error(Exit::input, {"f.json", "whole number"},
                     [&] { parse_count(parse_json(bad, "x"), "f.json", *bad == '9' ? INT64_MAX : 10); });
}

TEST(json, exact_floats) {
    for (double x : {0.0, 1.5, -1e-310, 0.1, 1e300}) EXPECT_EQ(parse_hex_float(hex_float(x), "x"), x);
    EXPECT_TRUE(std::isnan(parse_hex_float(hex_float(NAN), "x")));
    EXPECT_EQ(parse_hex_float(hex_float(INFINITY), "x"), INFINITY);
    for (const Json& bad : {Json("0x"), Json(""), Json(1), Json("1 ")})
        expect_error(Exit::input, {"best"}, [&] { parse_hex_float(bad, "best"); });
    EXPECT_EQ(Json(shortest(1e-5f)).dump(), "1e-05");
    EXPECT_EQ(float(shortest(0x1.fffffep-3f)), 0x1.fffffep-3f);
}

TEST(json, differences_name_the_fields) {
    EXPECT_EQ(
        differences({{"a", 1}, {"b", {{"c", "x"}, {"d", 2}}}}, {{"a", 1}, {"b", {{"c", "y"}, {"e", 3}}}}),
        (std::vector<std::string>{"b.c: \"x\" in the checkpoint, \"y\" now", "b.d: 2 in the checkpoint, absent now",
                                  "b.e: absent in the checkpoint, 3 now"}));
    EXPECT_TRUE(differences({{"a", 1}}, {{"a", 1}}).empty());
}
