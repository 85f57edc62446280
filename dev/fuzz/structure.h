// Changes that leave an input what it is, so that a fuzzer gets behind the first check: a number of a JSON text becomes
// another one, a string or a whole member is put elsewhere.
#pragma once
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

class Dice {
public:
    explicit Dice(unsigned seed) : random(seed) {}
    uint64_t below(uint64_t n) { return n ? random() % n : 0; }
    bool one_in(uint64_t n) { return below(n) == 0; }

private:
    std::mt19937_64 random;
};

inline std::string odd_number(Dice& dice) {
    static const char* const numbers[] = {"0",
                                          "1",
                                          "2",
                                          "3",
                                          "4",
                                          "8",
                                          "-1",
                                          "255",
                                          "256",
                                          "65535",
                                          "65536",
                                          "2147483647",
                                          "2147483648",
                                          "4294967296",
                                          "9223372036854775807",
                                          "9223372036854775808",
                                          "18446744073709551615",
                                          "18446744073709551616",
                                          "1e999",
                                          "1.5",
                                          "-0",
                                          "1e2"};
    return dice.one_in(2) ? std::to_string(dice.below(300)) : numbers[dice.below(std::size(numbers))];
}

// One change to one value of a JSON text.
inline void change_json(std::string& json, Dice& dice) {
    if (json.empty()) return;
    size_t at = dice.below(json.size());
    const auto is_number = [&](size_t i) {
        return i < json.size() && (std::isdigit(uint8_t(json[i])) || json[i] == '-');
    };
    const auto string_end = [&](size_t begin) {
        size_t end = begin + 1;
        while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
        return std::min(end + 1, json.size());
    };
    for (size_t tries = 0; tries < json.size(); tries++, at = (at + 1) % json.size()) {
        if (is_number(at)) {
            size_t begin = at, end = at;
            while (begin > 0 && is_number(begin - 1)) begin--;
            while (is_number(end)) end++;
            json.replace(begin, end - begin, odd_number(dice));
            return;
        }
        if (json[at] == '"') {  // another string of the same text
            const size_t end = string_end(at), other = json.find('"', dice.below(json.size()));
            if (other == json.npos) return;
            const std::string text = json.substr(other, string_end(other) - other);
            json.replace(at, end - at, text);
            return;
        }
        if (json[at] == ',' && dice.one_in(2)) {  // what follows, up to the next comma, once more or not at all
            const size_t end = std::min(json.find(',', at + 1), json.size());
            const std::string part = json.substr(at, end - at);
            if (dice.one_in(2)) json.insert(at, part);
            else json.erase(at, end - at);
            return;
        }
    }
}

// A custom mutator: half of the time libFuzzer's own change, else that of `change(whole, dice)`; "": none.
template <class Change>
size_t change_structured(uint8_t* data, size_t size, size_t most, unsigned seed, Change change) {
    Dice dice(seed);
    if (dice.one_in(2)) return LLVMFuzzerMutate(data, size, most);
    std::string out = change(std::string_view(reinterpret_cast<const char*>(data), size), dice);
    if (out.empty() || out.size() > most) return LLVMFuzzerMutate(data, size, most);
    std::memcpy(data, out.data(), out.size());
    return out.size();
}
