// model.safetensors.index.json beside two shards.
#include "fuzz.h"
#include "host/checkpoint/safetensors_shards.h"

namespace {
void write_shard(const std::string& path, const std::string& name) {
    safetensors::Writer writer(path, {{name, safetensors::Dtype::F32, {1}}});
    writer.write(std::vector<float>{1});
    writer.close();
}
}  // namespace

void fuzz(std::string_view input) {
    static const FuzzDirectory directory;
    static const bool once = (write_shard(directory.path + "/a", "x"), write_shard(directory.path + "/b", "y"), true);
    directory.write("model.safetensors.index.json", input);
    accepts([&] {
        const TensorFiles all(directory.path);
        expect(once && all.tensors().size() <= 2, "only the shards' tensors");
    });
}
