// llm.c's model checkpoints. The layout is made only where the file's size has proved the header.
#include "host/checkpoint/llmc.h"

#include "fuzz.h"
#include "host/model/gpt.h"

void fuzz(std::string_view input) {
    accepts([&] {
        const std::string path = file_of(input);
        const ModelDescription model = llmc::read_description(path);
        const Gpt<Cpu<float>> gpt(model.config, 1, Recompute::none, Cpu<float>());
        llmc::load_weights(path, model.config, gpt.weights, [](const Parameter& row, std::span<const float> values) {
            expect(values.size() == row.size(), "a whole row");
        });
    });
}
