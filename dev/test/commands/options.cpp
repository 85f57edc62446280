#include "host/options/options.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "expect_refusal.h"
#include "host/options/flag.h"
#include "host/options/flag_table.h"
#include "host/options/model_options.h"
#include "host/options/options_check.h"
#include "host/options/options_parse.h"

namespace {

TEST(options, nothing_given_trains_the_tiny_model) {
    const Options o = parse(Args{});
    EXPECT_EQ(o.command, Command::train);
    EXPECT_TRUE(o.model == "tiny" && o.data == Args{"builtin:stories"} && o.given.empty() && !o.help);
    EXPECT_TRUE(o.batch > 0 && o.steps > 0 && !o.lr && o.keep > 0 && o.beta2 > 0.9 && o.seed == 1337);
    EXPECT_EQ(parse(Args{"train"}).command, Command::train);
    EXPECT_EQ(parse(Args{"plan"}).command, Command::plan);
    EXPECT_EQ(parse(Args{"sample", "--model", "runs/a"}).command, Command::sample);
}

// A row's default or example must itself be a value, and help and JSON must know the row.
TEST(options, everything_wrong_is_said_at_once) {
    const Args lines = refusals(
        {"--lerning-rate", "0.1", "--batch", "8x", "--top-p=2", "foo", "--resume", "--overwrite", "--kv-heads", "3"});
    ASSERT_EQ(lines.size(), 6u);  // what a resumed run's model would have is not known yet
    const Args flags = {
        "--lerning-rate", "foo", "--kv-heads", "--batch", "--overwrite", "--top-p", "--resume: a run keeps its model"};
    for (const std::string& f : flags) {
        EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [&](const std::string& l) { return has(l, f); })) << f;
    }
    // What only follows from a value that could not be read is left out.
    EXPECT_EQ(refusals({"--lr", "tiny", "--min-lr", "0.5"}).size(), 1u);
    EXPECT_EQ(refusals({"--batch", "8x", "--total-batch", "100"}).size(), 1u);
}

TEST(options, contradictions) {
    const struct {
        Args args, parts;
    } table[] = {
        {{"--batch", "8", "--batch", "9"}, {"--batch: given as \"8\" and as \"9\"; keep one"}},
        {{"--tied", "--tied=false"}, {"--tied: given as"}},
        {{"--resume", "--overwrite"}, {"--resume: contradicts --overwrite"}},
        {{"--resume", "runs/a", "--out", "runs/b"}, {"--resume: contradicts --out"}},
        {{"--resume", "runs/a", "--model", "gpt2"}, {"--resume: a run keeps its model; leave out --model"}},
        {{"--resume", "runs/a", "--layers", "3"}, {"leave out --layers"}},
        {{"--epochs", "2", "--steps", "100"}, {"--epochs: contradicts --steps"}},
        {{"--val", "a.txt", "--val-fraction", "0.2"}, {"--val: contradicts --val-fraction"}},
        {{"--from-scratch"}, {"--from-scratch: the preset tiny starts from random weights anyway"}},
        {{"--model", "./qwen", "--layers", "3", "--init", "gpt2"},
         {"leave out --layers, --init, or add --from-scratch"}},
        {{"--model", "gtp2"}, {"\"gtp2\" is neither a preset (gpt2?) nor a directory"}},
        {{"--min-lr", "0.1", "--lr", "0.01"}, {"--min-lr: 0.1 is above --lr 0.01; example: --min-lr 0.001"}},
        {{"--min-lr", "0.1"}, {"--min-lr: 0.1 is above the highest rate 0.003 (0.384 / dim); give --lr, or"}},
        {{"--warmup", "101", "--steps", "100"}, {"--warmup: 101 steps are more than --steps 100; example: --warmup 5"}},
        {{"--device", "cpu", "--dtype", "bf16"}, {"--dtype: the CPU's layers compute in fp32"}},
        {{"--batch", "8", "--context", "128", "--total-batch", "2500"},
         {"--total-batch: 2500 is not a multiple of --batch 8 times --context 128; nearest: 2048 or 3072"}},
        {{"--batch", "8", "--total-batch", "5"}, {"nearest: 1024"}},
        {{"--batch", "2147483647"},
         {"model: 2147483647 sequences of 128 tokens are more than 2^31 - 1", "change --batch"}},
        {{"--heads", "3"}, {"--heads: 3 heads do not divide the width 128"}},
        {{"--dim", "130"}, {"4 heads do not divide the width 130"}},
        {{"--kv-heads", "3"}, {"model: 4 heads cannot share 3 key/value heads", "change --kv-heads"}},
        {{"--dim", "12", "--position", "rope"}, {"a head size of 3 is odd", "change --dim"}},
        {{"--layers", "2147483647"}, {"model: a number of layers of 2147483647"}},
        {{"--rope-theta", "1e300", "--position", "rope"}, {"theta"}},
        {{"--rope-theta", "1000"}, {"--rope-theta: the positions are learned; add --position rope"}},
        {{"sample"}, {"--model: sample needs a trained model"}},
        {{"sample", "--model", "gpt2"}, {"gpt2 is a preset and has no weights"}},
        {{"plan", "--model", "llama"}, {"is neither a preset"}},
        {{"plan", "--context", "2147483647"}, {"a context of 2147483647"}},
    };
    for (const auto& t : table) expect_refusal(t.args, t.parts);
    for (const Args& fine :
         {Args{"--model", "./qwen", "--from-scratch", "--layers", "3"}, Args{"--model", "./qwen", "--dropout", "0.1"},
          Args{"--warmup", "5000", "--epochs", "3"}, Args{"--resume", "runs/a", "--steps", "5000"},
          Args{"--batch", "8", "--context", "64", "--total-batch", "1024"}, Args{"--model", testing::TempDir()}}) {
        EXPECT_EQ(refusals(fine), Args()) << words(fine);
    }
}

