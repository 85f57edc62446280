// `train_gpt eval` against transformers (dev/oracle/evaluating.py), by hand, and with what cannot be evaluated.
#include <gtest/gtest.h>
#include <cmath>
#include <filesystem>
#include "dev/test/data/dataset_case.h"
#include "dev/test/support/expect_error.h"
#include "dev/test/support/golden.h"
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/toy_model.h"
#include "host/base/files.h"
#include "host/checkpoint/model_files.h"
#include "host/data/shard_writer.h"
#include "host/evaluate/eval_command.h"
#include "host/options/options_parse.h"
#include "host/tokenizer/load_tokenizer.h"
#include "host/tokenizer/tokenizer_json.h"
#include "run_case.h"

namespace {

const Json& golden_file() {
    static const Json all = read_json("dev/oracle/evaluating.json");
    return all;
}

// A copy of one of the golden models, with a tokenizer of the golden alphabet's characters.
std::string model_of(const Temporary& folder, const std::string& name) {
    const std::string path = folder / name;
    std::filesystem::create_directory(path);
    for (const char* file : {"config.json", "model.safetensors"})
        std::filesystem::copy_file("dev/oracle/models/" + name + "/" + file, path + "/" + file);
    overwrite(path + "/tokenizer.json",
              tokenizer_json(train_tokenizer(TokenizerKind::character, golden_file()["alphabet"].get<std::string>())));
    return path;
}

Json evaluated(std::vector<std::string> args) {
    args.insert(args.begin(), "eval");
    args.push_back("--json");
    Captured printed;
    run_command(parse(args));
    return parse_json(printed.take(), "eval --json");
}

// One text is a file of its own; several are JSON lines.
std::string write_documents(const Temporary& folder, const Json& which) {
    const Json& texts = golden_file()["texts"];
    if (which.size() == 1) return write(folder, "one.txt", texts[which[0].get<size_t>()]);
    std::string lines;
    for (const Json& d : which) lines += Json{{"text", texts[d.get<size_t>()]}}.dump() + "\n\n";
    return write(folder, "several.jsonl", lines);
}

std::string write_questions(const Temporary& folder) {
    std::string lines;
    for (const Json& q : golden_file()["questions"]) lines += q.dump() + "\n";
    return write(folder, "questions.jsonl", lines);
}

// llm.c's file of the same questions.
std::string llmc_questions(const std::vector<Question>& questions) {
    std::vector<uint32_t> header(256);
    header[0] = 20240522, header[1] = 1, header[2] = uint32_t(questions.size());
    std::vector<uint16_t> all;
    for (size_t i = 0; i < questions.size(); i++) {
        const Question& q = questions[i];
        std::vector<uint16_t> one{65535, 0, uint16_t(i), uint16_t(q.label), uint16_t(q.choices.size())};
        const auto put = [&](const std::vector<int>& tokens) {
            one.push_back(uint16_t(tokens.size()));
            one.insert(one.end(), tokens.begin(), tokens.end());
        };
        put(q.choices[0].context);
        for (const Choice& choice : q.choices) put(choice.ending);
        one[1] = uint16_t(2 * one.size());
        all.insert(all.end(), one.begin(), one.end());
    }
    std::string bytes(reinterpret_cast<const char*>(header.data()), 1024);
    return bytes.append(reinterpret_cast<const char*>(all.data()), 2 * all.size());
}

}  // namespace

// Every window by itself in transformers, float64; side by side in a batch here.
TEST(eval, texts_score_as_in_transformers) {
    for (const Json& c : golden_file()["cases"]) {
        const Temporary folder;
        const std::string model = model_of(folder, c["model"]), data = write_documents(folder, c["documents"]);
        std::vector<std::string> args{"--model",           model,      "--data",           data,       "--context",
                                      c["context"].dump(), "--stride", c["stride"].dump(), "--device", "cpu"};
        if (!c["separator"].get<bool>()) args.insert(args.end(), {"--separator", "none"});
        for (const char* batch : {"1", "4"}) {
            std::vector<std::string> all = args;
            all.insert(all.end(), {"--batch", batch});
            const Json got = evaluated(all);
            const double nats = c["nats"], tokens = c["tokens"], bytes = c["bytes"];
            EXPECT_EQ(got["tokens"], c["tokens"]) << c;
            EXPECT_EQ(got["bytes"], c["bytes"]) << c;
            EXPECT_EQ(got["documents"], c["documents"].size());
            EXPECT_NEAR(got["nats"].get<double>() / nats, 1, 1e-5) << c;
            EXPECT_NEAR(got["loss"].get<double>() / (nats / tokens), 1, 1e-5);
            EXPECT_NEAR(got["perplexity"].get<double>() / std::exp(nats / tokens), 1, 1e-4);
            EXPECT_NEAR(got["bits_per_byte"].get<double>() / (nats / std::log(2.0) / bytes), 1, 1e-5) << c;
        }
    }
}

