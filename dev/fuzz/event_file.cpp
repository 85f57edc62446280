// TensorBoard's files of an earlier run, which a resumed one cuts: as they are,
// and within a record whose checksums hold.
#include "host/run/tensorboard.h"

#include "fuzz.h"

namespace {
template <class T>
std::string raw(T value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}
}  // namespace

void fuzz(std::string_view input) {
    constexpr int64_t step = 5;
    static const FuzzDirectory folder;
    const std::string name = std::string(EventFile::prefix) + "1" + EventFile::suffix,
                      length = raw(uint64_t(input.size()));
    const std::string record = length + raw(masked_crc32c(length)) + std::string(input) + raw(masked_crc32c(input));
    folder.write(name, record + std::string(input));
    for (int again = 0; again < 2; again++) {
        expect(accepts([&] { EventFile(folder.path, step); }), "any file can be gone on from");
        static uint64_t kept;
        const uint64_t size = std::filesystem::file_size(folder.path + "/" + name);
        expect(again ? size == kept : size <= record.size() + input.size(), "what is good stays");
        kept = size;
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder.path)) std::filesystem::remove(entry.path());
}