Config config_of(Args args, const std::string& preset = "tiny") {
    args.insert(args.begin(), {"--model", preset});
    return model_config(parse(args));
}

TEST(options, sizes_follow_what_was_given) {
    Config c = config_of({});
    EXPECT_TRUE(c.L == 3 && c.C == 128 && c.HS == 32 && c.F == 512 && c.T == 128);
    c = config_of({"--dim", "256", "--layers=5", "--context", "64"});
    EXPECT_TRUE(c.L == 5 && c.C == 256 && c.NH == 4 && c.NKV == 4 && c.HS == 64 && c.F == 1024 && c.T == 64);
    c = config_of({"--heads", "8"});
    EXPECT_TRUE(c.NH == 8 && c.NKV == 8 && c.HS == 16 && c.F == 512);
    c = config_of({"--heads", "8", "--kv-heads", "2", "--head-size", "24", "--ffn", "100"});
    EXPECT_TRUE(c.NH == 8 && c.NKV == 2 && c.HS == 24 && c.F == 100);
    c = config_of({"--activation", "swiglu", "--norm", "rmsnorm", "--position", "rope", "--rope-pairs", "interleaved",
                   "--rope-theta", "5e5"});
    EXPECT_TRUE(c.F == 384 && c.activation == Activation::swiglu && c.norm == Norm::rmsnorm && !c.norm_bias &&
                c.qkv_bias);
    EXPECT_TRUE(c.position == Position::rope && c.rope_pairs == RopePairs::interleaved && c.rope_theta == 5e5f);
    c = config_of({"--bias=false", "--qkv-bias", "--tied=false", "--qk-norm", "--dropout", "0.3", "--init", "cs336",
                   "--norm-eps", "1e-6"});
    EXPECT_TRUE(c.qkv_bias && !c.proj_bias && !c.ffn_bias && !c.norm_bias && !c.tied && c.qk_norm && c.dropout == 0.3f);
    EXPECT_TRUE(c.init == InitScheme::cs336 && c.norm_eps == 1e-6f);
    c = config_of({"--layers", "2"}, "qwen3-0.6b");
    EXPECT_TRUE(c.L == 2 && c.C == 1024 && c.NKV == 8 && c.HS == 128 && c.F == 3072);  // HS is not C / NH, and stays
    c = config_of({"--norm", "layernorm"}, "llama3.2-1b");
    EXPECT_TRUE(c.norm == Norm::layernorm && !c.norm_bias);
    c = config_of({"--norm", "layernorm", "--bias"}, "llama3.2-1b");
    EXPECT_TRUE(c.norm_bias && c.qkv_bias);
    EXPECT_EQ(model_config(parse({"plan", "--vocab", "300"})).V, 300);
    c = config_of({"--window", "32", "--full-every", "3"});
    EXPECT_TRUE(c.slides(0) && c.slides(1) && !c.slides(2) && c.window_of(1) == 32 && c.window_of(2) == 0);
    c = config_of({"--window", "0"}, "mistral-7b");
    EXPECT_TRUE(c.window == 0 && !c.slides(0));
}

