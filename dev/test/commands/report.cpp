// The page about a run: what it shows, that nothing in it is alive, and that its numbers are the model's.
#include "host/report/report.h"
#include <gtest/gtest.h>
#include <cmath>
#include "dev/test/support/captured.h"
#include "dev/test/support/expect_error.h"
#include "dev/test/support/html_faults.h"
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/text_search.h"
#include "dev/test/support/toy_model.h"
#include "host/base/files.h"
#include "host/base/html.h"
#include "host/base/json.h"
#include "host/checkpoint/model_files.h"
#include "host/commands/commands.h"
#include "host/options/options_parse.h"
#include "host/reference/sdpa.h"
#include "host/report/png.h"
#include "host/report/report_charts.h"
#include "host/report/report_inspect.h"
#include "host/run/run_log.h"
#include "host/tokenizer/tokenizer_json.h"

namespace {

const std::string hostile = "</script><script>alert('1')</script><img src=x onerror=alert(2)>&amp;\"\x01";

// Runs a tiny training below `folder` and returns its directory.
std::string trained(const Temporary& folder, const std::string& text) {
    overwrite(folder / "text.txt", text);
    const std::string out = folder / "run";
    const Captured quiet;
    run_command(
        parse({"--layers",       "2",  "--dim",           "16", "--heads",  "2",   "--ffn",        "32",
               "--context",      "16", "--batch",         "2",  "--steps",  "6",   "--eval-every", "3",
               "--sample-every", "2",  "--sample-tokens", "12", "--device", "cpu", "--data",       folder / "text.txt",
               "--out",          out}));
    return out;
}

std::string page_of(const std::string& run, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"report", run});
    const Captured quiet;
    EXPECT_EQ(run_command(parse(more)), Exit::done);
    return files::read_file(run + "/report.html", 64 << 20);
}

// What the page's script reads.
Json data_of(const std::string& page) {
    const std::string begin = "<script type=\"application/json\" id=\"data\">";
    const size_t at = page.find(begin) + begin.size();
    const std::string text = page.substr(at, page.find("</script>", at) - at);
    EXPECT_EQ(count(text, "<"), 0);
    return Json::parse(text);
}

}  // namespace

