#include "inspect_model.h"
#include <algorithm>
#include <cmath>
#include <numeric>
#include "host/base/messages.h"
#include "host/checkpoint/load_model.h"
#include "host/checkpoint/model_files.h"
#include "host/generate/prompts.h"
#include "host/model/batch_buffer.h"
#include "host/model/gpt.h"
#include "host/tokenizer/load_tokenizer.h"
#include "host/tokenizer/tokenizer.h"

namespace {

constexpr int expectations = 5;

// exp(score - lse): what forward divided by is still there.
void add_attention(Inspection& in, const Gpt<Cpu<float>>& model, int l) {
    const AttentionHead at{1, in.T, model.NH, model.NKV, model.HS, model.c.score_divisor(l), model.c.window_of(l)};
    const float *qkv = model.x[model.ab[size_t(l)].qkv], *lse = model.stat[model.ab[size_t(l)].lse];
    for (int h = 0; h < model.NH; h++)
        for (int t = 0; t < in.T; t++)
            for (int s = 0; s < in.T; s++) {
                const float *q = qkv + at.query(0, t, h),
                            *k = qkv + at.key(0, h * model.NKV / model.NH) + size_t(s) * size_t(at.row());
                const float score = std::inner_product(q, q + model.HS, k, 0.0f) * at.scale();
                in.attention.push_back(s >= at.first_key(t) && s <= t ? std::exp(score - lse[at.lse(0, h, t)]) : 0);
            }
}

void add_expectations(Inspection& in, const Gpt<Cpu<float>>& model, const Tokenizer& tokenizer,
                      const std::vector<int>& ids, int t) {
    std::vector<double> p(model.logits_of(t), model.logits_of(t) + model.V);
    const double most = *std::max_element(p.begin(), p.end());
    double sum = 0;
    for (double& x : p) sum += x = std::exp(x - most);
    for (double& x : p) x /= sum;
    std::vector<int> order(p.size());
    std::iota(order.begin(), order.end(), 0);
    const auto end = order.begin() + std::min(expectations, model.V);
    std::partial_sort(order.begin(), end, order.end(),
                      [&](int a, int b) { return p[size_t(a)] != p[size_t(b)] ? p[size_t(a)] > p[size_t(b)] : a < b; });
    std::vector<Expected>& row = in.next.emplace_back();
    for (auto id = order.begin(); id != end; id++) row.push_back({tokenizer.token_text(*id), p[size_t(*id)]});
    in.probability.push_back(t + 1 < in.T ? p[size_t(ids[size_t(t) + 1])] : 0);
}

}  // namespace

Inspection inspect(const std::string& directory, const std::string& text, int most) {
    const ModelDescription description = read_model_description(directory);
    const Config& config = description.config;
    for (const std::string& warning : description.warnings) warn(warning);
    const Tokenizer tokenizer = load_tokenizer(directory);
    std::vector<int> ids = text.empty() ? without_prompt(tokenizer, description.special)
                                        : prompt_tokens(tokenizer, description, text, directory);
    ids.resize(std::min(ids.size(), size_t(std::min(most, config.T))));

    const int T = int(ids.size());
    Gpt<Cpu<float>> model(config, T, Recompute::none, Cpu<float>());  // every layer's activations stay
    load_model(model, directory);
    const BatchBuffer<Cpu<float>> buffer(T, model.c.window, model.on);
    model.forward(buffer.upload(whole_text(ids)));

    Inspection in{config.L, config.NH, T, {}, {}, {}, {}};
    for (const int id : ids) in.tokens.push_back(tokenizer.token_text(id));
    for (int l = 0; l < config.L; l++) add_attention(in, model, l);
    for (int t = 0; t < T; t++) add_expectations(in, model, tokenizer, ids, t);
    return in;
}
