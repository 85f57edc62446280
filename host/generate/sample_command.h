// `train_gpt sample`: text from a saved model, for any device.
#pragma once
#include <cstdio>
#include "generator_cached.h"
#include "host/base/messages.h"
#include "host/base/signals.h"
#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/load_model.h"
#include "host/checkpoint/model_files.h"
#include "host/options/model_options.h"
#include "host/tokenizer/load_tokenizer.h"
#include "prompts.h"

template <class Device>
class Sampler {
public:
    Sampler(const Options& options, const Device& on)
        : options(options),
          on(on),
          directory(model_directory(options.model)),
          description(read_model_description(directory)),
          config(with_context(description.config, options.context)),
          its_tokenizer(options.tokenizer.empty() ? directory : options.tokenizer),
          tokenizer(options.tokenizer.empty() ? load_tokenizer(directory, options.pattern) : given_tokenizer(options)) {
        check_weights(directory, config, Gpt<Device>(config, 1, Recompute::none, on).weights);
        const int context = options.context.value_or(options.interactive ? std::min(config.T, 4096) : config.T);
        how = {.sampling = sampling_of(options),
               .repetition_penalty = float(options.repetition_penalty),
               .tokens = options.tokens,
               .seed = options.seed,
               .context = context,
               .separator = description.special.bos};
        if (!options.ignore_eos) how.ends = description.ends;
        for (const std::string& warning : description.warnings) warn(warning);
        warn_of_extension(description.config, config);
    }

    int context() const { return how.context; }

    // Loads the model for `count` texts at most, with prompts of at most so many tokens.
    void load(size_t longest_prompt, size_t count) {
        const size_t context = how.context, whole = longest_prompt + how.tokens;
        length = int(std::min(context, whole));
        const size_t of_cache = sizeof(typename Device::Real) * 2 * config.L * config.NKV * config.HS * length;
        const size_t fit = std::max<size_t>(most_cache_bytes / of_cache, 1);
        B = options.cache ? int(std::min({count, size_t(options.batch), size_t(linear_few), fit})) : 1;
        const size_t at_once = !options.cache ? length : whole > context ? context : longest_prompt;
        model.emplace(config, std::max(int(at_once), B), Recompute::block, on, B);
        load_model(*model, directory);  // one block's activations serve all: nothing is kept for backward
        if (options.cache) generator.emplace(*model, how, B, length);
    }

    // Writes --count texts for every prompt.
    void write(const std::vector<std::string>& prompts) {
        std::vector<GeneratedText> texts;
        std::vector<std::string> beginnings;
        size_t longest = 0;
        for (const std::string& prompt : prompts) {
            const std::vector<int> tokens =
                prompt.empty() ? without_prompt(tokenizer, description.special)
                               : prompt_tokens(tokenizer, description, prompt, its_tokenizer, options.bos);
            longest = std::max(longest, tokens.size());
            for (int i = 0; i < options.count; i++) {
                texts.push_back({tokens, number++});
                beginnings.push_back(prompt);
            }
        }
        if (!model) load(longest, texts.size());
        TextPrinter printer(tokenizer, beginnings);
        const auto each = [&](size_t i, int token) {
            printer.add(i, token);
            return !stop_requested;
        };
        try {
            if (generator) generator->write(texts, each, [&](size_t i) { printer.end(i); });
            else write_without_cache(texts, each, printer);
        } catch (const Error&) {
            printer.finish();  // its line, before that of the error
            throw;
        }
        if (stop_requested) printer.finish();
    }

private:
    static constexpr size_t most_cache_bytes = size_t(4) << 30;  // for several texts at a time; one gets what it needs

    void write_without_cache(std::vector<GeneratedText>& texts, const std::function<bool(size_t, int)>& each,
                             TextPrinter& printer) {
        const BatchBuffer<Device> buffer(length, model->c.window, on);
        for (size_t i = 0; i < texts.size() && !stop_requested; i++) {
            generate(
                texts[i], how, [&](std::span<const int> given) { return next_logits(*model, buffer, given); },
                [&](int token) { return each(i, token); });
            if (!stop_requested) printer.end(i);
        }
    }

    const Options& options;
    Device on;
    const std::string directory;  // of the model
    const ModelDescription description;
    const Config config;
    const std::string its_tokenizer;
    const Tokenizer tokenizer;
    Generation how;
    int B = 1, length = 0;  // texts at a time; tokens of the longest that the model sees
    uint32_t number = 0;    // of the next text
    std::optional<Gpt<Device>> model;
    std::optional<Generator<Device>> generator;
};

template <class Device>
Exit sample(const Options& options, const Device& on) {
    Sampler<Device> sampler(options, on);
    if (options.interactive) {
        sampler.load(sampler.context(), options.count);
        for (std::string prompt; !stop_requested && ask_for_prompt(prompt);) try {
                if (!prompt.empty()) sampler.write({prompt});
            } catch (const Error& error) {  // of this prompt; the next one may be better
                if (error.code != Exit::usage) throw;
                std::fputs(("error: " + printable(error.what()) + "\n").c_str(), stderr);
            }
    } else {
        sampler.write(options.prompt_file ? read_prompts(*options.prompt_file)
                                          : std::vector{options.prompt.value_or("")});
    }
    return stop_requested ? Exit::stopped : Exit::done;
}
