// Generation with the cache against generation without it, for every family.      ./test_gpt --gtest_filter='generate*'
#include "dev/test/kernels/harness.h"
#include "dev/test/support/expect_error.h"
#include "dev/test/support/toy_model.h"
#include "host/generate/generator_cached.h"
#include "kernels/instances.cuh"

namespace {

// The toy models, wide enough for vectors of 8 and, in bf16, tensor cores.
std::vector<ToyCase> cases() {
    std::vector<ToyCase> all = toy_cases();
    for (ToyCase& c : all) c.config.T = 24, c.config.V = 70, c.config.C *= 4, c.config.HS *= 4, c.config.F = 72;
    all.push_back({"ragged", Family::gpt2, with(toy_gpt2(), [](Config& c) {
                       c.T = 24, c.V = 70, c.C = 33, c.NH = c.NKV = 3, c.HS = 11, c.F = 71;
                   })});
    return all;
}

// A model with the toy's weights, for `rows` of logits.
template <class Device>
struct Model {
    Device on;
    Gpt<Device> gpt;
    Model(const Config& c, int rows) : gpt(c, c.T, Recompute::block, on, rows) {
        const ToyModel toy(c);
        gpt.allocate(Use::infer);
        for (size_t r = 0; r < gpt.weights.parameters.size(); r++) {
            const Parameter& parameter = toy.layout().parameters[r];
            std::vector<float> values(toy.values(parameter), toy.values(parameter) + parameter.size());
            if (parameter.decays())
                for (float& x : values) x /= 2;  // or rounding grows from layer to layer
            upload_as(gpt.w[gpt.weights.parameters[r].slot], std::span<const float>(values), on);
        }
    }
};

std::vector<int> some_tokens(int n, int V, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<int> tokens(n);
    for (int& t : tokens) t = int(random() % V);
    return tokens;
}

// In fp32 the agreement that dev/doc/generation.md promises. In bf16, with the cache and without, some ten tensors a
// block are rounded, and the embedding, the last norm and the logits. next_logits are floats of any device.
template <class Real>
double logits_tolerance(const Config& c) {
    if (std::is_same_v<Real, double>) return tolerance<float>(0);
    return std::is_same_v<Real, float> ? 1e-5 : Rounded{2 * (10 * c.L + 3)}.tolerance<Real>();
}

// Three sequences of different lengths read the same number of further tokens, one by one.
template <class Device>
void check_logits(const ToyCase& toy) {
    using Real = typename Device::Real;
    const double allowed = logits_tolerance<Real>(toy.config);
    const Config& c = toy.config;
    const int B = 3, more = 3, lengths[B] = {1, c.T - more, 9};
    Model<Device> cached(c, B), whole(c, 1);
    Gpt<Device>& gpt = cached.gpt;
    const BatchBuffer<Device> buffer(c.T, c.window, gpt.on), full(c.T, c.window, whole.gpt.on);
    gpt.allocate_cache(B, c.T);
    std::vector<std::vector<int>> text;
    for (int b = 0; b < B; b++) {
        text.push_back(some_tokens(lengths[b] + more, c.V, unsigned(b)));
        Batch batch = buffer.upload(whole_text({text[b].data(), size_t(lengths[b])}));
        batch.cached = Cached::keep, batch.sequences = {&b, 1};
        gpt.forward_blocks(batch);
    }
    int* inputs = gpt.on.template allocate<int>(2 * B);
    for (int i = 0; i < more; i++) {
        int host[2 * B];
        for (int b = 0; b < B; b++) host[b] = text[b][lengths[b] + i], host[B + b] = lengths[b] + i;
        gpt.on.upload(inputs, host, 2 * B);
        gpt.forward({B, 1, inputs, nullptr, inputs + B, nullptr, Cached::extend});
        for (int b = 0; b < B; b++) {
            std::vector<Real> parameter(c.V);
            gpt.on.download(parameter.data(), gpt.logits_of(b), parameter.size());
            const std::vector<float> got(parameter.begin(), parameter.end());
            const auto want = next_logits(whole.gpt, full, {text[b].data(), size_t(lengths[b] + i + 1)});
            EXPECT_EQ(mismatch(got.data(), want.data(), got.size(), allowed), "")
                << toy.name << ": sequence " << b << ", token " << i;
        }
    }
}

TEST(generate, logits_as_without_cache) {
    for (const ToyCase& toy : cases()) {
        check_logits<Cpu<float>>(toy);
        check_logits<Cpu<double>>(toy);
        check_logits<Gpu<float>>(toy);
        check_logits<Gpu<bf16>>(toy);
    }
}

// Texts of several prompts, two of them alike; they are longer than the context, and some tokens begin a new document.
std::vector<GeneratedText> some_texts(const Config& c) {
    std::vector<GeneratedText> texts;
    for (int i = 0; i < 6; i++)
        texts.push_back({some_tokens(std::array{1, 7, 30, 7, 10, 21}[i], c.V, unsigned(i == 3 ? 1 : i)), uint32_t(i)});
    return texts;
}
Generation some_way(const Config& c) {
    return {.sampling = {.temperature = 0.9f, .top_p = 0.95f, .top_k = 40},
            .tokens = 10,
            .seed = 5,
            .context = c.T - 11,
            .separator = 3};
}

template <class Device>
std::vector<GeneratedText> written(const Config& c, const Generation& how, std::vector<GeneratedText> texts, int B) {
    Model<Device> model(c, B);
    Generator<Device> generator(model.gpt, how, B, how.context);
    std::vector<int> calls(texts.size()), done(texts.size());
    generator.write(
        texts, [&](size_t i, int token) { return calls[i]++, token == texts[i].tokens.back(); },
        [&](size_t i) { done[i]++; });
    for (size_t i = 0; i < texts.size(); i++) EXPECT_TRUE(calls[i] == texts[i].written && done[i] == 1) << "text " << i;
    return texts;
}

void expect_same(const std::vector<GeneratedText>& got, const std::vector<GeneratedText>& want,
                 const std::string& what) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); i++) EXPECT_EQ(got[i].tokens, want[i].tokens) << what << ": text " << i;
}