TEST(report, shows_the_run) {
    const Temporary folder;
    std::string text;
    for (int i = 0; i < 20; i++) text += "the cat sat on a mat\n";
    const std::string run = trained(folder, text), page = page_of(run, {"--prompt", "the cat"});
    EXPECT_TRUE(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    EXPECT_EQ(html_fault(page), "");
    EXPECT_EQ(count(page, "<pre"), 3);  // samples after steps 2, 4 and 6
    EXPECT_LT(page.find("after step 2<"), page.find("after step 6<"));
    EXPECT_EQ(count(page, "data:image/png;base64,"), 4);  // two layers of two heads
    EXPECT_EQ(count(page, "<ol class=\"bars\">"), 7);     // one for every character of the prompt
    EXPECT_EQ(count(page, "<td>--layers</td><td>2</td>"), 1);
    EXPECT_EQ(count(page, "<td>total</td>"), 1);
    EXPECT_EQ(count(page, "<svg"), 4);  // loss, rate, norm, throughput
    EXPECT_EQ(count(page, "role=\"img\" aria-label=\""), 4);
    EXPECT_EQ(count(page, ">finished</span><span>all 6 steps<"), 1);
    for (const char* outside :
         {"http-equiv=\"refresh", "src=\"http", "href=\"http", "<link", "<iframe", "@import", "url(", "fetch("})
        EXPECT_EQ(count(page, outside), 0) << outside;
    EXPECT_EQ(count(page, "prefers-color-scheme: dark"), 1);
}

// What a pointer shows is what the log says, to the last bit.
TEST(report, its_numbers_are_the_logs) {
    const Temporary folder;
    const std::string run = trained(folder, std::string(400, 'a') + "b");
    const Json data = data_of(page_of(run));
    size_t steps = 0, validations = 0;
    read_log(run, [&](const Json& line) {
        if (line.contains("val_loss")) {
            EXPECT_EQ(data["val"].at(validations++), Json({line["step"].get<double>(), line["val_loss"]}));
        } else if (line.contains("loss")) {
            for (const auto& [mine, logs] :
                 {std::pair("step", "step"), {"loss", "loss"}, {"lr", "lr"}, {"norm", "grad_norm"}})
                EXPECT_EQ(data[mine].at(steps).get<double>(), line[logs].get<double>()) << mine;
            EXPECT_NEAR(data["rate"].at(steps).get<double>() / line["tokens_per_s"].get<double>(), 1, 1e-5);
            steps++;
        }
    });
    EXPECT_EQ(steps, 6u);
    EXPECT_EQ(validations, 2u);
    EXPECT_EQ(data["step"].size(), steps);
}

// Of a long run the page has some steps, and all that were left out; its size does not grow with the run.
TEST(report, of_a_long_run) {
    Story story;
    for (int i = 1; i <= 50000; i++) {
        StepPoint p{double(i), i * 8.0, i * 0.1, 1 + 9 * std::exp(-i / 500.0), 1e-3, 1, 80, NAN};
        if (i == 31234) p.loss = p.grad_norm = NAN, p.left_out = LeftOut::not_finite;
        if (i == 31240) p.loss = 7, p.left_out = LeftOut::spike;
        story.curve.steps.push_back(p);
    }
    story.curve.steps[2].tokens_per_s = 4.9e-324;
    const Json data = chart_data(story);
    EXPECT_LT(data["step"].size(), 1300u);
    EXPECT_EQ(data["step"].front(), 1);
    EXPECT_EQ(data["step"].back(), 50000);
    for (const auto& [step, why] : {std::pair(31234, "not finite"), {31240, "a spike"}}) {
        const auto at = std::find(data["step"].begin(), data["step"].end(), step) - data["step"].begin();
        ASSERT_LT(size_t(at), data["step"].size()) << step;
        EXPECT_EQ(data["left_out"][size_t(at)], why);
        EXPECT_EQ(data["loss"][size_t(at)].is_null(), step == 31234);
    }
    const std::string charts = loss_charts(story);
    EXPECT_LT(charts.size(), 100000u);
    EXPECT_EQ(html_fault(charts), "");
    EXPECT_EQ(count(charts, "the end closer"), 1);
    EXPECT_EQ(count(charts, "left out <b data-value=\"left_out\">2 steps</b>"), 2);
    EXPECT_EQ(count(charts, "nan") + count(charts, "inf"), 0);
    story.curve.steps.resize(1);
    EXPECT_EQ(count(loss_charts(story), "the end closer"), 0);
}

TEST(report, says_how_the_run_stands) {
    Story story;
    story.curve.steps.push_back({40, 320, 10, 2, 1e-3, 1});
    story.steps = 100;
    const auto says = [&](const std::string& text) {
        const std::string page = report_page(story, {});
        EXPECT_EQ(html_fault(page), "");
        EXPECT_EQ(count(page, text), 1) << text;
    };
    says(">ended</span><span>40 of 100 steps, and no last word;");
    story.goes_on = true;
    says(">training</span><span>40 of 100 steps, about 0:15 to go<");
    says("<progress max=\"100\" value=\"40\"");
    story.goes_on = false, story.ending = Ending::stopped;
    says(">stopped</span><span>40 of 100 steps; --resume goes on<");
    story.ending = Ending::early_stop;
    says(">finished early</span><span>40 of 100 steps: the validation loss got no better<");
    story.ending = Ending::finished;
    says(">finished</span><span>all 40 steps<");
}

// Only a page that is rewritten loads itself again.
TEST(report, reloads_while_the_run_goes_on) {
    Story story;
    story.curve.steps.push_back({40, 320, 10, 2, 1e-3, 1});
    const std::string stays = report_page(story, {}), goes = report_page(story, {}, {7, 1234567});
    EXPECT_EQ(html_fault(goes), "");
    EXPECT_EQ(count(goes, "<noscript><meta http-equiv=\"refresh\" content=\"7\"></noscript>"), 1);
    EXPECT_EQ(data_of(goes)["reload"], 7);
    EXPECT_EQ(data_of(goes)["written"], 1234567);
    EXPECT_EQ(count(stays, "http-equiv=\"refresh"), 0);
    EXPECT_FALSE(data_of(stays).contains("reload"));
}

// A text that would be a program, if a single place forgot that it is text.
TEST(report, hostile_text_stays_text) {
    const Temporary folder;
    std::string text;
    for (int i = 0; i < 6; i++) text += hostile.substr(0, hostile.size() - 1) + "\n";
    const std::string run = trained(folder, text);
    std::string log = files::read_file(run + "/log.jsonl", 1 << 20);
    log += Json{{"step", 7}, {"sample", hostile}}.dump() + "\n";
    overwrite(run + "/log.jsonl", log);
    const std::string page = page_of(run, {"--prompt", hostile});
    const auto is_calm = [](const std::string& page) {
        EXPECT_EQ(html_fault(page), "");
        EXPECT_EQ(count(page, "<script"), 2);  // data, and the page's own
        EXPECT_EQ(count(page, "</script"), 2);
        EXPECT_EQ(count(page, "<img src=x"), 0);
    };
    is_calm(page);
    EXPECT_EQ(count(page, "&lt;/script&gt;&lt;script&gt;alert(&#39;1&#39;)"), 1);
    EXPECT_EQ(count(page, "&amp;amp;&quot;\xEF\xBF\xBD"), 1);
    EXPECT_EQ(escaped("a\xFF<"), "a\xEF\xBF\xBD&lt;");
    const Inspection spoken{1, 1, 2, {hostile, hostile}, {1, 0, 0.5, 0.5}, {{{hostile, 1}}, {{hostile, 1}}}, {1, 0}};
    Story story = read_story(run);
    story.curve.name = story.options.model = hostile;
    const std::string with_it = report_page(story, {spoken, ""});
    is_calm(with_it);
    std::string visible = hostile;  // spaces are shown
    for (size_t at; (at = visible.find(' ')) != std::string::npos;) visible.replace(at, 1, "␣");
    EXPECT_EQ(data_of(with_it)["attention"]["tokens"][0], visible);
    is_calm(report_page(story, {{}, hostile}));
    // No text can hold the script's nonce, which depends on all texts.
    const auto nonce = [](const std::string& page) { return page.substr(page.find("'nonce-") + 7, 16); };
    story.samples.push_back({8, nonce(with_it)});
    EXPECT_NE(nonce(report_page(story, {spoken, ""})), nonce(with_it));
}

TEST(report, does_without_what_is_not_there) {
    const Temporary folder;
    const std::string run = trained(folder, "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc");
    std::filesystem::remove((std::filesystem::path(run) / "best").string());
    std::filesystem::remove((std::filesystem::path(run) / "latest").string());
    EXPECT_EQ(count(page_of(run), "has no checkpoint yet"), 1);
    const std::string log = files::read_file(run + "/log.jsonl", 1 << 20);
    overwrite(run + "/log.jsonl", log.substr(0, log.find('\n') + 1));
    expect_error(Exit::input, {"no step yet"}, [&] { run_command(parse({"report", run})); });
    overwrite(run + "/log.jsonl", "{\"step\":1,\"loss\":2.0}\n");
    expect_error(Exit::input, {"does not begin with"}, [&] { read_story(run); });
    overwrite(run + "/log.jsonl", "{\"step\":\"x\",\"sample\":\"a\"}\n");
    expect_error(Exit::input, {"log.jsonl"}, [&] { read_story(run); });
    expect_error(Exit::usage, {"report: of which run"}, [] { parse({"report"}); });
    expect_error(Exit::usage, {"train_gpt plot"}, [] { parse({"report", "a", "b"}); });
}

// Attention against the textbook's on the same queries and keys; expectations against the logits of transformers.
TEST(report, insides_are_the_models) {
    for (const char* name : {"gpt2", "llama-3.2", "qwen3-odd"}) {
        const Temporary folder;
        const std::string model = std::string("dev/oracle/models/") + name;
        for (const char* file : {"config.json", "model.safetensors"})
            std::filesystem::copy_file(model + "/" + file, folder / file);
        overwrite(folder / "tokenizer.json", tokenizer_json(byte_tokenizer()));
        const Config c = read_model_description(model).config;
        std::string text;
        for (int t = 1; t < c.T + 3; t++) text += char(t * 7 % c.V);  // more than fits; 0 is the separator
        const Inspection in = inspect(folder.path.string(), text, 1000);
        ASSERT_EQ(in.T, c.T);
        ASSERT_EQ(in.attention.size(), size_t(c.L) * c.NH * c.T * c.T);

        ToyModel toy(c);
        load_weights(model, c, toy.layout(), toy.set());
        std::vector<int> ids{0}, positions(c.T);
        for (int t = 1; t < c.T; t++) ids.push_back(t * 7 % c.V);
        std::iota(positions.begin(), positions.end(), 0);
        toy.gpt.forward({1, c.T, ids.data(), nullptr, positions.data(), nullptr});
        const std::unique_ptr<bool[]> mask(new bool[size_t(c.T) * c.T]);
        for (int t = 0; t < c.T; t++)
            for (int s = 0; s < c.T; s++) mask[size_t(t) * c.T + s] = s <= t;
        for (int l = 0; l < c.L; l++)
            for (int h = 0; h < c.NH; h++) {
                const float* qkv = toy.gpt.x[toy.gpt.ab[l].qkv];
                std::vector<float> q, k, out(size_t(c.T) * c.HS), prob(size_t(c.T) * c.T);
                for (int t = 0; t < c.T; t++)
                    for (int i = 0; i < c.HS; i++) {
                        q.push_back(qkv[size_t(t) * toy.gpt.QKV + h * c.HS + i]);
                        k.push_back(qkv[size_t(t) * toy.gpt.QKV + (c.NH + h * c.NKV / c.NH) * c.HS + i]);
                    }
                sdpa_forward(out.data(), prob.data(), q.data(), k.data(), k.data(), mask.get(), 1, c.T, c.T, c.HS, c.HS,
                             Cpu<float>());
                for (int t = 0; t < c.T; t++)
                    for (int s = 0; s < c.T; s++)
                        ASSERT_NEAR(in(l, h, t, s), prob[size_t(t) * c.T + s], 1e-5)
                            << name << " " << l << " " << h << " " << t << " " << s;
            }
        for (int t = 0; t < c.T; t++) {
            const float* x = toy.gpt.logits_of(t);
            double sum = 0;
            for (int v = 0; v < c.V; v++) sum += std::exp(double(x[v]));
            const int best = int(std::max_element(x, x + c.V) - x);
            EXPECT_EQ(in.next[t][0].text, byte_tokenizer().token_text(best));
            EXPECT_NEAR(in.next[t][0].probability, std::exp(double(x[best])) / sum, 1e-5);
            EXPECT_EQ(in.next[t].size(), 5u);
            EXPECT_GE(in.next[t][0].probability, in.next[t][1].probability);
            if (t + 1 < c.T) { EXPECT_NEAR(in.probability[t], std::exp(double(x[ids[t + 1]])) / sum, 1e-5); }
        }
    }
}

TEST(report, pictures) {
    EXPECT_EQ(base64(""), "");
    EXPECT_EQ(base64("f"), "Zg==");  // RFC 4648's examples
    EXPECT_EQ(base64("fo"), "Zm8=");
    EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
    const std::string file = png({0, 255, 7, 9}, 2, 2, {1, 2, 3});
    EXPECT_TRUE(file.starts_with("\x89PNG\r\n\x1A\n"));
    EXPECT_EQ(file.substr(file.size() - 12), std::string("\0\0\0\0IEND\xAE\x42\x60\x82", 12));  // as in every PNG
    const size_t data = file.find("IDAT") + 4;
    EXPECT_EQ(file.substr(data, 7), std::string("\x78\x01\x01\x06\x00\xF9\xFF", 7));
    EXPECT_EQ(file.substr(data + 7, 6), std::string("\0\0\xFF\0\x07\x09", 6));
}
