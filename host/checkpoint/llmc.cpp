#include "llmc.h"

#include <algorithm>
#include <array>

#include "config_json.h"

using safetensors::Dtype;

namespace llmc {

namespace {

constexpr uint32_t magic = 20240326, llama_magic = 20240803, shard_magic = 20240520;
constexpr uint64_t header_bytes = 1024;

// The file's order; * is the layer. Within a tensor ours is the same: queries, keys, values; no weight is transposed.
constexpr const char* order[] = {"wte",
                                 "wpe",
                                 "h.*.norm1.weight",
                                 "h.*.norm1.bias",
                                 "h.*.qkv.weight",
                                 "h.*.qkv.bias",
                                 "h.*.proj.weight",
                                 "h.*.proj.bias",
                                 "h.*.norm2.weight",
                                 "h.*.norm2.bias",
                                 "h.*.up.weight",
                                 "h.*.up.bias",
                                 "h.*.down.weight",
                                 "h.*.down.bias",
                                 "norm_f.weight",
                                 "norm_f.bias"};

struct Header {
    ModelDescription model;
    uint64_t padded = 0;
};

[[noreturn]] void refuse(const std::string& path, const std::string& reason, const std::string& hint = "") {
    throw Error(Exit::input, path, reason,
                hint.empty() ? "llm.c's GPT-2 checkpoints, versions 3 and 5, are read" : hint);
}

// problems() limits all sizes, so these products stay far below 2^64.
uint64_t values_in_file(const Config& c, uint64_t padded) {
    const uint64_t C = uint64_t(c.C), layer = 12 * C * C + 13 * C;
    return (padded + uint64_t(c.T)) * C + uint64_t(c.L) * layer + 2 * C;
}

Header read_header(const files::Reader& file) {
    const std::string& path = file.path();
    if (file.size() < header_bytes)
        refuse(path, "has only " + std::to_string(file.size()) + " bytes, its header takes 1024");
    std::array<uint32_t, 8> head;
    file.read(head.data(), sizeof head, 0);
    if (head[0] == llama_magic)
        refuse(path, "is llm.c's Llama 3, whose header does not hold the model's numbers exactly",
               "export it for Hugging Face");
    if (head[0] == shard_magic) refuse(path, "holds tokens, not weights", "it is for --data");
    if (head[0] != magic)
        refuse(path, "is not a checkpoint of llm.c: its first number is " + std::to_string(head[0]) + ", not 20240326");
    if (head[1] != 3 && head[1] != 5) refuse(path, "is of version " + std::to_string(head[1]));
    Header h;
    Config& c = h.model.config;
    for (int i = 2; i < 8; i++)
        if (head[i] == 0 || head[i] > uint32_t(1) << 30)
            refuse(path, "number " + std::to_string(i) + " of its header is " + std::to_string(int32_t(head[i])));
    c.T = int(head[2]), c.V = int(head[3]), c.L = int(head[4]), c.NH = c.NKV = int(head[5]), c.C = int(head[6]);
    if (c.C % c.NH)
        refuse(path, "a width of " + std::to_string(c.C) + " cannot hold " + std::to_string(c.NH) + " heads");
    c.HS = c.C / c.NH, c.F = 4 * std::min(c.C, 1 << 24);
    h.padded = head[7];
    if (const auto wrong = problems(c); !wrong.empty()) refuse(path, wrong.front());
    if (h.padded < head[3]) refuse(path, "its embedding has fewer rows than its vocabulary");
    h.model.dtype = head[1] == 5 ? Dtype::BF16 : Dtype::F32;
    if (c.V == 50257) h.model.special = {.bos = 50256, .pad = -1, .eos = {50256}};
    const uint64_t expected =
        header_bytes + values_in_file(c, h.padded) * uint64_t(safetensors::bits(h.model.dtype)) / 8;
    if (file.size() != expected)
        refuse(
            path,
            "has " + std::to_string(file.size()) + " bytes where its header's model takes " + std::to_string(expected),
            "it is truncated or damaged");
    return h;
}

}  // namespace

bool is_checkpoint(const std::string& path) { return path.ends_with(".bin"); }

ModelDescription read_description(const std::string& path) { return read_header(files::Reader(path)).model; }

void check_weights(const std::string& path, const Config& config) {
    Config there = read_description(path).config;
    there.dropout = config.dropout, there.init_std = config.init_std, there.init = config.init;  // not in the file
    if (const auto changed = differences(to_json(there), to_json(config), "in the file", "asked for"); !changed.empty())
        refuse(path, changed.front(), "its weights have the sizes they have");
}

void load_weights(const std::string& path, const Config& config, const Layout& layout, const SetParameter& set) {
    check_weights(path, config);
    const files::Reader file(path);
    const Header h = read_header(file);
    const uint64_t width = uint64_t(safetensors::bits(h.model.dtype)) / 8;
    uint64_t at = header_bytes;
    size_t rows = 0;
    std::vector<float> values;
    for (const std::string pattern : order) {
        const size_t star = pattern.find('*');
        for (int l = 0; l < (star == pattern.npos ? 1 : config.L); l++) {
            std::string name = pattern;
            if (star != name.npos) name.replace(star, 1, std::to_string(l));
            const auto row = std::find_if(layout.parameters.begin(), layout.parameters.end(),
                                          [&](const Parameter& r) { return r.name == name; });
            REQUIRE(row != layout.parameters.end());
            values.resize(row->size());
            safetensors::read_floats(file, h.model.dtype, at, values);
            safetensors::require_finite(values, path, name);
            set(*row, values);
            at += (name == "wte" ? h.padded * uint64_t(config.C) : uint64_t(row->size())) * width;
            rows++;
        }
    }
    REQUIRE(at == file.size() && rows == layout.parameters.size());
}

}  // namespace llmc
