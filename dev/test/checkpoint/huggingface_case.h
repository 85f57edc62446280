// A toy model in a directory, and tensors written by hand.
#pragma once
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/toy_model.h"
#include "host/checkpoint/huggingface_config.h"
#include "host/checkpoint/huggingface_weights.h"
#include "host/checkpoint/model_files.h"

inline void write_json(const std::string& path, const Json& json) { overwrite(path, to_text(json)); }

inline ModelDescription save(const std::string& directory, const ToyModel& model,
                             safetensors::Dtype dtype = safetensors::Dtype::F32) {
    const ModelDescription description = {model.gpt.c, {}, dtype};
    write_json(directory + "/config.json", to_json(description));
    save_weights(directory, description, model.layout(), model.get());
    return description;
}

// The model in a directory, by what its config.json says.
inline ToyModel load(const std::string& directory) {
    ToyModel model(read_model_description(directory).config, 99);
    load_weights(directory, model.gpt.c, model.layout(), model.set());
    return model;
}

inline void forget_our_config(const std::string& directory) {
    Json json = read_json(directory + "/config.json");
    json.erase("gpt_cu");
    write_json(directory + "/config.json", json);
}

inline std::vector<float> tensor(const std::string& directory, const std::string& name) {
    const safetensors::Reader reader(directory + "/model.safetensors");
    const safetensors::Tensor* t = reader.find(name);
    if (!t) throw std::runtime_error("no tensor " + name);
    std::vector<float> values(t->elements());
    reader.read(values, *t);
    return values;
}

// Writes tensors by hand, as other programs would.
struct Named {
    std::string name;
    std::vector<uint64_t> shape;
    std::vector<float> values;
};
inline void write_tensors(const std::string& path, const std::vector<Named>& tensors) {
    std::vector<safetensors::Tensor> list;
    for (const Named& t : tensors) list.push_back({t.name, safetensors::Dtype::F32, t.shape});
    std::filesystem::remove(path);
    safetensors::Writer writer(path, list);
    for (const safetensors::Tensor& t : writer.tensors())
        for (const Named& n : tensors)
            if (n.name == t.name) writer.write(n.values);
    writer.close();
}
inline std::vector<Named> read_tensors(const std::string& path) {
    const safetensors::Reader reader(path);
    std::vector<Named> tensors;
    for (const safetensors::Tensor& t : reader.tensors()) {
        tensors.push_back({t.name, t.shape, std::vector<float>(t.elements())});
        reader.read(tensors.back().values, t);
    }
    return tensors;
}

inline std::string names_and_shapes(const std::string& path) {
    std::string text;
    for (const Named& t : read_tensors(path)) text += t.name + " " + safetensors::shape_text(t.shape) + "\n";
    return text;
}
