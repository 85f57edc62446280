// Multiple-choice questions of public datasets, as lm-evaluation-harness asks them (dev/oracle/questions.py).
#include <map>
#include "dev/test/support/expect_error.h"
#include "dev/test/support/temporary_directory.h"
#include "host/base/files.h"
#include "host/evaluate/multiple_choice.h"
#include "host/evaluate/question_formats.h"
#include "host/tokenizer/tokenizer.h"

namespace {

const Json& items() {
    static const Json all = read_json("dev/oracle/questions.json")["items"];
    return all;
}

// Read from a file of this name by the bytes' tokenizer.
std::vector<Question> read(const std::string& lines, const std::string& labels = "") {
    const Temporary at;
    overwrite(at / "valid.jsonl", lines);
    if (!labels.empty()) overwrite(at / "valid-labels.lst", labels);
    const Tokenizer tokenizer = byte_tokenizer();
    return read_questions(at / "valid.jsonl", &tokenizer, {}, 256);
}

std::string text_of(const std::vector<int>& bytes) { return std::string(bytes.begin(), bytes.end()); }

void refused(const std::string& line, std::initializer_list<std::string> words, const std::string& labels = "") {
    const std::string good = R"({"ctx": "a", "endings": ["b", "c"], "label": 0})"
                             "\n";
    expect_error(Exit::input, {"valid.jsonl: line 2", *words.begin(), *(words.end() - 1)},
                 [&] { read(good + line, labels); });
}

}  // namespace

TEST(questions, are_put_as_the_harness_puts_them) {
    std::map<std::string, int> seen;
    for (const Json& item : items()) {
        const QuestionText q = question_text(item["line"], "", "here");
        ASSERT_EQ(q.endings.size(), item["asked"].size()) << item["line"];
        for (size_t k = 0; k < q.endings.size(); k++) {
            EXPECT_EQ(q.contexts[k], item["asked"][k][0].get<std::string>());
            EXPECT_EQ(" " + q.endings[k], item["asked"][k][1].get<std::string>());
        }
        EXPECT_TRUE(q.together);
        seen[item["dataset"]]++;
    }
    EXPECT_EQ(seen.size(), 4u);
}

// By the harness's own losses: what it counts, we count.
TEST(questions, are_counted_as_the_harness_counts_them) {
    int right = 0, by_character = 0;
    for (const Json& item : items()) {
        const std::vector<Question> q = read(item["line"].dump() + "\n");
        ASSERT_EQ(q.size(), 1u);
        const Answers answers = count_answers(q, item["nats"]);
        EXPECT_EQ(double(answers.acc), item["acc"].get<double>()) << item["line"];
        right += int(answers.acc);
        if (item["acc_norm"].is_null()) continue;
        EXPECT_EQ(double(*answers.acc_norm), item["acc_norm"].get<double>()) << item["line"];
        by_character += answers.acc != *answers.acc_norm;
    }
    EXPECT_GT(right, 5);
    EXPECT_GT(by_character, 0);  // or nothing is tried
}

// White space at the end of a context is scored with the ending.
TEST(questions, spaces_go_to_the_ending) {
    const Json hellaswag = {{"activity_label", "Music"},
                            {"ctx_a", "She plays. [header]"},
                            {"ctx_b", ""},
                            {"endings", {"On.", "[step] Off  now [title] Go"}},
                            {"label", "1"}};
    const std::vector<Question> q = read(hellaswag.dump());
    EXPECT_EQ(text_of(q[0].choices[0].context), "Music: She plays.");
    EXPECT_EQ(text_of(q[0].choices[0].ending), "  On.");
    EXPECT_EQ(text_of(q[0].choices[1].ending), "   Off now. Go");
    EXPECT_EQ(q[0].choices[1].bytes, 12u);
    const Question plain = read(R"({"ctx": "a ", "endings": ["b", "é"], "label": 1})")[0];  // as llm.c has it
    EXPECT_EQ(text_of(plain.choices[0].context), "a ");
    EXPECT_EQ(text_of(plain.choices[1].ending), " é");
    EXPECT_EQ(plain.choices[1].bytes, 2u);
    EXPECT_EQ(plain.choices[1].characters, 1u);
}

