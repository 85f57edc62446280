// safetensors: the format's own test vectors, and many ways to be wrong.
#include "host/checkpoint/safetensors.h"
#include <cmath>
#include <cstring>
#include "dev/test/support/expect_error.h"
#include "dev/test/support/temporary_directory.h"

using safetensors::Dtype;
using safetensors::Tensor;

namespace {

std::string little_endian(uint64_t n) { return {reinterpret_cast<const char*>(&n), 8}; }
std::string file_of(const std::string& header, const std::string& data = "") {
    return little_endian(header.size()) + header + data;
}
std::string zeros(size_t n) { return std::string(n, '\0'); }

const std::string square = R"({"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}})";
std::string with_shape(const std::string& shape) {
    return R"({"test":{"dtype":"I32","shape":)" + shape + R"(,"data_offsets":[0,16]}})";
}
std::string with_offsets(const std::string& offsets) {
    return R"({"test":{"dtype":"I32","shape":[2,2],"data_offsets":)" + offsets + "}}";
}

std::string long_list(const std::string& element) {
    std::string all;
    for (int i = 1; i < 100'000; i++) all += element;
    return all;
}

struct Case {
    const char* name;
    std::string bytes;
    const char* reason;
};  // no reason: valid

const Case cases[] = {
    {"square", file_of(square, zeros(16)), nullptr},
    {"no tensors", file_of("{}\r \t\n"), nullptr},
    {"leading space", file_of("\t\n{}\r "), nullptr},
    {"rank 0", file_of(R"({"test":{"dtype":"I32","shape":[],"data_offsets":[0,4]}})", zeros(4)), nullptr},
    {"no elements", file_of(R"({"test":{"dtype":"I32","shape":[2,0],"data_offsets":[0,0]}})"), nullptr},
    {"metadata", file_of(R"({"__metadata__":{"a":"b"}})"), nullptr},
    {"null metadata", file_of(R"({"__metadata__":null})"), nullptr},
    {"an unknown field",
     file_of(R"({"test":{"more":[{"dtype":[1,{}]},null,2.5],"dtype":"I32","shape":[4],"data_offsets":[0,16]}})",
             zeros(16)),
     nullptr},
    {"any order",
     file_of(R"({"b":{"data_offsets":[4,8],"shape":[1],"dtype":"F32"},)"
             R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
             zeros(8)),
     nullptr},
    {"sub-byte", file_of(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})", zeros(1)), nullptr},

    {"empty file", "", "only 0 bytes"},
    {"seven bytes", zeros(7), "only 7 bytes"},
    {"huge header", "\x3c" + zeros(4) + "\xff\xff\xff", "at most 100000000"},
    {"header of 100 MB and 1", little_endian(100'000'001), "at most 100000000"},
    {"header of 2^64 - 1", little_endian(~uint64_t(0)), "at most 100000000"},
    {"header beyond the file", little_endian(60), "announces a header of 60 bytes but has 8"},
    {"header one too long", little_endian(3) + "{}", "announces a header of 3"},
    {"no header", little_endian(0), "not valid JSON"},
    {"not UTF-8", file_of("\xff"), "not UTF-8"},
    {"overlong UTF-8", file_of("{\"\xc0\x80\":1}"), "not UTF-8"},
    {"surrogate", file_of("{\"\xed\xa0\x80\":1}"), "not UTF-8"},
    {"half an object", file_of("{"), "not valid JSON"},
    {"byte order mark", file_of("\xef\xbb\xbf{}"), "not valid JSON"},
    {"zero byte after", file_of("{}" + zeros(1)), "not valid JSON"},
    {"two objects", file_of("{}{}"), "not valid JSON"},
    {"a list", file_of("[]"), "must be an object"},
    {"a number", file_of("1"), "must be an object"},
    {"a tensor that is a number", file_of(R"({"a":1})"), "tensor a: cannot be a number"},
    {"a tensor that is null", file_of(R"({"a":null})"), "tensor a: cannot be null"},
    {"metadata of numbers", file_of(R"({"__metadata__":{"a":1}})"), "metadata cannot be a number"},
    {"metadata as list", file_of(R"({"__metadata__":[]})"), "cannot be a list"},
    {"deep", file_of(R"({"a":{"x":)" + std::string(100'000, '[')), "nested too deeply"},
    {"deep lists", file_of(std::string(100'000, '[')), "must be an object"},
    {"unknown dtype", file_of(R"({"a":{"dtype":"F5","shape":[1],"data_offsets":[0,4]}})", zeros(4)),
     "unknown dtype F5"},
    {"dtype a number", file_of(R"({"a":{"dtype":5,"shape":[1],"data_offsets":[0,4]}})", zeros(4)),
     "dtype cannot be a number"},
    {"no dtype", file_of(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", zeros(4)), "needs dtype"},
    {"no shape", file_of(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", zeros(4)), "needs dtype"},
    {"no offsets", file_of(R"({"a":{"dtype":"F32","shape":[1]}})", zeros(4)), "needs dtype"},
    {"one name twice",
     file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
             R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
             zeros(8)),
     "stands twice"},
    {"one field twice", file_of(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", zeros(4)),
     "dtype stands twice"},
    {"one metadata twice", file_of(R"({"__metadata__":{"a":"b","a":"b"}})"), "stands twice"},
    {"negative shape", file_of(with_shape("[-1]"), zeros(16)), "shape cannot be a negative number"},
    {"fraction", file_of(with_shape("[4.0]"), zeros(16)), "shape cannot be a fraction"},
    {"2^64", file_of(with_shape("[18446744073709551616]"), zeros(16)), "shape cannot be a fraction or too large"},
    {"1e999", file_of(with_shape("[1e999]"), zeros(16)), "not valid JSON"},
    {"text in shape", file_of(with_shape("[\"4\"]"), zeros(16)), "shape cannot be a string"},
    {"list in shape", file_of(with_shape("[[4]]"), zeros(16)), "shape cannot be a list"},
    {"shape a number", file_of(with_shape("4"), zeros(16)), "shape cannot be a number"},
    {"three offsets", file_of(with_offsets("[0,16,16]"), zeros(16)), "must be two numbers"},
    {"one offset", file_of(with_offsets("[16]"), zeros(16)), "must be two numbers"},
    {"negative offset", file_of(with_offsets("[-16,0]"), zeros(16)), "negative"},
    {"fractional offset", file_of(with_offsets("[0,16.0]"), zeros(16)), "fraction"},
    {"offsets as text", file_of(with_offsets("\"0,16\""), zeros(16)), "data_offsets cannot be a string"},
    {"reversed", file_of(with_offsets("[16,0]"), zeros(16)), "do not follow on byte 0"},
    {"a hole before", file_of(with_offsets("[4,20]"), zeros(20)), "do not follow on byte 0"},
    {"overlap",
     file_of(R"({"a":{"dtype":"I32","shape":[4],"data_offsets":[0,16]},)"
             R"("b":{"dtype":"I32","shape":[4],"data_offsets":[0,16]}})",
             zeros(16)),
     "tensor b: data_offsets [0, 16] do not follow on byte 16"},
    {"a hole between",
     file_of(
         R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[4],"data_offsets":[5,9]}})",
         zeros(9)),
     "do not follow on byte 4"},
    {"backwards",
     file_of(
         R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[0],"data_offsets":[4,3]}})",
         zeros(4)),
     "do not follow"},
    {"product overflows", file_of(with_shape("[2,18446744073709551614]"), zeros(16)), "overflows"},
    {"bits overflow", file_of(with_shape("[2,9223372036854775807]"), zeros(16)), "overflows"},
    {"product overflows to 0", file_of(with_shape("[4294967296,4294967296]"), zeros(16)), "overflows"},
    {"bits overflow to 0", file_of(R"({"a":{"dtype":"I32","shape":[1152921504606846976],"data_offsets":[0,0]}})"),
     "overflows"},
    {"rank 100000", file_of(with_shape("[1" + long_list(",1") + "]"), zeros(16)),
     "16 bytes cannot hold I32 [1, 1, 1, 1, 1, 1, 1, 1, ...]"},
    {"beyond the file", file_of(with_offsets("[0,18446744073709551615]"), zeros(16)),
     "18446744073709551615 bytes cannot hold"},
    {"half a byte", file_of(R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}})", zeros(1)), "whole bytes"},
    {"span too small", file_of(R"({"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,4]}})", zeros(4)),
     "4 bytes cannot hold I32 [2, 2]"},
    {"data after", file_of(square, zeros(17)), "has 17 bytes of data, the header describes 16"},
    {"data missing", file_of(square, zeros(14)), "has 14 bytes of data, the header describes 16"},
    {"data without tensors", file_of("{}", zeros(1)), "has 1 bytes of data"},
    {"a pickle", "\x80\x02}q" + zeros(40), "at most 100000000"},
};

}  // namespace

TEST(safetensors, headers) {
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Temporary dir;
        overwrite(dir / "m.safetensors", c.bytes);
        if (c.reason)
            expect_error(Exit::input, {"m.safetensors", c.reason}, [&] { safetensors::Reader(dir / "m.safetensors"); });
        else safetensors::Reader(dir / "m.safetensors");
    }
}

TEST(safetensors, ten_tensors_in_one_place) {
    std::string header = "{";
    for (int i = 0; i < 10; i++)
        header += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]})";
    const Temporary dir;
    overwrite(dir / "m", file_of(header + "}", zeros(16)));
    expect_error(Exit::input, {"do not follow on byte 16"}, [&] { safetensors::Reader(dir / "m"); });
}

