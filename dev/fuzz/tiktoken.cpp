// tiktoken's files.
#include "fuzz.h"
#include "host/tokenizer/bpe_files.h"

void fuzz(std::string_view input) {
    accepts([&] {
        const Tokenizer tokenizer = bpe_from_tiktoken(input, "input", SplitRule::cl100k);
        for (const int id : tokenizer.encode(input))
            expect(id >= 0 && id < tokenizer.vocab_size(), "an id of the vocabulary");
    });
}
