// Writes several texts at the same time with a cache of keys and values, on any device. A step reads a token of each
// text and draws the next. The work is the same every time, so a GPU replays one recorded graph.
#pragma once
#include <map>
#include <optional>
#include "generation.h"
#include "host/model/batch_buffer.h"

template <class Device>
class Generator {
public:
    using Real = typename Device::Real;
    using Each = std::function<bool(size_t text, int token)>;
    using Done = std::function<void(size_t text)>;

    // Up to B texts at a time (at most linear_few, so that a text gets the same logits whatever the others are), of
    // which the model sees at most T tokens: less than how.context where texts end before. The model, which must have
    // memory for as many tokens, gets a cache.
    Generator(Gpt<Device>& model, const Generation& how, int B, int T)
        : model(model), how(how), on(model.on), B(B), prompt(model.N_max, model.c.window, on) {
        REQUIRE(B >= 1 && B <= linear_few && B <= model.N_max && B <= model.head_rows && T <= how.context &&
                how.context <= model.T);
        model.allocate_cache(B, T);
        inputs = on.template allocate<int>(2 * B);
        picked = on.template allocate<int>(2 * B);
        uniforms = on.template allocate<float>(B);
        host_inputs = on.template allocate_host<int>(2 * B);
        host_picked = on.template allocate_host<int>(2 * B);
        host_uniforms = on.template allocate_host<float>(B);
        if (how.repetition_penalty != 1) seen = on.template allocate<unsigned char>(size_t(B) * model.V);
        places.resize(B);
    }

    // Extends every text to its end, in their order as places become free. `each` gets every new token of a text, those
    // of a text in order; where it returns false, all writing ends. `done` follows the last one. Throws Error{numeric}
    // at logits that are no numbers.
    void write(std::span<GeneratedText> texts, const Each& each = {}, const Done& done = {}) {
        size_t next = 0;
        for (Place& place : places) place.text.reset();
        for (;;) {
            for (int b = 0; b < B; b++)
                while (!places[b].text && next < texts.size()) {
                    if (texts[next].written < how.tokens) begin(b, next, texts[next]);
                    else if (done) done(next);
                    next++;
                }
            if (std::ranges::none_of(places, [](const Place& p) { return p.text.has_value(); })) return;
            read_prompts(texts);
            step(texts);
            for (int b = 0; b < B; b++)
                if (places[b].text && !take(places[b], texts[*places[b].text], b, each, done)) return;
        }
    }

private:
    // Where a text is written: the cache has `read` of its tokens, from `begin` on.
    struct Place {
        std::optional<size_t> text;
        std::optional<ContextWindow> view;
        size_t begin = 0, read = 0;
    };

    void begin(int b, size_t text, const GeneratedText& from) {
        Place& place = places[b];
        place = {text, ContextWindow(how), 0, 0};
        for (int token : from.tokens) place.view->push(token);
        if (!seen) return;
        std::vector<unsigned char> mine(model.V);
        for (int token : from.tokens) mine[token] = 1;
        on.upload(seen + size_t(b) * model.V, mine.data(), mine.size());
    }

    // Makes the cache hold all that is visible of every text but the last token, which the step reads. Texts with the
    // same prompt share the work.
    void read_prompts(std::span<const GeneratedText> texts) {
        std::map<std::vector<int>, std::vector<int>> places_of;
        for (int b = 0; b < B; b++) {
            Place& place = places[b];
            if (!place.text) continue;
            const size_t first = place.view->begin(), length = place.view->end() - 1 - first;
            if (place.begin == first && place.read == length) continue;
            place.begin = first, place.read = length;
            const auto from = texts[*place.text].tokens.begin() + first;
            if (length > 0) places_of[{from, from + length}].push_back(b);
        }
        for (const auto& [tokens, sequences] : places_of) {
            Batch batch = prompt.upload(whole_text(tokens));
            batch.cached = Cached::keep, batch.sequences = sequences;
            model.forward_blocks(batch);
        }
    }

    // A slot without a text reads token 0, and its result is ignored.
    void step(std::span<const GeneratedText> texts) {
        for (int b = 0; b < B; b++) {
            const Place& place = places[b];
            const GeneratedText* text = place.text ? &texts[*place.text] : nullptr;
            host_inputs[b] = text ? text->tokens.back() : 0;
            host_inputs[B + b] = text ? int(place.read) : 0;
            host_uniforms[b] = text ? draw(*text, how) : 0;
        }
        on.upload_async(inputs, host_inputs, 2 * B);
        on.upload_async(uniforms, host_uniforms, B);
        on.replay(recording, [&] {
            model.forward({B, 1, inputs, nullptr, inputs + B, nullptr, Cached::extend});
            Real* logits = model.x[model.logits];
            if (seen) repetition_forward(logits, seen, inputs, how.repetition_penalty, B, model.V, model.P, on);
            sampling_forward(picked, picked + B, logits, uniforms, how.sampling, B, model.V, model.P, on);
        });
        on.download_async(host_picked, picked, 2 * B);
        on.wait(on.mark());
    }

    // The new token of the text in place b. False: writing ends.
    bool take(Place& place, GeneratedText& text, int b, const Each& each, const Done& done) {
        if (host_picked[B + b]) throw not_finite(text);
        const int token = host_picked[b];
        place.read++;
        const bool ends = how.ends_at(token);
        bool go_on = true;
        if (!ends) {
            text.tokens.push_back(token);
            text.written++;
            place.view->push(token);
            if (each) go_on = each(*place.text, token);
        }
        if (ends || text.written == how.tokens) {
            if (done) done(*place.text);
            place.text.reset();
        }
        return go_on;
    }

    Gpt<Device>& model;
    const Generation how;
    Device on;
    int B;
    BatchBuffer<Device> prompt;
    int *inputs, *picked, *host_inputs, *host_picked;  // (2,B): tokens, positions; tokens, whether broken
    float *uniforms, *host_uniforms;
    unsigned char* seen = nullptr;  // (B,V)
    std::vector<Place> places;
    typename Device::Recording recording;
};