TEST(safetensors, reads_every_float_type_at_any_alignment) {
    const std::string header =
        R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"d":{"dtype":"F64","shape":[2],"data_offsets":[1,17]},)"
        R"("f":{"dtype":"F32","shape":[2],"data_offsets":[17,25]},)"
        R"("h":{"dtype":"F16","shape":[6],"data_offsets":[25,37]},)"
        R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[37,43]}})";
    std::string data = zeros(43);
    const double d[] = {1.5, -1e300};
    const float f[] = {3.25f, -0.0f};
    const uint16_t h[] = {0x3C00, 0xC248, 0x0001, 0x03FF, 0x7BFF, 0xFC00}, b[] = {0x3F80, 0xC049, 0x0001};
    std::memcpy(&data[1], d, 16), std::memcpy(&data[17], f, 8), std::memcpy(&data[25], h, 12),
        std::memcpy(&data[37], b, 6);
    const Temporary dir;
    overwrite(dir / "m", file_of(header, data));
    const safetensors::Reader reader(dir / "m");
    const auto values = [&](const char* name) {
        std::vector<float> out(reader.find(name)->elements());
        reader.read(out, *reader.find(name));
        return out;
    };
    EXPECT_EQ(values("d"), (std::vector<float>{1.5f, -INFINITY}));
    EXPECT_EQ(values("f"), (std::vector<float>{3.25f, -0.0f}));
    EXPECT_EQ(values("h"), (std::vector<float>{1, -3.140625f, 0x1p-24f, 1023 * 0x1p-24f, 65504, -INFINITY}));
    EXPECT_EQ(values("b"), (std::vector<float>{1, -3.140625f, 0x1p-133f}));
    float last;
    reader.read({&last, 1}, *reader.find("h"), 4);
    EXPECT_EQ(last, 65504);
    EXPECT_EQ(reader.find("none"), nullptr);
    expect_error(Exit::input, {"tensor a", "dtype U8 is not supported"}, [&] { values("a"); });
}

