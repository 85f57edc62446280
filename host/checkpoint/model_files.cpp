#include "model_files.h"
#include <sys/stat.h>
#include <algorithm>
#include <filesystem>
#include "checkpoint.h"
#include "course_model.h"
#include "host/base/error.h"
#include "host/base/json.h"
#include "huggingface_config.h"
#include "huggingface_weights.h"
#include "llmc.h"

namespace {

// Weights without a description of their model, or in a format that is not read.
void refuse_files(const std::string& path) {
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) return;
    const auto is = [&](const char* end) { return path.ends_with(end); };
    if (is(".safetensors") || is(".json"))
        throw Error(Exit::input, path, "is one file of a model", "give its directory, which has config.json too");
    const char* format = is(".gguf") ? "GGUF" : is(".pt") || is(".pth") || is(".ckpt") ? "PyTorch" : nullptr;
    throw Error(Exit::input, path,
                format ? std::string("is in the format of ") + format + ", which is not read" : "is no model",
                "give a directory with config.json and model.safetensors, as transformers' save_pretrained writes it");
}

constexpr uint64_t longest = 1 << 20;  // of a configuration

void read_generation_config(ModelDescription& model, const std::string& path) {
    model.ends = model.special.eos;
    const std::string file = path + "/generation_config.json";
    if (!files::exists(file)) return;
    const std::vector<int> ends = ends_of_generation_config(model, read_json(file, longest), file);
    if (!ends.empty()) model.ends = ends;
}

void warn_of_ignored_ids(ModelDescription& model, const std::string& path) {
    std::vector<std::string>& ids = model.ignored_ids;
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());  // both files say the same, as a rule
    if (ids.empty()) return;
    std::string names;
    for (const std::string& id : ids) names += (names.empty() ? "" : ", ") + id;
    model.warnings.push_back(path + ": " + names + ": beyond the vocabulary of " + std::to_string(model.config.V) +
                             ", ignored");
}

// As transformers 5 does: a head of its own is used, whatever config.json says.
void untie_other_head(ModelDescription& model, const std::string& path) {
    if (!model.config.tied || !huggingface::has_other_head(path)) return;
    model.config.tied = false;
    model.warnings.push_back(path +
                             ": config.json says that the head is the token embedding (tie_word_embeddings), but the "
                             "file has another lm_head.weight, which is used");
}

bool is_ours_or_weights(const std::string& name) {
    for (const char* ours : {"config.json", "model_config.json", "manifest.json", "state.json", "tokenizer.json"})
        if (name == ours) return true;
    for (const char* weights : {".safetensors", ".index.json", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5",
                                ".msgpack", ".onnx", ".npz", ".pkl", ".tmp", "~"})
        if (name.ends_with(weights)) return true;
    return name.starts_with('.');
}

bool is_tokenizers(const std::string& name) {
    for (const char* prefix :
         {"tokenizer", "vocab", "merges", "encoder", "special_tokens_map", "added_tokens", "chat_template"})
        if (name.starts_with(prefix)) return true;
    return name.ends_with(".tiktoken") || name.ends_with(".model");
}

}  // namespace

std::vector<std::pair<std::string, std::string>> companion_files(const std::string& directory, Companions which) {
    constexpr int64_t largest = 32 << 20;
    std::vector<std::pair<std::string, std::string>> found;
    if (llmc::is_checkpoint(directory)) return found;
    for (const std::string& name : files::list(directory)) {
        const std::string path = directory + "/" + name;
        struct stat status;
        if (is_ours_or_weights(name)) continue;
        if (which != Companions::all && is_tokenizers(name) != (which == Companions::tokenizer)) continue;
        if (stat(path.c_str(), &status) || !S_ISREG(status.st_mode) || status.st_size > largest) continue;
        found.emplace_back(name, files::read_file(path, uint64_t(largest)));
    }
    return found;
}

ModelDescription read_model_description(const std::string& path) {
    if (llmc::is_checkpoint(path)) return llmc::read_description(path);
    refuse_files(path);
    const std::string file = path + "/config.json", course = path + "/model_config.json";
    if (!files::exists(file) && files::exists(course))
        return course_model_from_json(read_json(course, longest), course);
    for (const char* name : {"config.json", "tokenizer.json"}) require_as_listed(path, name);
    ModelDescription model = model_from_json(read_json(file, longest), file);
    untie_other_head(model, path);
    read_generation_config(model, path);
    warn_of_ignored_ids(model, path);
    return model;
}

// Tensors have the names of the model as it was written: with other windows it may be one of another family.
static Config with_written_windows(const std::string& path, Config c) {
    const std::string file = path + "/config.json";
    if (!files::exists(file)) return c;
    Json json = read_json(file, longest);
    json.erase("auto_map");  // of which was told when the description was read
    const Config written = model_from_json(json, file).config;
    c.window = written.window, c.window_from = written.window_from, c.full_every = written.full_every;
    return c;
}

void load_weights(const std::string& path, const Config& config, const Layout& layout, const SetParameter& set) {
    if (llmc::is_checkpoint(path)) return llmc::load_weights(path, config, layout, set);
    require_as_listed(path, "model.safetensors");
    huggingface::load_weights(path, with_written_windows(path, config), layout, set);
}

void check_weights(const std::string& path, const Config& config, const Layout& layout) {
    if (llmc::is_checkpoint(path)) llmc::check_weights(path, config);
    else huggingface::check_weights(path, with_written_windows(path, config), layout);
}
