// What the command line asks for: a field for every flag. The table of flags is in flag_table.cpp (name, default, help,
// commands), parsing in options_parse.h.
#pragma once
#include <optional>
#include <set>
#include "host/data/dataset.h"
#include "host/data/documents.h"
#include "host/model/config.h"
#include "host/reference/cpu.h"
#include "host/reference/muon.h"
#include "host/tokenizer/pre_tokenizer.h"
#include "host/training/schedule.h"

enum class Command { train, sample, eval, plan, tokenize, plot, report, watch, export_model };
enum class Optimizer { adamw, muon };  // muon: of the matrices inside blocks; AdamW steps the rest
enum class Dtype { automatic, bf16, fp32 };
enum class SelfCheckWhen { off, on, force };  // on: what was found is remembered (remembered_check.h)
enum class PlotAxis { steps, tokens, seconds };
enum class DeviceKind { automatic, cuda, cpu, simt, ptx };
enum class GgufType { f32, f16, bf16, q8_0 };  // of a GGUF file's matrices

template <>
inline constexpr auto names_of<Command> = std::to_array({"train", "sample", "eval", "plan", "tokenize", "plot",
                                                         "report", "watch", "export"});
template <>
inline constexpr auto names_of<TextFormat> = std::to_array({"auto", "text", "jsonl"});
template <>
inline constexpr auto names_of<Optimizer> = std::to_array({"adamw", "muon"});
template <>
inline constexpr auto names_of<MuonScale> = std::to_array({"rms", "original"});
template <>
inline constexpr auto names_of<Dtype> = std::to_array({"auto", "bf16", "fp32"});
template <>
inline constexpr auto names_of<Gemm> = std::to_array({"auto", "cublas", "native"});
template <>
inline constexpr auto names_of<SelfCheckWhen> = std::to_array({"off", "on", "force"});
template <>
inline constexpr auto names_of<DeviceKind> = std::to_array({"auto", "cuda", "cpu", "simt", "ptx"});
template <>
inline constexpr auto names_of<PlotAxis> = std::to_array({"steps", "tokens", "seconds"});
template <>
inline constexpr auto names_of<GgufType> = std::to_array({"f32", "f16", "bf16", "q8_0"});
template <>
inline constexpr auto names_of<Schedule> = std::to_array({"cosine", "linear", "constant", "wsd"});

struct Bytes {
    uint64_t count = 0;
};  // written 24GiB, 512MB, 80000000000

struct LinkRate {
    double bytes = 0;
};  // a second; written 400Gb/s, 8x400Gb/s, 50GB/s

struct StepRange {
    int64_t first = 1, last = 1;
};  // written 10:12, both included, the first step is 1

constexpr int automatic_batch = 0;  // of --batch auto, until it is known (host/plan/arrange.h)
constexpr int usual_batch = 16;     // sequences of a step that neither --batch nor --total-batch says

// A field for every flag, of the same name. The table has its default; an empty optional: not given.
struct Options {
    Command command = Command::train;
    bool help = false, version = false;
    std::set<std::string> given;  // names of the flags on the command line

    std::string model;  // a preset, or a Hugging Face directory
    bool from_scratch = false;
    std::optional<int> layers, dim, heads, kv_heads, head_size, ffn, vocab, window, full_every;
    std::optional<Norm> norm;
    std::optional<Position> position;
    std::optional<RopePairs> rope_pairs;
    std::optional<double> rope_theta, rope_factor, norm_eps, dropout;
    std::optional<Activation> activation;
    std::optional<bool> qk_norm, tied, bias, qkv_bias;
    std::optional<InitScheme> init;

    std::vector<std::string> data, val;
    double val_fraction = 0;
    std::string tokenizer;
    std::optional<bool> doc_mask;  // none: where the data have separators
    bool pack = false;
    std::optional<TokenType> token_type;  // of .bin files without a header

