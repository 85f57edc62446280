// Files of tokens, with and without headers.
#include "fuzz.h"
#include "host/data/token_source.h"
#include "structure.h"

void fuzz(std::string_view input) {
    const std::string path = file_of(input);
    for (const std::optional<TokenType> type :
         {std::optional<TokenType>(), std::optional(TokenType::uint16), std::optional(TokenType::uint32)})
        accepts([&] {
            const Shard shard = open_shard(path, type);
            hash_shard(shard);
            TokenSource source(50257);
            source.add(shard);
            std::vector<int> tokens(source.size());
            source.read(tokens, 0);
            for (const int token : tokens) expect(token >= 0 && token < 50257, "every token is of the vocabulary");
        });
}

// The header's numbers, and the file's length, which they must fit.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
    return change_structured(data, size, most, seed, [](std::string_view whole, Dice& dice) {
        std::string out(whole);
        if (out.size() < 20) return std::string();
        const auto number = uint32_t(dice.one_in(2) ? dice.below(70000) : dice.below(~uint64_t(0)));
        if (dice.one_in(2)) std::memcpy(out.data() + 4 * dice.below(5), &number, 4);
        if (dice.one_in(2)) out.resize(dice.below(2 * out.size()));
        return out;
    });
}
