// Documents out of files or standard input, a bounded part at a time: a plain text is one document, in JSON lines each
// line is one, the text of one of its fields.
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

enum class TextFormat { automatic, text, jsonl };
enum class BadLines { refused, skipped };  // of JSON: no object, without the field, whose value is no text

// How texts are read.
struct TextReading {
    TextFormat format = TextFormat::automatic;
    std::string field = "text";  // of JSON lines
    BadLines bad = BadLines::refused;
};

// A piece of text: a whole document or a part of one.
struct TextPart {
    std::string text;
    bool begins = false;  // a document
    bool json = false;    // it was a line of JSON
    uint64_t line = 0;    // of its file, for messages
    const std::string* path = nullptr;
};

// Bad lines that were left out.
struct SkippedLines {
    uint64_t count = 0;
    std::string first;  // which it was, and why
    void add(const SkippedLines& more);
    std::string text() const;  // for people
};

class DocumentReader {
public:
    // Where a text may be cut at or after `near` so that its parts encode as the whole does.
    using Cut = std::function<size_t(std::string_view text, size_t near)>;
    DocumentReader(std::vector<std::string> paths, TextReading reading, Cut cut);
    ~DocumentReader();
    DocumentReader(const DocumentReader&) = delete;

    // The next parts, about `bytes` together; none: the end. Throws Error{input} naming the file, and of a bad line its
    // number; if bad lines are skipped, only where all are.
    std::vector<TextPart> read(size_t bytes);
    uint64_t done() const { return done_; }    // bytes read
    uint64_t total() const { return total_; }  // of all files; 0: not known
    size_t repaired() const { return repaired_; }
    const SkippedLines& skipped() const { return skipped_; }

private:
    bool open_next();
    bool fill(size_t bytes);  // more of the file into `waiting`; false: it ended
    void take_text(std::vector<TextPart>& parts);
    void take_lines(std::vector<TextPart>& parts);
    std::vector<TextPart> read_raw(size_t bytes);
    void parse_lines(std::vector<TextPart>& parts);

    const std::vector<std::string> paths;
    const TextReading reading;
    const Cut cut;
    size_t next = 0;  // of the paths
    int file = -1;
    bool ended = false, fresh = false, json = false;
    std::string waiting;
    size_t tried = 0;  // no cut was found in so much of `waiting`
    uint64_t line = 0, done_ = 0, total_ = 0;
    size_t repaired_ = 0;
    bool any = false;  // part was read
    SkippedLines skipped_;
};

// Calls work(part, index) for all parts, in parallel. The error of the first part that has one is thrown.
template <class Parts, class F>
void for_each_part(Parts& parts, F work) {
    std::vector<std::exception_ptr> failed(parts.size());
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < parts.size(); i++) {
        try {
            work(parts[i], i);
        } catch (...) { failed[i] = std::current_exception(); }
    }
    for (const std::exception_ptr& error : failed)
        if (error) std::rethrow_exception(error);
}