// With the cache, one by one and several at a time, and on the kernels, which takes simt long.
enum class Kernels { too, not_here };
void check_texts(const std::string& name, const Config& c, const Generation& how, Kernels kernels) {
    std::vector<GeneratedText> want = some_texts(c);
    Model<Cpu<float>> whole(c, 1);
    const BatchBuffer<Cpu<float>> buffer(c.T, c.window, whole.on);
    for (GeneratedText& text : want)
        generate(text, how, [&](auto given) { return next_logits(whole.gpt, buffer, given); });
    for (const int B : {1, 4})
        expect_same(written<Cpu<float>>(c, how, some_texts(c), B), want, name + " by " + std::to_string(B));
    if (kernels == Kernels::too) expect_same(written<Gpu<float>>(c, how, some_texts(c), 4), want, name + " on kernels");
}

TEST(generate, texts_as_without_cache) {
    for (const ToyCase& toy : cases()) {
        const std::string name = toy.name;
        check_texts(name, toy.config, some_way(toy.config),
                    name == "gpt2" || name == "qwen3" ? Kernels::too : Kernels::not_here);
    }
}

TEST(generate, every_way_of_sampling) {
    const Config c = cases()[5].config;
    std::vector<Generation> ways(4, some_way(c));
    ways[0].sampling = {.temperature = 0};
    ways[1].repetition_penalty = 1.7f;
    ways[2].sampling = {.temperature = 1.5f, .min_p = 0.05f};
    ways[3].ends = {9, 30}, ways[3].repetition_penalty = 0.8f;
    for (size_t i = 0; i < ways.size(); i++) check_texts("way " + std::to_string(i), c, ways[i], Kernels::too);
}

// In bf16 the cache's results are those of other kernels, but not of another batch.
TEST(generate, alone_or_in_a_batch) {
    const std::vector<ToyCase> all = cases();
    for (const ToyCase& toy : {all[5], all[11], all.back()}) {
        Generation how = some_way(toy.config);
        how.tokens = 5;
        const std::vector<GeneratedText> want = written<Gpu<bf16>>(toy.config, how, some_texts(toy.config), 1);
        expect_same(written<Gpu<bf16>>(toy.config, how, some_texts(toy.config), 6), want, toy.name);
    }
}

