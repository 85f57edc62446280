// GPT-2's vocab.json and merges.txt: one after the other, a line of four dashes between them.
#include "fuzz.h"
#include "host/tokenizer/bpe_files.h"
#include "host/tokenizer/tokenizer_json.h"

void fuzz(std::string_view input) {
    const std::string_view mark = "\n----\n";
    const size_t at = input.find(mark);
    const std::string_view vocab = input.substr(0, at), merges = at == input.npos ? "" : input.substr(at + mark.size());
    accepts([&] {
        const Tokenizer tokenizer = bpe_from_vocab_and_merges(vocab, merges, "input");
        tokenizer.decode(tokenizer.encode(input));
        tokenizer_from_json(tokenizer_json(tokenizer), "output");
    });
}