TEST(safetensors, writes_as_the_reference_does) {
    const Temporary dir;
    safetensors::Writer writer(
        dir / "m",
        {{"b", Dtype::F32, {2}}, {"c", Dtype::BF16, {3}}, {"a", Dtype::F32, {1, 2}}, {"z", Dtype::F32, {0}}});
    std::vector<std::string> order;
    for (const Tensor& t : writer.tensors()) order.push_back(t.name);
    EXPECT_EQ(order, (std::vector<std::string>{"a", "b", "z", "c"}));  // the wider type first, then by name
    writer.write(std::vector<float>{1, 2});
    writer.write(std::vector<float>{3});  // a tensor in pieces
    writer.write(std::vector<float>{4});
    writer.write(std::vector<float>{1, 1 + 0x1p-8f, 1 + 3 * 0x1p-8f});  // ties go to even
    writer.close();
    const std::string bytes = files::read_file(dir / "m", 1000);
    const std::string header =
        R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
        R"("b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
        R"("z":{"dtype":"F32","shape":[0],"data_offsets":[16,16]},)"
        R"("c":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]}})";
    uint64_t n;
    std::memcpy(&n, bytes.data(), 8);
    EXPECT_EQ(n % 8, 0u);
    EXPECT_EQ(bytes.substr(8, header.size()), header);
    EXPECT_EQ(bytes.substr(8 + header.size(), n - header.size()), std::string(n - header.size(), ' '));
    EXPECT_EQ(bytes.size(), 8 + n + 22);
    EXPECT_EQ(writer.size(), bytes.size());
    EXPECT_EQ(writer.hash(), files::hash(bytes));
    const safetensors::Reader reader(dir / "m");
    EXPECT_EQ(reader.metadata().at("format"), "pt");
    std::vector<float> c(3);
    reader.read(c, *reader.find("c"));
    EXPECT_EQ(c, (std::vector<float>{1, 1, 1 + 4 * 0x1p-8f}));
}

TEST(safetensors, every_truncation_is_refused) {
    const Temporary dir;
    const std::string bytes = file_of(square, zeros(16));
    for (size_t n = 0; n < bytes.size(); n++) {
        const std::string path = dir / std::to_string(n);
        overwrite(path, bytes.substr(0, n));
        expect_error(Exit::input, {path}, [&] { safetensors::Reader{path}; });
    }
}
