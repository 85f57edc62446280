#include "eval_command.h"
#include <fmt/core.h>
#include <cmath>
#include "host/base/files.h"
#include "host/base/json.h"
#include "host/base/messages.h"
#include "host/base/utf8.h"
#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/model_files.h"
#include "host/options/model_options.h"
#include "host/tokenizer/bpe.h"
#include "host/tokenizer/load_tokenizer.h"

namespace {

constexpr int tokens_at_a_time = 8192;

std::optional<Tokenizer> tokenizer_for(const Options& options, const std::string& directory) {
    if (options.has("tokenizer")) return given_tokenizer(options);
    if (has_tokenizer(directory)) return load_tokenizer(directory, options.pattern);
    return std::nullopt;
}

void set_separator(Evaluation& e, const Options& options) {
    e.text.separator = e.model.special.bos;
    if (!options.separator) return;
    if (*options.separator == "none") {
        e.text.separator = -1, e.text.documents = EvalText::Documents::stream;
        return;
    }
    e.text.separator = e.tokenizer && e.tokenizer->bpe ? e.tokenizer->bpe->find(*options.separator) : -1;
    if (e.text.separator < 0)
        throw Error(Exit::usage, "--separator " + printable(*options.separator), "is no token of the tokenizer",
                    "name one, or none");
}

// What stands in front of a question: the separator that was asked for,
// else what the tokenizer itself puts before a text.
std::vector<int> before_questions(const Evaluation& e, const Options& options) {
    if (options.separator && e.text.separator >= 0) return {e.text.separator};
    if (options.separator || !e.tokenizer || !e.tokenizer->bpe) return {};
    return e.tokenizer->bpe->before;
}

void set_sizes(Evaluation& e, const Options& options) {
    Config config = with_context(e.model.config, options.context);
    if (const std::string text = extension_text(e.model.config, config); !text.empty())
        e.model.warnings.push_back("--context: " + text + ": the model was not made for it");
    e.model.config = config;
    e.context = options.context.value_or(config.T);
    e.text.context = e.context, e.text.stride = options.stride.value_or(e.context);
    if (e.text.stride > e.context)
        throw Error(
            Exit::usage, "--stride",
            fmt::format("{} is more than the context of {}: some tokens would never count", e.text.stride, e.context));
    e.batch = options.batch ? options.batch : std::max(tokens_at_a_time / e.context, 1);
    config.T = e.context;
    if (const auto wrong = problems(config, e.batch); !wrong.empty())
        throw Error(Exit::usage, "--batch", wrong[0], "try a smaller one");
}

struct Figures {
    double loss, perplexity;
    std::optional<double> bits_per_byte;
};

Figures figures_of(const TextScore& score) {
    if (score.tokens == 0)
        throw Error(Exit::input, "--data", "holds no token that something stands before", "give more text");
    if (!std::isfinite(score.nats))
        throw Error(Exit::numeric, "--data", "the model's loss is not finite", "are its weights whole?");
    Figures f{score.nats / double(score.tokens), std::exp(score.nats / double(score.tokens)), {}};
    if (score.facts.bytes.value_or(0)) f.bits_per_byte = score.nats / std::log(2.0) / double(*score.facts.bytes);
    return f;
}

void warn_of(const Evaluation& e, const std::optional<TextScore>& text, const std::optional<Answers>& answers) {
    for (const std::string& warning : e.model.warnings) warn(warning);
    if (text && text->facts.repaired) warn("--data: " + repairs_text(text->facts.repaired));
    if (text && text->facts.skipped.count) warn("--data: " + text->facts.skipped.text());
    if (text && text->facts.unknown)
        warn(fmt::format("--data: {} of {} tokens are the unknown one: the loss looks better than the model is",
                         text->facts.unknown, text->tokens));
    if (answers && answers->cut)
        warn(fmt::format("--multiple-choice: {} contexts are longer than {} tokens and lost their beginning",
                         answers->cut, e.context));
}

std::string counted(uint64_t n, const char* what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }
double share(uint64_t part, uint64_t all) { return double(part) / double(all); }

}  // namespace

