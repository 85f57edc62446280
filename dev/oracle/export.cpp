#include "export.h"

#include <cstdio>
#include <filesystem>

#include "dev/test/model/golden_models.h"
#include "dev/test/support/toy_model.h"
#include "host/base/files.h"
#include "host/checkpoint/huggingface_config.h"
#include "host/checkpoint/huggingface_weights.h"
#include "host/checkpoint/model_files.h"

namespace {

// Tokens and logits (T,V) of one sequence, as float.
void save_answer(const std::string& path, ToyModel& model) {
    const Config& c = model.gpt.c;
    std::vector<float> padded = model.logits(), logits, tokens;
    for (int t = 0; t < c.T; t++) {
        tokens.push_back(float(ToyModel::token_at(t, c.V)));
        logits.insert(logits.end(), &padded[size_t(t) * model.gpt.P], &padded[size_t(t) * model.gpt.P] + c.V);
    }
    safetensors::Writer writer(path, {{"logits", safetensors::Dtype::F32, {uint64_t(c.T), uint64_t(c.V)}},
                                      {"tokens", safetensors::Dtype::F32, {uint64_t(c.T)}}});
    writer.write(logits);  // by name
    writer.write(tokens);
    writer.close();
}

void save_model(const std::string& directory, ToyModel& model, safetensors::Dtype dtype) {
    files::make_directories(directory);
    const ModelDescription description{model.gpt.c, {0, -1, {0}}, dtype};
    files::write_file(directory + "/config.json", to_text(to_json(description)));
    files::write_file(directory + "/generation_config.json", to_text(generation_config(description.special)));
    save_weights(directory, description, model.layout(), model.get());
    load_weights(directory, model.gpt.c, model.layout(), model.set());  // as rounded
    save_answer(directory + "/ours.safetensors", model);
    std::printf("%s\n", directory.c_str());
}

}  // namespace

int export_models(const std::string& directory) {
    using safetensors::Dtype;
    for (const golden::Model& m : golden::models()) {
        const std::string from = std::string("dev/oracle/models/") + m.name, to = directory + "/" + m.name;
        if (std::filesystem::exists(to)) continue;  // another way to run the same model
        Config c = read_model_description(from).config;
        m.change(c);
        ToyModel model(c);
        load_weights(from, c, model.layout(), model.set());
        save_model(to, model, Dtype::F32);
    }
    for (const ToyCase& k : toy_cases()) {
        if (k.family == Family::native) continue;  // transformers does not have these
        ToyModel model(k.config);
        save_model(directory + "/toy_" + k.name, model, Dtype::F32);
        if (k.config.position == Position::sinusoidal) continue;  // a table for them: rounded, it is not the function
        save_model(directory + "/toy_" + k.name + "_bf16", model, Dtype::BF16);
    }
    return 0;
}
