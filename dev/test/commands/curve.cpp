// A run's curves from its log, and their picture.
#include "host/report/curve.h"
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include "dev/test/support/expect_error.h"
#include "dev/test/support/temporary_directory.h"
#include "dev/test/support/text_search.h"
#include "host/base/files.h"
#include "host/commands/commands.h"
#include "host/options/options_parse.h"
#include "host/report/chart_points.h"
#include "host/report/curve_svg.h"

namespace {

const std::string first = R"({"run":{},"parameters":5,"ideal_loss":0.5})";
const std::string log_text = first + R"(
{"step":10,"loss":4.0,"lr":0.01,"grad_norm":2.0,"tokens":100,"ms":500}
{"step":20,"loss":null,"loss_hex":"nan","lr":0.02,"grad_norm":null,"tokens":200,"ms":1000}
{"step":20,"val_loss":3.5,"ms":70}
{"step":30,"loss":2.0,"lr":0.03,"grad_norm":1.0,"tokens":300,"ms":1000}
)";

std::string run_with(const Temporary& directory, const std::string& text) {
    overwrite(directory / "log.jsonl", text);
    return directory.path.string();
}

}  // namespace

TEST(curve, reads_a_log) {
    const Temporary directory;
    const Curve c =
        read_curve(run_with(directory, log_text + R"({"step":40,"lo)") + "/");  // a line still being written
    EXPECT_EQ(c.name, directory.path.string());
    EXPECT_EQ(c.ideal, 0.5);
    ASSERT_EQ(c.steps.size(), 3u);
    EXPECT_EQ(c.steps[0].seconds, 5);  // ten steps of half a second
    EXPECT_TRUE(std::isnan(c.steps[1].loss));
    EXPECT_EQ(c.steps[2].tokens, 300);
    EXPECT_EQ(c.steps[2].seconds, 25);
    ASSERT_EQ(c.validations.size(), 1u);
    EXPECT_EQ(c.validations[0].loss, 3.5);
    EXPECT_EQ(c.validations[0].seconds, 15);
}

TEST(curve, refuses_what_is_no_log) {
    const Temporary directory;
    expect_error(Exit::input, {"log.jsonl"}, [&] { read_curve(directory.path.string()); });
    run_with(directory, first + "\n");
    expect_error(Exit::input, {"no step yet"}, [&] { read_curve(directory.path.string()); });
    run_with(directory, first + "\n{\"step\":1,\n{}\n");
    expect_error(Exit::input, {"line 2"}, [&] { read_curve(directory.path.string()); });
    run_with(directory, first + "\n7\n");
    expect_error(Exit::input, {"line 2"}, [&] { read_curve(directory.path.string()); });
}

// The step without a loss interrupts the line: the pen goes down twice.
TEST(curve, picture_shows_every_curve) {
    const Temporary directory;
    Curve c = read_curve(run_with(directory, log_text));
    c.name = "a<b";
    const std::string one = plot_svg({c}, PlotAxis::steps), two = plot_svg({c, c}, PlotAxis::tokens);
    EXPECT_TRUE(one.starts_with("<svg ") && one.ends_with("</svg>\n"));
    EXPECT_EQ(count(one, "<svg"), 1);
    EXPECT_EQ(count(one, "a&lt;b · loss 2.0000 · validation 3.5000"), 1);
    EXPECT_EQ(count(two, "a&lt;b"), 2);
    EXPECT_EQ(count(one, "ideal 0.5000"), 1);
    EXPECT_EQ(count(one, "<circle"), 1);
    EXPECT_EQ(count(one, ">steps<"), 1);
    EXPECT_EQ(count(two, ">tokens<"), 1);
    EXPECT_EQ(count(one, "nan") + count(one, "inf"), 0);
    const size_t faint = one.find("class=\"faint\"");
    const std::string raw = one.substr(one.rfind("<path", faint), faint - one.rfind("<path", faint));
    EXPECT_EQ(count(raw, "M"), 2) << raw;
    EXPECT_EQ(count(raw, "L"), 0) << raw;
}

// However long a run was, its picture stays small; one point is a picture, too.
TEST(curve, picture_of_long_and_short_runs) {
    Curve c{.name = "long", .steps = {}, .validations = {}, .ideal = {}};
    for (int i = 1; i <= 100000; i++) c.steps.push_back({double(i), i * 8.0, i * 0.1, 3 + std::sin(i * 0.01), 1e-3, 1});
    EXPECT_LT(plot_svg({c}, PlotAxis::seconds).size(), 100000u);
    c.steps.resize(1);
    EXPECT_EQ(count(plot_svg({c}, PlotAxis::steps), "nan"), 0);
}

// A run that falls fast and then slowly: its end is shown again, closer. Nothing hides a curve.
TEST(curve, the_end_is_shown_closer) {
    Curve c{.name = "falls", .steps = {}, .validations = {}, .ideal = 1.0};
    for (int i = 1; i <= 1000; i++)
        c.steps.push_back({double(i), i * 8.0, i * 0.1, 1.01 + 5 * std::exp(-i / 20.0), 1e-3, 1});
    const std::string falls = plot_svg({c}, PlotAxis::steps);
    EXPECT_EQ(count(falls, ">closer<"), 1);
    EXPECT_EQ(count(falls, "ideal 1.0000"), 2);
    Curve rises = c;
    for (StepPoint& p : rises.steps) p.loss = 7 - p.loss;
    EXPECT_EQ(count(plot_svg({rises}, PlotAxis::steps), ">closer<"), 0);
    EXPECT_EQ(count(plot_svg({c, rises}, PlotAxis::steps), ">closer<"), 0);
    c.steps.resize(15);
    EXPECT_EQ(count(plot_svg({c}, PlotAxis::steps), ">closer<"), 0) << "there is little to see";
}

// The README's picture is what plot draws today, but for its numbers: frame, style, titles, names, in that order.
TEST(curve, the_readmes_picture_is_of_this_program) {
    const std::string path = "dev/doc/loss.svg";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "the book is not here";
    Curve c{.name = "runs/tiny-1", .steps = {}, .validations = {}, .ideal = 0.4042};
    for (int i = 1; i <= 1500; i++)
        c.steps.push_back({double(i), i * 8.0, i * 0.1, 0.41 + 4 * std::exp(-i / 60.0), 1e-3, 1});
    c.validations.push_back({1500, 12000, 150, 0.4139});
    const auto frame = [](const std::string& svg) {
        std::string out;
        for (size_t at = 0, end; (end = svg.find('\n', at)) != std::string::npos; at = end + 1) {
            const std::string line = svg.substr(at, end - at);
            if (!line.empty() && !line.starts_with("<path") && !line.starts_with("<text x") &&
                !line.starts_with("<circle"))
                out += line + "\n";
        }
        return out;
    };
    EXPECT_EQ(frame(files::read_file(path, 1 << 24)), frame(plot_svg({c}, PlotAxis::steps)))
        << "after a change of plot: ./train_gpt && ./train_gpt plot runs/tiny-1 --out dev/doc/loss.svg";
}

TEST(curve, a_spike_is_never_lost) {
    std::vector<XY> points;
    for (int i = 0; i < 12345; i++) points.push_back({double(i), i == 7760 ? 50 : i == 3333 ? NAN : std::sin(i)});
    const std::vector<XY> seen = envelope(points), mean = thinned(points);
    EXPECT_LE(seen.size(), 800u);
    EXPECT_TRUE(std::ranges::any_of(seen, [](const XY& p) { return p.x == 7760 && p.y == 50; }));
    EXPECT_TRUE(std::ranges::is_sorted(seen, {}, &XY::x));
    EXPECT_FALSE(std::ranges::any_of(mean, [](const XY& p) { return p.y == 50; }));
    points.resize(3);
    EXPECT_EQ(envelope(points).size(), 3u);
}

TEST(curve, command_writes_the_picture) {
    const Temporary directory;
    const std::string run = run_with(directory, log_text), picture = directory / "p.svg";
    EXPECT_EQ(run_command(parse({"plot", run, run, "--out", picture, "--x=tokens"})), Exit::done);
    EXPECT_EQ(files::read_file(picture, 1 << 20), plot_svg({read_curve(run), read_curve(run)}, PlotAxis::tokens));
    expect_error(Exit::usage, {"plot: of which run"}, [&] { parse({"plot", "--out", picture}); });
    expect_error(Exit::usage, {"--steps"}, [&] { parse({"plot", run, "--steps", "7"}); });
    EXPECT_EQ(parse({"plot", "a", "--x", "steps", "b"}).runs, (std::vector<std::string>{"a", "b"}));
    expect_error(Exit::input, {"no-such-run"}, [&] { run_command(parse({"plot", "no-such-run", "--out", picture})); });
}
