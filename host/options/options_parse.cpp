#include "options_parse.h"
#include <fmt/core.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include "flag_table.h"
#include "host/base/error.h"
#include "host/world/launcher.h"
#include "model_options.h"
#include "options_check.h"

namespace {

// argv cannot hold a zero byte: these mark a flag that stood alone, and one with nothing behind its "=".
const std::string alone("\0", 1), nothing("\0=", 2);

const char* purpose(Command c) {
    switch (c) {
        case Command::train:
            return "Trains a GPT. Without flags: the tiny model on a built-in corpus, in minutes on any CPU.";
        case Command::sample: return "Writes text with a trained model.";
        case Command::plan:
            return "Counts parameters, operations and memory of a training, before anything is allocated.";
        case Command::tokenize: return "Makes tokens of text, text of tokens, shards of files, and tokenizers.";
        case Command::eval: return "Scores a text with a trained model, or lets it answer multiple-choice questions.";
        case Command::report: return "Writes one page about a run, to be opened in a browser: train_gpt report RUN";
        case Command::watch: return "Rewrites the report of a run while it trains, until it ends: train_gpt watch RUN";
        case Command::export_model: return "Writes a trained model as a GGUF file, which llama.cpp and its kin open.";
        case Command::plot: return "Draws the losses, learning rate and gradient norm of runs: train_gpt plot RUN...";
    }
    return "";
}

std::string footer() {
    std::string text = "Presets:", family;
    for (const Preset& p : presets()) {
        text += (p.family == family ? " " : "\n  ") + std::string(p.name);
        family = p.family;
    }
    return text +
           "\n\nCommands: train_gpt [train], and train_gpt with sample, eval, export, plan, tokenize, plot, report or "
           "watch; "
           "each has its own --help.\n";
}

// The command's flags as CLI11 sees them. All values are texts: CLI11 must find nothing wrong, for it would stop there.
struct Parser {
    CLI::App app;
    std::vector<std::pair<const Flag*, CLI::Option*>> options;
    CLI::Option *help, *version;

    explicit Parser(Command command) : app(purpose(command), std::string("train_gpt ") + name_of(command)) {
        app.allow_extras();
        app.footer(command == Command::train || command == Command::plan ? footer() : "");
        app.get_formatter()->column_width(28);
        app.set_help_flag();
        for (const Flag& f : flags()) {
            if (!f.belongs_to(command)) continue;
            CLI::Option* option = app.add_option(std::string("--") + f.name);
            option->group(f.section)->option_text(*f.value ? f.value : " ")->default_str(alone);
            option->expected(0, f.takes == Takes::several ? 1 << 20 : 1);
            option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
            option->description(f.optional || f.alone || !*f.text ? f.help : fmt::format("{} [{}]", f.help, f.text));
            options.push_back({&f, option});
        }
        help = app.add_flag("--help")->description("print this")->group("Help");
        version = app.add_flag("--version")->description("print what this was built from")->group("Help");
    }

