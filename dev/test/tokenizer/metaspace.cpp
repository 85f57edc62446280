// BPE of characters, Llama 2's kind: the same ids and texts as tokenizers, however long the text and wherever cut.
#include "host/tokenizer/metaspace.h"
#include "bpe_case.h"
#include "dev/test/support/expect_error.h"
#include "host/base/utf8.h"
#include "host/tokenizer/tokenizer_json.h"

namespace {

using nlohmann::json;

const json& goldens() { return tokenizing_goldens()["marked"]; }

json file_of(const json& row) {
    json file = row["file"];
    file["model"] = goldens()["models"][row["model"].get<size_t>()];
    return file;
}

Tokenizer tokenizer_of(const json& row) { return tokenizer_from_json(file_of(row).dump(), row["name"]); }

const json& row_of(const std::string& name) {
    for (const json& row : goldens()["cases"])
        if (row["name"] == name) return row;
    throw Error(Exit::internal, name, "no such golden", "run dev/oracle again");
}

// Llama 2's file with one thing changed, and the words of the refusal.
template <class F>
void expect_refused(std::initializer_list<std::string> words, F change) {
    json file = file_of(row_of("Llama 2"));
    change(file);
    SCOPED_TRACE(*words.begin());
    expect_error(Exit::input, words, [&] { tokenizer_from_json(file.dump(), "tok.json"); });
}

}  // namespace

TEST(metaspace, encodes_and_decodes_as_the_library_does) {
    ASSERT_GE(goldens()["cases"].size(), 15u);
    for (const json& row : goldens()["cases"]) {
        SCOPED_TRACE(row["name"].get<std::string>());
        const Tokenizer tokenizer = tokenizer_of(row);
        std::vector<std::string> texts = goldens()["texts"];
        const size_t marked = texts.size();
        const std::vector<std::string> more = tokenizing_goldens()["texts"];
        if (row["full"].size() > marked) texts.insert(texts.end(), more.begin(), more.end());
        ASSERT_EQ(row["full"].size(), texts.size());
        for (size_t i = 0; i < texts.size(); i++) {
            EXPECT_EQ(tokenizer.encode(texts[i], Specials::recognised), row["full"][i].get<std::vector<int>>())
                << json(texts[i]);
            if (i >= marked) continue;
            EXPECT_EQ(tokenizer.encode(texts[i]), row["data"][i].get<std::vector<int>>()) << json(texts[i]);
        }
        std::vector<std::vector<int>> lists = row["ids"];
        for (const json& ids : row["full"]) lists.push_back(ids);
        for (size_t i = 0; i < lists.size(); i++)
            EXPECT_EQ(tokenizer.decode(lists[i]), row["decoded"][i].get<std::string>()) << json(lists[i]);
        EXPECT_EQ(tokenizer_json(tokenizer), file_of(row).dump());  // a checkpoint keeps the file as it was
    }
}

TEST(metaspace, gives_back_what_it_was_given) {
    for (const char* name :
         {"Llama 2", "Metaspace first", "Metaspace never", "Llama 2, merges across words", "Replace alone"}) {
        const Tokenizer tokenizer = tokenizer_of(row_of(name));
        for (uint64_t seed = 0; seed < 30; seed++) {
            std::string text = hostile_text(seed, 200);
            for (size_t at; (at = text.find('<')) != text.npos;) text.erase(at, 1);  // <l> takes spaces along
            if (tokenizer.adds_space(text) != (tokenizer.leading_spaces() > 0)) continue;
            EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << name << " seed " << seed;
        }
    }
}

TEST(metaspace, parts_cut_safely_encode_as_the_whole) {
    for (const json& row : goldens()["cases"]) {
        const Tokenizer tokenizer = tokenizer_of(row);
        size_t cuts = 0;
        for (uint64_t seed = 0; seed < 10; seed++) {
            std::string text = hostile_text(seed, 200);
            for (size_t at = 50; at < text.size(); at += 60)
                if ((uint8_t(text[at]) & 0xC0) != 0x80) text.insert(at, "a\u2581b\nc");
            const std::vector<int> whole = tokenizer.encode(text);
            for (size_t near = 1; near < text.size(); near += 11) {
                const size_t cut = tokenizer.safe_cut(text, near);
                ASSERT_GE(cut, near);
                cuts += cut < text.size();
                std::vector<int> parts = tokenizer.encode(std::string_view(text).substr(0, cut));
                const std::vector<int> rest =
                    tokenizer.encode(std::string_view(text).substr(cut), Specials::as_text, Place::middle);
                parts.insert(parts.end(), rest.begin(), rest.end());
                ASSERT_EQ(parts, whole) << row["name"] << " seed " << seed << " cut at " << cut;
            }
        }
        if (row["name"] == "Llama 2") { EXPECT_GT(cuts, 100u); }
    }
}

