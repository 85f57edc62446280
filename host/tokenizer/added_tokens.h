// Tokens that are found in text before it is cut into pieces: <|endoftext|> and the like.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

struct AddedToken {
    std::string content;
    int id = -1;
    bool single_word = false;             // only where no letter, mark or digit touches it
    bool lstrip = false, rstrip = false;  // takes the white space before or behind along
    bool normalized = false;              // looked for in normalised text
    bool special = false;
    bool operator==(const AddedToken&) const = default;
};

enum class Specials { as_text, recognised };  // whether "<|endoftext|>" in a text is thirteen characters or one token

struct Span {
    size_t begin, end;
    int id;
};  // id -1: text between added tokens

// Finds the leftmost match, of these the longest, then continues after it: Hugging Face's rule, also in odd cases.
class AddedTokenFinder {
public:
    AddedTokenFinder() = default;
    // Those whose `normalized` is as given.
    AddedTokenFinder(std::span<const AddedToken> tokens, bool normalized, const std::vector<std::string>& patterns);
    std::vector<Span> split(std::string_view text, Specials specials) const;
    bool empty() const { return nodes.size() <= 1; }

private:
    struct Node {
        std::unordered_map<uint8_t, int> next;
        int token = -1;
    };
    std::vector<Node> nodes = std::vector<Node>(1);  // a trie of the patterns' bytes
    std::vector<AddedToken> tokens;
    std::vector<bool> starts = std::vector<bool>(256);  // the bytes that patterns begin with
    struct Found {
        int token = -1;
        size_t length = 0;
    };
    Found longest(std::string_view text) const;
};