    void parse(std::vector<std::string> args) {
        for (std::string& a : args)
            if (a.starts_with("--") && a.find('=') == a.size() - 1) a += nothing;
        std::reverse(args.begin(), args.end());
        app.parse(std::move(args));
    }
};

std::string line(const Flag& f, const std::string& reason) {
    return fmt::format("--{}: {}; example: {}", f.name, reason, f.example());
}

// Sets the field from what stood behind the flag, each time it was given. Returns what is wrong, or "".
std::string take(Options& o, const Flag& f, std::vector<std::string> texts) {
    for (std::string& t : texts) {
        if (t == nothing) t = "";
        if (t.empty() && std::string_view(f.name) != "text") return line(f, "its value is empty");
        if (t == alone && !f.alone)
            return line(f, fmt::format("needs a value (if it begins with a dash: --{}=-...)", f.name));
        if (t == alone) t = f.alone;
    }
    if (f.takes != Takes::several) {
        for (const std::string& t : texts) {
            if (t != texts[0])
                return fmt::format("--{}: given as {} and as {}; keep one", f.name, in_quotes(texts[0]), in_quotes(t));
        }
    }
    const std::string reason = f.set(o, texts);
    return reason.empty() ? "" : line(f, reason);
}

// What other trainers call our flags.
const std::map<std::string, std::string> elsewhere = {{"learning-rate", "lr"},
                                                      {"max-lr", "lr"},
                                                      {"min-learning-rate", "min-lr"},
                                                      {"batch-size", "batch"},
                                                      {"micro-batch", "batch"},
                                                      {"max-iters", "steps"},
                                                      {"max-steps", "steps"},
                                                      {"iterations", "steps"},
                                                      {"gpu-memory", "memory"},
                                                      {"n-layer", "layers"},
                                                      {"num-layers", "layers"},
                                                      {"n-head", "heads"},
                                                      {"num-heads", "heads"},
                                                      {"n-embd", "dim"},
                                                      {"d-model", "dim"},
                                                      {"d-ff", "ffn"},
                                                      {"block-size", "context"},
                                                      {"seq-len", "context"},
                                                      {"context-length", "context"},
                                                      {"grad-clip", "clip"},
                                                      {"output-dir", "out"},
                                                      {"max-new-tokens", "tokens"},
                                                      {"eval-batches", "eval-sequences"},
                                                      {"nproc-per-node", "ranks"},
                                                      {"world-size", "ranks"},
                                                      {"np", "ranks"}};

std::string unknown_flag(const std::string& arg, Command command) {
    const std::string name = arg.substr(2, arg.find('=') - 2);
    std::vector<std::string> names;
    for (const auto& [other, ours] : elsewhere)
        if (find_flag(ours, command)) names.push_back(other);
    for (const Flag& f : flags()) {
        if (f.belongs_to(command)) names.push_back(f.name);
        if (name != f.name) continue;
        for (size_t c = 0; c < names_of<Command>.size(); c++) {
            if (f.belongs_to(Command(c)) && !find_flag(name, command)) {
                return fmt::format("--{}: a flag of `{}`, not of `{}`; leave it out", name, name_of(Command(c)),
                                   name_of(command));
            }
        }
    }
    std::string meant = nearest(name, names);
    if (elsewhere.count(meant)) meant = elsewhere.at(meant);
    return fmt::format("{}: unknown flag; {}", in_quotes("--" + name),
                       meant.empty() ? "--help lists all" : "did you mean --" + meant + "?");
}

// Arguments that CLI11 could not place. A word after an unknown flag counts as its value, not as a second mistake.
void complain(const std::vector<std::string>& rest, Command command, std::vector<std::string>& wrong) {
    for (size_t i = 0; i < rest.size(); i++) {
        if (rest[i] != "--" && rest[i].starts_with("--")) wrong.push_back(unknown_flag(rest[i], command));
        else if (i > 0 && rest[i - 1].starts_with("--")) continue;
        else if (rest[i].starts_with("-"))
            wrong.push_back(in_quotes(rest[i]) + ": unknown flag; flags begin with two dashes, --help lists all");
        else wrong.push_back(in_quotes(rest[i]) + ": belongs to no flag; write --flag value");
    }
}

// `unread`: flags whose value failed to parse. Contradictions that mention one of them are not reported.
void check(const Options& o, Known known, std::vector<std::string> wrong, const std::vector<std::string>& unread) {
    std::vector<std::string> more = contradictions(o, known);
    if (const Config* base = find_preset(o.model); base && known == Known::all) {
        for (const std::string& why : problems(o, model_config(o, *base))) more.push_back(why);
    }
    for (const std::string& why : more) {
        const auto mentioned = [&](const std::string& name) { return why.find("--" + name) != std::string::npos; };
        if (std::none_of(unread.begin(), unread.end(), mentioned)) wrong.push_back(why);
    }
    if (!wrong.empty()) throw Error(Exit::usage, wrong);
}

}  // namespace

