#include "question_formats.h"
#include <locale.h>
#include <wctype.h>
#include <algorithm>
#include "host/base/error.h"
#include "host/base/utf8.h"
#include "host/tokenizer/unicode/unicode.h"

namespace {

// A line's fields; what is missing or of another type ends as one line of error.
struct Line {
    const Json& object;
    const std::string& where;

    [[noreturn]] void refuse(const std::string& why, const std::string& hint = "") const {
        throw Error(Exit::input, where, why, hint);
    }
    bool has(const char* key) const { return object.contains(key); }
    const Json& part(const char* key) const {
        if (!object.is_object() || !has(key)) refuse(std::string("has no \"") + key + "\"");
        return object[key];
    }
    std::string text(const char* key) const {
        if (!part(key).is_string()) refuse(std::string("its \"") + key + "\" is not text");
        return object[key].get<std::string>();
    }
    // Two or more texts that are not empty.
    std::vector<std::string> texts(const char* key) const {
        if (!part(key).is_array() || part(key).size() < 2)
            refuse(std::string("has no \"") + key + "\", a list of two or more");
        std::vector<std::string> all;
        for (const Json& one : part(key)) {
            if (!one.is_string() || one.get_ref<const std::string&>().empty())
                refuse("an ending is not text, or empty");
            all.push_back(one);
        }
        return all;
    }
    // Which of `endings` is right: a number, from `first` on, that some write as text.
    int label(const Json& value, size_t endings, int first = 0) const {
        const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
        for (size_t i = 0; i < endings; i++)
            if (text == std::to_string(int(i) + first)) return int(i);
        refuse("its label is " + value.dump() + ", not a number from " + std::to_string(first) + " to " +
                   std::to_string(int(endings) - 1 + first),
               "questions without an answer cannot be scored");
    }
};

std::vector<std::string> for_each_ending(const std::vector<std::string>& endings, const std::string& context) {
    return std::vector<std::string>(endings.size(), context);
}

QuestionText hellaswag(const Line& line) {
    QuestionText q;
    for (const std::string& ending : line.texts("endings")) {
        q.endings.push_back(clean_hellaswag(ending));
        if (q.endings.back().empty()) line.refuse("an ending is empty without its brackets");
    }
    q.contexts = for_each_ending(q.endings, clean_hellaswag(line.text("activity_label") + ": " + line.text("ctx_a") +
                                                            " " + capitalized(line.text("ctx_b"))));
    q.label = line.label(line.part("label"), q.endings.size());
    return q;
}

QuestionText piqa(const Line& line, const std::string& label_beside) {
    QuestionText q{.contexts = {}, .endings = {line.text("sol1"), line.text("sol2")}};
    if (q.endings[0].empty() || q.endings[1].empty()) line.refuse("an ending is not text, or empty");
    q.contexts = for_each_ending(q.endings, "Question: " + line.text("goal") + "\nAnswer:");
    if (!line.has("label") && label_beside.empty())
        line.refuse("has no \"label\"", "PIQA's own stand in valid-labels.lst beside valid.jsonl");
    q.label = line.label(line.has("label") ? line.part("label") : Json(label_beside), 2);
    return q;
}

QuestionText arc(const Line& line) {
    QuestionText q;
    std::vector<std::string> labels;
    std::string question;
    if (line.part("question").is_object()) {
        const Line inner{line.part("question"), line.where};
        question = inner.text("stem");
        if (!inner.part("choices").is_array()) line.refuse("has no \"choices\", a list of two or more");
        for (const Json& choice : inner.part("choices")) {
            const Line one{choice, line.where};
            q.endings.push_back(one.text("text"));
            labels.push_back(one.text("label"));
        }
    } else {
        const Line choices{line.part("choices"), line.where};
        question = line.text("question");
        q.endings = choices.texts("text");
        labels = choices.texts("label");
    }
    if (q.endings.size() < 2 || labels.size() != q.endings.size())
        line.refuse("its choices and their labels are not equally many, or fewer than two");
    if (std::ranges::any_of(q.endings, [](const std::string& e) { return e.empty(); }))
        line.refuse("an ending is not text, or empty");
    q.contexts = for_each_ending(q.endings, "Question: " + question + "\nAnswer:");
    const auto right = std::ranges::find(labels, line.text("answerKey"));
    if (right == labels.end())
        line.refuse("its answerKey is none of its labels", "questions without an answer cannot be scored");
    q.label = int(right - labels.begin());
    return q;
}

QuestionText winogrande(const Line& line) {
    const std::string sentence = line.text("sentence");
    const size_t gap = sentence.find('_');
    if (gap == sentence.npos) line.refuse("its \"sentence\" has no _");
    const std::string rest(without_spaces(std::string_view(sentence).substr(gap + 1)));
    if (rest.empty()) line.refuse("its \"sentence\" ends with the _: nothing is left to score");
    QuestionText q{.contexts = {}, .endings = {rest, rest}};
    for (const char* option : {"option1", "option2"}) q.contexts.push_back(sentence.substr(0, gap) + line.text(option));
    q.label = line.label(line.part("answer"), 2, 1);
    return q;
}

QuestionText plain(const Line& line) {
    QuestionText q{.contexts = {}, .endings = line.texts("endings")};
    q.contexts = for_each_ending(q.endings, line.text("ctx"));
    q.label = line.label(line.part("label"), q.endings.size());
    q.together = false;
    return q;
}

bool is_space(char32_t c) {
    return unicode::class_of(c) == unicode::Class::space || (c >= 0x1C && c <= 0x1F);  // these too in Python
}

// Python's rules for letters but for the few that become several.
char32_t in_case(char32_t c, wint_t (*change)(wint_t, locale_t)) {
    static const locale_t unicode_letters = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    if (unicode_letters) return char32_t(change(wint_t(c), unicode_letters));
    const bool ascii = c < 0x80;
    return ascii ? char32_t(change == towupper_l ? std::toupper(int(c)) : std::tolower(int(c))) : c;
}

}  // namespace

