// What generation keeps of the tokens that were read: in every block their keys and values, so that one more token
// costs one row of each layer instead of the whole text again.
#pragma once
#include <cstddef>
#include <span>

// How a forward pass uses the cache: not at all; it stores the keys and values of a prompt (B = 1); or it reads one
// more token (T = 1) of every sequence in the cache, which so far has `position` tokens.
enum class Cached { no, keep, extend };

// Of B sequences, at most S tokens each.
template <class Real>
struct KvCache {
    Real *keys = nullptr, *values = nullptr;  // (L,B,NKV,S,HS)
    int B = 0, S = 0;
    size_t sequence = 0;  // elements of one in a layer
    size_t at(int l, int b) const { return (size_t(l) * B + b) * sequence; }
};