Options parse(const std::vector<std::string>& args) {
    std::vector<std::string> rest = args, wrong, unread;
    Command command = Command::train;
    if (!rest.empty() && !rest[0].starts_with("-")) {
        const auto named = from_name<Command>(rest[0]);
        if (!named) {
            const std::string reason = not_one_of(rest[0], {names_of<Command>.begin(), names_of<Command>.end()});
            throw Error(Exit::usage, "command", reason, "train_gpt --help explains");
        }
        command = *named;
        rest.erase(rest.begin());
    }
    Options o = default_options(command);
    Parser parser(command);
    try {
        parser.parse(rest);
    } catch (const CLI::ParseError& e) {
        wrong.push_back(std::string("command line: ") + e.what() + "; --help lists all flags");
    }
    o.help = parser.help->count() > 0;
    o.version = parser.version->count() > 0;
    if (o.help || o.version) return o;
    std::vector<std::string> words = parser.app.remaining();
    const bool of_one = command == Command::report || command == Command::watch;
    if (command == Command::plot || of_one) {  // words that belong to no flag, up to one that is unknown
        const auto end =
            std::find_if(words.begin(), words.end(), [](const std::string& w) { return w.starts_with("-"); });
        o.runs.assign(words.begin(), end);
        words.erase(words.begin(), end);
        const std::string name = name_of(command);
        if (o.runs.empty()) wrong.push_back(name + ": of which run? example: train_gpt " + name + " runs/tiny-1");
        if (of_one && o.runs.size() > 1)
            wrong.push_back(name + ": is about one run; to compare several: train_gpt plot");
    }
    complain(words, command, wrong);
    for (const auto& [flag, option] : parser.options) {
        if (option->count() == 0) continue;
        o.given.insert(flag->name);
        if (const std::string reason = take(o, *flag, option->results()); !reason.empty())
            wrong.push_back(reason), unread.push_back(flag->name);
    }
    if (command == Command::train && !o.has("ranks")) o.ranks = launched_by().size;
    check(o, o.resume ? Known::given : Known::all, wrong, unread);
    return o;
}

std::string help_text(Command command) {
    std::string text = Parser(command).app.help();
    for (size_t at; (at = text.find("\n\n\n")) != std::string::npos;) text.erase(at, 1);
    return text;
}

void restore(Options& o, const nlohmann::ordered_json& saved) {
    const auto refuse = [](const std::string& flag) {
        throw Error(Exit::input, "saved flags", in_quotes(flag) + " is damaged", "take another checkpoint or run");
    };
    if (!saved.is_object()) refuse("the whole");
    for (const Flag& f : flags()) {
        const std::string name = f.name;
        const bool replaced =  // by a choice; --dtype auto is none
            (o.has(name) && !(name == "dtype" && o.dtype == Dtype::automatic)) ||
            (name == "epochs" && o.has("steps")) || (name == "steps" && o.has("epochs"));
        const bool once =  // of that call and not of the run
            name == "resume" || name == "overwrite" || name == "out" || name == "profile-steps" || name == "ranks" ||
            name == "rank-timeout";
        if (!f.belongs_to(o.command) || replaced || once || !saved.contains(name) || saved[name].is_null()) continue;
        std::vector<std::string> texts;
        for (const auto& v : saved[name].is_array() ? saved[name] : nlohmann::ordered_json::array({saved[name]})) {
            if (v.is_structured() || v.is_null()) refuse(name);
            texts.push_back(v.is_string() ? v.get<std::string>() : v.dump());
        }
        if (f.takes != Takes::several && texts.size() != 1) refuse(name);
        if (!f.set(o, texts).empty()) refuse(name);
    }
    check(o, Known::all, {}, {});
}