TEST(eval, the_kernels_say_the_same) {
    const GpuFound gpu = find_gpu();
    if (gpu.kind == GpuFound::Kind::none) GTEST_SKIP() << gpu.text;
    for (const Json& c : golden_file()["cases"]) {
        if (c["context"] != 7 || c["documents"].size() == 1) continue;
        const Temporary folder;
        const Json got = evaluated(
            {"--model", model_of(folder, c["model"]), "--data", write_documents(folder, c["documents"]), "--context",
             "7", "--stride", c["stride"].dump(), "--device", kernels_of(gpu), "--dtype", "fp32", "--batch", "3"});
        EXPECT_NEAR(got["nats"].get<double>() / c["nats"].get<double>(), 1, 1e-5) << c;
    }
}

TEST(eval, questions_score_as_in_transformers) {
    for (const Json& wanted : golden_file()["answers"]) {
        const Temporary folder;
        const std::string model = model_of(folder, wanted["model"]), lines = write_questions(folder);
        Evaluation e;
        open_evaluation(e, parse({"eval", "--model", model, "--multiple-choice", lines}));
        const std::vector<double> nats = wanted["nats"];
        const Answers want = count_answers(e.questions, nats);
        const std::string bin = write(folder, "questions.bin", llmc_questions(e.questions));
        for (const std::string& file : {lines, bin}) {
            const Json got = evaluated({"--model", model, "--multiple-choice", file, "--device", "cpu"});
            const double n = double(e.questions.size());
            EXPECT_EQ(got["questions"], e.questions.size());
            EXPECT_EQ(got["acc"].get<double>(), double(want.acc) / n);
            EXPECT_EQ(got["acc_norm"].get<double>(), double(*want.acc_norm) / n);
            EXPECT_EQ(got["acc_bytes"].get<double>(), double(*want.acc_bytes) / n);
            EXPECT_EQ(got["acc_tokens"].get<double>(), double(want.acc_tokens) / n);
        }
        Gpt<Cpu<float>> gpt(e.model.config, e.batch * e.context, Recompute::block, Cpu<float>());
        gpt.allocate(Use::infer);
        load_weights(model, e.model.config, gpt.weights, [&](const Parameter& parameter, std::span<const float> from) {
            std::copy(from.begin(), from.end(), gpt.w[parameter.slot]);
        });
        Scorer<Cpu<float>> scorer(gpt, e.batch, e.context);
        for (const Question& q : e.questions)
            for (const Choice& choice : q.choices) scorer.add(segment_of(choice, e.context, "here"));
        scorer.flush();
        ASSERT_EQ(scorer.nats.size(), nats.size());
        for (size_t i = 0; i < nats.size(); i++) EXPECT_NEAR(scorer.nats[i] / nats[i], 1, 1e-5) << i;
    }
}

// Losses made up so that each way of counting has another winner.
TEST(eval, four_ways_to_count_answers) {
    const Question q{{{{1}, {1}, 2, 2}, {{1}, {1, 2}, 11, 5}, {{1}, {1, 2, 3, 4}, 6, 4}, {{1}, {1}, 16, 16}}, 0};
    std::vector<Question> all(4, q);
    for (int i = 0; i < 4; i++) all[size_t(i)].label = i;
    // By the token 2, 1.5, 0.9, 4; by the byte 1, 0.27, 0.6, 0.25; by the character 1, 0.6, 0.9, 0.25.
    const std::vector<double> one{2.0, 3.0, 3.6, 4.0};
    std::vector<double> nats;
    for (int i = 0; i < 4; i++) nats.insert(nats.end(), one.begin(), one.end());
    for (size_t right = 0; right < 4; right++) {
        const Answers a = count_answers({all[right]}, one);
        EXPECT_EQ(a.acc, right == 0);
        EXPECT_EQ(a.acc_tokens, right == 2);
        EXPECT_EQ(*a.acc_bytes, right == 3);
        EXPECT_EQ(*a.acc_norm, right == 3);
    }
    all[1].choices[3].bytes = 10;  // now the second is the likeliest by the byte, and not by the character
    EXPECT_EQ(*count_answers({all[1]}, one).acc_bytes, 1u);
    EXPECT_EQ(*count_answers({all[1]}, one).acc_norm, 0u);
    EXPECT_EQ(count_answers(all, nats).acc, 1u);
    all[0].choices[0].bytes = 0;
    EXPECT_FALSE(count_answers(all, nats).acc_bytes);
    EXPECT_FALSE(count_answers(all, nats).acc_norm);
}

