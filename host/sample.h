// `train_gpt sample`: text from a saved model, for any device.
#pragma once
#include <filesystem>
#include "commands.h"
#include "generate.h"
#include "huggingface.h"
#include "inference.h"
#include "options.h"
#include "run.h"
#include "signals.h"
#include "tokenizer.h"

template <class Device>
Exit sample(const Options& options, const Device& on) {
    const std::string directory = model_directory(options.model);
    const ModelDescription description = read_model_description(directory);
    const Tokenizer tokenizer = load_tokenizer(directory);
    const Config& config = description.config;
    check_weights(directory, config, Gpt<Device>(config, 1, Recompute::none, on).weights);

    Gpt<Device> model(config, config.T, Recompute::block, on);      // one block's activations serve all: nothing is kept for backward
    model.allocate(Use::infer);
    load_weights(directory, config, model.weights, [&](const Row& row, std::span<const float> values) {
        upload_as(model.w[row.slot], values, on);
    });
    const BatchBuffer<Device> buffer(config.T, on);
    std::vector<int> prompt = tokenizer.encode(options.prompt.value_or("\n"), Specials::recognised);
    if (description.special.bos >= 0 && prompt[0] != description.special.bos) prompt.insert(prompt.begin(), description.special.bos);

    Generation how{.sampling = sampling_of(options), .tokens = options.tokens, .seed = options.seed, .index = 0,
                   .context = config.T, .separator = description.special.bos};
    for (int i = 0; i < options.count && !stop_requested; i++) {
        how.index = uint32_t(i);
        std::vector<int> tokens = prompt;
        StreamDecoder decoder{tokenizer};
        if (options.prompt) print_piece(*options.prompt);
        generate(tokens, how, [&](const std::vector<int>& given) { return next_logits(model, buffer, given); },
                 [&](int token) { print_piece(decoder.push(token)); return !stop_requested; });
        print_piece(decoder.flush() + "\n");
        if (i + 1 < options.count) print_piece("---\n");
    }
    return stop_requested ? Exit::stopped : Exit::done;
}
