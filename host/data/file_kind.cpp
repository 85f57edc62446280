#include "file_kind.h"
#include <algorithm>
#include "host/base/error.h"
#include "host/base/utf8.h"

namespace {

struct Kind {
    std::string_view mark;
    size_t at;
    const char *what, *hint;
};

constexpr const char *unpack = "unpack it first", *convert = "write its texts to .jsonl or .txt first",
                     *extract = "extract its text first", *for_model = "it is for --model";

using namespace std::string_view_literals;
constexpr Kind kinds[] = {
    {"\x1F\x8B"sv, 0, "is compressed by gzip", unpack},
    {"\x28\xB5\x2F\xFD"sv, 0, "is compressed by zstd", unpack},
    {"\xFD\x37zXZ\0"sv, 0, "is compressed by xz", unpack},
    {"BZh"sv, 0, "is compressed by bzip2", unpack},
    {"\x04\x22\x4D\x18"sv, 0, "is compressed by lz4", unpack},
    {"PK\x03\x04"sv, 0, "is a zip archive, or a document, table or checkpoint that is one", unpack},
    {"7z\xBC\xAF\x27\x1C"sv, 0, "is a 7z archive", unpack},
    {"Rar!\x1A\x07"sv, 0, "is a rar archive", unpack},
    {"ustar"sv, 257, "is a tar archive", unpack},
    {"PAR1"sv, 0, "is a Parquet table", convert},
    {"ARROW1"sv, 0, "is an Arrow table", convert},
    {"\xFF\xFF\xFF\xFF"sv, 0, "is an Arrow stream", convert},
    {"Obj\x01"sv, 0, "is an Avro file", convert},
    {"SQLite format 3\0"sv, 0, "is an SQLite database", convert},
    {"\x89HDF\r\n\x1A\n"sv, 0, "is an HDF5 file", convert},
    {"\x93NUMPY"sv, 0, "is a NumPy array", "arrays of tokens without a header are read as .bin with --token-type"},
    {"%PDF-"sv, 0, "is a PDF", extract},
    {"\xD0\xCF\x11\xE0"sv, 0, "is an Office document", extract},
    {"{\\rtf"sv, 0, "is an RTF document", extract},
    {"GGUF"sv, 0, "holds a model's weights", for_model},
    {"\x80\x02"sv, 0, "is a Python pickle", convert},
    {"\x80\x04\x95"sv, 0, "is a Python pickle", convert},
    {"\x89PNG\r\n\x1A\n"sv, 0, "is a picture", "it has no text"},
    {"\xFF\xD8\xFF"sv, 0, "is a picture", "it has no text"},
    {"GIF8"sv, 0, "is a picture", "it has no text"},
    {"\x7F"
     "ELF"sv,
     0, "is a program", "it has no text"},
};

// A safetensors file begins with the length of a JSON object.
bool is_safetensors(std::string_view text) {
    return text.size() > 10 && text.substr(8, 2) == "{\"" && text.substr(4, 4) == std::string_view("\0\0\0\0", 4);
}

size_t zeros(std::string_view text, size_t first, size_t step) {
    size_t n = 0;
    for (size_t i = first; i < text.size(); i += step) n += text[i] == '\0';
    return n;
}

[[noreturn]] void refuse(const std::string& name, const std::string& reason, const std::string& hint) {
    throw Error(Exit::input, name, reason, hint);
}

}  // namespace

void require_text(std::string_view text, const std::string& name) {
    for (const Kind& kind : kinds)
        if (text.size() > kind.at && text.substr(kind.at).starts_with(kind.mark)) refuse(name, kind.what, kind.hint);
    if (is_safetensors(text)) refuse(name, "holds a model's weights", for_model);

    text = text.substr(0, telling_bytes);
    const size_t even = zeros(text, 0, 2), odd = zeros(text, 1, 2), half = text.size() / 2;
    // Letters, blanks and line ends of UTF-16 have a zero on one side only; a few zeros may stand in any text.
    if (text.size() >= 32 && std::max(even, odd) * 20 > half && std::min(even, odd) * 10 < std::max(even, odd))
        refuse(name, "looks like UTF-16 without a byte order mark",
               std::string("convert it: iconv -f UTF-16") + (odd > even ? "LE" : "BE") + " -t UTF-8");
    if (even + odd > 8 && (even + odd) * 20 > text.size())
        refuse(name,
               "is not text: " + std::to_string(even + odd) + " of its first " + std::to_string(text.size()) +
                   " bytes are zero",
               "give UTF-8 text");
    size_t bad = 0;  // bytes, and a character may be cut off at the end
    for (size_t at = 0; at + 4 <= text.size();) {
        const CodePoint c = decode_utf8(text.substr(at, 4));
        bad += c.length == 0;
        at += size_t(std::max(c.length, 1));
    }
    if (bad > 64 && bad * 5 > text.size())
        refuse(name,
               "is not UTF-8: " + std::to_string(bad) + " of its first " + std::to_string(text.size()) +
                   " bytes belong to no character",
               "convert it, such as: iconv -f CP1251 -t UTF-8");
}