// A byte that is not yet a character waits; the space before a text is nothing, that before a continuation is one.
TEST(metaspace, streams_whole_characters) {
    const Tokenizer tokenizer = tokenizer_of(row_of("Llama 2"));
    const std::string text = "Hello 日本 😀e\u0301 \n각";
    const std::vector<int> ids = tokenizer.encode(text);
    for (const bool begins : {true, false}) {
        StreamDecoder decoder{tokenizer, begins ? tokenizer.leading_spaces() : 0};
        std::string out = begins ? "" : "|";
        for (const int id : ids) {
            std::string piece = decoder.push(id);
            out += piece;
            EXPECT_EQ(piece.find("\ufffd"), piece.npos) << "half a character";
            EXPECT_EQ(repair_utf8(piece), 0u);
        }
        EXPECT_EQ(out + decoder.flush(), begins ? text : "| " + text);
    }
    StreamDecoder broken{tokenizer, 0};
    EXPECT_EQ(broken.push(tokenizer.bpe->find("<0xE6>")), "");
    EXPECT_EQ(broken.push(tokenizer.bpe->find("a")), "\ufffda");
    EXPECT_EQ(broken.push(tokenizer.bpe->find("<0xE6>")), "");
    EXPECT_EQ(broken.flush(), "\ufffd");
}

// A quadratic algorithm would not end within a test's patience.
TEST(metaspace, a_million_letters) {
    for (const char* name : {"Llama 2", "Llama 2, merges across words", "Metaspace first, split"}) {
        const Tokenizer tokenizer = tokenizer_of(row_of(name));
        for (const char* unit : {"a", "the", " ", "the ", "日"}) {
            std::string text = "x";
            while (text.size() < 1000000) text += unit;
            EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << name << unit;
        }
    }
}

TEST(metaspace, names_of_bytes) {
    EXPECT_EQ(byte_name(10), "<0x0A>");
    for (int byte = 0; byte < 256; byte++) EXPECT_EQ(byte_of_name(byte_name(byte)), byte);
    EXPECT_EQ(byte_of_name("<0xab>"), 0xAB);
    EXPECT_EQ(byte_of_name("<0x+5>"), 5);
    for (const char* name : {"<0xAG>", "<0x-5>", "<0x A>", "<0x0A", "<0x00A>", "0x0A", "", "<0x++>"})
        EXPECT_EQ(byte_of_name(name), -1) << name;
}

TEST(metaspace, parts_we_do_not_have_are_refused_by_name) {
    expect_refused({"tok.json", "byte_fallback"}, [](json& f) { f["model"]["byte_fallback"] = false; });
    expect_refused({"byte 10", "<0x0A>"}, [](json& f) {
        const int id = f["model"]["vocab"]["<0x0A>"];
        f["model"]["vocab"].erase("<0x0A>");
        f["model"]["vocab"]["other"] = id;
    });
    expect_refused({"decoder"}, [](json& f) { f["decoder"] = nullptr; });
    expect_refused({"decoder"}, [](json& f) { f["decoder"] = {{"type", "Metaspace"}}; });
    expect_refused({"decoder", "Replace"}, [](json& f) { f["decoder"]["decoders"][0]["content"] = "_"; });
    expect_refused({"decoder", "Strip"}, [](json& f) { f["decoder"]["decoders"][3]["stop"] = 1; });
    expect_refused({"start of Strip"}, [](json& f) { f["decoder"]["decoders"][3]["start"] = -1; });
    expect_refused({"normalizer", "Prepend"}, [](json& f) { f["normalizer"]["normalizers"][0]["prepend"] = "_"; });
    expect_refused({"normalizer", "Replace"}, [](json& f) { f["normalizer"]["normalizers"][1]["content"] = "_"; });
    expect_refused({"normalizer", "Lowercase"}, [](json& f) { f["normalizer"] = {{"type", "Lowercase"}}; });
    const auto pre_tokenizer = [](const char* text) {
        return [text](json& f) { f["pre_tokenizer"] = json::parse(text); };
    };
    expect_refused({"pre_tokenizer"}, pre_tokenizer(R"({"type": "ByteLevel"})"));
    expect_refused({"_"}, pre_tokenizer(R"({"type": "Metaspace", "replacement": "_"})"));
    expect_refused({"prepend_scheme", "last"},
                   pre_tokenizer(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "last"})"));
    expect_refused({"add_prefix_space"},
                   pre_tokenizer(R"({"type": "Metaspace", "replacement": "▁", "add_prefix_space": false})"));
    expect_refused({"ByteLevel", "decoder"}, [](json& f) { f["decoder"]["decoders"].push_back({{"type", "Fuse"}}); });
}