QuestionText question_text(const Json& object, const std::string& label_beside, const std::string& where) {
    const Line line{object, where};
    if (object.is_object()) {
        if (line.has("ctx_a")) return hellaswag(line);
        if (line.has("goal")) return piqa(line, label_beside);
        if (line.has("sentence")) return winogrande(line);
        if (line.has("question")) return arc(line);
        if (line.has("ctx")) return plain(line);
    }
    line.refuse("is no question",
                "lines look like {\"ctx\": ..., \"endings\": [...], \"label\": 0}, or are those of "
                "HellaSwag, ARC, PIQA or WinoGrande");
}

std::string_view without_spaces(std::string_view text) {
    while (!text.empty()) {
        const CodePoint c = decode_utf8(text);
        if (!c.length || !is_space(c.value)) break;
        text.remove_prefix(size_t(c.length));
    }
    text.remove_suffix(trailing_spaces(text));
    return text;
}

size_t trailing_spaces(std::string_view text) {
    size_t end = text.size();
    while (end > 0) {
        size_t begin = end - 1;
        while (begin > 0 && (uint8_t(text[begin]) & 0xC0) == 0x80) begin--;
        const CodePoint c = decode_utf8(text.substr(begin, end - begin));
        if (!c.length || !is_space(c.value)) break;
        end = begin;
    }
    return text.size() - end;
}

std::string capitalized(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const CodePoint c = decode_utf8(text);
        const size_t length = size_t(std::max(c.length, 1));
        if (!c.length) out += text[0];
        else out += to_utf8(in_case(c.value, out.empty() ? towupper_l : towlower_l));
        text.remove_prefix(length);
    }
    return out;
}

// WikiHow's parts: " [title]" ends a sentence, other brackets within a line go, and the spaces that they leave behind.
std::string clean_hellaswag(std::string_view given) {
    const auto replace = [](std::string text, std::string_view what, std::string_view by) {
        for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += by.size()) text.replace(at, what.size(), by);
        return text;
    };
    std::string text = replace(std::string(without_spaces(given)), " [title]", ". "), out;
    for (size_t at = 0; at < text.size(); at++) {
        const size_t end = text[at] == '[' ? text.find_first_of("]\n", at) : text.npos;
        if (end != text.npos && text[end] == ']') at = end;
        else out += text[at];
    }
    return replace(std::move(out), "  ", " ");
}
