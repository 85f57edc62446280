#include "bpe.h"
#include <xxhash.h>
#include <algorithm>
#include "bpe_cache.h"
#include "host/base/error.h"
#include "host/base/utf8.h"
#include "host/tokenizer/unicode/unicode.h"

namespace {

// The byte that each character below U+0144 stands for; -1: none.
std::array<int, 0x144> make_symbol_bytes() {
    std::array<int, 0x144> bytes;
    bytes.fill(-1);
    for (int b = 0; b < 256; b++) bytes[decode_utf8(byte_symbols()[size_t(b)]).value] = b;
    return bytes;
}

// Calls take(byte) for each; false where a character is no symbol.
template <class F>
bool each_symbol(std::string_view text, F take) {
    static const std::array<int, 0x144> bytes = make_symbol_bytes();
    for (size_t at = 0; at < text.size();) {
        const CodePoint c = decode_utf8(text.substr(at, 4));
        if (!c.length || c.value >= bytes.size() || bytes[c.value] < 0) return false;
        take(char(bytes[c.value]));
        at += size_t(c.length);
    }
    return true;
}

bool is_letter(std::string_view text) {
    const CodePoint c = decode_utf8(text.substr(0, 4));
    return c.length && unicode::class_of(c.value) == unicode::Class::letter;
}

// The character that ends before `end`, as a text.
std::string_view character_before(std::string_view text, size_t end) {
    size_t at = end;
    while (at > 0 && end - at < 4)
        if ((uint8_t(text[--at]) & 0xC0) != 0x80) break;
    return text.substr(at, end - at);
}

}  // namespace

const std::array<std::string, 256>& byte_symbols() {
    static const std::array<std::string, 256> all = [] {
        std::array<std::string, 256> symbols;
        char32_t next = 0x100;
        for (uint32_t b = 0; b < 256; b++) {
            const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
            symbols[b] = to_utf8(printable ? char32_t(b) : next++);
        }
        return symbols;
    }();
    return all;
}

std::string bytes_of_symbols(std::string_view text) {
    std::string bytes;
    return each_symbol(text, [&](char byte) { bytes += byte; }) ? bytes : std::string(text);
}

bool is_symbols(std::string_view text) {
    return each_symbol(text, [](char) {});
}

std::string symbols_of_bytes(std::string_view bytes) {
    std::string text;
    for (const char b : bytes) text += byte_symbols()[uint8_t(b)];
    return text;
}

Bpe::Bpe() = default;
Bpe::~Bpe() = default;

void Bpe::index(const std::string& what) {
    if (!model_tokens) model_tokens = names.size();
    for (size_t id = 0; id < names.size(); id++) id_of_name.emplace(names[id], int(id));
    index_symbols(what);
    table.reserve(merges.size());
    for (size_t i = 0; i < merges.size(); i++)
        table.insert(merges[i].left, merges[i].right,
                     {ranks == Ranks::tokens ? uint32_t(merges[i].token) : uint32_t(i), merges[i].token});
    if (ignore_merges)
        for (size_t id = 0; id < model_tokens; id++) {
            if (metaspace) id_of_bytes.emplace(names[id], int(id));
            else if (is_symbols(names[id])) id_of_bytes.emplace(bytes_of_symbols(names[id]), int(id));
        }
    index_cuts();
    std::vector<std::string> patterns;
    for (const AddedToken& token : added) {
        patterns.push_back(token.normalized ? normalized_text(token.content, Section::first) : token.content);
        cuts = cuts && !token.rstrip && token.content.find_first_of(" \n") == std::string::npos &&
               !(metaspace && has_inner_mark(patterns.back()));
    }
    raw = AddedTokenFinder(added, false, patterns);
    normalized = AddedTokenFinder(added, true, patterns);
}

