// Files of byte-level BPE: what is not whole, contradicts itself or asks for what we do not have is refused by name.
#include "host/tokenizer/bpe_files.h"
#include <set>
#include "bpe_case.h"
#include "dev/test/support/expect_error.h"
#include "dev/test/support/temporary_directory.h"
#include "host/options/flag_table.h"
#include "host/tokenizer/bpe.h"
#include "host/tokenizer/load_tokenizer.h"
#include "host/tokenizer/tokenizer_json.h"

namespace {

using nlohmann::json;

json good() { return golden_case("gpt2")["file"]; }
void read(const json& file) { tokenizer_from_json(file.dump(), "tok.json"); }

// A tokenizer.json with one thing changed, and the words of the refusal.
template <class F>
void expect_refused(std::initializer_list<std::string> words, F change) {
    json file = good();
    change(file);
    SCOPED_TRACE(*words.begin());
    expect_error(Exit::input, words, [&] { read(file); });
}

std::string tiktoken_file() { return tokenizing_goldens()["tiktoken"]["file"]; }

}  // namespace

TEST(bpe_files, parts_we_do_not_have_are_refused_by_name) {
    read(good());
    expect_refused({"tok.json", "version", "2.0"}, [](json& f) { f["version"] = "2.0"; });
    expect_refused({"truncation"}, [](json& f) { f["truncation"] = {{"max_length", 5}}; });
    expect_refused({"padding"}, [](json& f) { f["padding"] = {{"pad_id", 0}}; });
    expect_refused({"Unigram"}, [](json& f) { f["model"]["type"] = "Unigram"; });
    expect_refused({"dropout"}, [](json& f) { f["model"]["dropout"] = 0.1; });
    expect_refused({"end_of_word_suffix"}, [](json& f) { f["model"]["end_of_word_suffix"] = "</w>"; });
    expect_refused({"continuing_subword_prefix"}, [](json& f) { f["model"]["continuing_subword_prefix"] = "##"; });
    expect_refused({"normalizer", "NFKC"}, [](json& f) { f["normalizer"] = {{"type", "NFKC"}}; });
    expect_refused({"normalizer", "Lowercase"}, [](json& f) {
        f["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, {{"type", "Lowercase"}}}}};
    });
    expect_refused({"pre_tokenizer"}, [](json& f) { f["pre_tokenizer"] = nullptr; });
    expect_refused({"pre_tokenizer", "ByteLevel"}, [](json& f) { f["pre_tokenizer"] = {{"type", "Whitespace"}}; });
    expect_refused({"post_processor", "BertProcessing"}, [](json& f) {
        f["post_processor"] = {{"type", "BertProcessing"}};
    });
    expect_refused({"decoder"}, [](json& f) { f["decoder"] = {{"type", "ByteLevel!"}}; });
    expect_refused({"use_regex", "true or false"}, [](json& f) { f["pre_tokenizer"]["use_regex"] = 1; });
}

TEST(bpe_files, no_pattern_of_a_file_is_executed) {
    for (const std::string pattern : {"(a+)+$", ".*", ""}) {
        json file = golden_case("llama3")["file"];
        read(file);
        file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern;
        expect_error(Exit::input, {"pre_tokenizer", "pattern"}, [&] { read(file); });
    }
    json file = golden_case("llama3")["file"];
    file["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "MergedWithNext";
    expect_error(Exit::input, {"MergedWithNext"}, [&] { read(file); });
    file = golden_case("llama3")["file"];
    file["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = true;
    expect_error(Exit::input, {"split twice"}, [&] { read(file); });
}

TEST(bpe_files, vocabularies_that_contradict_themselves) {
    const std::string gap = "not 0, 1, 2";
    expect_refused({gap}, [](json& f) { f["model"]["vocab"]["new"] = 1000; });
    expect_refused({gap}, [](json& f) { f["model"]["vocab"]["new"] = 5; });
    expect_refused({gap}, [](json& f) { f["model"]["vocab"]["a"] = -1; });
    expect_refused({gap}, [](json& f) { f["model"]["vocab"]["a"] = 1.5; });
    expect_refused({gap}, [](json& f) { f["model"]["vocab"]["a"] = uint64_t(1) << 63; });
    expect_refused({"byte 0"}, [](json& f) {
        const int id = f["model"]["vocab"]["Ā"];
        f["model"]["vocab"].erase("Ā");
        f["model"]["vocab"]["other"] = id;
    });
    expect_refused({"merge 0", "nowhere"}, [](json& f) { f["model"]["merges"][0] = {"nowhere", "b"}; });
    expect_refused({"merge 0", "~~"}, [](json& f) { f["model"]["merges"][0] = "~ ~"; });
    expect_refused({"two tokens"}, [](json& f) { f["model"]["merges"][0] = "a b c"; });
    expect_refused({"two tokens"}, [](json& f) { f["model"]["merges"][0] = "ab"; });
    expect_refused({"merges"}, [](json& f) { f["model"]["merges"][0] = {"a", 1}; });
    expect_refused({"merges"}, [](json& f) { f["model"]["merges"] = 3; });
    expect_refused({"id", "99"}, [](json& f) { f["added_tokens"][0]["id"] = 99999; });
    expect_refused({"<|endoftext|>", "has id 7"}, [](json& f) { f["added_tokens"][0]["id"] = 7; });
    expect_refused({"empty"}, [](json& f) { f["added_tokens"][0]["content"] = ""; });
    expect_refused({"content"}, [](json& f) { f["added_tokens"][0]["content"] = 4; });
    std::string text = good().dump();
    text.replace(text.find("\"a\":"), 3, "\"b\"");
    expect_error(Exit::input, {"stands twice"}, [&] { tokenizer_from_json(text, "tok.json"); });
    expect_error(Exit::input, {"nested"}, [&] { tokenizer_from_json(std::string(100000, '['), "tok.json"); });
    for (size_t n = 0; n < text.size(); n += text.size() / 97)
        expect_error(Exit::input, {"tok.json"}, [&] { tokenizer_from_json(text.substr(0, n), "tok.json"); });
}

TEST(bpe_files, old_files_read_alike) {
    json file = good();
    json& model = file["model"];
    model.erase("type");
    for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) model[name] = "";
    for (json& merge : model["merges"]) merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    model["merges"].insert(model["merges"].begin(), "#version: 0.2");
    file["unknown"] = 1;
    const Tokenizer old = tokenizer_from_json(file.dump(), "old"),
                    current = tokenizer_from_json(good().dump(), "current");
    EXPECT_EQ(old.hash(), current.hash());
    EXPECT_EQ(old.encode(hostile_text(1, 500)), current.encode(hostile_text(1, 500)));
    EXPECT_EQ(tokenizer_json(old), file.dump());  // a checkpoint keeps the file as it was
}

TEST(bpe_files, hash_tells_functions_apart) {
    std::set<uint64_t> hashes;
    for (const char* path : {"/model/ignore_merges", "/pre_tokenizer/add_prefix_space", "/added_tokens/0/lstrip",
                             "/added_tokens/0/special", ""}) {
        json file = good();
        if (*path) file[json::json_pointer(path)] = !file[json::json_pointer(path)].get<bool>();
        hashes.insert(tokenizer_from_json(file.dump(), "x").hash());
    }
    json file = good();
    std::swap(file["model"]["merges"][3], file["model"]["merges"][4]);
    hashes.insert(tokenizer_from_json(file.dump(), "x").hash());
    file = good();
    file["normalizer"] = {{"type", "NFC"}};
    hashes.insert(tokenizer_from_json(file.dump(), "x").hash());
    EXPECT_EQ(hashes.size(), 7u);
}

TEST(bpe_files, bad_tiktoken_files) {
    const std::string text = tiktoken_file();
    const auto expect_bad = [](const std::string& bad, std::initializer_list<std::string> words) {
        expect_error(Exit::input, words, [&] { bpe_from_tiktoken(bad, "ranks", SplitRule::cl100k); });
    };
    bpe_from_tiktoken(text, "ranks", SplitRule::cl100k);
    expect_bad("", {"ranks", "empty"});
    expect_bad(text.substr(text.find('\n') + 1), {"0, 1, 2"});
    expect_bad(text + text.substr(0, text.find('\n') + 1), {"0, 1, 2"});
    expect_bad("IQ== 0\nIg= 1\n", {"line 2", "base64"});
    expect_bad("IQ== 0\nI?== 1\n", {"line 2", "base64"});
    expect_bad("IQ== 0\nIg==1\n", {"line 2"});
    expect_bad("IQ== 0\nIg== x\n", {"line 2", "rank"});
    expect_bad("IQ== 0\nIg== -1\n", {"line 2", "rank"});
    expect_bad("IQ== 0\nIg== 99999999999\n", {"line 2", "rank"});
    expect_bad("IQ== 0\nIg== 1\n", {"no token for byte 0"});
    expect_bad(std::string(2000, 'A') + " 0\n", {"longer than"});
}

// Nobody guesses how a file of ranks cuts text: it is a vocabulary known by size and content, or the rule is named.
TEST(bpe_files, ranks_do_not_say_how_text_is_cut) {
    const std::string unknown = tiktoken_file();
    expect_error(Exit::input, {"ranks", "of no vocabulary known here", "--pattern " + split_rules()},
                 [&] { bpe_from_tiktoken(unknown, "ranks"); });
    EXPECT_EQ(bpe_from_tiktoken(unknown, "ranks", SplitRule::gpt2).bpe->split, SplitRule::gpt2);
    // 256 bytes, then words of the shape that `make` gives, up to so many tokens.
    const auto ranks_of = [](size_t size, auto make) {
        static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        std::string text;
        for (size_t id = 0; id < size; id++) {
            std::string bytes = id < 256 ? std::string(1, char(id)) : make(id), line;
            const size_t whole = bytes.size();
            while (bytes.size() % 3) bytes += '\0';
            for (size_t i = 0; i < bytes.size(); i += 3) {
                const uint32_t word =
                    uint32_t(uint8_t(bytes[i])) << 16 | uint32_t(uint8_t(bytes[i + 1])) << 8 | uint8_t(bytes[i + 2]);
                for (const int shift : {18, 12, 6, 0}) line += digits[word >> shift & 63];
            }
            for (size_t i = bytes.size() - whole; i > 0; i--) line[line.size() - i] = '=';
            text += line + " " + std::to_string(id) + "\n";
        }
        return text;
    };
    const auto words = [](size_t id) {
        std::string word = id % 2 ? " " : "";
        for (size_t rest = id; rest; rest /= 26) word += char('a' + rest % 26);
        return word;
    };
    const auto numbers = [&](size_t id) { return id % 9 ? words(id) : std::to_string(1000000 + id); };
    const Tokenizer gpt2 = bpe_from_tiktoken(ranks_of(50256, words), "r50k");
    EXPECT_TRUE(gpt2.bpe->split == SplitRule::gpt2 && gpt2.separator() == 50256);
    EXPECT_EQ(bpe_from_tiktoken(ranks_of(50256, numbers), "r50k").bpe->split, SplitRule::gpt2);
    EXPECT_EQ(bpe_from_tiktoken(ranks_of(100256, words), "cl100k").bpe->split, SplitRule::cl100k);
    // The size of cl100k, but numbers of seven digits, which that never has.
    expect_error(Exit::input, {"other", "of no vocabulary known here"},
                 [&] { bpe_from_tiktoken(ranks_of(100256, numbers), "other"); });
    const Tokenizer other = bpe_from_tiktoken(ranks_of(100256, numbers), "other", SplitRule::gpt2);
    EXPECT_TRUE(other.bpe->split == SplitRule::gpt2 && other.bpe->added.empty());
    const Tokenizer o200k = bpe_from_tiktoken(ranks_of(199998, words), "o200k");
    EXPECT_EQ(o200k.bpe->split, SplitRule::o200k);
    EXPECT_EQ(o200k.separator(), 199999);
    EXPECT_TRUE(o200k.vocab_size() == 200019 && o200k.before_prompt()->empty());
    const Tokenizer llama4 = bpe_from_tiktoken(ranks_of(200000, words), "llama 4");
    EXPECT_EQ(llama4.bpe->split, SplitRule::o200k);
    EXPECT_EQ(llama4.vocab_size(), 202048);
    EXPECT_EQ(llama4.before_prompt(), std::vector{200000});
    EXPECT_EQ(llama4.bpe->find("<|eot|>"), 200008);
    EXPECT_EQ(llama4.encode("<|eot|>", Specials::recognised), std::vector{200008});
    // p50k has no rank at the id of its special token.
    std::string p50k = ranks_of(50280, words);
    for (size_t id = 50280; id-- > 50256;) {
        const std::string rank = " " + std::to_string(id) + "\n";
        p50k.replace(p50k.find(rank), rank.size(), " " + std::to_string(id + 1) + "\n");
    }
    const Tokenizer with_gap = bpe_from_tiktoken(p50k, "p50k");
    EXPECT_TRUE(with_gap.bpe->split == SplitRule::gpt2 && with_gap.separator() == 50256);
    EXPECT_EQ(with_gap.vocab_size(), 50281);
    EXPECT_EQ(with_gap.tokens[50257], words(50256));
    EXPECT_EQ(tokenizer_from_json(tokenizer_json(with_gap), "saved").hash(), with_gap.hash());
    p50k.replace(p50k.find(" 9\n"), 3, " 99999\n");
    expect_error(Exit::input, {"0, 1, 2"}, [&] { bpe_from_tiktoken(p50k, "p50k"); });
    // Qwen's normalises.
    const Tokenizer qwen = bpe_from_tiktoken(ranks_of(151643, words), "qwen");
    EXPECT_TRUE(qwen.bpe->split == SplitRule::qwen2 && qwen.bpe->nfc);
    EXPECT_EQ(qwen.encode("e\u0301"), qwen.encode("\u00e9"));
}

TEST(bpe_files, rules_have_their_names) {
    EXPECT_EQ(split_rules(), "gpt2, llama3, cl100k, qwen2, o200k, digits, numbers or none");
    for (const char* name : {"pattern", "split"}) {
        const Flag* flag = find_flag(name, Command::tokenize);
        EXPECT_NE(std::string(flag->help).find(split_rules()), std::string::npos) << name;
    }
}

TEST(bpe_files, digits_before_byte_level) {
    const auto with = [](const char* digits, const char* level) {
        json file = golden_case("digits")["file"];
        json& list = file["pre_tokenizer"]["pretokenizers"];
        list = {json::parse(digits), json::parse(level)};
        return [file] { read(file); };
    };
    const char* good_level = R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})";
    with(R"({"type": "Digits", "individual_digits": true})", good_level)();
    expect_error(Exit::input, {"individual_digits"}, with(R"({"type": "Digits"})", good_level));
    const char* digits = R"({"type": "Digits", "individual_digits": true})";
    expect_error(Exit::input, {"add_prefix_space", "Digits"}, with(digits, R"({"type": "ByteLevel"})"));
    expect_error(Exit::input, {"use_regex"},
                 with(digits, R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})"));
    expect_error(Exit::input, {"Punctuation"}, with(R"({"type": "Punctuation"})", good_level));
}

