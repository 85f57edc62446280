#include "documents.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include "data_paths.h"
#include "file_kind.h"
#include "host/base/error.h"
#include "host/base/json.h"
#include "host/base/messages.h"
#include "host/base/signals.h"
#include "host/base/utf8.h"

namespace {

constexpr size_t block = 4 << 20, part_size = 1 << 20, longest_line = size_t(1) << 30;

bool is_standard_input(const std::string& path) { return path == "-"; }
// Nothing names the format of standard input: JSON lines show by a first line that is an object.
bool starts_with_object(std::string_view text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    return line.starts_with('{') && nlohmann::json::accept(line);
}

std::string shown(const std::string& path) { return is_standard_input(path) ? "standard input" : path; }

// A pipe may have no writer yet.
void say_if_it_waits(int file, const std::string& path) {
    constexpr int patience = 1000;  // milliseconds
    pollfd input = {file, POLLIN, 0};
    if (!is_standard_input(path) && poll(&input, 1, patience) == 0)
        warn(path + ": is a pipe that nobody has written into yet; waiting");
}

// The text of `field` in a line of JSON. Throws Error{input} naming file and line.
std::string text_of_line(const TextPart& part, const std::string& field) {
    const std::string where = shown(*part.path) + ": line " + std::to_string(part.line);
    nlohmann::json json = parse_large_json(part.text, where);
    if (!json.is_object()) throw Error(Exit::input, where, "is not a JSON object");
    const auto text = json.find(field);
    if (text == json.end())
        throw Error(Exit::input, where, "has no \"" + field + "\"", "--field names the field that holds the text");
    if (!text->is_string()) throw Error(Exit::input, where, "\"" + field + "\" is " + text->type_name() + ", not text");
    return std::move(text->get_ref<std::string&>());
}

}  // namespace

DocumentReader::DocumentReader(std::vector<std::string> all, TextReading how, Cut cut)
    : paths(std::move(all)), reading(std::move(how)), cut(std::move(cut)) {
    for (const std::string& path : paths) {
        if (is_standard_input(path)) {
            total_ = 0;
            break;
        }
        struct stat about = {};
        if (stat(path.c_str(), &about)) throw Error(Exit::input, path, std::strerror(errno));
        if (is_shard(path))
            throw Error(Exit::input, path, "holds tokens already", "train on it: train_gpt --data FILE");
        if (S_ISDIR(about.st_mode))
            throw Error(Exit::input, path, "is a directory", "name its files, or a pattern in quotes");
        if (!S_ISREG(about.st_mode) && !S_ISFIFO(about.st_mode))
            throw Error(Exit::input, path, "is neither a file nor a pipe", "- names standard input");
        total_ += uint64_t(about.st_size);
    }
}

DocumentReader::~DocumentReader() {
    if (file > 0) close(file);
}

bool DocumentReader::open_next() {
    if (file > 0) close(file);
    file = -1;
    if (next == paths.size()) return false;
    const std::string& path = paths[next++];
    // Opened so, a pipe does not wait for a writer: fill() does.
    file = is_standard_input(path) ? 0 : open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) throw Error(Exit::input, path, std::strerror(errno));
    ended = false, fresh = true, line = 0, tried = 0;
    say_if_it_waits(file, path);
    while (waiting.size() < 512 && fill(block)) {}
    if (waiting.empty()) throw Error(Exit::input, shown(path), "is empty");
    drop_byte_order_mark(waiting, shown(path));
    require_text(waiting, shown(path));
    json = reading.format == TextFormat::jsonl ||
           (reading.format == TextFormat::automatic &&
            (path.ends_with(".jsonl") || (is_standard_input(path) && starts_with_object(waiting))));
    return true;
}

bool DocumentReader::fill(size_t bytes) {
    const size_t before = waiting.size();
    waiting.resize(before + bytes);
    ssize_t got;
    do {
        if (!wait_for_input(file)) throw Error(Exit::stopped, shown(paths[next - 1]), "stopped by a signal");
        got = ::read(file, waiting.data() + before, bytes);
    } while (got < 0 && (errno == EINTR || errno == EAGAIN));
    waiting.resize(before + size_t(std::max<ssize_t>(got, 0)));
    if (got < 0) throw Error(Exit::input, shown(paths[next - 1]), std::strerror(errno));
    done_ += uint64_t(got);
    if (got == 0) ended = true;
    return !ended;
}

