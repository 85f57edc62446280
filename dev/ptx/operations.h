// What instructions do to registers: for each opcode how to execute it, and how wide its operands are.
#pragma once
#include <string>
#include <type_traits>
#include <unordered_map>
#include "warp.h"

namespace ptx {

struct Operation {
    Execute execute;
    std::vector<Width> widths;  // of the operands, the result's first
};
using Operations = std::unordered_map<std::string, Operation>;

template <class T>
constexpr Width width_of = std::is_same_v<T, bool> ? Width::predicate
                           : sizeof(T) == 8        ? Width::double_word
                           : sizeof(T) == 4        ? Width::word
                                                   : Width::half;

// All lanes are computed, those of the mask are written: loops that vectorise. F must not trap.
template <class F, class D, class... A>
struct Elementwise {
    template <class... P>
    static void loop(D* d, Mask m, const P*... p) {
        if (m == all_lanes) {
#pragma GCC ivdep
            for (unsigned l = 0; l < warp_lanes; l++) d[l] = D(F()(p[l]...));
        } else {
#pragma GCC ivdep
            for (unsigned l = 0; l < warp_lanes; l++) {
                const D result = D(F()(p[l]...));
                d[l] = m >> l & 1 ? result : d[l];
            }
        }
    }
    static void execute(Warp& w, const Instruction& i, Mask m) {
        constexpr size_t n = sizeof...(A);
        using First = std::tuple_element_t<0, std::tuple<A...>>;
        if constexpr (n == 1) {
            loop(w.at<D>(i.d), m, w.at<First>(i.a));
        } else if constexpr (n == 2) {
            using Second = std::tuple_element_t<1, std::tuple<A...>>;
            loop(w.at<D>(i.d), m, w.at<First>(i.a), w.at<Second>(i.b));
        } else {
            using Second = std::tuple_element_t<1, std::tuple<A...>>;
            using Third = std::tuple_element_t<2, std::tuple<A...>>;
            loop(w.at<D>(i.d), m, w.at<First>(i.a), w.at<Second>(i.b), w.at<Third>(i.c));
        }
    }
};

// F of scalars, on registers that hold D and A...
template <class D, class... A, class F>
void add(Operations& all, const std::string& opcode, F) {
    all[opcode] = {Elementwise<F, D, A...>::execute, {width_of<D>, width_of<A>...}};
}

template <class F, class A>
struct Comparison {
    static void execute(Warp& w, const Instruction& i, Mask m) {
        const A *a = w.at<A>(i.a), *b = w.at<A>(i.b);
        Mask result = 0;
        for (unsigned l = 0; l < warp_lanes; l++) result |= Mask(bool(F()(a[l], b[l]))) << l;
        Mask& d = w.predicate(i.d);
        d = (d & ~m) | (result & m);
    }
};
template <class A, class F>
void add_comparison(Operations& all, const std::string& opcode, F) {
    all[opcode] = {Comparison<F, A>::execute, {Width::predicate, width_of<A>, width_of<A>}};
}

void add_integer_operations(Operations&);
void add_bit_operations(Operations&);
void add_float_operations(Operations&);
void add_conversions(Operations&);
const Operations& operations();

// ---- Instructions whose form is more than their opcode: they read their own operands. ----

class Decoder;
bool decode_memory(Decoder&, const Statement&, Instruction&);
bool decode_warp(Decoder&, const Statement&, Instruction&);
bool decode_call(Decoder&, const Statement&, Instruction&);
bool decode_block(Decoder&, const Statement&, Instruction&);
bool decode_matrix(Decoder&, const Statement&, Instruction&);
bool decode_hopper(Decoder&, const Statement&, Instruction&);
bool decode_cluster(Decoder&, const Statement&, Instruction&);

}  // namespace ptx
