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
    for (size_t id = 0; id < names.size(); id++) id_of_name.emplace(names[id], int(id));
    for (size_t b = 0; b < 256; b++) {
        byte_token[b] = find(byte_symbols()[b]);
        if (byte_token[b] < 0)
            throw Error(Exit::input, what,
                        "has no token for byte " + std::to_string(b) + " (" + byte_symbols()[b] + ")",
                        "texts that hold it would lose it");
    }
    table.reserve(merges.size());
    for (size_t i = 0; i < merges.size(); i++)
        table.insert(merges[i].left, merges[i].right,
                     {ranks == Ranks::tokens ? uint32_t(merges[i].token) : uint32_t(i), merges[i].token});
    if (ignore_merges)
        for (size_t id = 0; id < names.size(); id++)
            if (is_symbols(names[id])) id_of_bytes.emplace(bytes_of_symbols(names[id]), int(id));
    std::vector<std::string> patterns;
    for (const AddedToken& token : added) {
        patterns.push_back(nfc && token.normalized ? unicode::nfc(token.content) : token.content);
        cuts = cuts && !token.rstrip && token.content.find_first_of(" \n") == std::string::npos;
    }
    raw = AddedTokenFinder(added, false, patterns);
    normalized = AddedTokenFinder(added, true, patterns);
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

void Bpe::encode(std::vector<int>& ids, std::string_view text, Specials specials) const {
    std::unique_ptr<PieceCache> cache = borrow();
    const auto between = [&](std::string_view part) {
        if (nfc && !unicode::is_nfc(part)) encode_normalized(ids, unicode::nfc(part), *cache, specials);
        else encode_normalized(ids, part, *cache, specials);
    };
    if (raw.empty()) between(text);
    else
        for (const Span& span : raw.split(text, specials)) {
            if (span.id >= 0) ids.push_back(span.id);
            else between(text.substr(span.begin, span.end - span.begin));
        }
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(cache));
}

void Bpe::encode_normalized(std::vector<int>& ids, std::string_view text, PieceCache& cache, Specials specials) const {
    if (normalized.empty()) return encode_pieces(ids, text, cache);
    for (const Span& span : normalized.split(text, specials)) {
        if (span.id >= 0) ids.push_back(span.id);
        else encode_pieces(ids, text.substr(span.begin, span.end - span.begin), cache);
    }
}

void Bpe::encode_pieces(std::vector<int>& ids, std::string_view text, PieceCache& cache) const {
    if (text.empty()) return;
    std::string with_space;
    if (add_prefix_space && text[0] != ' ') text = with_space = " " + std::string(text);
    while (!text.empty()) {
        const std::string_view piece = text.substr(0, piece_length(split, text));
        text.remove_prefix(piece.size());
        if (piece.size() > PieceCache::longest) {
            encode_piece(ids, piece);
            continue;
        }
        const PieceCache::Key key(piece);
        PieceCache::Entry& entry = cache.entry(key);
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

void Bpe::encode_piece(std::vector<int>& ids, std::string_view piece) const {
    if (ignore_merges)
        if (const auto whole = id_of_bytes.find(std::string(piece)); whole != id_of_bytes.end())
            return ids.push_back(whole->second);
    std::vector<int> tokens(piece.size());
    for (size_t i = 0; i < piece.size(); i++) tokens[i] = byte_token[uint8_t(piece[i])];
    merge_piece(ids, tokens, table);
}

// Every split rule has a boundary between a letter and a space, and after a lone newline before a letter. No rule and
// no normalisation looks across such a place, so it is safe to split the text there.
size_t Bpe::safe_cut(std::string_view text, size_t near) const {
    if (!cuts || split == SplitRule::none) return text.size();
    for (size_t at = std::max<size_t>(near, 2); at < text.size(); at++) {
        if (text[at] == ' ' && is_letter(character_before(text, at))) return at;
        if (text[at - 1] != '\n' || add_prefix_space) continue;
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
    return XXH64(all.data(), all.size(), seed);
}
