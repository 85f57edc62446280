#include "tensorboard.h"
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstring>
#include "host/base/crc32.h"
#include "host/base/utf8.h"

namespace {

constexpr uint64_t longest_file = uint64_t(8) << 30;

template <class T>
std::string raw(T value) {
    std::string bytes(sizeof value, 0);
    std::memcpy(bytes.data(), &value, sizeof value);  // little-endian, as the format is
    return bytes;
}

// Protobuf: a field is its number and kind, then a varint, 8 bytes, 4 bytes, or a length and as many bytes.
enum class Wire { varint = 0, eight = 1, bytes = 2, four = 5 };
std::string varint(uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) out += char(value | 0x80);
    return out + char(value);
}
std::string head(int field, Wire wire) { return varint(uint64_t(field) << 3 | uint64_t(wire)); }
std::string message(int field, std::string_view body) {
    return head(field, Wire::bytes) + varint(body.size()) + std::string(body);
}

// Event: wall_time 1, step 2, file_version 3, summary 5.   Summary: value 1.
// Value: tag 1, simple_value 2, tensor 8, metadata 9.      Metadata: plugin_data 1 { plugin_name 1 }.
// Tensor: dtype 1 (7 is string), shape 2 { dim 2 { size 1 } }, string_val 8.
std::string event(int64_t step, std::string_view rest) {
    const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    std::string out = head(1, Wire::eight) + raw(now);
    if (step) out += head(2, Wire::varint) + varint(uint64_t(step));
    return out.append(rest);
}
std::string scalar_value(const Scalar& s) {
    return message(1, message(1, s.tag) + head(2, Wire::four) + raw(float(s.value)));
}
std::string text_value(const char* tag, std::string_view text) {
    const std::string shape = message(2, message(2, head(1, Wire::varint) + varint(1)));
    const std::string tensor = head(1, Wire::varint) + varint(7) + shape + message(8, text);
    return message(1, message(1, tag) + message(8, tensor) + message(9, message(1, message(1, "text"))));
}

std::string record(std::string_view event) {
    const std::string length = raw(uint64_t(event.size()));
    return length + raw(masked_crc32c(length)) + std::string(event) + raw(masked_crc32c(event));
}

template <class T>
T at(std::string_view bytes, size_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

uint64_t read_varint(std::string_view& bytes) {
    uint64_t value = 0;
    for (int shift = 0; !bytes.empty() && shift < 64; shift += 7) {
        const uint8_t byte = uint8_t(bytes[0]);
        bytes.remove_prefix(1);
        value |= uint64_t(byte & 0x7F) << shift;
        if (byte < 0x80) break;
    }
    return value;
}

// The step of an Event that we wrote: behind the time, if it is not 0.
int64_t step_of(std::string_view event) {
    event.remove_prefix(std::min<size_t>(event.size(), 9));
    if (event.empty() || event[0] != head(2, Wire::varint)[0]) return 0;
    event.remove_prefix(1);
    return int64_t(read_varint(event));
}

// How many bytes of a file are whole records of steps up to `last`.
size_t good_part(std::string_view bytes, int64_t last) {
    constexpr size_t around = 16;  // what a record is longer than its event
    for (size_t begin = 0;;) {
        if (bytes.size() - begin < around) return begin;
        const uint64_t size = at<uint64_t>(bytes, begin);
        if (at<uint32_t>(bytes, begin + 8) != masked_crc32c(bytes.substr(begin, 8)) ||
            size > bytes.size() - begin - around)
            return begin;
        const std::string_view event = bytes.substr(begin + 12, size);
        if (at<uint32_t>(bytes, begin + 12 + size) != masked_crc32c(event) || step_of(event) > last) return begin;
        begin += around + size;
    }
}

std::string new_path(const std::string& directory) {
    char host[128] = "host";
    gethostname(host, sizeof host - 1);
    std::replace(host, host + sizeof host, '/', '_');
    for (auto time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());; time++) {
        std::string path = directory + "/" + EventFile::prefix + std::to_string(time) + "." + host + "." +
                           std::to_string(getpid()) + EventFile::suffix;
        if (!files::exists(path)) return path;
    }
}

}  // namespace

uint32_t masked_crc32c(std::string_view bytes) {
    const uint32_t c = crc32<crc32c>(bytes);
    return (c >> 15 | c << 17) + 0xA282EAD8u;
}

EventFile::EventFile(const std::string& directory, int64_t step) {
    for (const std::string& name : files::list(directory)) {
        if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
        const std::string path = directory + "/" + name, bytes = files::read_file(path, longest_file);
        if (const size_t keep = good_part(bytes, step); keep < bytes.size()) files::shorten_file(path, keep);
    }
    log = std::make_unique<files::Log>(new_path(directory), 0);
    log->append_bytes(record(event(0, message(3, "brain.Event:2"))));
}

bool EventFile::add(int64_t step, std::span<const Scalar> scalars) {
    std::string values;
    for (const Scalar& s : scalars) values += scalar_value(s);
    return log->append_bytes(record(event(step, message(5, values))));
}

// TensorBoard takes texts for Markdown: four blanks before every line keep it as it is.
bool EventFile::add_text(int64_t step, const char* tag, std::string text) {
    repair_utf8(text);
    std::string block = "    ";
    for (const char c : text) block += c == '\n' ? "\n    " : std::string(1, c);
    return log->append_bytes(record(event(step, message(5, text_value(tag, block)))));
}