TEST(options, a_directory_keeps_its_context) {
    Config gpt2 = *find_preset("gpt2");
    const Options o = parse({"--model", "./gpt2", "--context", "64", "--dropout", "0.1"});
    EXPECT_EQ(model_config(o, gpt2).T, 1024);
    EXPECT_EQ(model_config(o, gpt2).dropout, 0.1f);
    EXPECT_TRUE(problems(o, gpt2).empty());
    EXPECT_EQ(model_config(parse({"--model", "./gpt2", "--context", "64", "--from-scratch"}), gpt2).T, 64);
    EXPECT_EQ(model_config(parse({"plan", "--model", "./gpt2", "--context", "64"}), gpt2).T, 64);
    const Args wrong = problems(parse({"--model", "./gpt2", "--context", "2048"}), gpt2);
    ASSERT_EQ(wrong.size(), 1u);
    EXPECT_TRUE(has(wrong[0], "--context: 2048 is beyond the model's 1024"));
}

TEST(options, json_brings_every_flag_back) {
    Args args = {"train"};
    for (const Flag& f : flags()) {  // every flag that goes with the others, with a value that is not its default
        const std::string name = f.name;
        if (!f.belongs_to(Command::train) || name == "resume" || name == "out" || name == "epochs" ||
            name == "from-scratch" || name == "profile-steps")
            continue;
        if (name == "val-fraction" || name == "model" || name == "ranks" || name == "rank-timeout") continue;
        if (f.alone) args.push_back("--" + name);
        else if (name == "data" || name == "val") args.insert(args.end(), {"--" + name, "a " + name, "[b]"});
        else if (name == "device") args.insert(args.end(), {"--device", "simt"});
        else if (name == "gemm") args.insert(args.end(), {"--gemm", "native"});
        else if (name == "self-check") args.insert(args.end(), {"--self-check", "force"});
        else if (name == "dtype") args.insert(args.end(), {"--dtype", "bf16"});
        else if (name == "format") args.insert(args.end(), {"--format", "jsonl"});
        else if (name == "schedule") args.insert(args.end(), {"--schedule", "linear"});
        else if (name == "optimizer") args.insert(args.end(), {"--optimizer", "muon"});
        else if (name == "muon-scale") args.insert(args.end(), {"--muon-scale", "original"});
        else if (name == "recompute") args.insert(args.end(), {"--recompute", "mlp"});
        else if (name == "tokenizer" || name == "prompt") args.insert(args.end(), {"--" + name, "x\"y\n人"});
        else if (name == "beta1" || name == "beta2" || name == "muon-momentum" || name == "top-p" || name == "min-p")
            args.insert(args.end(), {"--" + name, "0.8765432109876543"});
        else if (name == "total-batch" || name == "warmup")
            args.insert(args.end(), {"--" + name, name == "warmup" ? "7" : "16384"});
        else if (name == "lr") args.insert(args.end(), {"--lr", "0.5"});
        else if (f.optional) args.insert(args.end(), {"--" + name, f.text});
        else if (name == "eps") args.insert(args.end(), {"--" + name, "0.5"});
        else if (name == "seed") args.insert(args.end(), {"--seed", "18446744073709551615"});
        else args.insert(args.end(), {"--" + name, "32"});
    }
    std::erase(args, "--overwrite");
    const Options o = parse(args);
    const auto saved = nlohmann::ordered_json::parse(to_json(o).dump());
    Options back = parse({"--resume"});
    restore(back, saved);
    auto expected = to_json(o), got = to_json(back);
    expected["resume"] = "";
    EXPECT_EQ(got, expected);
    size_t defaults = 0;
    const auto plain = to_json(default_options(Command::train));
    for (const auto& [name, value] : expected.items()) defaults += value == plain[name];
    // The test would be hollow otherwise: model, from-scratch, epochs, val-fraction, out, overwrite, profile-steps,
    // ranks, rank-timeout.
    EXPECT_LE(defaults, 9u);
}