void open_evaluation(Evaluation& e, const Options& options) {
    e.directory = model_directory(options.model);
    e.model = read_model_description(e.directory);
    e.tokenizer = tokenizer_for(options, e.directory);
    const int V = e.model.config.V;
    if (e.tokenizer && e.tokenizer->vocab_size() > V)
        throw Error(Exit::input, options.has("tokenizer") ? "--tokenizer " + options.tokenizer : e.directory,
                    fmt::format("the tokenizer has {} tokens, the model only {}", e.tokenizer->vocab_size(), V),
                    "use the tokenizer the model was trained with");
    EvalText& text = e.text;
    text.reading = reading_of(options), text.token_type = options.token_type;
    text.tokenizer = e.tokenizer ? &*e.tokenizer : nullptr, text.vocab = V;
    set_separator(e, options);
    set_sizes(e, options);
    if (!options.data.empty()) text.paths = eval_paths(options.data, e.tokenizer.has_value());
    if (!options.answers.empty() && files::exists(options.answers))
        throw Error(Exit::usage, "--answers " + printable(options.answers), "exists",
                    "name another file, or remove it");
    if (!options.multiple_choice.empty())
        e.questions = read_questions(options.multiple_choice, text.tokenizer, before_questions(e, options), V);
}

std::string evaluation_text(const Evaluation& e, const std::optional<TextScore>& text,
                            const std::optional<Answers>& answers) {
    warn_of(e, text, answers);
    std::string out = fmt::format("model          {}: {} parameters, context {}", e.directory, e.parameters, e.context);
    if (text) {
        const Figures f = figures_of(*text);
        out += fmt::format("\nloss           {:.4f} nats a token\nperplexity     {:.4f}\nbits per byte  {}", f.loss,
                           f.perplexity,
                           f.bits_per_byte ? fmt::format("{:.4f}", *f.bits_per_byte)
                                           : "not known: no tokenizer says what the tokens stand for");
        out += fmt::format("\nscored         {} tokens{} of {}, in {} of up to {}, {} at a time; {} tokens/s",
                           text->tokens, text->facts.bytes ? fmt::format(" ({} bytes)", *text->facts.bytes) : "",
                           counted(text->facts.documents, "document"), counted(text->windows, "window"), e.context,
                           e.text.stride, short_count(double(text->tokens) / std::max(text->seconds, 1e-9)));
    }
    if (answers) {
        const uint64_t n = answers->questions;
        out += fmt::format("\nacc            {:.4f}  of {} questions: the likeliest ending", share(answers->acc, n), n);
        if (answers->acc_norm)
            out += fmt::format(
                "\nacc_norm       {:.4f}  likeliest by the character, as lm-evaluation-harness counts\nacc_bytes      "
                "{:.4f}  likeliest by the byte",
                share(*answers->acc_norm, n), share(*answers->acc_bytes, n));
        out += fmt::format("\nacc_tokens     {:.4f}  likeliest by the token: llm.c's acc_norm",
                           share(answers->acc_tokens, n));
    }
    return out;
}

std::string evaluation_json(const Evaluation& e, const std::optional<TextScore>& text,
                            const std::optional<Answers>& answers) {
    warn_of(e, text, answers);
    Json out{{"model", e.directory}, {"parameters", e.parameters}, {"context", e.context}};
    if (text) {
        const Figures f = figures_of(*text);
        out.update({{"loss", f.loss},
                    {"loss_hex", hex_float(f.loss)},
                    {"perplexity", std::isfinite(f.perplexity) ? Json(f.perplexity) : Json()},
                    {"bits_per_byte", f.bits_per_byte ? Json(*f.bits_per_byte) : Json()},
                    {"nats", text->nats},
                    {"tokens", text->tokens},
                    {"bytes", text->facts.bytes ? Json(*text->facts.bytes) : Json()},
                    {"documents", text->facts.documents},
                    {"unknown", text->facts.unknown},
                    {"stride", e.text.stride},
                    {"windows", text->windows},
                    {"seconds", text->seconds}});
    }
    if (answers) {
        const uint64_t n = answers->questions;
        const auto if_known = [&](const std::optional<uint64_t>& right) {
            return right ? Json(share(*right, n)) : Json();
        };
        out.update({{"questions", n},
                    {"acc", share(answers->acc, n)},
                    {"acc_norm", if_known(answers->acc_norm)},
                    {"acc_bytes", if_known(answers->acc_bytes)},
                    {"acc_tokens", share(answers->acc_tokens, n)}});
    }
    return out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}
