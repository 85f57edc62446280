// Sampling: pick the next token of every row from its logits.
//
//   temperature 0: the largest logit, the lowest id among equals. Else softmax(logits / temperature) restricted to the
//   top_k largest, then to the fewest that reach probability top_p, then to those with min_p of the largest or more;
//   token = the first, in order of falling probability (id breaks ties), whose running sum exceeds u * (what is left)
//
//   logits (B,P), columns V..P-1 padding   u (B) uniform in [0,1)   token (B)
#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>
#include "../device.h"

struct Sampling { float temperature = 1, top_p = 1, min_p = 0; int top_k = 0; };    // top_k 0 = all

template <class T>
int sample_row(const T* logits, const Sampling& how, double u, int V) {
    std::vector<int> order(V);
    std::iota(order.begin(), order.end(), 0);
    auto larger = [=](int a, int b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
    if (how.temperature == 0) return *std::min_element(order.begin(), order.end(), larger);
    std::sort(order.begin(), order.end(), larger);
    if (how.top_k > 0 && how.top_k < V) order.resize(how.top_k);
    std::vector<double> prob;
    double sum = 0, kept = 0;
    const double largest = double(logits[order[0]]);
    for (int v : order) sum += prob.emplace_back(std::exp((double(logits[v]) - largest) / how.temperature));
    size_t count = 0;
    while (count < prob.size() && (count == 0 || (kept < how.top_p * sum && prob[count] >= how.min_p)))
        kept += prob[count++];
    double running = 0;
    for (size_t i = 0; i < count; i++)
        if ((running += prob[i]) > u * kept) return order[i];
    return order[count - 1];
}

template <class T>
void sampling_forward(int* token, const T* logits, const float* u, const Sampling& how, int B, int V, int P, Cpu<T>) {
    #pragma omp parallel for schedule(static)
    for (int b = 0; b < B; b++) token[b] = sample_row(logits + size_t(b) * P, how, u[b], V);
}
