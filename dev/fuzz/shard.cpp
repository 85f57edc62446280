// Files of tokens, with and without headers.
#include "fuzz.h"
#include "host/data/token_source.h"

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
