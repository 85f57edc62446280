// The checks that all elementwise layers share: sizes, and what to call.
#pragma once
#include "harness.h"

// forward(out, inp, n, on) and backward(d_inp, d_out, inp, n, on)
template <class T, class Forward, class Backward>
void check_elementwise(const char* layer, size_t n, double terms, Forward forward, Backward backward) {
    Case<T> c(layer, {{"n", long(n)}});
    auto inp = c.template random<T>("inp", n, 3), d_out = c.template random<T>("d_out", n);
    auto out = c.template fresh<T>("out", n), d_inp = c.template fresh<T>("d_inp", n);
    c.run([&](auto on) {
        forward(out(on), inp(on), n, on);
        backward(d_inp(on), d_out(on), inp(on), n, on);
    });
    c.expect(out, terms);
    c.expect(d_inp, terms);
}

template <class Forward, class Backward>
void check_elementwise_sizes(const char* layer, double terms, Forward forward, Backward backward) {
    for (size_t n : {1, 8, 1003, 2048, 70000}) {
        check_elementwise<float>(layer, n, terms, forward, backward);
        check_elementwise<bf16>(layer, n, terms, forward, backward);
    }
}
