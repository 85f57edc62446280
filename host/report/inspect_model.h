// What a saved model does with a text: whom every token of it looks at, and what the model expects next.
#pragma once
#include <string>
#include <vector>

struct Expected {
    std::string text;
    double probability;
};

struct Inspection {
    int L = 0, NH = 0, T = 0;
    std::vector<std::string> tokens;          // (T) for people: "\n" as \n
    std::vector<float> attention;             // (L,NH,T,T) probabilities
    std::vector<std::vector<Expected>> next;  // (T) the likeliest tokens after each, likeliest first
    std::vector<double> probability;          // (T) of the token that does come next; of the last one 0
    double operator()(int l, int h, int t, int s) const { return attention[((size_t(l) * NH + h) * T + t) * T + s]; }
};

// Of the text's first `most` tokens, on the CPU. Throws Error{input} if the directory has no tokenizer.
Inspection inspect(const std::string& directory, const std::string& text, int most);
