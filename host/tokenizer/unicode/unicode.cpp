#include "unicode.h"
#include <algorithm>
#include <array>
#include <iterator>
#include <unordered_map>
#include <vector>
#include "host/base/utf8.h"
#include "unicode_classes.h"
#include "unicode_compositions.h"
#include "unicode_decompositions.h"

namespace unicode {

namespace {

// Hangul syllables are arithmetic: lead, vowel and, one more than there are, tail.
constexpr char32_t first_syllable = 0xAC00, first_lead = 0x1100, first_vowel = 0x1161, first_tail = 0x11A7;
constexpr char32_t leads = 19, vowels = 21, tails = 28, syllables = leads * vowels * tails;

constexpr uint64_t pair_key(char32_t first, char32_t second) { return uint64_t(first) << 32 | second; }

struct Pair {
    char32_t first, second;
};

struct Maps {
    std::unordered_map<char32_t, Pair> decomposed;
    std::unordered_map<uint64_t, char32_t> composed;
    Maps() {
        for (const auto& c : compositions) {
            decomposed[c.whole] = {c.first, c.second};
            composed[pair_key(c.first, c.second)] = c.whole;
        }
        for (const auto& d : decompositions) decomposed[d.whole] = {d.first, d.second};
    }
};

const Maps& maps() {
    static const Maps all;
    return all;
}

std::vector<uint16_t> make_properties() {
    std::vector<uint16_t> table(0x110000);
    const auto mark_all = [&](const auto& ranges, auto change) {
        for (const auto& range : ranges)
            for (char32_t c = range.first; c <= range.last; c++) change(table[c]);
    };
    mark_all(letters, [](uint16_t& p) { p = uint16_t(Class::letter) | word_bit; });
    mark_all(marks, [](uint16_t& p) { p = uint16_t(Class::mark) | word_bit; });
    mark_all(numbers, [](uint16_t& p) { p = uint16_t(Class::number) | word_bit | digit_bit; });
    mark_all(spaces, [](uint16_t& p) { p = uint16_t(Class::space); });
    mark_all(other_word_characters, [](uint16_t& p) { p |= word_bit; });
    mark_all(no_word_characters, [](uint16_t& p) { p &= uint16_t(~word_bit); });
    mark_all(capitals, [](uint16_t& p) { p |= capital_bit; });
    mark_all(small_letters, [](uint16_t& p) { p |= small_bit; });
    mark_all(further_digits, [](uint16_t& p) { p |= digit_bit; });
    mark_all(combining_ranges, [](uint16_t& p) { p |= continues_bit; });
    for (const auto& c : compositions) table[c.second] |= continues_bit;
    for (char32_t i = 0; i < vowels; i++) table[first_vowel + i] |= continues_bit;
    for (char32_t i = 1; i < tails; i++) table[first_tail + i] |= continues_bit;
    // What begins with a mark once it is decomposed combines as that mark does.
    for (const auto& d : decompositions) table[d.whole] |= uint16_t(changes_bit | (table[d.first] & continues_bit));
    return table;
}

int combining_class(char32_t c) {
    const auto* end = std::end(combining_ranges);
    const auto* range = std::lower_bound(std::begin(combining_ranges), end, c,
                                         [](const CombiningRange& r, char32_t x) { return r.last < x; });
    return range != end && range->first <= c ? range->combining_class : 0;
}

void decompose(std::u32string& out, char32_t c) {
    if (c >= first_syllable && c < first_syllable + syllables) {
        const char32_t s = c - first_syllable;
        out += first_lead + s / (vowels * tails);
        out += first_vowel + s / tails % vowels;
        if (s % tails) out += first_tail + s % tails;
        return;
    }
    const auto found = maps().decomposed.find(c);
    if (found == maps().decomposed.end()) {
        out += c;
        return;
    }
    decompose(out, found->second.first);
    if (found->second.second) decompose(out, found->second.second);
}

// The composition of the two; 0: there is none.
char32_t compose(char32_t first, char32_t second) {
    if (first - first_lead < leads && second - first_vowel < vowels)
        return first_syllable + ((first - first_lead) * vowels + second - first_vowel) * tails;
    if (first - first_syllable < syllables && (first - first_syllable) % tails == 0 && second > first_tail &&
        second < first_tail + tails)
        return first + second - first_tail;
    const auto found = maps().composed.find(pair_key(first, second));
    return found == maps().composed.end() ? 0 : found->second;
}

// Appends the normal form of a segment: nothing before or after it combines with anything in it.
void normalize(std::string& out, const std::u32string& segment) {
    std::u32string all, result;
    for (const char32_t c : segment) decompose(all, c);
    for (size_t i = 0; i < all.size();) {
        size_t end = i + 1;
        if (combining_class(all[i]))
            while (end < all.size() && combining_class(all[end])) end++;
        std::stable_sort(all.begin() + std::ptrdiff_t(i), all.begin() + std::ptrdiff_t(end),
                         [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
        i = end;
    }
    constexpr size_t none = size_t(-1);
    size_t starter = none;
    int last_class = 0;  // of the last one since the starter that stayed
    for (const char32_t c : all) {
        const int its_class = combining_class(c);
        const bool blocked = starter != none && starter + 1 < result.size() && last_class >= its_class;
        const char32_t whole = starter == none || blocked ? 0 : compose(result[starter], c);
        if (whole) {
            result[starter] = whole;
            continue;
        }
        if (its_class == 0) starter = result.size();
        last_class = its_class;
        result += c;
    }
    for (const char32_t c : result) append_utf8(out, c);
}

}  // namespace

const uint16_t* properties() {
    static const std::vector<uint16_t> table = make_properties();
    return table.data();
}

bool is_nfc(std::string_view text) {
    const uint16_t* table = properties();
    for (size_t at = 0; at < text.size();) {
        if (uint8_t(text[at]) < 0xCC) {  // below U+0300 nothing combines and nothing changes
            at++;
            continue;
        }
        const CodePoint c = decode_utf8(text.substr(at, 4));
        if (c.length && table[c.value] & (continues_bit | changes_bit)) return false;
        at += size_t(std::max(c.length, 1));
    }
    return true;
}

std::string nfc(std::string_view text) {
    std::string out;
    if (is_nfc(text)) return std::string(text);
    const uint16_t* table = properties();
    std::u32string segment;
    bool plain = true;
    const auto flush = [&] {
        if (plain)
            for (const char32_t c : segment) append_utf8(out, c);
        else normalize(out, segment);
        segment.clear(), plain = true;
    };
    for (size_t at = 0; at < text.size();) {
        const CodePoint c = decode_utf8(text.substr(at, 4));
        if (!c.length) {
            flush();
            out += text[at++];
            continue;
        }
        if (!(table[c.value] & continues_bit)) flush();
        if (table[c.value] & (continues_bit | changes_bit)) plain = false;
        segment += c.value;
        at += size_t(c.length);
    }
    flush();
    return out;
}

}  // namespace unicode
