#include "safetensors.h"
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>
#include "host/base/json.h"

static_assert(std::endian::native == std::endian::little, "the file's bytes are used as they are");

namespace safetensors {

namespace {

struct DtypeRow {
    const char* name;
    int bits;
};
constexpr DtypeRow dtypes[] = {{"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
                               {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
                               {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
                               {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
                               {"I64", 64},        {"U64", 64}};
static_assert(std::size(dtypes) == size_t(Dtype::U64) + 1);

constexpr uint64_t max_header = 100'000'000;
constexpr size_t chunk = 1 << 18;  // elements converted at a time

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
    throw Error(Exit::input, path, reason, "the file is damaged or not a safetensors file");
}
[[noreturn]] void refuse(const std::string& path, const Tensor& tensor, const std::string& reason) {
    refuse(path, "tensor " + tensor.name + ": " + reason);
}

// Builds the table of tensors while the header is parsed, so that memory stays within a small multiple of the header.
// Returning false stops the parser; `reason` then says why.
class HeaderParser final : public nlohmann::json_sax<nlohmann::json> {
public:
    std::vector<Tensor> tensors;
    std::map<std::string, std::string> metadata;
    std::string reason;

    bool null() override { return where == Where::top && name == "__metadata__" ? true : value("null"); }
    bool boolean(bool) override { return value("a boolean"); }
    bool number_integer(number_integer_t) override { return value("a negative number"); }
    bool number_float(number_float_t, const string_t&) override { return value("a fraction or too large a number"); }
    bool binary(binary_t&) override { return value("binary data"); }
    bool number_unsigned(number_unsigned_t x) override {
        if (where == Where::shape) return tensors.back().shape.push_back(x), true;
        if (where != Where::offsets) return value("a number");
        if (++offsets > 2) return wrong("data_offsets must be two numbers");
        (offsets == 1 ? tensors.back().begin : tensors.back().end) = x;
        return true;
    }
    bool string(string_t& text) override {
        if (where == Where::metadata) return metadata[field] = text, true;
        if (where != Where::tensor || field != "dtype") return value("a string");
        for (size_t i = 0; i < std::size(dtypes); i++)
            if (text == dtypes[i].name) return tensors.back().dtype = Dtype(i), has_dtype = true;
        return wrong("unknown dtype " + text);
    }
    bool start_object(size_t) override {
        if (skipped || (where == Where::tensor && unknown())) return ++skipped <= 64 || wrong("nested too deeply");
        if (where == Where::outside) return where = Where::top, true;
        if (where != Where::top) return value("an object");
        if (name == "__metadata__") return where = Where::metadata, true;
        where = Where::tensor;
        has_dtype = has_shape = has_offsets = false;
        fields.clear();
        tensors.emplace_back().name = name;
        return true;
    }
    bool end_object() override {
        if (skipped) return --skipped, true;
        if (where == Where::tensor && !(has_dtype && has_shape && has_offsets))
            return wrong("needs dtype, shape and data_offsets");
        where = where == Where::top ? Where::outside : Where::top;
        return true;
    }
    bool start_array(size_t) override {
        if (skipped || (where == Where::tensor && unknown())) return ++skipped <= 64 || wrong("nested too deeply");
        if (where != Where::tensor || field == "dtype") return value("a list");
        where = field == "shape" ? Where::shape : Where::offsets;
        (field == "shape" ? has_shape : has_offsets) = true;
        offsets = 0;
        return true;
    }
    bool end_array() override {
        if (skipped) return --skipped, true;
        if (where == Where::offsets && offsets != 2) return wrong("data_offsets must be two numbers");
        where = Where::tensor;
        return true;
    }
    bool key(string_t& text) override {
        if (skipped) return true;
        std::set<std::string>& seen = where == Where::top ? names : fields;
        (where == Where::top ? name : field) = text;
        if (where == Where::metadata)
            return !metadata.contains(text) || wrong("the metadata " + text + " stands twice");
        return seen.insert(text).second || wrong(where == Where::top ? "stands twice" : text + " stands twice");
    }
    bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception&) override {
        reason = "the header is not valid JSON at byte " + std::to_string(at);
        return false;
    }

private:
    enum class Where { outside, top, metadata, tensor, shape, offsets } where = Where::outside;
    std::string name, field;
    std::set<std::string> names, fields;
    bool has_dtype = false, has_shape = false, has_offsets = false;
    int offsets = 0, skipped = 0;  // skipped: depth within a field that is not ours

    bool unknown() const { return field != "dtype" && field != "shape" && field != "data_offsets"; }
    bool value(const std::string& kind) {
        if (skipped || (where == Where::tensor && unknown())) return true;
        if (where == Where::outside) return wrong("the header must be an object, not " + kind);
        return wrong((where == Where::top        ? ""
                      : where == Where::metadata ? "metadata "
                                                 : field + " ") +
                     ("cannot be " + kind));
    }
    bool wrong(const std::string& why) {
        reason = where == Where::outside ? why : "tensor " + name + ": " + why;
        return false;
    }
};

bool valid_utf8(std::string_view text) {
    for (size_t i = 0; i < text.size();) {
        const auto byte = [&](size_t k) { return i + k < text.size() ? uint8_t(text[i + k]) : uint8_t(0); };
        const uint8_t a = byte(0);
        const size_t n = a < 0x80                ? 1
                         : a >= 0xC2 && a < 0xE0 ? 2
                         : a >= 0xE0 && a < 0xF0 ? 3
                         : a >= 0xF0 && a < 0xF5 ? 4
                                                 : 0;
        if (!n) return false;
        for (size_t k = 1; k < n; k++)
            if ((byte(k) & 0xC0) != 0x80) return false;
        const uint8_t b = byte(1);  // overlong forms, surrogates, beyond U+10FFFF
        if ((a == 0xE0 && b < 0xA0) || (a == 0xED && b > 0x9F) || (a == 0xF0 && b < 0x90) || (a == 0xF4 && b > 0x8F))
            return false;
        i += n;
    }
    return true;
}

// Elements times bits, or nothing if it does not fit 64 bits.
bool checked_bits(uint64_t& total, const Tensor& tensor) {
    total = 1;
    for (uint64_t extent : tensor.shape)
        if (__builtin_mul_overflow(total, extent, &total)) return false;
    return !__builtin_mul_overflow(total, uint64_t(bits(tensor.dtype)), &total);
}

// The tensors, by offset, must tile the data exactly: no hole, no overlap, nothing after the last.
void check_tensors(const std::string& path, std::vector<Tensor>& tensors, uint64_t data_size) {
    std::stable_sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t at = 0;
    for (const Tensor& t : tensors) {
        if (t.begin != at || t.end < t.begin)
            refuse(path, t,
                   "data_offsets [" + std::to_string(t.begin) + ", " + std::to_string(t.end) +
                       "] do not follow on byte " + std::to_string(at));
        at = t.end;
        uint64_t size;
        if (!checked_bits(size, t)) refuse(path, t, "shape " + shape_text(t.shape) + " overflows");
        if (size % 8) refuse(path, t, "does not fill whole bytes");
        if (t.end - t.begin != size / 8)
            refuse(path, t,
                   std::to_string(t.end - t.begin) + " bytes cannot hold " + name(t.dtype) + " " + shape_text(t.shape));
    }
    if (at != data_size)
        refuse(path, "has " + std::to_string(data_size) + " bytes of data, the header describes " + std::to_string(at));
}

float half_to_float(uint16_t half) {
    const uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | mantissa << 13);
    if (exponent) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
    return std::copysign(float(mantissa) * 0x1p-24f, std::bit_cast<float>(sign));
}

uint16_t float_to_bfloat(float x) {  // to the nearest, ties to even
    const uint32_t word = std::bit_cast<uint32_t>(x);
    return std::isnan(x) ? uint16_t(word >> 16 | 64) : uint16_t((word + 0x7FFF + (word >> 16 & 1)) >> 16);
}

template <class T, class Convert>
void convert(std::span<float> out, const char* bytes, Convert to_float) {
    for (size_t i = 0; i < out.size(); i++) {
        T x;
        std::memcpy(&x, bytes + i * sizeof(T), sizeof(T));  // a file need not be aligned
        out[i] = to_float(x);
    }
}

}  // namespace

const char* name(Dtype dtype) { return dtypes[int(dtype)].name; }
int bits(Dtype dtype) { return dtypes[int(dtype)].bits; }

uint64_t Tensor::elements() const {
    uint64_t n = 1;
    for (uint64_t extent : shape)
        if (__builtin_mul_overflow(n, extent, &n))
            throw Error(Exit::input, name, "shape " + shape_text(shape) + " overflows");
    return n;
}

void require_float(const Tensor& tensor, const std::string& path) {
    if (tensor.dtype == Dtype::F64 || tensor.dtype == Dtype::F32 || tensor.dtype == Dtype::F16 ||
        tensor.dtype == Dtype::BF16)
        return;
    throw Error(Exit::input, path, "tensor " + tensor.name + ": dtype " + name(tensor.dtype) + " is not supported",
                "F32, BF16, F16 and F64 are");
}

void require_finite(std::span<const float> values, const std::string& path, const std::string& tensor) {
    const auto bad = std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
    if (bad == values.end()) return;
    throw Error(Exit::input, path,
                "tensor " + tensor + ": value " + std::to_string(bad - values.begin()) + " is " +
                    (std::isnan(*bad) ? "not a number" : "infinite"),
                "the model is spoilt: take an earlier checkpoint");
}

std::string shape_text(std::span<const uint64_t> shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size() && i < 8; i++) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + (shape.size() > 8 ? ", ...]" : "]");
}

Reader::Reader(const std::string& path) : file(path) {
    uint64_t n;
    if (file.size() < sizeof n)
        refuse(path, "has only " + std::to_string(file.size()) + " bytes, its header's length takes 8");
    file.read(&n, sizeof n, 0);
    if (n > max_header)
        refuse(path, "announces a header of " + std::to_string(n) + " bytes, at most 100000000 are allowed");
    if (n > file.size() - sizeof n)
        refuse(path, "announces a header of " + std::to_string(n) + " bytes but has " + std::to_string(file.size()));
    std::string header(n, '\0');
    file.read(header.data(), n, sizeof n);
    if (!valid_utf8(header)) refuse(path, "the header is not UTF-8");
    // The JSON library would take the first for the end of its input and skip the second.
    if (header.find('\0') != header.npos || header.starts_with("\xEF\xBB\xBF"))
        refuse(path, "the header is not valid JSON");
    HeaderParser parser;
    if (!nlohmann::json::sax_parse(header, &parser)) refuse(path, parser.reason);
    all = std::move(parser.tensors);
    meta = std::move(parser.metadata);
    data = sizeof n + n;
    check_tensors(path, all, file.size() - data);
    for (size_t i = 0; i < all.size(); i++) index[all[i].name] = i;
}

const Tensor* Reader::find(const std::string& name) const {
    const auto found = index.find(name);
    return found == index.end() ? nullptr : &all[found->second];
}

void read_floats(const files::Reader& file, Dtype dtype, uint64_t offset, std::span<float> out) {
    if (dtype == Dtype::F32) return file.read(out.data(), out.size_bytes(), offset);
    const uint64_t width = uint64_t(bits(dtype)) / 8;
    std::vector<char> bytes(std::min(chunk, out.size()) * width);
    for (size_t at = 0; at < out.size(); at += chunk) {
        const std::span<float> part = out.subspan(at, std::min(chunk, out.size() - at));
        file.read(bytes.data(), part.size() * width, offset + at * width);
        switch (dtype) {
            case Dtype::F64: convert<double>(part, bytes.data(), [](double x) { return float(x); }); break;
            case Dtype::F16: convert<uint16_t>(part, bytes.data(), half_to_float); break;
            case Dtype::BF16:
                convert<uint16_t>(part, bytes.data(),
                                  [](uint16_t x) { return std::bit_cast<float>(uint32_t(x) << 16); });
                break;
            default: REQUIRE(false);
        }
    }
}

void Reader::read(std::span<float> out, const Tensor& tensor, uint64_t first) const {
    const uint64_t total = tensor.elements();
    REQUIRE(first <= total && out.size() <= total - first);
    require_float(tensor, path());
    read_floats(file, tensor.dtype, data + tensor.begin + first * uint64_t(bits(tensor.dtype)) / 8, out);
}

Writer::Writer(const std::string& path, std::vector<Tensor> tensors) : file(path), all(std::move(tensors)) {
    std::sort(all.begin(), all.end(),
              [](const Tensor& a, const Tensor& b) { return std::pair(b.dtype, a.name) < std::pair(a.dtype, b.name); });
    Json header;
    header["__metadata__"]["format"] = "pt";  // without it several versions of transformers refuse the file
    uint64_t at = 0;
    for (Tensor& t : all) {
        REQUIRE(t.dtype == Dtype::F32 || t.dtype == Dtype::BF16);
        t.begin = at;
        t.end = at += t.elements() * uint64_t(bits(t.dtype)) / 8;
        header[t.name] = {{"dtype", name(t.dtype)}, {"shape", t.shape}, {"data_offsets", {t.begin, t.end}}};
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data begins aligned
    const uint64_t n = text.size();
    REQUIRE(n <= max_header);
    file.write(&n, sizeof n);
    file.write(text.data(), n);
    data = sizeof n + n;
}

void Writer::write(std::span<const float> values) {
    std::vector<uint16_t> rounded;
    while (current < all.size() && file.size() - data == all[current].end) current++;
    REQUIRE(current < all.size());
    for (const Dtype dtype = all[current].dtype; !values.empty();) {
        const std::span<const float> part = values.first(std::min(chunk, values.size()));
        values = values.subspan(part.size());
        REQUIRE(file.size() - data + part.size() * bits(dtype) / 8 <= all[current].end);
        if (dtype == Dtype::F32) {
            file.write(part.data(), part.size_bytes());
            continue;
        }
        rounded.resize(part.size());
        std::transform(part.begin(), part.end(), rounded.begin(), float_to_bfloat);
        file.write(rounded.data(), rounded.size() * sizeof(uint16_t));
    }
}

void Writer::close() {
    REQUIRE(file.size() - data == (all.empty() ? 0 : all.back().end));
    file.close();
}

}  // namespace safetensors
