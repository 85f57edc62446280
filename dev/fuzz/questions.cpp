// Files of multiple-choice questions, as JSON lines and as llm.c's.
#include "host/evaluate/multiple_choice.h"

#include "fuzz.h"

void fuzz(std::string_view input) {
    constexpr int context = 64;
    static const FuzzDirectory folder;
    static const Tokenizer tokenizer = byte_tokenizer();
    for (const std::string name : {"questions.bin", "questions.jsonl"}) {
        folder.write(name, input);
        accepts([&] {
            for (const Question& q : read_questions(folder.path + "/" + name, &tokenizer, {}, tokenizer.vocab_size()))
                for (const Choice& c : q.choices) {
                    const Segment s = segment_of(c, context, "a question");
                    expect(s.scored >= 1 && s.targets() == c.ending.size() && s.tokens.size() <= context + 1,
                           "an ending is scored");
                }
        });
    }
}
