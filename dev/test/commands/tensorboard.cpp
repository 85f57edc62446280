// TensorBoard's files, read back by another reader of the format; and what a resumed run makes of them.
#include "host/run/tensorboard.h"
#include <gtest/gtest.h>
#include <cstring>
#include <set>
#include "dev/test/support/temporary_directory.h"
#include "host/base/crc32.h"

namespace {

std::string from_hex(const std::string& text) {
    std::string bytes;
    for (size_t i = 0; i + 1 < text.size(); i += 3) bytes += char(std::stoi(text.substr(i, 2), nullptr, 16));
    return bytes;
}

template <class T>
T number(const std::string& bytes, size_t at) {
    T value;
    EXPECT_LE(at + sizeof value, bytes.size());
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

// Bit by bit, without a table.
uint32_t slow_crc(const std::string& bytes) {
    uint32_t c = ~0u;
    for (const char byte : bytes) {
        c ^= uint8_t(byte);
        for (int bit = 0; bit < 8; bit++) c = (c >> 1) ^ (c & 1 ? 0x82F63B78u : 0u);
    }
    return ~c;
}
uint32_t slow_mask(const std::string& bytes) {
    const uint32_t c = slow_crc(bytes);
    return ((c >> 15) | (c << 17)) + 0xA282EAD8u;
}

struct Field {
    int number;
    std::string bytes;
    uint64_t value;
};

uint64_t varint(const std::string& bytes, size_t& at) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        const uint8_t byte = number<uint8_t>(bytes, at++);
        value |= uint64_t(byte & 127) << shift;
        if (byte < 128) return value;
    }
}

std::vector<Field> fields(const std::string& bytes) {
    std::vector<Field> all;
    for (size_t at = 0; at < bytes.size();) {
        const uint64_t key = varint(bytes, at);
        Field f{int(key >> 3), "", 0};
        switch (key & 7) {
            case 0: f.value = varint(bytes, at); break;
            case 1: f.bytes = bytes.substr(at, 8), at += 8; break;
            case 5: f.bytes = bytes.substr(at, 4), at += 4; break;
            case 2: {
                const uint64_t n = varint(bytes, at);
                f.bytes = bytes.substr(at, n), at += n;
                break;
            }
            default: ADD_FAILURE() << "wire type " << (key & 7); return all;
        }
        all.push_back(f);
    }
    return all;
}
std::string only(const std::string& bytes, int number) {
    std::string found;
    int times = 0;
    for (const Field& f : fields(bytes))
        if (f.number == number) found = f.bytes, times++;
    EXPECT_EQ(times, 1) << number;
    return found;
}

// Every value of a file as a line: "step tag value".
std::vector<std::string> read_events(const std::string& path) {
    const std::string bytes = files::read_file(path, 1 << 20);
    std::vector<std::string> lines;
    for (size_t at = 0; at < bytes.size();) {
        const uint64_t size = number<uint64_t>(bytes, at);
        EXPECT_EQ(number<uint32_t>(bytes, at + 8), slow_mask(bytes.substr(at, 8)));
        const std::string event = bytes.substr(at + 12, size);
        EXPECT_EQ(number<uint32_t>(bytes, at + 12 + size), slow_mask(event));
        at += 16 + size;
        uint64_t step = 0;
        for (const Field& f : fields(event)) {
            if (f.number == 1) { EXPECT_GT(number<double>(f.bytes, 0), 1.7e9); }
            if (f.number == 2) step = f.value;
            if (f.number == 3) lines.push_back(f.bytes);
            if (f.number != 5) continue;
            for (const Field& value : fields(f.bytes)) {
                std::string text = std::to_string(step) + " " + only(value.bytes, 1) + " ";
                for (const Field& part : fields(value.bytes)) {
                    if (part.number == 2) text += std::to_string(number<float>(part.bytes, 0));
                    if (part.number == 8) text += only(part.bytes, 8);
                    if (part.number == 9) { EXPECT_EQ(only(only(part.bytes, 1), 1), "text"); }
                }
                lines.push_back(text);
            }
        }
    }
    return lines;
}