std::vector<TextPart> DocumentReader::read(size_t bytes) {
    for (;;) {
        std::vector<TextPart> parts = read_raw(bytes);
        const bool ended = parts.empty();
        parse_lines(parts);
        any = any || !parts.empty();
        if (ended && !any && skipped_.count)
            throw Error(Exit::input, shown(paths.at(0)),
                        "none of the " + std::to_string(skipped_.count) + " lines can be used", skipped_.first);
        if (ended || !parts.empty()) return parts;
    }
}

std::vector<TextPart> DocumentReader::read_raw(size_t bytes) {
    std::vector<TextPart> parts;
    const auto size = [&] {
        size_t sum = 0;
        for (const TextPart& part : parts) sum += part.text.size();
        return sum;
    };
    while (size() < bytes) {
        if (file < 0 || (ended && waiting.empty())) {
            if (!open_next()) break;
            continue;
        }
        if (!ended) fill(std::max(block, tried));  // doubles while nothing can be cut
        if (json) take_lines(parts);
        else take_text(parts);
    }
    return parts;
}

// Cuts off all it can. A part in which no cut was found is not searched again until it has doubled in size.
void DocumentReader::take_text(std::vector<TextPart>& parts) {
    size_t usable = waiting.size();
    if (!ended) {
        const size_t whole = complete_utf8(waiting);
        const size_t margin = std::min<size_t>(whole, 1 << 16);
        usable = cut(std::string_view(waiting).substr(0, whole), std::max(whole - margin, tried));
        if (usable >= whole) {
            tried = whole;
            return;
        }
    }
    tried = 0;
    std::string text = waiting.substr(0, usable);
    waiting.erase(0, usable);
    repaired_ += repair_utf8(text);
    for (std::string_view rest = text; !rest.empty() || fresh;) {
        const size_t n = cut(rest, std::min(part_size, rest.size()));
        parts.push_back({std::string(rest.substr(0, n)), fresh, false, 0, &paths[next - 1]});
        rest.remove_prefix(n);
        fresh = false;
    }
}

void DocumentReader::take_lines(std::vector<TextPart>& parts) {
    size_t at = 0;
    while (at < waiting.size()) {
        size_t end = waiting.find('\n', std::max(at, tried));
        if (end == waiting.npos && !ended) break;
        end = std::min(end, waiting.size());
        line++, tried = 0;
        const std::string_view text = std::string_view(waiting).substr(at, end - at);
        if (text.find_first_not_of(" \t\r") != text.npos)
            parts.push_back({std::string(text), true, true, line, &paths[next - 1]});
        at = std::min(end + 1, waiting.size());
    }
    waiting.erase(0, at);
    tried = waiting.size();
    if (waiting.size() > longest_line)
        throw Error(Exit::input, shown(paths[next - 1]) + ": line " + std::to_string(line + 1), "is longer than 1 GiB");
}

// The texts of the raw lines among `parts`.
void DocumentReader::parse_lines(std::vector<TextPart>& parts) {
    std::vector<std::string> wrong(parts.size());
    for_each_part(parts, [&](TextPart& part, size_t i) {
        try {
            if (part.json) part.text = text_of_line(part, reading.field);
        } catch (const Error& error) {
            wrong[i] = error.lines.at(0);
            if (reading.bad == BadLines::refused)
                throw Error(error.code, {wrong[i] + "; --skip-bad-lines goes on without such lines"});
        }
    });
    size_t kept = 0;
    for (size_t i = 0; i < parts.size(); i++) {
        if (!wrong[i].empty()) skipped_.add({1, wrong[i]});
        else if (kept++ != i) parts[kept - 1] = std::move(parts[i]);
    }
    parts.resize(kept);
}

void SkippedLines::add(const SkippedLines& more) {
    if (!count) first = more.first;
    count += more.count;
}

std::string SkippedLines::text() const {
    return std::to_string(count) + (count == 1 ? " bad line was" : " bad lines were") + " skipped" +
           (count == 1 ? ": " : "; the first: ") + first;
}
