// tokenizer.json: what is accepted gives ids within its vocabulary for any text, and decodes any id.
#include "host/tokenizer/tokenizer.h"

#include "fuzz.h"
#include "host/tokenizer/tokenizer_json.h"
#include "structure.h"

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

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
    return change_structured(data, size, most, seed, [](std::string_view whole, Dice& dice) {
        std::string json(whole);
        for (uint64_t n = 1 + dice.below(3); n > 0; n--) change_json(json, dice);
        return json;
    });
}