// The definition: target i is scored once, by a window that begins at a multiple of the stride and shows it enough.
TEST(eval, windows_score_every_token_once) {
    for (const int context : {1, 2, 5, 8})
        for (int stride = 1; stride <= context; stride++)
            for (int n = 0; n < 30; n++)
                for (const int separator : {-1, 99}) {
                    Windows windows(context, stride, separator);
                    std::vector<int> tokens(size_t(n), 0), seen(size_t(n + 1), 0), before(seen);
                    std::iota(tokens.begin(), tokens.end(), 0);
                    windows.begin();
                    windows.add(std::span(tokens).first(size_t(n / 3))),
                        windows.add(std::span(tokens).subspan(size_t(n / 3)));
                    windows.end();
                    for (const Segment& s : windows.ready) {
                        ASSERT_LE(s.tokens.size(), size_t(context) + 1);
                        const int begin = s.tokens[0] == 99 ? 0 : s.tokens[0] + (separator >= 0);
                        EXPECT_EQ(begin % stride, 0);
                        for (size_t i = size_t(s.scored); i < s.tokens.size(); i++)
                            seen[size_t(s.tokens[i])]++, before[size_t(s.tokens[i])] = int(i);
                        for (size_t i = 1; i < s.tokens.size(); i++)
                            EXPECT_EQ(s.tokens[i], s.tokens[0] == 99 ? int(i) - 1 : s.tokens[0] + int(i));
                    }
                    for (int i = 0; i < n; i++) {
                        EXPECT_EQ(seen[size_t(i)], i > 0 || separator >= 0)
                            << context << " " << stride << " " << n << " " << i;
                        if (seen[size_t(i)]) {
                            EXPECT_GE(before[size_t(i)], std::min(i + (separator >= 0), context - stride + 1));
                        }
                    }
                }
}

// Shards of the same documents: the same tokens, bytes and loss, wherever one file ends and the next begins.
TEST(eval, shards_score_as_their_texts) {
    const Temporary folder;
    const std::string model = model_of(folder, "qwen3");
    const std::vector<std::string> common{"--model", model, "--device", "cpu", "--stride", "4"};
    const auto with = [&](std::vector<std::string> more) {
        more.insert(more.begin(), common.begin(), common.end());
        return evaluated(more);
    };
    const Json text = with({"--data", write_documents(folder, {1, 2, 3, 4, 5, 6})});
    const Tokenizer tokenizer = load_tokenizer(model);
    ShardWriter writer(folder / "shards", nullptr, tokenizer, 0, 37);
    std::vector<uint16_t> plain;
    for (size_t i = 1; i <= 6; i++) {
        const std::vector<int> ids = tokenizer.encode(golden_file()["texts"][i].get<std::string>());
        writer.begin_document();
        writer.add(ids);
        plain.push_back(0);
        plain.insert(plain.end(), ids.begin(), ids.end());
    }
    writer.commit(Json::object());
    const Json shards = with({"--data", folder / "shards/*.bin"});
    for (const char* what : {"tokens", "bytes", "documents", "nats"}) EXPECT_EQ(shards[what], text[what]) << what;
    const std::string without_header =
        write(folder, "plain.bin", {reinterpret_cast<const char*>(plain.data()), plain.size() * 2});
    EXPECT_EQ(with({"--data", without_header, "--token-type", "uint16", "--separator", "none"})["tokens"],
              plain.size() - 1);
    expect_error(Exit::input, {"plain.bin", "another tokenizer"}, [&] {
        with({"--data", folder / "shards/*.bin", without_header, "--token-type", "uint16"});
    });
    std::filesystem::remove(model + "/tokenizer.json");
    EXPECT_EQ(with({"--data", folder / "shards/*.bin"})["bytes"], text["bytes"]);  // the shards' own tokenizer
    EXPECT_TRUE(with({"--data", without_header, "--token-type", "uint16"})["bits_per_byte"].is_null());
}

