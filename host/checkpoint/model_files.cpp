#include "model_files.h"
#include "course_model.h"
#include "host/base/json.h"
#include "huggingface_config.h"
#include "huggingface_weights.h"
#include "llmc.h"

ModelDescription read_model_description(const std::string& path) {
    constexpr uint64_t longest = 1 << 20;
    if (llmc::is_checkpoint(path)) return llmc::read_description(path);
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
