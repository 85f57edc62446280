#include "bpe_train.h"
#include <algorithm>
#include <map>
#include "bpe.h"
#include "bpe_build.h"
#include "host/base/error.h"
#include "host/tokenizer/unicode/unicode.h"

namespace {

struct Word {
    std::vector<int> tokens;
    int64_t count = 0;
};

using Pair = std::pair<int, int>;
struct PairHash {
    size_t operator()(const Pair& pair) const {
        return size_t((uint64_t(uint32_t(pair.first)) << 32 | uint32_t(pair.second)) * 0x9E3779B97F4A7C15u >> 16);
    }
};

// A pair to merge and the words it stood in when it came up.
struct Candidate {
    int64_t count;
    Pair pair;
    std::vector<int> words;
    // Of a heap, whose first is the greatest.
    bool operator<(const Candidate& other) const {
        return count != other.count ? count < other.count : pair > other.pair;
    }
};

class Trainer {
public:
    Trainer(const BpeTraining& how, const PieceCounts& counts) : how(how) {
        for (const std::string& token : how.special_tokens) name(token);
        std::vector<std::string> alphabet(byte_symbols().begin(), byte_symbols().end());
        std::sort(alphabet.begin(), alphabet.end());  // UTF-8 sorts as code points do
        for (const std::string& symbol : alphabet) name(symbol);
        for (const auto& [piece, count] : counts) {
            Word word{{}, int64_t(count)};
            for (const char byte : piece) word.tokens.push_back(ids.at(byte_symbols()[uint8_t(byte)]));
            if (word.tokens.size() > 1) words.push_back(std::move(word));
        }
    }

    void run(const std::function<void(int, int)>& progress) {
        for (int w = 0; w < int(words.size()); w++) {
            const Word& word = words[size_t(w)];
            for (size_t i = 0; i + 1 < word.tokens.size(); i++)
                change({word.tokens[i], word.tokens[i + 1]}, word.count, w);
        }
        queue_fresh();
        while (int(names.size()) < how.vocab && !queue.empty()) {
            std::pop_heap(queue.begin(), queue.end());
            Candidate top = std::move(queue.back());
            queue.pop_back();
            if (const int64_t now = counts[top.pair]; now != top.count) {
                top.count = now;
                push(std::move(top));
                continue;
            }
            if (top.count < 1 || uint64_t(top.count) < how.min_frequency) break;
            const int token = name(names[size_t(top.pair.first)] + names[size_t(top.pair.second)]);
            merges.push_back({top.pair.first, top.pair.second, token});
            for (const int w : top.words) merge(w, top.pair, token);
            queue_fresh();
            if (progress) progress(int(names.size()), how.vocab);
        }
    }

    std::vector<std::string> names;
    std::vector<MergeRule> merges;

private:
    // The id of a token of that name, which may be there already.
    int name(const std::string& text) {
        const auto [row, fresh] = ids.emplace(text, int(names.size()));
        if (fresh) names.push_back(text);
        return row->second;
    }

    void change(const Pair& pair, int64_t by, int word) {
        counts[pair] += by;
        if (by < 0) return;
        std::vector<int>& its_words = fresh[pair];
        if (its_words.empty() || its_words.back() != word) its_words.push_back(word);
    }

    void push(Candidate candidate) {
        queue.push_back(std::move(candidate));
        std::push_heap(queue.begin(), queue.end());
    }

    void queue_fresh() {
        for (auto& [pair, its_words] : fresh)
            if (const int64_t count = counts[pair]; count > 0) push({count, pair, std::move(its_words)});
        fresh.clear();
    }

    // From left to right. Pairs that disappear are subtracted from the counts, new ones are added.
    void merge(int index, const Pair& pair, int token) {
        Word& word = words[size_t(index)];
        std::vector<int>& tokens = word.tokens;
        size_t end = 0;  // of what is done
        for (size_t i = 0; i < tokens.size(); i++) {
            if (tokens[i] != pair.first || i + 1 == tokens.size() || tokens[i + 1] != pair.second) {
                tokens[end++] = tokens[i];
                continue;
            }
            if (end > 0) {
                change({tokens[end - 1], pair.first}, -word.count, index);
                change({tokens[end - 1], token}, word.count, index);
            }
            if (i + 2 < tokens.size()) {
                change({pair.second, tokens[i + 2]}, -word.count, index);
                change({token, tokens[i + 2]}, word.count, index);
            }
            tokens[end++] = token;
            i++;
        }
        tokens.resize(end);
    }

    const BpeTraining& how;
    std::vector<Word> words;
    std::unordered_map<std::string, int> ids;
    std::unordered_map<Pair, int64_t, PairHash> counts;
    std::unordered_map<Pair, std::vector<int>, PairHash> fresh;  // since the queue was last filled
    std::vector<Candidate> queue;
};

// A pair can be merged twice, if its token was also made in another way. Keeps the last occurrence.
std::vector<MergeRule> without_repetitions(const std::vector<MergeRule>& merges) {
    std::map<Pair, size_t> last;
    for (size_t i = 0; i < merges.size(); i++) last[{merges[i].left, merges[i].right}] = i;
    std::vector<MergeRule> once;
    for (size_t i = 0; i < merges.size(); i++)
        if (last[{merges[i].left, merges[i].right}] == i) once.push_back(merges[i]);
    return once;
}

}  // namespace

void count_pieces(PieceCounts& counts, std::string_view text, SplitRule split) {
    std::string normal;
    while (!text.empty()) {
        std::string_view line = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
        text.remove_prefix(line.size());
        if (split == SplitRule::qwen2) line = normal = unicode::nfc(line);
        while (!line.empty()) {
            const std::string_view piece = line.substr(0, piece_length(split, line));
            line.remove_prefix(piece.size());
            if (const auto found = counts.find(piece); found != counts.end()) found->second++;
            else counts.emplace(piece, 1);
        }
    }
}

void add_counts(PieceCounts& to, const PieceCounts& from) {
    for (const auto& [piece, count] : from) to[piece] += count;
}

Tokenizer train_bpe(const BpeTraining& how, const PieceCounts& counts, const std::function<void(int, int)>& progress) {
    Trainer trainer(how, counts);
    if (int(trainer.names.size()) > how.vocab)
        throw Error(Exit::usage, "--train-bpe",
                    std::to_string(how.vocab) + " tokens are too few: bytes and special tokens are " +
                        std::to_string(trainer.names.size()) + " already");
    trainer.run(progress);
    auto bpe = std::make_shared<Bpe>();
    bpe->split = how.split;
    bpe->nfc = how.split == SplitRule::qwen2;
    bpe->names = std::move(trainer.names);
    bpe->merges = without_repetitions(trainer.merges);
    for (const std::string& content : how.special_tokens) {
        AddedToken token;
        token.content = content, token.special = true;
        token.id = int(std::find(bpe->names.begin(), bpe->names.end(), content) - bpe->names.begin());
        if (bpe->added.empty() || bpe->added.back().id != token.id) bpe->added.push_back(token);
    }
    return make_tokenizer(std::move(bpe), "--train-bpe");
}