std::vector<std::string> event_files(const Temporary& folder) {
    std::vector<std::string> paths;
    for (const std::string& name : files::list(folder.path.string()))
        if (name.starts_with(EventFile::prefix)) paths.push_back(folder / name);
    return paths;
}

}  // namespace

TEST(event_file, checksums) {
    EXPECT_EQ(crc32<crc32c>("123456789"), 0xE3069283u);  // RFC 3720's check value
    EXPECT_EQ(masked_crc32c("123456789"), 0xC78AB0E5u);
    EXPECT_EQ(crc32<crc32c>(std::string(32, 0)), 0x8A9136AAu);  // its test of 32 zeros
    EXPECT_EQ(masked_crc32c(""), 0xA282EAD8u);
}

TEST(event_file, holds_what_was_added) {
    const Temporary folder;
    EventFile file(folder.path.string(), 0);
    const Scalar scalars[] = {{"train/loss", 2.5}, {"train/lr", 0.25}};
    EXPECT_TRUE(file.add(300, scalars));
    EXPECT_TRUE(file.add_text(301, "sample", "one\n\xE4\xB8\xAD \xE4"));  // the last byte is no character
    ASSERT_EQ(event_files(folder).size(), 1u);
    const std::vector<std::string> want{"brain.Event:2", "300 train/loss 2.500000", "300 train/lr 0.250000",
                                        "301 sample     one\n    \xE4\xB8\xAD \xEF\xBF\xBD"};
    EXPECT_EQ(read_events(event_files(folder)[0]), want);
}

// The bytes TensorFlow writes for this event, but for the time.
TEST(event_file, bytes_are_tensorflows) {
    const Temporary folder;
    EventFile file(folder.path.string(), 0);
    const Scalar loss{"loss", 2.5};
    file.add(7, {&loss, 1});
    const std::string bytes = files::read_file(event_files(folder)[0], 1 << 20);
    const std::string version = from_hex("18 00 00 00 00 00 00 00 a3 7f 4b 22 09"),
                      name = from_hex("1a 0d 62 72 61 69 6e 2e 45 76 65 6e 74 3a 32");
    EXPECT_EQ(bytes.substr(0, 13), version);
    EXPECT_EQ(bytes.substr(21, 15), name);
    const std::string event = from_hex("1a 00 00 00 00 00 00 00 12 9b d8 2d 09"),
                      rest = from_hex("10 07 2a 0d 0a 0b 0a 04 6c 6f 73 73 15 00 00 20 40");
    EXPECT_EQ(bytes.substr(40, 13), event);
    EXPECT_EQ(bytes.substr(61, 17), rest);
    EXPECT_EQ(bytes.size(), 40u + 42u);
}

// What was told of later steps than the checkpoint's goes, and so does half a record; other files stay as they are.
TEST(event_file, a_resumed_run_repeats_and_loses_nothing) {
    const Temporary folder;
    const auto add = [](EventFile& file, int step) {
        const Scalar loss{"loss", double(step)};
        file.add(step, {&loss, 1});
    };
    const std::string foreign = folder / std::string(EventFile::prefix) + "1.host";
    overwrite(foreign, "not ours");
    EventFile one(folder.path.string(), 0);
    for (int step = 1; step <= 200; step++) add(one, step);
    EventFile two(folder.path.string(), 150);
    for (int step = 151; step <= 160; step++) add(two, step);
    for (const std::string& path : event_files(folder)) {  // the machine died while a record was written
        if (path == foreign || read_events(path).size() != 11) continue;
        const std::string bytes = files::read_file(path, 1 << 20);
        overwrite(path, bytes.substr(0, bytes.size() - 5));
    }
    EventFile three(folder.path.string(), 170);
    add(three, 160);
    std::multiset<std::string> all, want;
    for (const std::string& path : event_files(folder)) {
        if (path == foreign) continue;
        for (const std::string& line : read_events(path))
            if (line != "brain.Event:2") all.insert(line);
    }
    for (int step = 1; step <= 160; step++) want.insert(std::to_string(step) + " loss " + std::to_string(float(step)));
    EXPECT_EQ(all, want);
    EXPECT_EQ(files::read_file(foreign, 100), "not ours");
    EXPECT_EQ(event_files(folder).size(), 4u);
}