TEST(eval, people_read_words) {
    const Temporary folder;
    const std::string model = model_of(folder, "gpt2");
    Captured printed;
    run_command(parse({"eval", "--model", model, "--data", write_documents(folder, {0}), "--multiple-choice",
                       write_questions(folder), "--device", "cpu"}));
    const std::string text = printed.take();
    for (const char* part : {"loss           ", "perplexity     ", "bits per byte  ", "scored         157 tokens (",
                             "of 1 document,", "acc_norm       ", "acc_tokens     ", "llm.c"})
        EXPECT_NE(text.find(part), text.npos) << text << part;
}

TEST(eval, refuses_what_cannot_be_scored) {
    const Temporary folder;
    const std::string model = model_of(folder, "gpt2"), text = write(folder, "a.txt", "a"), bad = folder / "bad.jsonl";
    const auto run = [&](std::vector<std::string> args) {
        return [=]() mutable {
            args.insert(args.begin(), {"eval", "--device", "cpu", "--model", model});
            run_command(parse(args));
        };
    };
    expect_error(Exit::usage, {"--data", "nothing to score"}, run({}));
    expect_error(Exit::usage, {"eval needs a trained model"}, [] { parse({"eval", "--data", "x"}); });
    expect_error(Exit::usage, {"gpt2 is a preset"}, [] { parse({"eval", "--model", "gpt2", "--data", "x"}); });
    expect_error(Exit::usage, {"--stride", "9", "--context 8"},
                 run({"--data", text, "--stride", "9", "--context", "8"}));
    expect_error(Exit::usage, {"--stride", "13", "12"}, run({"--data", text, "--stride", "13"}));
    expect_error(Exit::usage, {"--context", "13", "12"}, run({"--data", text, "--context", "13"}));
    expect_error(Exit::usage, {"--separator", "no token"}, run({"--data", text, "--separator", "<|x|>"}));
    expect_error(Exit::input, {"no token that something stands before"}, run({"--data", text, "--separator", "none"}));
    expect_error(Exit::input, {"nowhere.txt"}, run({"--data", folder / "nowhere.txt"}));
    expect_error(Exit::usage, {"cannot be mixed"}, run({"--data", text, folder / "b.bin"}));
    const auto question = [&](const std::string& line, const std::string& word) {
        write(folder, "bad.jsonl", "\n" + line);
        expect_error(Exit::input, {"bad.jsonl: line 2", word}, run({"--multiple-choice", bad}));
    };
    question("{", "");
    question("7", "is no question");
    question(R"({"ctx":"a","endings":["b"],"label":0})", "endings");
    question(R"({"ctx":"a","endings":["b",7],"label":0})", "an ending");
    question(R"({"ctx":"a","endings":["b","c"],"label":2})", "label");
    question(R"({"ctx":"a","endings":["b","c"],"label":""})", "label");
    question(R"({"ctx":"","endings":["b","c"],"label":"1"})", "context is empty");
    write(folder, "bad.jsonl", R"({"ctx":"a","endings":["b","cccccccccccccccccccc"],"label":"1"})");
    expect_error(Exit::input, {"question 0", "21 tokens"}, run({"--multiple-choice", bad}));
    write(folder, "bad.jsonl", "\n");
    expect_error(Exit::input, {"holds no question"}, run({"--multiple-choice", bad}));

    const std::vector<Question> good{{{{{1, 2}, {3}}, {{1, 2}, {4, 5}}}, 1}};
    const std::string bytes = llmc_questions(good), file = folder / "q.bin";
    const auto damaged = [&](size_t at, uint16_t value, const std::string& word) {
        std::string copy = bytes;
        std::memcpy(copy.data() + at, &value, 2);
        overwrite(file, copy);
        expect_error(Exit::input, {"q.bin", word}, run({"--multiple-choice", file}));
    };
    damaged(0, 7, "not llm.c's file of questions");
    damaged(8, 2, "ends in the middle");
    damaged(1024, 7, "65535");
    damaged(1026, 7, "another length");
    damaged(1030, 2, "label");
    damaged(1034, 0, "is empty");
    damaged(1036, 29, "outside the model's vocabulary of 29");
    overwrite(file, bytes.substr(0, bytes.size() - 2));
    expect_error(Exit::input, {"question 0", "ends in the middle"}, run({"--multiple-choice", file}));
    std::filesystem::remove(model + "/tokenizer.json");
    expect_error(Exit::usage, {"has no tokenizer", "--tokenizer"}, run({"--data", text}));
}