void Bpe::index_symbols(const std::string& what) {
    for (int b = 0; b < 256; b++) {
        const std::string name = metaspace ? byte_name(b) : byte_symbols()[size_t(b)];
        byte_token[size_t(b)] = find(name);
        if (byte_token[size_t(b)] < 0)
            throw Error(Exit::input, what, "has no token for byte " + std::to_string(b) + " (" + name + ")",
                        "texts that hold it would lose it");
    }
    for (size_t id = 0; metaspace && id < model_tokens; id++) {
        const CodePoint c = decode_utf8(names[id]);
        if (!c.length || size_t(c.length) != names[id].size()) continue;
        if (c.value >= character_token.size()) character_token.resize(c.value + 1, -1);
        character_token[c.value] = int(id);
    }
}

// Where no merge reaches from one character to another, what stands before it and behind it may be encoded by itself.
void Bpe::index_cuts() {
    if (!metaspace) return;
    const auto symbol = [&](char32_t c) { return c < character_token.size() ? character_token[c] : -1; };
    const bool words = !ignore_merges && symbol(U'\u2581') >= 0 &&
                       std::none_of(merges.begin(), merges.end(),
                                    [&](const MergeRule& rule) { return has_inner_mark(names[size_t(rule.token)]); });
    const int line_feed = symbol('\n') >= 0 ? symbol('\n') : byte_token['\n'];
    mark_cuts = metaspace->prefix && metaspace->splits ? MarkCuts::marks : words ? MarkCuts::words : MarkCuts::none;
    cuts_behind_lines = !ignore_merges && std::none_of(merges.begin(), merges.end(), [&](const MergeRule& rule) {
        return rule.left == line_feed || rule.right == line_feed;
    });
}

int Bpe::find(std::string_view name) const {
    const auto found = id_of_name.find(std::string(name));
    return found == id_of_name.end() ? -1 : found->second;
}

std::unique_ptr<PieceCache> Bpe::borrow() const {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return std::make_unique<PieceCache>();
    std::unique_ptr<PieceCache> cache = std::move(idle.back());
    idle.pop_back();
    return cache;
}

struct Bpe::Run {
    std::vector<int>& ids;
    PieceCache& cache;
    Specials specials;
};

void Bpe::encode(std::vector<int>& ids, std::string_view text, Specials specials, Place place) const {
    std::unique_ptr<PieceCache> cache = borrow();
    Run run{ids, *cache, specials};
    const Section first = place == Place::beginning ? Section::first : Section::continued;
    if (raw.empty()) encode_section(run, text, first);
    else
        for (const Span& span : raw.split(text, specials)) {
            if (span.id >= 0) ids.push_back(span.id);
            else
                encode_section(run, text.substr(span.begin, span.end - span.begin),
                               span.begin ? Section::later : first);
        }
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(cache));
}

std::string Bpe::normalized_text(std::string_view text, Section section) const {
    std::string out = nfc ? unicode::nfc(text) : std::string(text);
    return metaspace ? normalize(*metaspace, out, section) : out;
}

void Bpe::encode_section(Run& run, std::string_view text, Section section) const {
    const bool changes = (nfc && !unicode::is_nfc(text)) || (metaspace && (metaspace->prepends || metaspace->replaces));
    if (changes) encode_normalized(run, normalized_text(text, section), section);
    else encode_normalized(run, text, section);
}

void Bpe::encode_normalized(Run& run, std::string_view text, Section section) const {
    if (normalized.empty()) return encode_pieces(run, text, section);
    for (const Span& span : normalized.split(text, run.specials)) {
        if (span.id >= 0) run.ids.push_back(span.id);
        else encode_pieces(run, text.substr(span.begin, span.end - span.begin), span.begin ? Section::later : section);
    }
}

