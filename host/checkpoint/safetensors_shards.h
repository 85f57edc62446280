// The tensors of a directory: of model.safetensors, or of the shards that model.safetensors.index.json lists.
#pragma once
#include <map>
#include <memory>

#include "safetensors.h"

class TensorFiles {
public:
    struct Found {
        const safetensors::Reader* file;
        const safetensors::Tensor* tensor;
    };

    // Opens all of them and reads their headers. Throws Error{input} naming file, tensor and reason.
    explicit TensorFiles(const std::string& directory);
    const std::map<std::string, Found>& tensors() const { return all; }
    const Found* find(const std::string& name) const;  // null: there is none
    const std::string& path() const { return first; }  // to name in messages

private:
    std::vector<std::unique_ptr<safetensors::Reader>> readers;
    std::map<std::string, Found> all;
    std::string first;

    const safetensors::Reader& open(const std::string& file);
    void open_shards(const std::string& directory, const std::string& index);
};
