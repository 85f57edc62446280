// Sampling: pick the next token of every row from its logits.
//
//   temperature 0: the largest logit, the lowest id among equals. Else softmax(logits / temperature) restricted to the
//   top_k largest, then to the fewest that reach probability top_p, then to those with min_p of the largest or more;
//   token = the first, in order of falling probability (id breaks ties), whose running sum exceeds u * (what is left)
//   A row with a NaN or whose largest is infinite is broken: token = 0
//
//   logits (B,P), columns V..P-1 padding   u (B) uniform in [0,1)   token, broken (B)
#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>
#include "cpu.h"
#include "threads.h"

struct Sampling {
    float temperature = 1, top_p = 1, min_p = 0;
    int top_k = 0;  // 0 = all

    // A sum that misses top_p or min_p by a millionth counts as reaching it: 0.4 is not a float, and two of five equal
    // tokens must reach 0.4.
    static constexpr float nearly = 1 - 0x1p-20f;
    constexpr float enough() const { return top_p < 1 ? top_p * nearly : 1; }
    constexpr float least() const { return min_p * nearly; }
};

template <class T>
bool is_broken(const T* logits, int V) {
    T largest = logits[0];
    bool nan = false;
    for (int v = 0; v < V; v++) {
        largest = std::max(largest, logits[v]);
        nan |= std::isnan(logits[v]);
    }
    return nan || !std::isfinite(largest);
}

// Of a row that is not broken.
template <class T>
int sample_row(const T* logits, const Sampling& how, double u, int V) {
    const int top = int(std::max_element(logits, logits + V) - logits);  // the first of the largest
    if (how.temperature == 0) return top;
    const auto prob = [=](int v) { return std::exp((double(logits[v]) - double(logits[top])) / how.temperature); };

    // Usually only a few of the most likely tokens matter. They come off a heap one by one, and are kept, in order,
    // behind it.
    std::vector<int> order(V);
    std::iota(order.begin(), order.end(), 0);
    const auto later = [=](int a, int b) { return logits[a] != logits[b] ? logits[a] < logits[b] : a > b; };
    std::make_heap(order.begin(), order.end(), later);
    int found = 0;
    const auto ranked = [&](int i) {
        for (; found <= i; found++) std::pop_heap(order.begin(), order.end() - found, later);
        return order[V - 1 - i];
    };

    int count = how.top_k > 0 ? std::min(how.top_k, V) : V;
    double sum = 0, kept = 0, running = 0;
    if (count < V)
        for (int i = 0; i < count; i++) sum += prob(ranked(i));
    else
        for (int v = 0; v < V; v++) sum += prob(v);
    if (how.top_p < 1 || how.min_p > 0) {
        int enough = 0;
        for (double p; enough < count && (enough == 0 || kept < how.enough() * sum); enough++, kept += p)
            if ((p = prob(ranked(enough))) < how.least() && enough > 0) break;
        count = enough;
    } else {
        kept = sum;
    }
    for (int i = 0; i < count; i++)
        if ((running += prob(ranked(i))) > u * kept) return ranked(i);
    return ranked(count - 1);
}

template <class T>
void sampling_forward(int* token, int* broken, const T* logits, const float* u, const Sampling& how, int B, int V,
                      int P, Cpu<T>) {
    parallel_for(B, [=](int b) {
        const T* row = logits + size_t(b) * P;
        broken[b] = is_broken(row, V);
        token[b] = broken[b] ? 0 : sample_row(row, how, u[b], V);
    });
}
