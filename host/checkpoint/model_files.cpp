#include "model_files.h"
#include <filesystem>
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

}  // namespace

ModelDescription read_model_description(const std::string& path) {
    constexpr uint64_t longest = 1 << 20;
    if (llmc::is_checkpoint(path)) return llmc::read_description(path);
    refuse_files(path);
    const std::string file = path + "/config.json", course = path + "/model_config.json";
    if (!files::exists(file) && files::exists(course))
        return course_model_from_json(read_json(course, longest), course);
    return model_from_json(read_json(file, longest), file);
}

void load_weights(const std::string& path, const Config& config, const Layout& layout, const SetParameter& set) {
    if (llmc::is_checkpoint(path)) llmc::load_weights(path, config, layout, set);
    else huggingface::load_weights(path, config, layout, set);
}

void check_weights(const std::string& path, const Config& config, const Layout& layout) {
    if (llmc::is_checkpoint(path)) llmc::check_weights(path, config);
    else huggingface::check_weights(path, config, layout);
}
