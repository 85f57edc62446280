// JSON from files nobody vouches for: strict, bounded in depth, no duplicate keys, errors that name the file.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

using Json = nlohmann::ordered_json;

// Throws Error{input} naming `what` for anything but one JSON value of at most 64 levels, with at most 4096 keys in an
// object.
Json parse_json(std::string_view text, const std::string& what);
// The same with sorted keys, for objects with very many of them.
nlohmann::json parse_large_json(std::string_view text, const std::string& what);
Json read_json(const std::string& path, uint64_t limit = 64 << 20);

std::string to_text(const Json& json);  // indented, ends with a newline; bad UTF-8 is replaced

std::string hex_float(double x);  // "0x1.8p+1": exact; and inf and nan, which JSON cannot say
double parse_hex_float(const Json& value, const std::string& what);
// A whole number from 0 to `most`, not written as a fraction.
int64_t parse_count(const Json& value, const std::string& what, int64_t most = INT64_MAX);
double shortest(float x);  // prints as the float does: 1e-05, not 9.99999974737875e-06

// What differs between two objects, one line each: "data.seed: 1337 in the checkpoint, 1 now".
std::vector<std::string> differences(const Json& a, const Json& b, const std::string& where_a = "in the checkpoint",
                                     const std::string& where_b = "now");
