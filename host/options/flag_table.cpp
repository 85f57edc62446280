#include "flag_table.h"

namespace {

using O = Options;

constexpr unsigned bit(Command c) { return 1u << unsigned(c); }
constexpr unsigned train = bit(Command::train), sample = bit(Command::sample), plan = bit(Command::plan),
                   tokenize = bit(Command::tokenize), plot = bit(Command::plot), eval = bit(Command::eval),
                   report = bit(Command::report), watch = bit(Command::watch),
                   export_model = bit(Command::export_model);

constexpr Range inside(double a, double b) { return {.least = a, .most = b, .above = true, .below = true}; }
constexpr Range probability = {.least = 0, .most = 1, .below = true};    // 0 but not 1
constexpr Range positive_part = {.least = 0, .most = 1, .above = true};  // 1 but not 0

// Every flag: name, field, what --help calls the value, default (of an optional field: an example), help, range.
// clang-format off
std::vector<Flag> model_flags() { return {
    {"layers",     &O::layers,     "L",     "4",      "number of blocks", at_least(1)},
    {"dim",        &O::dim,        "C",     "256",    "width of the residual stream", at_least(1)},
    {"heads",      &O::heads,      "NH",    "8",      "query heads", at_least(1)},
    {"kv-heads",   &O::kv_heads,   "NKV",   "2",      "key/value heads, shared by the query heads", at_least(1)},
    {"head-size",  &O::head_size,  "HS",    "64",     "channels of a head (dim / heads)", at_least(1)},
    {"ffn",        &O::ffn,        "F",     "1024",   "width of the feed-forward (4 dim, or 8/3 dim)", at_least(1)},
    {"norm",       &O::norm,       "KIND",  "rmsnorm", "layernorm or rmsnorm"},
    {"norm-eps",   &O::norm_eps,   "X",     "1e-5",   "epsilon of the norms", more_than(0)},
    {"position",   &O::position,   "KIND",  "rope",   "learned, sinusoidal or rope"},
    {"rope-pairs", &O::rope_pairs, "KIND",  "half",   "half (Hugging Face) or interleaved (Meta, CS336)"},
    {"rope-theta", &O::rope_theta, "X",     "10000",  "base of RoPE's frequencies", more_than(0)},
    {"rope-factor", &O::rope_factor, "X",   "8",      "stretch RoPE's slow pairs, as Llama 3.1 does, for a longer --context", at_least(1)},
    {"activation", &O::activation, "KIND",  "swiglu", "gelu, relu or swiglu"},
    {"qk-norm",    &O::qk_norm,    "",      "",       "RMSNorm of every query and key head"},
    {"window",     &O::window,     "N",     "1024",   "tokens a token sees, itself included, in layers that slide; 0: all", at_least(0)},
    {"full-every", &O::full_every, "K",     "4",      "every Kth layer sees all, the others slide; 0: all slide", at_least(0)},
    {"tied",       &O::tied,       "",      "",       "the head is the token embedding"},
    {"bias",       &O::bias,       "",      "",       "biases in every linear layer and LayerNorm"},
    {"qkv-bias",   &O::qkv_bias,   "",      "",       "biases in the query, key and value projection"},
    {"init",       &O::init,       "KIND",  "gpt2",   "initial weights: gpt2, plain or cs336"},
}; }

std::vector<Flag> data_flags() { return {
    {"data",         &O::data,         "PATH...", "builtin:stories", "text, .bin shards, builtin:stories or :counting"},
    {"val",          &O::val,          "PATH...", "",     "validation data (otherwise the end of --data)"},
    {"val-fraction", &O::val_fraction, "P",       "0.1",  "part of --data kept for validation", inside(0, 1)},
    {"tokenizer",    &O::tokenizer,    "KIND",    "char", "char, word, byte, or a tokenizer's file or directory"},
    {"format",       &O::format,       "KIND",    "auto", "of text files: auto (JSON lines by the name .jsonl), text or jsonl"},
    {"field",        &O::field,        "NAME",    "text", "the field of JSON lines that holds the text"},
    {"skip-bad-lines", &O::skip_bad_lines, "", "false", "leave out JSON lines that are damaged or have no text, and count them"},
    {"token-type",   &O::token_type,   "TYPE", "uint16",  "of .bin files without a header, as nanoGPT's: uint16 or uint32"},
    {"doc-mask",     &O::doc_mask,     "",        "",      "attention stays within a document (where the data have separators)"},
    {"pack",         &O::pack,         "",        "false", "training windows hold whole documents, those that fit best together"},
}; }

std::vector<Flag> training_flags() { return {
    {"total-batch",  &O::total_batch,  "TOKENS", "4096", "tokens of a step (batch times context)", between(1, 0x1p30)},
    {"steps",        &O::steps,        "N",    "1500",   "optimiser steps", at_least(1)},
    {"epochs",       &O::epochs,       "X",    "1.5",    "passes over the data, instead of --steps", inside(0, 1e6)},
    {"lr",           &O::lr,           "X",    "0.001",  "highest learning rate (0.384 / dim)", inside(0, 100)},
    {"min-lr",       &O::min_lr,       "X",    "1e-4",   "last learning rate (a tenth of the highest)", between(0, 100)},
    {"warmup",       &O::warmup,       "N",    "100",    "steps up to the highest learning rate (1/20)", at_least(0)},
    {"schedule",     &O::schedule,     "KIND", "cosine", "cosine, linear, constant or wsd"},
    {"weight-decay", &O::weight_decay, "X",    "0.1",    "AdamW's decay of matrices", between(0, 100)},
    {"beta1",        &O::beta1,        "X",    "0.9",    "AdamW's memory of gradients", probability},
    {"beta2",        &O::beta2,        "X",    "0.99",   "AdamW's memory of their squares", probability},
    {"eps",          &O::eps,          "X",    "1e-8",   "AdamW's epsilon", positive_part},
    {"clip",         &O::clip,         "X",    "1",      "largest norm of the gradient; 0: no limit", at_least(0)},
    {"dropout",      &O::dropout,      "P",    "0.1",    "dropout (the model's)", probability},
    {"muon-lr",      &O::muon_lr,      "X",    "0.009",  "Muon's highest learning rate (3 times --lr's); it follows the same schedule", inside(0, 100)},
    {"muon-momentum", &O::muon_momentum, "X",  "0.95",   "Muon's memory of gradients", probability},
    {"muon-scale",   &O::muon_scale,   "KIND", "rms",    "of a step of Muon: rms, as large as AdamW's, or original, by the matrix's shape"},
}; }

std::vector<Flag> progress_flags() { return {
    {"eval-every",    &O::eval_every,    "N", "200", "steps between validations; 0: only at the end", at_least(0)},
    {"eval-sequences", &O::eval_sequences, "N", "320", "sequences of a validation, spread over the data; 0: all there are", at_least(0)},
    {"early-stop",    &O::early_stop,    "N", "0",   "stop after N validations without a better loss; 0: never", at_least(0)},
    {"sample-every",  &O::sample_every,  "N", "500", "steps between samples; 0: only at the end", at_least(0)},
    {"sample-tokens", &O::sample_tokens, "N", "240", "tokens of such a sample; 0: none", between(0, 1e9)},
    {"spike-window",  &O::spike_window,  "N", "0",   "leave out steps whose loss or gradient is far above the last N; 0: none", between(0, 1e6)},
    {"spike-factor",  &O::spike_factor,  "X", "6",   "how far: so many standard deviations above their mean", more_than(0)},
    {"verify-every",  &O::verify_every,  "N", "0",   "compute every Nth step twice and compare all bits; 0: never", at_least(0)},
    {"step-timeout",  &O::step_timeout,  "SECONDS", "0", "end a run whose step takes longer, as on a GPU that hangs; 0: wait", at_least(0)},
    {"profile-steps", &O::profile_steps, "A:B", "10:12", "steps a profiler that waits for them records"},
    {"log-every",     &O::log_every,     "N", "1",   "steps between lines of log.jsonl", at_least(1)},
    {"tensorboard",   &O::tensorboard,   "", "false", "write event files for TensorBoard into the run directory"},
}; }

std::vector<Flag> run_flags() { return {
    {"out",        &O::out,        "DIR", "",   "run directory (runs/NAME-N)"},
    {"save-every", &O::save_every, "N", "500",  "steps between checkpoints; 0: only at the end", at_least(0)},
    {"keep",       &O::keep,       "N", "2",    "checkpoints kept beside the best", at_least(1)},
    Flag{"resume", &O::resume,     "[DIR]", "", "continue this run, or the newest one"}.stand_alone(""),
    {"overwrite",  &O::overwrite,  "",  "false", "throw away what is in --out"},
}; }

std::vector<Flag> sampling_flags() { return {
    {"prompt",      &O::prompt,      "TEXT", "\"Once upon\"", "text to continue"},
    {"temperature", &O::temperature, "X", "0.8", "below 1 plays safe, above 1 dares; 0: greedy", between(0, 100)},
    {"top-k",       &O::top_k,       "N", "0",   "only the N likeliest tokens; 0: all", at_least(0)},
    {"top-p",       &O::top_p,       "P", "1",   "only the likeliest tokens that together reach P", positive_part},
    {"min-p",       &O::min_p,       "P", "0",   "only tokens at least P times as likely as the first", between(0, 1)},
    {"repetition-penalty", &O::repetition_penalty, "X", "1", "above 1: what stands there already becomes less likely", more_than(0)},
}; }

std::vector<Flag> eval_flags() { return {
    {"data",       &O::data,       "PATH...", "", "text, .jsonl or .bin shards: loss, perplexity, bits per byte"},
    {"multiple-choice", &O::multiple_choice, "FILE", "", "questions (JSON lines of HellaSwag, ARC, PIQA or WinoGrande, or llm.c's .bin): accuracy"},
    {"answers",    &O::answers,    "FILE", "", "write what was chosen of every question, and the losses of its endings"},
    {"context",    &O::context,    "T",    "256",  "tokens a window sees (the model's)", at_least(1)},
    {"stride",     &O::stride,     "N",    "64",   "only the last N tokens of a window count (the context)", at_least(1)},
    {"separator",  &O::separator,  "TOKEN", "\"<|endoftext|>\"", "the token before every document, or none (the model's)"},
    {"format",     &O::format,     "KIND", "auto", "of --data: auto, text or jsonl"},
    {"field",      &O::field,      "NAME", "text", "the field of JSON lines that holds the text"},
    {"skip-bad-lines", &O::skip_bad_lines, "", "false", "leave out JSON lines that are damaged or have no text, and count them"},
    {"token-type", &O::token_type, "TYPE", "uint16", "of .bin files without a header, as nanoGPT's: uint16 or uint32"},
    {"batch",      &O::batch,      "SEQS", "0",    "windows at a time; 0: as many as make 8192 tokens", at_least(0)},
    {"json",       &O::json,       "",     "false", "print one JSON object"},
}; }

std::vector<Flag> tokenize_flags() { return {
    {"tokenizer", &O::tokenizer, "PATH", "", "a tokenizer.json, a tiktoken file, or a directory with one, or vocab.json and merges.txt"},
    {"text",      &O::text,      "TEXT", "\"Hello world\"", "print the ids of this text"},
    {"ids",       &O::ids,       "[...]", "\"[15496, 995]\"", "print the text of these ids"},
    {"special",   &O::special,   "", "", "<|special|> tokens in the text are tokens, not characters (as the file says; of --data: no)"},
    {"data",      &O::data,      "PATH...", "", "text files, .jsonl files, or - for standard input: write shards, or train"},
    {"out",       &O::out,       "DIR",  "", "the directory to write"},
    {"overwrite", &O::overwrite, "",     "false", "replace --out if it exists"},
    {"format",    &O::format,    "KIND", "auto", "auto, text or jsonl"},
    {"field",     &O::field,     "NAME", "text", "the field of JSON lines that holds the text"},
    {"skip-bad-lines", &O::skip_bad_lines, "", "false", "leave out JSON lines that are damaged or have no text, and count them"},
    {"separator", &O::separator, "TOKEN", "\"<|endoftext|>\"", "the token before every document, or none (the tokenizer's)"},
    {"shard-tokens", &O::shard_tokens, "N", "100000000", "tokens of a shard", between(1, 2147483647)},
}; }

std::vector<Flag> train_bpe_flags() { return {
    {"train-bpe",      &O::train_bpe,      "N",    "0",    "train a tokenizer of N tokens on --data; 0: do not", between(0, 1 << 24)},
    {"split",          &O::split,          "RULE", "gpt2", "how it cuts text into pieces: gpt2, llama3, cl100k, qwen2, o200k, digits, numbers or none"},
    {"min-frequency",  &O::min_frequency,  "N",    "0",    "merge only pairs that stand so often in --data", at_least(0)},
    {"special-tokens", &O::special_tokens, "TOKEN...", "<|endoftext|>", "its first tokens"},
}; }
// clang-format on

std::vector<Flag> in(const char* section, unsigned commands, std::vector<Flag> rows) {
    for (Flag& f : rows) f.section = section, f.commands = commands;
    return rows;
}

std::vector<Flag> all_flags() {
    std::vector<Flag> all;
    auto add = [&](const std::vector<Flag>& s) { all.insert(all.end(), s.begin(), s.end()); };
    // clang-format off
    add(in("Model", train | plan, {{"model", &O::model, "NAME|DIR", "tiny", "a preset, or a Hugging Face directory"}}));
    add(in("Model", sample | eval, {
        {"model", &O::model, "DIR", "", "a run, a checkpoint, another Hugging Face directory, or llm.c's .bin"},
        {"tokenizer", &O::tokenizer, "PATH", "", "a tokenizer's file or directory (the model's)"}}));
    add(in("Model", export_model, {
        {"model", &O::model, "DIR", "", "a run, a checkpoint, another Hugging Face directory, or llm.c's .bin"},
        {"tokenizer", &O::tokenizer, "PATH", "", "a tokenizer's file or directory (the model's), or none: a file without one"}}));
    add(in("Model", train | sample | eval | tokenize | export_model, {
        {"pattern", &O::pattern, "RULE", "cl100k", "how a tiktoken file of an unknown vocabulary cuts text: gpt2, llama3, cl100k, qwen2, o200k, digits, numbers or none"}}));
    add(in("Model", train, {
        {"from-scratch", &O::from_scratch, "", "false", "take the directory's sizes and not its weights"}}));
    add(in("Model", train | plan, model_flags()));
    add(in("Model", train | plan, {
        {"vocab", &O::vocab, "V", "50257", "entries of the vocabulary (the model's)", at_least(1)}}));
    add(in("Data", train, data_flags()));
    add(in("Batch", train | plan, {
        Flag{"batch", &O::batch, "SEQS", "16", "sequences in a micro-batch; auto: what fits into the memory and is fastest, --recompute too", at_least(1)}
            .or_word("auto", &O::batch, automatic_batch),
        {"context", &O::context, "T", "256", "tokens in a sequence (the model's)", at_least(1)}}));
    add(in("Training", train | plan, {
        {"optimizer", &O::optimizer, "KIND", "adamw", "adamw, or muon: Muon for the matrices inside blocks, AdamW for the rest"}}));
    add(in("Training", train, training_flags()));
    add(in("Batch", plan, {
        {"total-batch", &O::total_batch, "TOKENS", "524288", "tokens of a step of all ranks (with --gpu 524288, or the next that they divide)", between(1, 0x1p30)}}));
    add(in("Where and how", train | sample | eval | plan, {
        {"dtype", &O::dtype, "KIND", "auto", "storage of weights and activations: bf16, fp32, or auto: bf16 on a GPU, fp32 on a CPU"}}));
    add(in("Where and how", train | sample | eval, {
        {"device", &O::device, "KIND", "auto", "auto, cuda, cpu; in train_gpt_simt simt, in train_gpt_ptx ptx: the GPU's kernels on the CPU"},
        {"gemm", &O::gemm, "KIND", "auto", "matmuls on a GPU: cublas, native (our own), or auto, the faster"},
        {"self-check", &O::self_check, "WHEN", "on", "try a GPU's fast kernels against the plain ones: on (once, remembered), force, off"}}));
    add(in("Where and how", train | plan, {
        {"recompute", &O::recompute, "WHAT", "none", "none, mlp or block: compute again in backward, save memory"},
        {"ranks", &O::ranks, "N", "1", "processes that train together, each with a share of a step's sequences and of the optimiser; mpirun and srun say it themselves", between(1, 65536)}}));
    add(in("Where and how", train, {
        {"rank-timeout", &O::rank_timeout, "SECONDS", "600", "a rank that the others wait for longer ends the run", between(1, 1e6)},
        {"fast-collectives", &O::fast_collectives, "", "false", "several GPUs may sum in another order every time: NCCL chooses how"}}));
    add(in("Where and how", train | sample | eval | tokenize | report | watch, {
        {"threads", &O::threads, "N", "0", "threads of the CPU; 0: all", between(0, 4096)}}));
    add(in("Where and how", train | sample, {
        {"seed", &O::seed, "N", "1337", "where all random numbers come from"}}));
    add(in("Progress", train, progress_flags()));
    add(in("Run directory", train, run_flags()));
    add(in("Sampling", train | sample, sampling_flags()));
    add(in("Sampling", sample, {
        {"tokens", &O::tokens, "N", "256", "tokens of a sample, at most", at_least(1)},
        {"count", &O::count, "N", "1", "samples of every prompt", between(1, 1e6)},
        {"prompt-file", &O::prompt_file, "FILE", "prompts.txt", "a prompt a line; .jsonl: strings, or objects with a \"prompt\"; - is standard input"},
        {"interactive", &O::interactive, "", "false", "ask for prompts, one a line, until the input ends"},
        {"bos", &O::bos, "", "", "the model's first token before every prompt, or not (as the tokenizer's files say)"},
        {"ignore-eos", &O::ignore_eos, "", "false", "write on where the model ends a text"},
        {"context", &O::context, "T", "256",
         "tokens the model sees (its own, --interactive: 4096); of a longer text the half that is being written and the half before", at_least(1)},
        {"batch", &O::batch, "N", "16", "samples written at the same time, at most", between(1, 16)},
        {"cache", &O::cache, "", "true", "keep keys and values; --cache=false computes the whole text again for every token"}}));
    add(in("What to score", eval, eval_flags()));
    add(in("Tokens", tokenize, tokenize_flags()));
    add(in("Training a tokenizer", tokenize, train_bpe_flags()));
    add(in("Plot", plot, {
        {"out", &O::out, "FILE", "plot.svg", "the picture to write"},
        {"x", &O::x, "WHAT", "steps", "what runs along the axis: steps, tokens or seconds"}}));
    add(in("Report", report | watch, {
        {"out", &O::out, "FILE", "", "the page to write (RUN/report.html)"},
        {"prompt", &O::prompt, "TEXT", "\"Once upon\"", "text to show attention and expectations of (the last sample)"}}));
    add(in("Report", watch, {
        {"every", &O::every, "SECONDS", "5", "how often to look; a rewrite that takes long is followed by a longer rest", between(0.1, 86400)}}));
    add(in("File", export_model, {
        {"gguf", &O::gguf, "FILE", "", "the file to write, for llama.cpp and what is made of it"},
        {"type", &O::type, "TYPE", "q8_0", "of its matrices: f32, f16, bf16 or q8_0 (as the model's files have them: bf16 or f32)"},
        {"overwrite", &O::overwrite, "", "false", "replace FILE if it is there"}}));
    add(in("Fit", plan, {
        {"memory", &O::memory, "SIZE", "24GiB", "say whether training fits in this much memory of each rank (of --gpu: its own)"}}));
    add(in("Forecast", plan, {
        {"gpu", &O::gpu, "NAME", "", "time and cost of training on GPUs of this name, and the cheapest --batch and --recompute that fit"},
        {"nodes", &O::nodes, "N", "1", "machines that the --ranks are spread over", between(1, 65536)},
        {"link", &O::link, "SPEED", "400Gb/s", "what a node sends to the others; of several adapters 8x400Gb/s"},
        {"tokens", &O::train_tokens, "N", "100e9", "tokens to train on: hours and GPU-hours", between(1, 1e18)},
        {"measured", &O::measured, "N", "637379", "tokens a second that one such GPU reached with this model (as the kernels' rates say)", more_than(0)},
        {"svg", &O::svg, "FILE", "", "draw it over the number of ranks"}}));
    // clang-format on
    return all;
}

}  // namespace

const std::vector<Flag>& flags() {
    static const std::vector<Flag> all = all_flags();
    return all;
}

const Flag* find_flag(const std::string& name, Command command) {
    for (const Flag& f : flags())
        if (name == f.name && f.belongs_to(command)) return &f;
    return nullptr;
}

Options default_options(Command command) {
    Options o;
    o.command = command;
    for (const Flag& f : flags())
        if (f.belongs_to(command) && !f.optional && *f.text) f.set(o, {f.text});
    return o;
}

nlohmann::ordered_json to_json(const Options& o) {
    nlohmann::ordered_json all;
    for (const Flag& f : flags())
        if (f.belongs_to(o.command)) all[f.name] = f.get(o);
    return all;
}