// The number of processes is the call's: what was saved by four is resumed by one, unless it says otherwise.
TEST(options, ranks_are_not_brought_back) {
    const auto saved = to_json(parse({"--ranks", "4", "--rank-timeout", "5"}));
    Options plain = parse({"--resume"}), two = parse({"--resume", "--ranks", "2"});
    restore(plain, saved);
    restore(two, saved);
    EXPECT_EQ(plain.ranks, 1);
    EXPECT_EQ(plain.rank_timeout, 600);
    EXPECT_EQ(two.ranks, 2);
}

TEST(options, the_command_line_wins_over_what_was_saved) {
    const auto saved =
        to_json(parse({"--epochs", "3", "--lr", "0.02", "--out", "runs/x", "--overwrite", "--prompt", "a"}));
    Options o = parse({"--resume", "--steps", "50", "--batch", "2", "--warmup", "1"});
    restore(o, saved);
    EXPECT_TRUE(o.steps == 50 && !o.epochs && o.batch == 2 && o.lr == 0.02 && o.prompt == "a");
    EXPECT_TRUE(o.out.empty() && !o.overwrite && o.resume == "");
    Options contradicting = parse({"--resume", "--min-lr", "0.0005", "--lr", "0.0006"});
    restore(contradicting, saved);
    auto bf16 = saved;
    bf16["dtype"] = "bf16";
    for (const Args& args : {Args{"--resume"}, Args{"--resume", "--dtype", "auto"}}) {  // auto is what the run has
        Options same = parse(args);
        restore(same, bf16);
        EXPECT_EQ(same.dtype, Dtype::bf16) << words(args);
    }
    Options late = parse({"--resume", "--min-lr", "0.0005"});
    auto low = saved;
    low["lr"] = 0.0001;
    EXPECT_THROW(restore(late, low), Error);
}

TEST(options, damaged_saved_flags_are_refused) {
    for (const char* text :
         {"[]", "3", "null", R"({"batch": "x"})", R"({"batch": -1})", R"({"batch": 1.5})", R"({"batch": []})",
          R"({"batch": [1, 2]})", R"({"batch": {}})", R"({"lr": true})", R"({"data": [1, [2]]})", R"({"norm": "x"})",
          R"({"data": {"a": 1}})", R"({"seed": 1e30})", R"({"tied": 1})"}) {
        Options o = parse({"--resume"});
        try {
            restore(o, nlohmann::ordered_json::parse(text));
            ADD_FAILURE() << text;
        } catch (const Error& e) { EXPECT_EQ(e.code, Exit::input) << text; }
    }
}

// Whatever stands there, it is parsed or refused.
TEST(options, any_words) {
    std::mt19937 random(7);
    Args pieces = {"--", "-",  "=",     "--=", "-1", "nan",  "1e999",   "[", "]", "{}",
                   "%%", "++", "@file", "\"",  "人", "\xff", "--help=", "8", "",  " "};
    for (const Flag& f : flags()) pieces.push_back(std::string("--") + f.name), pieces.push_back(f.text);
    for (int round = 0; round < 300; round++) {
        Args args;
        for (unsigned n = random() % 8; n > 0; n--) {
            std::string word = pieces[random() % pieces.size()];
            if (random() % 3 == 0) word += pieces[random() % pieces.size()];
            args.push_back(word);
        }
        for (const std::string& line : refusals(args)) EXPECT_FALSE(has(line, "\n")) << words(args);
    }
}

}  // namespace
