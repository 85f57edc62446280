// The scripts in dev/data, with files of this machine instead of the internet's: the command each ends with must run.
#include <cstdio>
#include <cstdlib>

#include "dev/test/data/dataset_case.h"
#include "host/base/files.h"
#include "host/options/options_parse.h"

namespace {

struct Result {
    int status;
    std::string text;
};

Result run(const std::string& command) {
    std::FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r");
    Result result{-1, ""};
    for (int c; (c = std::fgetc(pipe)) != EOF;) result.text += char(c);
    result.status = pclose(pipe);
    return result;
}

// The words of the last line, as a shell would split it; what it begins with is the program.
std::vector<std::string> last_command(const std::string& text) {
    const size_t end = text.find_last_not_of('\n'), begin = text.rfind('\n', end);
    std::vector<std::string> words(1);
    bool quoted = false;
    for (const char c : text.substr(begin + 1, end - begin)) {
        if (c == '\'') quoted = !quoted;
        else if (c == ' ' && !quoted) words.emplace_back();
        else words.back() += c;
    }
    EXPECT_EQ(words.at(0), "./train_gpt") << text;
    words.erase(words.begin());
    return words;
}

Options options_of(const Result& result) {
    EXPECT_EQ(result.status, 0) << result.text;
    return parse(last_command(result.text));
}

}  // namespace

TEST(data_scripts, tiny_shakespeare) {
    const Temporary from, to;
    const std::string script =
        "BASE_URL=file://" + from.path.string() + " dev/data/tinyshakespeare.sh " + to.path.string();
    EXPECT_NE(run(script).status, 0);  // nothing to fetch
    write(from, "input.txt", letters(1000));
    EXPECT_NE(run(script).status, 0);  // not that file
    std::filesystem::remove(to.path / "tinyshakespeare.txt");
    write(from, "input.txt", letters(1115394));
    const Options options = options_of(run(script));
    EXPECT_EQ(options.data, std::vector{(to.path / "tinyshakespeare.txt").string()});
    EXPECT_EQ(files::hash_file(options.data[0]), files::hash_file(from / "input.txt"));
    EXPECT_EQ(options.layers, 4);
}

TEST(data_scripts, tiny_stories) {
    const Temporary from, to;
    for (const char* part : {"train", "valid"}) write(from, std::string("TinyStoriesV2-GPT4-") + part + ".txt", part);
    const Options options =
        options_of(run("BASE_URL=file://" + from.path.string() + " dev/data/tinystories.sh " + to.path.string()));
    EXPECT_EQ(files::read_file(options.data.at(0), 10), "train");
    EXPECT_EQ(files::read_file(options.val.at(0), 10), "valid");
}

TEST(data_scripts, fineweb_edu) {
    const Temporary from, to;
    for (const char* name : {"val_000000", "train_000001", "train_000002", "train_000003"})
        write(from, std::string("edu_fineweb_") + name + ".bin", gpt2_shard(std::vector<uint16_t>(3000, 5)));
    const std::string script = "BASE_URL=file://" + from.path.string() + " dev/data/fineweb_edu.sh ";
    const Options options = options_of(run(script + "2 " + to.path.string()));
    EXPECT_EQ(options.steps, 381);
    const Data data = load(options.data, 1024, [&](DataOptions& o) { o.val = options.val; });
    EXPECT_EQ(data.files.size(), 3u);
    EXPECT_EQ(data.train.source->size(), 6000u);
    std::filesystem::remove(from.path / "edu_fineweb_train_000001.bin");
    EXPECT_EQ(options_of(run(script + "3 " + to.path.string())).steps, 572);  // what is there is not fetched again
    for (const char* bad : {"0", "-1", "x", "1001"})
        EXPECT_NE(run(script + bad + " " + to.path.string()).status, 0) << bad;
}
