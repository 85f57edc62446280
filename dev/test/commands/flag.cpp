#include "host/options/flag.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "expect_refusal.h"
#include "host/options/flag_table.h"

namespace {

TEST(flag, rows_are_sound) {
    for (const Command command : {Command::train, Command::sample, Command::eval, Command::plan, Command::tokenize,
                                  Command::plot, Command::report, Command::watch, Command::export_model}) {
        const std::string help = help_text(command);
        const auto json = to_json(default_options(command));
        std::set<std::string> names;
        for (const Flag& f : flags()) {
            if (!f.belongs_to(command)) continue;
            EXPECT_TRUE(names.insert(f.name).second) << f.name << " twice";
            EXPECT_TRUE(*f.help && *f.section) << f.name;
            EXPECT_TRUE(has(help, std::string("  --") + f.name + " ")) << f.name;
            EXPECT_TRUE(json.contains(f.name)) << f.name;
            EXPECT_EQ(f.get(default_options(command)).is_null(), f.optional) << f.name;
            Options o = default_options(command);
            if (*f.text) { EXPECT_EQ(f.set(o, {f.text}), "") << f.name; }
            EXPECT_EQ(find_flag(f.name, command), &f);
        }
        EXPECT_EQ(names.size(), json.size());
        EXPECT_FALSE(has(help, "\n\n\n"));
    }
    for (const Preset& p : presets()) EXPECT_TRUE(has(help_text(Command::train), p.name));
    EXPECT_TRUE(parse({"plan", "--help", "--nonsense"}).help);
}

TEST(flag, forms_of_a_flag) {
    EXPECT_EQ(parse({"--batch", "8"}).batch, 8);
    EXPECT_EQ(parse({"--batch=8"}).batch, 8);
    EXPECT_EQ(parse({"--batch=8", "--batch", "8"}).batch, 8);
    EXPECT_EQ(parse({"--seed", "18446744073709551615"}).seed, 18446744073709551615u);
    EXPECT_EQ(parse({"--lr", "3e-4"}).lr, 3e-4);
    EXPECT_EQ(parse({"--doc-mask"}).doc_mask, true);
    EXPECT_EQ(parse({"--doc-mask=true"}).doc_mask, true);
    EXPECT_EQ(parse({"--doc-mask", "false"}).doc_mask, false);
    EXPECT_EQ(parse(Args{}).doc_mask, std::nullopt);
    EXPECT_TRUE(parse({"--pack"}).pack);
    EXPECT_FALSE(parse({"--pack=false"}).pack);
    EXPECT_EQ(parse({"--tied", "false"}).tied, false);
    EXPECT_EQ(parse({"--tied"}).tied, true);
    EXPECT_EQ(parse(Args{}).tied, std::nullopt);
    EXPECT_EQ(parse({"--resume"}).resume, "");
    EXPECT_EQ(parse({"--resume", "runs/a", "--steps", "9", "--warmup=1"}).resume, "runs/a");
    EXPECT_EQ(parse({"--data", "a.txt", "b*.txt", "--steps", "60"}).data, (Args{"a.txt", "b*.txt"}));
    EXPECT_EQ(parse({"--data", "a", "--data=b"}).data, (Args{"a", "b"}));
    EXPECT_EQ(parse({"--device", "simt"}).device, DeviceKind::simt);
    EXPECT_EQ(parse({"--device", "ptx"}).device, DeviceKind::ptx);
    EXPECT_EQ(parse({"--device", "auto"}).device, DeviceKind::automatic);
    EXPECT_EQ(parse({"--schedule=wsd"}).schedule, Schedule::wsd);
    EXPECT_TRUE(parse({"--batch=8"}).has("batch") && !parse({"--batch=8"}).has("steps"));
    // Texts arrive as they were, whatever they look like.
    for (const char* text :
         {"[a,b]", "{}", "a b", " ", "{x", "%%", "#", "\"", "[", "a=b", "=", "-", "- x", "\n", "人", "true"}) {
        EXPECT_EQ(parse({"--prompt", text}).prompt, text);
        EXPECT_EQ(parse({std::string("--prompt=") + text}).prompt, text);
        EXPECT_EQ(parse({"--data", "a", text}).data, (Args{"a", text}));
    }
    for (const char* text : {"-x", "--x", "--", "--batch", "-1"})
        EXPECT_EQ(parse({std::string("--prompt=") + text}).prompt, text);
}

TEST(flag, memory_has_units) {
    const std::pair<const char*, uint64_t> table[] = {
        {"24GiB", 25769803776}, {"24GB", 24000000000}, {"1.5GiB", 1610612736}, {"512MiB", 536870912},
        {"1000", 1000},         {"2e9", 2000000000},   {"1TB", 1000000000000}};
    for (const auto& [text, bytes] : table) EXPECT_EQ(parse({"plan", "--memory", text}).memory->count, bytes) << text;
    for (const char* text :
         {"24 GiB", "GiB", "-1GiB", "0", "24gib", "1e400", "nanGB", "9999999TiB", "24GiBs", "1e", "infGB"}) {
        expect_refusal({"plan", "--memory", text}, {"--memory: ", "example: --memory 24GiB"});
    }
}

TEST(flag, steps_to_profile) {
    const auto steps = parse({"--profile-steps", "10:12"}).profile_steps;
    EXPECT_TRUE(steps && steps->first == 10 && steps->last == 12);
    EXPECT_EQ(parse({"--profile-steps=7:7"}).profile_steps->last, 7);
    for (const char* text : {"10", ":", "10:", ":12", "0:3", "-1:3", "1:2:3", "1: 2", "a:b", "1.5:2"})
        expect_refusal({std::string("--profile-steps=") + text}, {"--profile-steps: ", "is not FIRST:LAST"});
    expect_refusal({"--profile-steps", "12:10"}, {"--profile-steps: ", "ends before it begins"});
    expect_refusal({"--profile-steps", "1:2", "--device", "cpu"}, {"--profile-steps: ", "leave it out"});
}

TEST(flag, values_are_read_strictly) {
    const std::pair<const char*, const char*> table[] = {{"batch", "8x"},
                                                         {"batch", "1e3"},
                                                         {"batch", " 8"},
                                                         {"batch", "8 "},
                                                         {"batch", "0"},
                                                         {"batch", "-1"},
                                                         {"batch", "+8"},
                                                         {"batch", "99999999999999999999"},
                                                         {"batch", "2147483648"},
                                                         {"batch", "0x8"},
                                                         {"batch", "8.0"},
                                                         {"batch", "８"},
                                                         {"batch", "8\n"},
                                                         {"seed", "-1"},
                                                         {"seed", "18446744073709551616"},
                                                         {"seed", "1.5"},
                                                         {"total-batch", "0"},
                                                         {"total-batch", "9223372036854775807"},
                                                         {"total-batch", "137438953472"},
                                                         {"total-batch", "68719476736"},
                                                         {"lr", "nan"},
                                                         {"lr", "inf"},
                                                         {"lr", "-1"},
                                                         {"lr", "1e400"},
                                                         {"lr", "1e-400"},
                                                         {"lr", "0"},
                                                         {"lr", "1,5"},
                                                         {"lr", "0x1p-3"},
                                                         {"lr", "1e-3x"},
                                                         {"lr", "infinity"},
                                                         {"lr", "1e"},
                                                         {"lr", "100"},
                                                         {"steps", "0"},
                                                         {"epochs", "0"},
                                                         {"warmup", "-1"},
                                                         {"val-fraction", "0"},
                                                         {"val-fraction", "1"},
                                                         {"val-fraction", "-0.1"},
                                                         {"beta1", "1"},
                                                         {"beta2", "-0.1"},
                                                         {"eps", "0"},
                                                         {"clip", "-1"},
                                                         {"dropout", "1"},
                                                         {"dropout", "nan"},
                                                         {"weight-decay", "-1"},
                                                         {"temperature", "-1"},
                                                         {"temperature", "nan"},
                                                         {"top-k", "-1"},
                                                         {"top-p", "0"},
                                                         {"top-p", "1.1"},
                                                         {"min-p", "1.5"},
                                                         {"min-p", "-0.1"},
                                                         {"keep", "0"},
                                                         {"log-every", "0"},
                                                         {"eval-every", "-1"},
                                                         {"threads", "-1"},
                                                         {"layers", "0"},
                                                         {"heads", "-4"},
                                                         {"context", "0"},
                                                         {"tied", "yes"},
                                                         {"tied", "1"},
                                                         {"norm", "batchnorm"},
                                                         {"norm", "RMSNorm"},
                                                         {"schedule", ""},
                                                         {"dtype", "fp16"},
                                                         {"device", "gpu"},
                                                         {"recompute", "all"},
                                                         {"out", ""},
                                                         {"prompt", ""},
                                                         {"data", ""},
                                                         {"model", ""},
                                                         {"resume", ""},
                                                         {"tied", ""},
                                                         {"lr", ""}};
    for (const auto& [flag, text] : table) {
        const std::string name = std::string("--") + flag;
        expect_refusal({name, text}, {name + ": ", "; example: " + name});
        expect_refusal({name + "=" + text}, {name + ": ", "; example: " + name});
    }
    for (const char* flag : {"--batch", "--lr", "--data", "--model", "--prompt", "--norm"}) {
        expect_refusal({flag}, {flag, "needs a value"});
        expect_refusal({flag, "--doc-mask"}, {flag, "needs a value"});
    }
    expect_refusal({"--batch", "8x"}, {"--batch: \"8x\" is not a whole number; example: --batch "});
    expect_refusal({"--lr", "nan"}, {"--lr: \"nan\" is not a number"});
    expect_refusal({"--lr", "inf"}, {"--lr: \"inf\" is not a number"});
    expect_refusal({"--top-p", "1.1"}, {"must be more than 0 and at most 1, not 1.1"});
    expect_refusal({"--dtype", "fp16"}, {"\"fp16\" is not one of auto, bf16, fp32"});
    expect_refusal({"--batch", std::string(5000, 'x')}, {"xxx…\" is not a whole number"});
    expect_refusal({"sample", "--model", "runs/a", "--tokens", "0"}, {"--tokens: must be at least 1"});
}

// What is computed with are floats: the value that the text is rounded to must be allowed too,
// and not mean another thing.
TEST(flag, values_that_round_to_others) {
    const struct {
        const char *flag, *text, *says;
    } table[] = {{"beta1", "0.99999999", "is rounded to 1, it must be at least 0 and less than 1"},
                 {"beta2", "0.99999999", "is rounded to 1, it must be at least 0 and less than 1"},
                 {"dropout", "0.99999999", "is rounded to 1"},
                 {"eps", "1e-46", "is rounded to 0, it must be more than 0"},
                 {"norm-eps", "1e-46", "is rounded to 0"},
                 {"lr", "1e-46", "is rounded to 0"},
                 {"clip", "1e-300", "is rounded to 0, it must be 0 itself or a larger number"},
                 {"weight-decay", "1e-50", "it must be 0 itself or a larger number"},
                 {"temperature", "1e-50", "it must be 0 itself or a larger number"},
                 {"min-p", "1e-50", "it must be 0 itself or a larger number"},
                 {"top-p", "1e-50", "is rounded to 0"},
                 {"repetition-penalty", "1e-50", "is rounded to 0"},
                 {"clip", "1e300", "beyond what a number here can hold"},
                 {"repetition-penalty", "1e39", "beyond what a number here can hold"}};
    for (const auto& row : table)
        expect_refusal({std::string("--") + row.flag, row.text}, {std::string("--") + row.flag + ": ", row.says});
    // The same of every flag there is or will be: no number is taken for a float that the flag refuses.
    for (const Flag& f : flags()) {
        Options o = default_options(Command::train);
        if (!f.belongs_to(Command::train) || !f.get(o).is_number_float()) continue;
        for (const char* text : {"0.99999999", "1e-46", "1e39"}) {
            if (!f.set(o, {text}).empty()) continue;
            const double rounded = float(std::stod(text));
            EXPECT_EQ(f.set(o, {fmt::format("{}", rounded)}), "") << f.name << " " << text;
            EXPECT_TRUE(rounded != 0 && std::isfinite(rounded)) << f.name << " " << text;
        }
    }
    EXPECT_EQ(parse({"--clip", "0"}).clip, 0);
    EXPECT_EQ(parse({"--beta2", "0.9999999"}).beta2, 0.9999999);
}

TEST(flag, unknown_flags_get_the_nearest) {
    const std::pair<const char*, const char*> table[] = {
        {"--lerning-rate", "--lr?"},  {"--learning-rate", "--lr?"}, {"--batchs", "--batch?"},
        {"--batch-size", "--batch?"}, {"--stpes", "--steps?"},      {"--wieght-decay=1", "--weight-decay?"},
        {"--n-layer", "--layers?"},   {"--Batch", "--batch?"},      {"--save_every", "--save-every?"}};
    for (const auto& [given, meant] : table)
        expect_refusal({given}, {std::string("unknown flag; did you mean ") + meant});
    expect_refusal({"--zzzzzzzzzz"}, {"\"--zzzzzzzzzz\": unknown flag; --help lists all"});
    for (const char* bad : {"-b", "-batch", "-x=3"}) expect_refusal({bad}, {bad, "two dashes"});
    for (const char* bad : {"--", "--=x", "---batch"}) expect_refusal({bad}, {"unknown flag"});
    expect_refusal({"--steps", "60", "70"}, {"\"70\": belongs to no flag"});
    expect_refusal({"--memory", "1GB"}, {"--memory: a flag of `plan`, not of `train`"});
    expect_refusal({"plan", "--steps", "5"}, {"--steps: a flag of `train`, not of `plan`"});
    expect_refusal({"smaple"}, {"command: \"smaple\" is not one of train, sample, eval, plan, tokenize"});
    expect_refusal({""}, {"command: \"\" is not one of"});
    EXPECT_EQ(nearest("steps", {"step", "stops", "layers"}), "step");
    EXPECT_EQ(nearest("x", {"lr"}), "");
}

}  // namespace
