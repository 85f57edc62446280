// How fast text is written, on any device.
#pragma once
#include "bench.h"
#include "host/generate/generator_cached.h"

// Bytes that a step must read: every weight but the embedding's once (of a tied one all, as it is the head), and the
// keys and values of B texts of `length` tokens.
inline double bytes_of_step(const Config& c, size_t element_bytes, int B, int length) {
    const size_t parameters = Gpt<Cpu<float>>(c, 1, Recompute::none, {}).parameters();  // its layout only
    const double embedding =
        (c.tied ? 0 : double(c.V) * c.C) + (c.position == Position::learned ? double(c.T) * c.C : 0);
    return double(element_bytes) * (double(parameters) - embedding + 2.0 * B * c.L * c.NKV * c.HS * length);
}

// Seconds: until the first tokens are there, and from token to token, on average and at best.
struct WritingTime {
    double first, step, shortest;
};

// Writes B texts of `tokens` tokens each after prompts of `prompt` tokens. The model's weights may be anything.
template <class Device>
WritingTime time_writing(Gpt<Device>& model, int B, int prompt, int tokens) {
    const Generation how{.sampling = {.temperature = 0}, .tokens = tokens, .context = model.T};
    Generator<Device> generator(model, how, B, prompt + tokens);
    const auto run = [&](int wanted) {  // the times of so many tokens of the first text
        std::vector<GeneratedText> texts(B, GeneratedText{std::vector<int>(prompt), 0});
        for (int b = 0; b < B; b++)
            for (int i = 0; i < prompt; i++) texts[b].tokens[i] = (7 * i + b) % model.V;
        std::vector<double> times;
        const auto start = std::chrono::steady_clock::now();
        generator.write(texts, [&](size_t text, int) {
            if (text == 0)
                times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
            return int(times.size()) < wanted;
        });
        return times;
    };
    run(3);  // warms up, and a GPU records the step
    const std::vector<double> times = run(tokens);
    WritingTime time{times[0], (times.back() - times[0]) / double(times.size() - 1), times.back()};
    for (size_t i = 1; i < times.size(); i++) time.shortest = std::min(time.shortest, times[i] - times[i - 1]);
    return time;
}
