#include "safetensors_shards.h"

#include <filesystem>

#include "host/base/json.h"

namespace fs = std::filesystem;

namespace {

constexpr uint64_t longest_index = 100 << 20;

bool is_inside(const fs::path& path, const fs::path& directory) {
    const fs::path relative = path.lexically_relative(directory);
    return !relative.empty() && *relative.begin() != "..";
}

// A shard may be a link, but only to a file of its own directory, or, as Hugging Face's cache has it (MODEL/snapshots/
// REVISION/FILE is a link to MODEL/blobs/HASH), of the `blobs` beside the snapshots.
void require_confined(const std::string& index, const std::string& directory, const std::string& shard) {
    std::error_code error;
    const fs::path home = fs::canonical(directory, error), file = fs::canonical(directory + "/" + shard, error);
    if (error) throw Error(Exit::input, directory + "/" + shard, error.message());
    const bool cache = home.parent_path().filename() == "snapshots";
    if (is_inside(file, home) || (cache && is_inside(file, home.parent_path().parent_path() / "blobs"))) return;
    throw Error(Exit::input, index, shard + " is a link to " + file.string() + ", outside the directory",
                "copy the file into it");
}

// torch.compile puts this before every name.
std::string plain_name(const std::string& name) {
    const std::string wrapper = "_orig_mod.";
    return name.starts_with(wrapper) ? name.substr(wrapper.size()) : name;
}

}  // namespace

TensorFiles::TensorFiles(const std::string& directory) : first(directory + "/model.safetensors") {
    const std::string index = first + ".index.json";
    if (files::exists(first)) open(first);
    else if (files::exists(index)) open_shards(directory, first = index);
    else {
        for (const char* pickle : {"pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt"})
            if (files::exists(directory + "/" + pickle))
                throw Error(Exit::input, directory,
                            std::string("holds only ") + pickle + ", a pickle, which is not read",
                            "save it with safetensors");
        throw Error(Exit::input, first, "No such file or directory");
    }
}

const TensorFiles::Found* TensorFiles::find(const std::string& name) const {
    const auto found = all.find(name);
    return found == all.end() ? nullptr : &found->second;
}

const safetensors::Reader& TensorFiles::open(const std::string& file) {
    readers.push_back(std::make_unique<safetensors::Reader>(file));
    for (const safetensors::Tensor& t : readers.back()->tensors())
        if (!all.emplace(plain_name(t.name), Found{readers.back().get(), &t}).second)
            throw Error(Exit::input, file, "tensor " + t.name + " stands there twice, or in another shard too");
    return *readers.back();
}

void TensorFiles::open_shards(const std::string& directory, const std::string& index) {
    const auto json = parse_large_json(files::read_file(index, longest_index), index);
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object() ||
        json["weight_map"].empty())
        throw Error(Exit::input, index, "weight_map must list the tensors");
    std::map<std::string, const safetensors::Reader*> shards;
    for (const auto& [name, file] : json["weight_map"].items()) {
        const std::string shard = file.is_string() ? file.get<std::string>() : "";
        if (shard.empty() || shard[0] == '.' || shard.find_first_of(std::string("/\\\0", 3)) != shard.npos)
            throw Error(Exit::input, index,
                        "tensor " + name + ": " + file.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
                            " is not the name of a file beside it");
        if (!shards.contains(shard)) {
            require_confined(index, directory, shard);
            shards[shard] = &open(directory + "/" + shard);
        }
        if (!shards[shard]->find(name))
            throw Error(Exit::input, directory + "/" + shard, "tensor " + name + " is missing");
    }
}
