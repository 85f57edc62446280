// Any text under every rule that cuts it and some merges: bytes in, the same bytes out.
#include "fuzz.h"
#include "host/tokenizer/bpe.h"
#include "host/tokenizer/bpe_build.h"

namespace {
Tokenizer make(SplitRule rule) {
    auto bpe = std::make_shared<Bpe>();
    bpe->split = rule;
    for (const std::string& symbol : byte_symbols()) bpe->names.push_back(symbol);
    for (const auto& [left, right] :
         {std::pair("a", "b"), {"ab", "ab"}, {"t", "h"}, {"th", "e"}, {" ", " "}, {"\n", "\n"}}) {
        const auto id = [&](const std::string& bytes) {
            return int(std::find(bpe->names.begin(), bpe->names.end(), symbols_of_bytes(bytes)) - bpe->names.begin());
        };
        bpe->merges.push_back({id(left), id(right), int(bpe->names.size())});
        bpe->names.push_back(symbols_of_bytes(std::string(left) + right));
    }
    return make_tokenizer(bpe, "merges");
}
}  // namespace

void fuzz(std::string_view input) {
    static const std::vector<Tokenizer> all = [] {
        std::vector<Tokenizer> tokenizers;
        for (const char* rule : names_of<SplitRule>) tokenizers.push_back(make(*from_name<SplitRule>(rule)));
        return tokenizers;
    }();
    for (const Tokenizer& tokenizer : all) {
        std::string text;
        for (const int id : tokenizer.encode(input)) text += tokenizer.tokens.at(size_t(id));
        expect(text == input, "the tokens' bytes are the text's");
    }
}
