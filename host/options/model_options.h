// What the flags make of a model, its learning rate and its sampling.
#pragma once
#include "host/model/config.h"
#include "host/reference/sampling.h"
#include "host/tokenizer/tokenizer.h"
#include "options.h"

bool is_preset(const Options& options);      // --model names one
bool loads_weights(const Options& options);  // weights come with the model, so that its sizes cannot be changed

// The preset (or what a directory's config.json said) with the flags' changes; what was not given follows:
// HS = C / NH, NKV = NH where it was, F by default_ffn, no norm bias under RMSNorm. May be impossible: ask problems().
Config model_config(const Options& options, Config base);
Config model_config(const Options& options);  // of the preset options.model; must be one

// A model that is to see more tokens than it was made for: RoPE turns on; tables of positions end, which is
// Error{usage}. Of a smaller context nothing changes.
Config with_context(Config config, std::optional<int> context);
// What such flags made of a model that comes with weights: "context 1024 -> 4096, ..."; "": nothing.
std::string extension_text(const Config& before, const Config& after);
void warn_of_extension(const Config& before, const Config& after);  // in a line, if anything changed

// --lr, else 0.384 / C: 3e-3 for the tiny model, 1e-3 for nanoGPT's baby, 5e-4 for gpt2.
double peak_lr(const Options& options, const Config& model);

// What steps the matrices inside blocks; nothing: AdamW, as all else.
std::optional<MuonScale> muon_of(const Options& options);
// --muon-lr, else three times that of the rest: on the built-in stories better than once.
double muon_lr(const Options& options, const Config& model);

// The tokenizer that --tokenizer names, of itself: a file's, a directory's or `byte`. Throws Error{usage, input}.
Tokenizer given_tokenizer(const Options& options);

// How --format, --field and --skip-bad-lines read texts.
TextReading reading_of(const Options& options);

// How --temperature, --top-k, --top-p and --min-p choose a token.
Sampling sampling_of(const Options& options);