// An added token is none of the model's: where it is not taken for itself, its characters are.
TEST(bpe_files, added_tokens_are_no_whole_pieces) {
    json file = golden_case("gpt2")["file"];
    file["model"]["ignore_merges"] = true;
    const int id = int(file["model"]["vocab"].size());
    file["added_tokens"].push_back({{"id", id}, {"content", "qzqz"}, {"special", true}});
    const Tokenizer tokenizer = tokenizer_from_json(file.dump(), "x");
    EXPECT_EQ(tokenizer.encode("qzqz", Specials::recognised), std::vector{id});
    EXPECT_EQ(tokenizer.encode("qzqz").size(), 4u);
}

TEST(bpe_files, directories_and_files) {
    const Temporary folder;
    const json file = good();
    const uint64_t expected = tokenizer_from_json(file.dump(), "x").hash();
    overwrite(folder / "tokenizer.json", file.dump());
    overwrite(folder / "tokenizer_config.json", "{\"chat_template\": \"{{ x }}\"}\n");
    const Tokenizer tokenizer = load_tokenizer(folder.path);
    EXPECT_EQ(tokenizer.hash(), expected);
    EXPECT_EQ(tokenizer_config_json(tokenizer), "{\"chat_template\": \"{{ x }}\"}\n");  // goes along, unread
    overwrite(folder / "tokenizer_config.json", "{");
    expect_error(Exit::input, {"tokenizer_config.json"}, [&] { load_tokenizer(folder.path); });

    const Temporary two;
    std::string merges = "#version: 0.2\n";
    for (const json& merge : file["model"]["merges"])
        merges += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\r\n";
    expect_error(Exit::input, {"has no tokenizer.json"}, [&] { load_tokenizer(two.path); });
    overwrite(two / "vocab.json", file["model"]["vocab"].dump());
    overwrite(two / "merges.txt", merges + "\n");
    const Tokenizer halves = load_tokenizer(two.path);
    EXPECT_EQ(halves.encode(hostile_text(2, 500)), tokenizer.encode(hostile_text(2, 500)));
    EXPECT_EQ(halves.separator(), 0);
    expect_error(Exit::input, {"merges.txt", "directory"}, [&] { load_tokenizer(two / "merges.txt"); });
    overwrite(two / "merges.txt", merges + "a b c\n");
    expect_error(Exit::input, {"vocab.json", "line"}, [&] { load_tokenizer(two.path); });
    overwrite(two / "merges.txt", merges);
    overwrite(two / "vocab.json", "[]");
    expect_error(Exit::input, {"vocab.json"}, [&] { load_tokenizer(two.path); });

    // Merges of no text that GPT-2's pattern cut: nobody guesses here either.
    json across = file;
    const std::string space = "\u0120";
    std::string bad_merges;
    for (int i = 0; i < 20; i++) {
        const std::string letter(1, char('a' + i));
        across["model"]["vocab"].emplace(letter + space, across["model"]["vocab"].size());
        bad_merges += letter + " " + space + "\n";
    }
    overwrite(two / "vocab.json", across["model"]["vocab"].dump());
    overwrite(two / "merges.txt", bad_merges);
    expect_error(Exit::input, {"vocab.json", "--pattern " + split_rules()}, [&] { load_tokenizer(two.path); });
    EXPECT_EQ(load_tokenizer(two.path, SplitRule::none).bpe->split, SplitRule::none);

    const Temporary openai;
    EXPECT_FALSE(has_tokenizer(openai.path));
    overwrite(openai / "encoder.json", file["model"]["vocab"].dump());
    EXPECT_TRUE(has_tokenizer(openai.path));
    expect_error(Exit::input, {"has encoder.json but no vocab.bpe"}, [&] { load_tokenizer(openai.path); });
    overwrite(openai / "vocab.bpe", merges);
    EXPECT_EQ(load_tokenizer(openai.path).hash(), halves.hash());

    const Temporary ranks;
    overwrite(ranks / "x.tiktoken", tiktoken_file());
    const auto gpt2 = SplitRule::gpt2;
    EXPECT_EQ(load_tokenizer(ranks.path, gpt2).hash(), load_tokenizer(ranks / "x.tiktoken", gpt2).hash());
    overwrite(ranks / "y.tiktoken", tiktoken_file());
    expect_error(Exit::input, {"several"}, [&] { load_tokenizer(ranks.path); });
    overwrite(ranks / "empty", "");
    expect_error(Exit::input, {"empty"}, [&] { load_tokenizer(ranks / "empty"); });
    expect_error(Exit::input, {"No such file"}, [&] { load_tokenizer(ranks / "none"); });
}

