// `train_gpt eval`: a saved model's loss on a text, and its answers to questions, on any device.
#pragma once
#include <algorithm>
#include <cmath>
#include "eval_documents.h"
#include "host/base/files.h"
#include "host/base/progress.h"
#include "host/base/signals.h"
#include "host/checkpoint/load_model.h"
#include "multiple_choice.h"
#include "scorer.h"

// What to score and with what, as the flags and the model's files say.
struct Evaluation {
    std::string directory;  // of the model
    ModelDescription model;
    std::optional<Tokenizer> tokenizer;
    int batch = 0, context = 0;  // rows, inputs of a row
    EvalText text;
    std::vector<Question> questions;
    size_t parameters = 0;
};
// Throws Error before the weights are read.
void open_evaluation(Evaluation& e, const Options& options);

struct TextScore {
    double nats = 0;
    uint64_t tokens = 0, windows = 0;
    TextFacts facts;
    double seconds = 0;
};

// For people, or one JSON object; of what was asked for. Throws Error{numeric, input} if there is no finite loss.
std::string evaluation_text(const Evaluation& e, const std::optional<TextScore>& text,
                            const std::optional<Answers>& answers);
std::string evaluation_json(const Evaluation& e, const std::optional<TextScore>& text,
                            const std::optional<Answers>& answers);

// Nothing where a signal came between.
template <class Device>
std::optional<TextScore> score_text(Gpt<Device>& model, const Evaluation& e,
                                    const std::function<void(double)>& progress) {
    Scorer<Device> scorer(model, e.batch, e.context);
    TextScore score;
    const double start = seconds();
    score.facts = read_documents(e.text, [&](const std::vector<Segment>& segments, double done) {
        for (const Segment& segment : segments) {
            scorer.add(segment);
            score.tokens += segment.targets();
            if (stop_requested) return false;
        }
        progress(done);
        return !stop_requested;
    });
    scorer.flush();
    score.windows = scorer.nats.size();
    score.nats = std::accumulate(scorer.nats.begin(), scorer.nats.end(), 0.0);
    score.seconds = seconds() - start;
    if (stop_requested) return std::nullopt;
    return score;
}

template <class Device>
std::optional<Answers> score_questions(Gpt<Device>& model, const Evaluation& e,
                                       const std::function<void(double)>& progress) {
    Scorer<Device> scorer(model, e.batch, e.context);
    uint64_t cut = 0;
    for (size_t i = 0; i < e.questions.size(); i++) {
        const Question& q = e.questions[i];
        const std::string where = "--multiple-choice: question " + std::to_string(i);
        bool shortened = false;
        for (const Choice& choice : q.choices) {
            const Segment segment = segment_of(choice, e.context, where);
            shortened |= size_t(segment.scored) < choice.context.size();
            scorer.add(segment);
        }
        cut += shortened;
        if (stop_requested) return std::nullopt;
        progress(double(i + 1) / double(e.questions.size()));
    }
    scorer.flush();
    if (!std::ranges::all_of(scorer.nats, [](double x) { return std::isfinite(x); }))
        throw Error(Exit::numeric, "--multiple-choice", "the model's loss is not finite", "are its weights whole?");
    Answers answers = count_answers(e.questions, scorer.nats);
    answers.cut = cut;
    return answers;
}

template <class Device>
Exit eval(const Options& options, const Device& on) {
    Evaluation e;
    open_evaluation(e, options);
    const Config& config = e.model.config;
    constexpr int most_logits = 1024;  // rows
    const int N = e.batch * e.context;
    Gpt<Device> model(config, N, Recompute::block, on, std::min(N, most_logits));  // one block's activations serve all
    load_model(model, e.directory);
    e.parameters = model.parameters();

    Progress progress;
    const auto show = [&](const char* what) {
        return [&progress, &options, what, start = seconds()](double done) {
            if (options.json || !progress.on_terminal() || done <= 0) return;
            progress.status(std::string(what) + std::to_string(int(100 * done)) + "%  ETA " +
                                short_time((seconds() - start) * (1 / done - 1)),
                            false);
        };
    };
    std::optional<TextScore> text;
    std::optional<Answers> answers;
    if (!options.data.empty() && !(text = score_text(model, e, show("text  ")))) return Exit::stopped;
    if (!e.questions.empty() && !(answers = score_questions(model, e, show("questions  ")))) return Exit::stopped;
    if (answers && !options.answers.empty())
        files::replace_file(options.answers, answers_lines(e.questions, answers->nats));
    const std::string result = options.json ? evaluation_json(e, text, answers) : evaluation_text(e, text, answers);
    progress.clear();
    print_piece(options.json ? result : result + "\n");
    return Exit::done;
}