TEST(questions, letters_and_brackets) {
    EXPECT_EQ(capitalized("the MAN, éÀ"), "The man, éà");
    EXPECT_EQ(capitalized("éMILE"), "Émile");
    EXPECT_EQ(capitalized(""), "");
    EXPECT_EQ(clean_hellaswag(" a [title] b [x] c\u00A0"), "a. b c");
    EXPECT_EQ(clean_hellaswag("a [b\nc] d"), "a [b\nc] d");
    EXPECT_EQ(clean_hellaswag("a [b [c] d"), "a d");
    EXPECT_EQ(clean_hellaswag("a    b"), "a  b");
    EXPECT_EQ(clean_hellaswag("[x"), "[x");
}

// AI2's own file, where the question has its choices.
TEST(questions, arc_as_ai2_writes_it) {
    const QuestionText q = question_text(parse_json(R"({"id": "x", "answerKey": "2", "question": {"stem": "Why?",
                       "choices": [{"text": "So.", "label": "1"}, {"text": "Because.", "label": "2"}]}})",
                                                    "x"),
                                         "", "x");
    EXPECT_EQ(q.contexts[1], "Question: Why?\nAnswer:");
    EXPECT_EQ(q.endings, (std::vector<std::string>{"So.", "Because."}));
    EXPECT_EQ(q.label, 1);
}

TEST(questions, piqa_has_its_labels_beside) {
    const std::string line = R"({"goal": "Open it", "sol1": "push", "sol2": "pull"})"
                             "\n";
    const std::vector<Question> q = read(line + line, "0\n1\n");
    EXPECT_EQ(q[0].label, 0);
    EXPECT_EQ(q[1].label, 1);
    EXPECT_EQ(text_of(q[0].choices[1].context), "Question: Open it\nAnswer:");
    EXPECT_EQ(text_of(q[0].choices[1].ending), " pull");
    refused(line, {"has no \"label\"", "valid-labels.lst"});
    refused(line, {"has no \"label\"", "valid-labels.lst"}, "1\n");
    refused(line, {"its label is", "0 to 1"}, "1\n2\n");
}

TEST(questions, winogrande_scores_the_rest) {
    const Question q =
        read(R"({"sentence": "Ana saw Bo while _ slept.", "option1": "Ana", "option2": "Bo", "answer": "2"})")[0];
    EXPECT_EQ(q.label, 1);
    EXPECT_EQ(text_of(q.choices[0].context), "Ana saw Bo while Ana");
    EXPECT_EQ(text_of(q.choices[1].context), "Ana saw Bo while Bo");
    EXPECT_EQ(text_of(q.choices[0].ending), " slept.");
}

TEST(questions, bad_lines_are_named) {
    refused(R"({"text": "a"})", {"is no question"});
    refused(R"({"ctx_a": "a", "ctx_b": "b", "activity_label": "c", "endings": ["x", "[y]"], "label": 0})",
            {"empty without its brackets"});
    refused(R"({"ctx_a": "a", "ctx_b": 1, "activity_label": "c", "endings": ["x", "y"], "label": 0})",
            {"\"ctx_b\" is not text"});
    refused(R"({"ctx_a": "a", "ctx_b": "b", "endings": ["x", "y"], "label": 0})", {"has no \"activity_label\""});
    refused(R"({"ctx_a": "a", "ctx_b": "b", "activity_label": "c", "endings": ["x", "y"], "label": ""})",
            {"its label is"});
    refused(R"({"question": "a", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "C"})",
            {"answerKey"});
    refused(R"({"question": "a", "choices": {"text": ["x", "y"], "label": ["A", "B", "C"]}, "answerKey": "A"})",
            {"equally many"});
    refused(R"({"question": "a", "choices": ["x", "y"], "answerKey": "A"})", {"has no \"text\""});
    refused(R"({"question": {"stem": "a"}, "answerKey": "A"})", {"has no \"choices\""});
    refused(R"({"question": {"stem": "a", "choices": [7, 8]}, "answerKey": "A"})", {"has no \"text\""});
    refused(R"({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"})", {"has no _"});
    refused(R"({"sentence": "a _", "option1": "a", "option2": "b", "answer": "1"})", {"nothing is left"});
    refused(R"({"sentence": "a _ b", "option1": "a", "option2": "b", "answer": "3"})", {"from 1 to 2"});
    refused(R"({"sentence": "a _ b", "option1": "a", "option2": "b", "answer": ""})", {"its label is"});
    refused(R"({"goal": "a", "sol1": "", "sol2": "b", "label": 0})", {"an ending is not text, or empty"});
}
