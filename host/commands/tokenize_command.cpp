#include "tokenize_command.h"
#include <fmt/core.h>
#include <omp.h>
#include <algorithm>
#include <filesystem>
#include "host/base/error.h"
#include "host/base/files.h"
#include "host/base/json.h"
#include "host/base/messages.h"
#include "host/base/progress.h"
#include "host/base/signals.h"
#include "host/base/text.h"
#include "host/base/utf8.h"
#include "host/data/data_paths.h"
#include "host/data/documents.h"
#include "host/data/shard_writer.h"
#include "host/options/model_options.h"
#include "host/tokenizer/bpe.h"
#include "host/tokenizer/bpe_train.h"
#include "host/tokenizer/load_tokenizer.h"
#include "host/tokenizer/tokenizer.h"
#include "host/tokenizer/tokenizer_json.h"

namespace {

namespace fs = std::filesystem;

constexpr size_t batch_bytes = 16 << 20;  // of text in memory at a time

void print_ids(const Options& options) {
    const Tokenizer tokenizer = given_tokenizer(options);
    std::string text = *options.text;
    repair_utf8(text);
    const bool special = options.special.value_or(tokenizer.bpe && tokenizer.bpe->recognises_specials);
    std::vector<int> ids = tokenizer.encode(text, special ? Specials::recognised : Specials::as_text);
    if (special && tokenizer.bpe) {
        ids.insert(ids.begin(), tokenizer.bpe->before.begin(), tokenizer.bpe->before.end());
        ids.insert(ids.end(), tokenizer.bpe->after.begin(), tokenizer.bpe->after.end());
    }
    print_piece(Json(ids).dump() + "\n");
}

bool is_special(const Tokenizer& tokenizer, int id) {
    if (!tokenizer.bpe) return false;
    const auto& added = tokenizer.bpe->added;
    return std::any_of(added.begin(), added.end(), [&](const AddedToken& t) { return t.id == id && t.special; });
}

void print_text(const Options& options) {
    const Tokenizer tokenizer = given_tokenizer(options);
    const Json list = parse_json(*options.ids, "--ids");
    if (!list.is_array()) throw Error(Exit::usage, "--ids", "must be a list such as [15496, 995]");
    std::vector<int> ids;
    for (const Json& id : list) {
        if (!id.is_number_unsigned() || id.get<uint64_t>() >= uint64_t(tokenizer.vocab_size()))
            throw Error(Exit::usage, "--ids",
                        in_quotes(id.dump()) + " is no id below " + std::to_string(tokenizer.vocab_size()));
        if (options.special.value_or(true) || !is_special(tokenizer, id.get<int>())) ids.push_back(id.get<int>());
    }
    std::string text = tokenizer.decode(ids);
    repair_utf8(text);
    print_piece(text + "\n");
}

bool is_ours(const std::string& name) {
    return name == "tokenizer.json" || name == "tokenizer_config.json" || ShardWriter::is_ours(name);
}

// The directory to be written, without links and slashes at its end. What is there already is replaced on request only,
// and only if all of it came from here and nothing of it is to be read.
std::string checked_out(const Options& options, std::vector<std::string> sources) {
    std::error_code error;
    const std::string flag = "--out " + in_quotes(options.out);
    const fs::path given = files::without_slash(fs::absolute(options.out, error));
    if (error) throw Error(Exit::io, flag, error.message());
    if (!files::exists(options.out)) {
        files::make_directories(given.parent_path().string());
        files::remove_leftovers(given.parent_path().string(), given.filename().string() + ".");
        return given.string();
    }
    if (!options.overwrite) throw Error(Exit::usage, flag, "exists", "name another directory, or add --overwrite");
    const fs::path out = fs::canonical(given, error);
    if (error) throw Error(Exit::usage, flag, error.message(), "name another directory");
    for (const std::string& name : files::list(out))
        if (!is_ours(name))
            throw Error(Exit::usage, flag, "is not replaced: " + in_quotes(name) + " in it was not written by tokenize",
                        "name another directory");
    if (files::exists(options.tokenizer)) sources.push_back(options.tokenizer);
    for (const std::string& source : sources)
        if (files::is_inside(source, out))
            throw Error(Exit::usage, flag, "would replace " + in_quotes(source) + ", which is read",
                        "name another directory");
    files::remove_leftovers(out.parent_path().string(), out.filename().string() + ".");
    return out.string();
}

files::IsOurs replaceable(const Options& options) { return options.overwrite ? files::IsOurs(is_ours) : nullptr; }

std::string so_far(const DocumentReader& reader, double start) {
    const double rate = double(reader.done()) / std::max(seconds() - start, 1e-9);
    std::string text =
        reader.total() ? fmt::format("{:3.0f}%  ", 100.0 * double(reader.done()) / double(reader.total())) : "";
    text += fmt::format("{} bytes  {}B/s", short_count(double(reader.done())), short_count(rate));
    if (reader.total() > reader.done())
        text += "  ETA " + short_time(double(reader.total() - reader.done()) / std::max(rate, 1.0));
    return text;
}

void warn_of_repairs(const DocumentReader& reader) {
    if (reader.repaired()) warn("--data: " + repairs_text(reader.repaired()));
    if (reader.skipped().count) warn("--data: " + reader.skipped().text());
}

int separator_of(const Options& options, const Tokenizer& tokenizer) {
    if (!options.separator) {
        if (tokenizer.separator() >= 0) return tokenizer.separator();
        throw Error(Exit::usage, "--separator", "the tokenizer has no token that separates documents",
                    "name one of its tokens, or none");
    }
    if (*options.separator == "none") return -1;
    const int id = tokenizer.bpe ? tokenizer.bpe->find(*options.separator) : -1;
    if (id < 0)
        throw Error(Exit::usage, "--separator " + in_quotes(*options.separator), "is no token of the tokenizer");
    return id;
}

Exit write_shards(const Options& options) {
    const Tokenizer tokenizer = given_tokenizer(options);
    const int separator = separator_of(options, tokenizer);
    const std::vector<std::string> paths = expand_paths("--data", options.data);
    const std::string out = checked_out(options, paths);
    DocumentReader reader(paths, reading_of(options),
                          [&](std::string_view text, size_t near) { return tokenizer.safe_cut(text, near); });
    ShardWriter writer(out, replaceable(options), tokenizer, separator, uint64_t(options.shard_tokens));
    const Specials specials = options.special.value_or(false) ? Specials::recognised : Specials::as_text;
    Progress progress;
    const double start = seconds();
    uint64_t unknown = 0;
    for (std::vector<TextPart> parts; !(parts = reader.read(batch_bytes)).empty();) {
        if (stop_requested) return Exit::stopped;
        std::vector<std::vector<int>> ids(parts.size());
        for_each_part(parts, [&](const TextPart& part, size_t i) {
            ids[i] = tokenizer.encode(part.text, specials, part.begins ? Place::beginning : Place::middle);
        });
        for (size_t i = 0; i < parts.size(); i++) {
            if (parts[i].begins) writer.begin_document();
            writer.add(ids[i]);
            if (tokenizer.unknown >= 0)
                unknown += uint64_t(std::count(ids[i].begin(), ids[i].end(), tokenizer.unknown));
        }
        if (progress.on_terminal()) progress.status(so_far(reader, start), false);
    }
    Json sources = Json::array();
    for (const std::string& path : paths) sources.push_back(path);
    const uint64_t tokens = writer.tokens(), documents = writer.documents();
    writer.commit({{"sources", sources}, {"source_bytes", reader.done()}});
    warn_of_repairs(reader);
    if (unknown) warn(fmt::format("--data: {} tokens are the unknown one", unknown));
    progress.note(fmt::format("done: {} tokens of {} documents in {}, {} bytes in {}", tokens, documents,
                              printable(options.out), short_count(double(reader.done())),
                              short_time(seconds() - start)));
    progress.note(fmt::format("next    ./train_gpt --data '{}/*.bin'", printable(options.out)));
    return Exit::done;
}

// Lines are counted one by one, so text may be cut behind any of them.
size_t end_of_line(std::string_view text, size_t near) {
    const size_t end = near < text.size() ? text.find('\n', near) : text.npos;
    return end == text.npos ? text.size() : end + 1;
}

Exit write_tokenizer(const Options& options) {
    const std::vector<std::string> paths = expand_paths("--data", options.data);
    const fs::path out = checked_out(options, paths);
    const BpeTraining how{options.train_bpe, uint64_t(options.min_frequency), options.split, options.special_tokens};
    train_bpe(how, {});  // complains before a long read
    DocumentReader reader(paths, reading_of(options), end_of_line);
    Progress progress;
    const double start = seconds();
    PieceCounts counts;
    for (std::vector<TextPart> parts; !(parts = reader.read(batch_bytes)).empty();) {
        if (stop_requested) return Exit::stopped;
        for_each_part(parts, [&](const TextPart& part, size_t) {
            PieceCounts its;
            count_pieces(its, part.text, options.split);
#pragma omp critical
            add_counts(counts, its);
        });
        if (progress.on_terminal()) progress.status("counting  " + so_far(reader, start), false);
    }
    const Tokenizer tokenizer = train_bpe(how, counts, [&](int done, int total) {
        if (progress.on_terminal())
            progress.status(fmt::format("merging  {:3.0f}%  {} of {} tokens", 100.0 * done / total, done, total),
                            false);
        if (stop_requested) throw Error(Exit::stopped, "--train-bpe", "stopped by a signal");
    });
    files::AtomicDirectory directory(out.parent_path().string(), out.filename().string(), replaceable(options));
    files::write_file(directory.path() + "/tokenizer.json", tokenizer_json(tokenizer));
    files::write_file(directory.path() + "/tokenizer_config.json", tokenizer_config_json(tokenizer));
    directory.commit();
    warn_of_repairs(reader);
    if (tokenizer.vocab_size() < options.train_bpe)
        warn(fmt::format("--train-bpe {}: no pair was left to merge after {} tokens", options.train_bpe,
                         tokenizer.vocab_size()));
    progress.note(fmt::format("done: {} tokens from {} different pieces in {}, saved {}/tokenizer.json",
                              tokenizer.vocab_size(), counts.size(), short_time(seconds() - start),
                              printable(options.out)));
    progress.note(fmt::format("next    ./train_gpt --tokenizer {} --data FILES", printable(options.out)));
    return Exit::done;
}

}  // namespace

Exit tokenize(const Options& options) {
    if (options.text) return print_ids(options), Exit::done;
    if (options.ids) return print_text(options), Exit::done;
    return options.train_bpe ? write_tokenizer(options) : write_shards(options);
}