    int batch = 0, steps = 0;
    std::optional<int> context, warmup;  // none: the model's T; steps / 20
    std::optional<int64_t> total_batch;  // tokens of an optimiser step; none: batch * context
    std::optional<double> epochs;        // instead of steps
    std::optional<double> lr;            // none: peak_lr
    double weight_decay = 0, beta1 = 0, beta2 = 0, eps = 0, clip = 0;
    std::optional<double> min_lr;  // none: a tenth of the highest
    Optimizer optimizer = Optimizer::adamw;
    std::optional<double> muon_lr;  // none: as muon_lr() has it
    double muon_momentum = 0;
    MuonScale muon_scale = MuonScale::rms;
    Schedule schedule = Schedule::cosine;

    Dtype dtype = Dtype::automatic;  // a run, and its checkpoints, have what dtype_on made of it
    DeviceKind device = DeviceKind::automatic;
    Gemm gemm = Gemm::automatic;
    SelfCheckWhen self_check = SelfCheckWhen::on;
    Recompute recompute = Recompute::none;
    int threads = 0;                  // 0: all, or of several ranks on a machine their share
    int ranks = 1, rank_timeout = 0;  // processes; seconds that one waits for another
    bool fast_collectives = false;    // on GPUs: sums in whatever order NCCL likes
    uint64_t seed = 0;

    int eval_every = 0, eval_sequences = 0, sample_every = 0, sample_tokens = 0, save_every = 0, keep = 0,
        log_every = 0;
    int early_stop = 0;  // validations without a better loss that end a run; 0: none does
    bool tensorboard = false;
    int spike_window = 0, verify_every = 0;  // 0: off
    double spike_factor = 0, step_timeout = 0;
    std::string out;  // "": runs/NAME-N
    bool overwrite = false;
    std::optional<std::string> resume;  // "": the newest run
    std::optional<StepRange> profile_steps;

    std::optional<std::string> prompt, prompt_file;
    int tokens = 0, count = 0, top_k = 0;  // top_k 0: off
    double temperature = 0, top_p = 0, min_p = 0, repetition_penalty = 0;
    std::optional<bool> bos;  // before a prompt; none: as the tokenizer's files say
    bool interactive = false, ignore_eos = false, cache = false;

    std::optional<int> stride;  // of eval: tokens a window scores; none: the context
    std::string multiple_choice, answers;
    bool json = false;

    std::optional<Bytes> memory;
    std::string gpu;  // of a forecast: its name; "": none is asked for
    int nodes = 1;
    std::optional<LinkRate> link;        // of a node to the others
    std::optional<double> train_tokens;  // of --tokens: those of the whole training
    std::optional<double> measured;      // tokens a second of one GPU; none: as the kernels' rates say
    std::string svg;

    std::optional<std::string> text, ids;  // of tokenize: what to encode, what to decode
    std::optional<bool> special;  // special tokens of a text are recognised; none: as the tokenizer's file has it
    std::optional<std::string> separator;  // a token's text; none: the tokenizer's own
    int train_bpe = 0, min_frequency = 0;  // tokens; 0: none is trained
    SplitRule split = SplitRule::gpt2;
    std::optional<SplitRule> pattern;  // of a tiktoken file that does not say it
    std::vector<std::string> special_tokens;
    TextFormat format = TextFormat::automatic;
    std::string field;  // of JSON lines
    bool skip_bad_lines = false;
    int64_t shard_tokens = 0;

    std::string gguf;              // of export: the file to write
    std::optional<GgufType> type;  // none: as the model's files have it

    std::vector<std::string> runs;  // of plot, report and watch: their directories
    PlotAxis x{};
    double every = 0;  // seconds between two looks of watch

    bool has(const std::string& flag) const { return given.count(flag) > 0; }
};

// What --dtype auto is: bf16 on a GPU, as all that the kernels run on (8.0 and above) have tensor cores for it, and the
// simulated one does what they do; fp32 on a CPU, whose layers have nothing else.
enum class Processor { cpu, gpu };
inline Dtype dtype_on(Processor where, Dtype asked) {
    return asked != Dtype::automatic ? asked : where == Processor::gpu ? Dtype::bf16 : Dtype::fp32;
}