void Bpe::encode_pieces(Run& run, std::string_view text, Section section) const {
    if (text.empty()) return;
    std::string changed;
    if (metaspace && metaspace->prefix) text = changed = pre_tokenize(*metaspace, text, section);
    else if (add_prefix_space && text[0] != ' ' && section != Section::continued)
        text = changed = " " + std::string(text);
    std::vector<int>& ids = run.ids;
    while (!text.empty()) {
        const size_t length = metaspace ? marked_piece_length(mark_cuts, text) : piece_length(split, text);
        const std::string_view piece = text.substr(0, length);
        text.remove_prefix(length);
        if (piece.size() > PieceCache::longest) {
            encode_piece(ids, piece);
            continue;
        }
        const PieceCache::Key key(piece);
        PieceCache::Entry& entry = run.cache.entry(key);
        if (entry.key == key) {
            ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
            continue;
        }
        const size_t first = ids.size();
        encode_piece(ids, piece);
        if (ids.size() - first > PieceCache::most) continue;
        entry.key = key;
        entry.count = uint32_t(ids.size() - first);
        std::copy(ids.begin() + std::ptrdiff_t(first), ids.end(), entry.ids.begin());
    }
}

std::vector<int> Bpe::symbols_of(std::string_view piece) const {
    std::vector<int> tokens;
    tokens.reserve(piece.size());
    const auto add_bytes = [&](std::string_view bytes) {
        for (const char byte : bytes) tokens.push_back(byte_token[uint8_t(byte)]);
    };
    if (!metaspace) add_bytes(piece);
    for (size_t at = 0, length; metaspace && at < piece.size(); at += length) {
        const CodePoint c = decode_utf8(piece.substr(at, 4));
        length = size_t(std::max(c.length, 1));
        const int id = c.length && c.value < character_token.size() ? character_token[c.value] : -1;
        if (id >= 0) tokens.push_back(id);
        else add_bytes(piece.substr(at, length));
    }
    return tokens;
}

void Bpe::encode_piece(std::vector<int>& ids, std::string_view piece) const {
    if (ignore_merges)
        if (const auto whole = id_of_bytes.find(std::string(piece)); whole != id_of_bytes.end())
            return ids.push_back(whole->second);
    std::vector<int> tokens = symbols_of(piece);
    merge_piece(ids, tokens, table);
}

// Every split rule has a boundary between a letter and a space, and after a lone newline before a letter; so has a
// vocabulary of characters if its merges leave them. No rule and no normalisation looks across such a place, so it is
// safe to split the text there.
size_t Bpe::safe_cut(std::string_view text, size_t near) const {
    if (!cuts || (metaspace ? mark_cuts == MarkCuts::none : split == SplitRule::none)) return text.size();
    for (size_t at = std::max<size_t>(near, 2); at < text.size(); at++) {
        if (text[at] == ' ' && is_letter(character_before(text, at))) return at;
        if (text[at - 1] != '\n' || add_prefix_space || !cuts_behind_lines) continue;
        const CodePoint c = decode_utf8(character_before(text, at - 1));
        const bool single = c.length && unicode::class_of(c.value) != unicode::Class::space;
        if (single && is_letter(text.substr(at))) return at;
    }
    return text.size();
}

uint64_t Bpe::hash(uint64_t seed) const {
    std::string all =
        std::string(name_of(split)) + char(add_prefix_space) + char(nfc) + char(ignore_merges) + char(ranks);
    const auto put = [&](const auto& number) { all.append(reinterpret_cast<const char*>(&number), sizeof number); };
    for (const MergeRule& rule : merges) put(rule);
    for (const AddedToken& t : added) {
        put(t.id), all += t.content;
        for (const bool flag : {t.single_word, t.lstrip, t.rstrip, t.normalized, t.special}) all += char(flag);
    }
    for (const int id : before) put(id);
    all += '|';
    for (const int id : after) put(id);
    if (metaspace) {
        const Metaspace& m = *metaspace;
        all += std::string("metaspace") + char(m.prepends) + char(m.replaces) + char(m.prefix ? int(*m.prefix) : 99);
        all += char(m.splits);
        put(m.strips);
    }
    return XXH64(all.data(), all.size(), seed);
}
