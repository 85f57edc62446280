// Softmax of every row (N,V):  out[n,v] = exp(inp[n,v]) / sum_v exp(inp[n,v])     d_inp = out (d_out - sum_v d_out out)
#pragma once
#include "cpu.h"
#include "math.h"
#include "parallel.h"

template <class T>
void softmax_forward(T* out, const T* inp, int N, int V, Cpu<T>) {
    parallel_for(N, [=](int n) {
        const T* x = inp + size_t(n) * V;
        T* y = out + size_t(n) * V;
        const T max = largest(x, V);
        T sum = 0;
        for (int v = 0; v < V; v++) sum += y[v] = exp_of(x[v] - max);
        const T inverse = T(1) / sum;
        for (int v = 0; v < V; v++) y[v] *= inverse;
    });
}

template <class T>
void softmax_backward(T* d_inp, const T* d_out, const T* out, int N, int V, Cpu<T>) {
    parallel_for(N, [=](int n) {
        const T *y = out + size_t(n) * V, *d = d_out + size_t(n) * V;
        T dot = 0;
        for (int v = 0; v < V; v++) dot += d[v] * y[v];
        for (int v = 0; v < V; v++) d_inp[size_t(n) * V + v] = y[v] * (d[v] - dot);
    });
}