// What is there and cannot be read is named; it is never as if there were no tokenizer.
TEST(bpe_files, tokenizers_of_other_formats) {
    const Temporary folder;
    for (const char* name : {"spiece.model", "vocab.txt", "tokenizer_config.json"}) {
        overwrite(folder / name, "{}");
        EXPECT_TRUE(has_tokenizer(folder.path)) << name;
        expect_error(Exit::input, {name, "save_pretrained"}, [&] { load_tokenizer(folder.path); });
        std::filesystem::remove(folder / name);
    }
    EXPECT_FALSE(has_tokenizer(folder.path));
    overwrite(folder / "tokenizer.model", std::string("\n\x0e\n\x05<unk>\x15\0\0\0\0", 14));
    EXPECT_TRUE(has_tokenizer(folder.path));
    for (const std::string& path : {folder.path.string(), folder / "tokenizer.model"})
        expect_error(Exit::input, {"tokenizer.model", "SentencePiece", "save_pretrained"},
                     [&] { load_tokenizer(path); });
    overwrite(folder / "tokenizer.model", tiktoken_file());  // as Llama 3's
    EXPECT_EQ(load_tokenizer(folder.path, SplitRule::gpt2).bpe->split, SplitRule::gpt2);
    overwrite(folder / "book.txt", "Once upon a time");
    expect_error(Exit::input, {"book.txt", "is no tokenizer"}, [&] { load_tokenizer(folder / "book.txt"); });
}
