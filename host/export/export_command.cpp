#include "export_command.h"
#include <fmt/core.h>
#include <sys/stat.h>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include "gguf_model.h"
#include "gguf_tokenizer.h"
#include "host/base/atomic_file.h"
#include "host/base/messages.h"
#include "host/base/progress.h"
#include "host/base/signals.h"
#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/model_files.h"
#include "host/model/tables.h"
#include "host/options/model_options.h"
#include "host/tokenizer/load_tokenizer.h"

namespace {

struct Stopped {};  // by a signal

// Where the file goes, links followed.
std::string checked_target(const Options& options) {
    const std::string flag = "--gguf " + printable(options.gguf);
    const auto refuse = [&](const std::string& why, const std::string& hint = "name another file") {
        throw Error(Exit::usage, flag, why, hint);
    };
    if (!files::exists(options.gguf)) return options.gguf;
    struct stat status;
    char real[PATH_MAX];
    if (!realpath(options.gguf.c_str(), real) || stat(real, &status)) refuse("is a link that leads nowhere");
    if (!S_ISREG(status.st_mode)) refuse(S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file");
    if (!options.overwrite) refuse("exists", "name another file, or add --overwrite");
    const files::Reader old(real);
    std::string begin(std::min<uint64_t>(4, old.size()), '\0');
    old.read(begin.data(), begin.size(), 0);
    if (!begin.empty() && begin != "GGUF") refuse("is not replaced: it is no GGUF file");
    return real;
}

// runs/tiny-1/best -> tiny-1
std::string name_of_model(const std::string& path) {
    std::error_code ignored;
    std::filesystem::path at = files::without_slash(std::filesystem::absolute(path, ignored));
    const std::string last = at.filename().string();
    if (last == "best" || last == "latest" || last.starts_with("step_")) at = at.parent_path();
    return printable(at.filename().string());
}

gguf::TokenizerMetadata tokenizer_of(const Options& options, const ModelDescription& model,
                                     const std::string& directory) {
    if (options.tokenizer == "none") return {gguf::no_tokenizer(), {}};
    if (options.has("tokenizer"))
        return gguf::tokenizer_metadata(given_tokenizer(options), model, "",
                                        "--tokenizer " + printable(options.tokenizer));
    if (!has_tokenizer(directory))
        throw Error(Exit::input, directory, "has no tokenizer",
                    "give --tokenizer PATH, or none for a file without one");
    const std::string chat = directory + "/chat_template.jinja";
    constexpr uint64_t longest = 1 << 20;
    return gguf::tokenizer_metadata(load_tokenizer(directory, options.pattern), model,
                                    files::exists(chat) ? files::read_file(chat, longest) : "", directory);
}

// Writes each tensor when the model's files give its parameter: memory is needed for the largest alone.
class TensorStream {
public:
    TensorStream(gguf::Writer& writer, const Config& config, const std::vector<gguf::TensorSource>& sources)
        : writer(writer), config(config), sources(sources) {
        while (next < sources.size() && !parameter()) write_constant(sources[next++]);
    }

    void give(const Parameter& given, std::span<const float> values) {
        if (stop_requested) throw Stopped();
        REQUIRE(parameter() == &given);
        for (; parameter() == &given; next++) write_rows(*sources[next].rows, values);
    }

private:
    const Parameter* parameter() const {
        const bool any = next < sources.size() && sources[next].rows;
        return any ? sources[next].rows->parameter : nullptr;
    }

    void write_constant(const gguf::TensorSource& source) {
        if (!source.rows) return writer.write(gguf::rope_factors(config));
        std::vector<float> values(source.rows->size());
        for (size_t i = 0; i < values.size(); i++) values[i] = constant(*source.rows, i);
        writer.write(values);
    }

    void write_rows(const MappedTensor& e, std::span<const float> values) {
        if (e.as_it_is()) return writer.write(values.subspan(e.first * e.width, e.size()));
        ordered.clear();
        for (size_t r = 0; r < e.rows; r++) {
            const auto row = values.subspan(e.our_row(r) * e.width, e.width);
            ordered.insert(ordered.end(), row.begin(), row.end());
        }
        writer.write(ordered);
    }

    gguf::Writer& writer;
    const Config& config;
    const std::vector<gguf::TensorSource>& sources;
    size_t next = 0;
    std::vector<float> ordered;
};

}  // namespace

Exit export_gguf(const Options& options) {
    const std::string target = checked_target(options), directory = model_directory(options.model);
    const ModelDescription model = read_model_description(directory);
    const GgufType type =
        options.type.value_or(model.dtype == safetensors::Dtype::BF16 ? GgufType::bf16 : GgufType::f32);
    gguf::Metadata metadata = gguf::model_metadata(model.config, type, name_of_model(options.model));
    const gguf::TokenizerMetadata tokenizer = tokenizer_of(options, model, directory);
    metadata.insert(metadata.end(), tokenizer.metadata.begin(), tokenizer.metadata.end());

    const GptTables tables(model.config, 1, Recompute::none, {.vocab_multiple = 1, .element_bytes = 4});
    check_weights(directory, model.config, tables.weights);
    const std::vector<gguf::TensorSource> sources = gguf::tensor_sources(model.config, tables.weights, type);
    std::vector<gguf::Tensor> tensors;
    for (const gguf::TensorSource& source : sources) tensors.push_back(source.tensor);
    const uint64_t bytes = gguf::Writer::file_bytes(metadata, tensors);

    files::AtomicFile file(target);
    const std::string parent = std::filesystem::path(target).parent_path().string();
    files::require_space(parent.empty() ? "." : parent, bytes);
    gguf::Writer writer(file.writer(), metadata, std::move(tensors));
    TensorStream stream(writer, model.config, sources);
    try {
        load_weights(
            directory, model.config, tables.weights,
            [&](const Parameter& parameter, std::span<const float> values) { stream.give(parameter, values); });
    } catch (const Stopped&) { return Exit::stopped; }
    writer.finish();
    file.commit();
    for (const std::string& warning : model.warnings) warn(warning);
    for (const std::string& warning : tokenizer.warnings) warn(warning);
    const auto halves = std::ranges::count_if(
        sources, [&](const gguf::TensorSource& s) { return type == GgufType::q8_0 && s.tensor.type == GgufType::f16; });
    if (halves)
        warn(fmt::format("{} tensors have rows that are no multiple of {} values: they are f16", halves, gguf::block));
    print_piece(fmt::format("wrote {}: {}, {} tensors as {}, {:.1f} MB\n", printable(options.gguf),
                            gguf::architecture_of(model.config).name, sources.size(), name_of(type),
                            double(bytes) / 1e6));
    return Exit::done;
}
