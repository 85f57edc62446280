// tokenizer.json: what is accepted gives ids within its vocabulary for any text, and decodes any id.
#include "host/tokenizer/tokenizer.h"

#include "fuzz.h"
#include "host/tokenizer/tokenizer_json.h"

void fuzz(std::string_view input) {
    accepts([&] {
        const Tokenizer tokenizer = tokenizer_from_json(input, "input");
        const std::vector<int> ids = tokenizer.encode("Hello, w\u00f6rld 123!\n\n  \u4e2d\u6587 don't");
        for (const int id : ids) expect(id >= 0 && id < tokenizer.vocab_size(), "an id of the vocabulary");
        const int odd[] = {-1, 0, tokenizer.vocab_size() - 1, tokenizer.vocab_size(), 1 << 30};
        tokenizer.decode(ids), tokenizer.decode(odd);
        tokenizer_from_json(tokenizer_json(tokenizer), "output");
    });
}
