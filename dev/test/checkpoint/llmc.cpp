// llm.c's model checkpoints: every value lands where it should, and damaged files are refused before any does.
#include "host/checkpoint/llmc.h"

#include <cstring>

#include "dev/test/support/expect_error.h"
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/toy_model.h"
#include "host/checkpoint/config_json.h"
#include "host/checkpoint/model_files.h"

namespace {

Config toy() {
    return with(toy_gpt2(), [](Config& c) { c.F = 4 * c.C; });
}
constexpr int padded = 128;

struct File {
    std::vector<uint32_t> header = std::vector<uint32_t>(256);
    std::vector<float> values;  // in the file's order

    explicit File(uint32_t version) {
        const Config c = toy();
        const uint32_t numbers[] = {20240326,      version,        uint32_t(c.T), uint32_t(c.V),
                                    uint32_t(c.L), uint32_t(c.NH), uint32_t(c.C), padded};
        std::copy(std::begin(numbers), std::end(numbers), header.begin());
        const size_t C = size_t(c.C), L = size_t(c.L);
        values.resize(padded * C + c.T * C + L * (12 * C * C + 13 * C) + 2 * C);
        for (size_t i = 0; i < values.size(); i++) values[i] = float(i % 256);  // exact in bfloat16
    }
    std::string bytes() const {
        std::string all(reinterpret_cast<const char*>(header.data()), 1024);
        for (const float x : values) {
            uint32_t word;
            std::memcpy(&word, &x, 4);
            const uint16_t half = uint16_t(word >> 16);
            if (header[1] == 5) all.append(reinterpret_cast<const char*>(&half), 2);
            else all.append(reinterpret_cast<const char*>(&word), 4);
        }
        return all;
    }
};

float value_at(const ToyModel& model, const std::string& name, size_t index) {
    for (const Parameter& parameter : model.layout().parameters)
        if (parameter.name == name) return model.values(parameter)[index];
    throw std::runtime_error(name);
}

}  // namespace

TEST(llmc, every_value_has_its_place) {
    for (const uint32_t version : {3u, 5u}) {
        const Temporary dir;
        const std::string path = dir / "model.bin";
        overwrite(path, File(version).bytes());
        const ModelDescription description = read_model_description(path);
        EXPECT_EQ(to_json(description.config), to_json(toy()));
        EXPECT_EQ(description.dtype, version == 5 ? safetensors::Dtype::BF16 : safetensors::Dtype::F32);
        const ToyModel model(description.config);
        check_weights(path, description.config, model.layout());
        load_weights(path, description.config, model.layout(), model.set());
        // Where each tensor begins in the file, by llm.c's list of them; C is 8, L 2, T 6.
        const struct {
            const char* name;
            size_t begin, layer;
        } tensors[] = {{"wte", 0, 0},
                       {"wpe", 1024, 0},
                       {"norm1.weight", 1072, 8},
                       {"norm1.bias", 1088, 8},
                       {"qkv.weight", 1104, 192},
                       {"qkv.bias", 1488, 24},
                       {"proj.weight", 1536, 64},
                       {"proj.bias", 1664, 8},
                       {"norm2.weight", 1680, 8},
                       {"norm2.bias", 1696, 8},
                       {"up.weight", 1712, 256},
                       {"up.bias", 2224, 32},
                       {"down.weight", 2288, 256},
                       {"down.bias", 2800, 8},
                       {"norm_f.weight", 2816, 0},
                       {"norm_f.bias", 2824, 0}};
        for (const auto& t : tensors)
            for (size_t l = 0; l < (t.layer ? 2 : 1); l++)
                for (const size_t i : {0, 5})
                    EXPECT_EQ(value_at(model, (t.layer ? "h." + std::to_string(l) + "." : "") + t.name, i),
                              float((t.begin + l * t.layer + i) % 256))
                        << t.name << " of layer " << l;
        EXPECT_EQ(value_at(model, "wte", 87), 87);  // and nothing of the rows that pad it
    }
}

TEST(llmc, damaged_checkpoints_are_refused) {
    const Temporary dir;
    const std::string path = dir / "model.bin", good = File(3).bytes();
    const auto refuse = [&](const std::string& bytes, std::initializer_list<std::string> words) {
        overwrite(path, bytes);
        expect_error(Exit::input, words, [&] { read_model_description(path); });
    };
    const auto with_number = [&](int index, uint32_t value) {
        File file(3);
        file.header[size_t(index)] = value;
        return file.bytes();
    };
    refuse("", {"model.bin", "only 0 bytes"});
    refuse(good.substr(0, 1023), {"only 1023 bytes"});
    refuse(good.substr(0, 1024), {"has 1024 bytes where its header's model takes 12352", "truncated"});
    refuse(good.substr(0, good.size() - 1), {"truncated"});
    refuse(good + "x", {"truncated or damaged"});
    refuse(with_number(0, 20240520), {"holds tokens", "--data"});
    refuse(with_number(0, 20240803), {"Llama 3"});
    refuse(with_number(0, 7), {"first number is 7"});
    refuse(with_number(1, 4), {"version 4"});
    for (int i = 2; i < 8; i++)
        for (const uint32_t bad : {0u, 0x80000000u, 0xFFFFFFFFu, 0x3FFFFFFFu})
            refuse(with_number(i, bad), {"model.bin"});
    refuse(with_number(5, 3), {"width of 8 cannot hold 3 heads"});
    refuse(with_number(7, 5), {"fewer rows"});
    refuse(with_number(2, 7), {"truncated"});

    overwrite(path, good);
    const Config other = with(toy(), [](Config& c) { c.L = 1; });
    const ToyModel model(other);
    const auto nothing = [](const Parameter& parameter, std::span<const float>) { FAIL() << parameter.name; };
    expect_error(Exit::input, {"L: 2 in the file, 1 asked for"},
                 [&] { load_weights(path, other, model.layout(), nothing); });
    expect_error(Exit::input, {"L: 2"}, [&] { check_weights(path, other, model.layout()); });
}