TEST(generate, ends) {
    const Config c = toy_gpt2();
    Generation how{.sampling = {.temperature = 0}, .tokens = 5, .context = c.T};
    std::vector<GeneratedText> texts = written<Cpu<float>>(c, how, {{{1, 2, 3}, 0}, {{4}, 1}}, 2);
    EXPECT_TRUE(texts[0].written == 5 && texts[0].tokens.size() == 8 && texts[1].tokens.size() == 6);
    how.ends = {texts[0].tokens[3]};  // what comes first: nothing is left to write
    EXPECT_EQ(written<Cpu<float>>(c, how, {{{1, 2, 3}, 0}}, 1)[0].tokens, (std::vector<int>{1, 2, 3}));

    Model<Cpu<float>> model(c, 2);  // each() ends all
    how.ends = {};
    Generator<Cpu<float>> generator(model.gpt, how, 2, c.T);
    std::vector<GeneratedText> cut = {{{1, 2, 3}, 0}, {{4}, 1}, {{5}, 2}};
    int calls = 0;
    generator.write(cut, [&](size_t, int) { return ++calls < 4; });
    EXPECT_EQ(calls, 4);
    EXPECT_EQ(cut[0].written + cut[1].written + cut[2].written, 4);
}

// Weights that are not finite: no token comes of them, and those before stay.
template <class Device>
void check_broken() {
    using Real = typename Device::Real;
    Config c = cases()[5].config;
    Model<Device> model(c, 2);
    std::vector<GeneratedText> texts{{{1, 2, 3}, 0}, {{4}, 7}};
    const Generation how{.tokens = 5, .context = c.T};
    Generator<Device> generator(model.gpt, how, 2, c.T);
    const Parameter& last = model.gpt.weights.parameters.back();
    const std::vector<Real> nan(last.size(), Real(NAN));
    int written = 0;
    expect_error(Exit::numeric, {"token 3 of text 1", "logits are not finite"}, [&] {
        generator.write(texts, [&](size_t, int) {
            if (++written == 4) model.on.upload(model.gpt.w[last.slot], nan.data(), nan.size());
            return true;
        });
    });
    EXPECT_TRUE(written == 4 && texts[0].written == 2 && texts[1].written == 2);
    const BatchBuffer<Device> buffer(c.T, c.window, model.on);
    expect_error(Exit::numeric, {"token 3 of text 8", "logits are not finite"},
                 [&] { generate(texts[1], how, [&](auto given) { return next_logits(model.gpt, buffer, given); }); });
}

TEST(generate, logits_that_are_no_numbers_end_it) {
    check_broken<Cpu<float>>();
    check_broken<Gpu<float>>();
    check_broken<Gpu<bf16>>();
}

// The visible part of a text of n tokens whose document begins at `document`, with a context of 8, of 5, and of 1.
TEST(generate, view) {
    const auto begin_of = [](int n, int context, int document) {
        const Generation how{.context = context, .separator = 7};
        ContextWindow view(how);
        for (int i = 0; i < n; i++) view.push(i == document ? 7 : 0);
        EXPECT_EQ(view.end(), size_t(n));
        EXPECT_TRUE(view.end() - view.begin() <= size_t(context));
        return int(view.begin());
    };
    const int eight[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12};
    for (int n = 1; n < 18; n++) {
        EXPECT_EQ(begin_of(n, 8, -1), eight[n]) << n;
        EXPECT_EQ(begin_of(n + 3, 8, 3), 3 + eight[n]) << n;
    }
    const int five[] = {0, 0, 0, 0, 0, 0, 2, 2, 4, 4, 6};
    for (int n = 1; n < 11; n++) EXPECT_EQ(begin_of(n, 5, -1), five[n]) << n;
    for (int n = 1; n < 5; n++) EXPECT_EQ(begin_of(n, 1, -1), n - 1);
}

}  // namespace
