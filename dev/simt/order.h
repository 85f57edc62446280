// The order in which blocks and threads run. A correct kernel gives the same bits in every order.
//   SIMT_ORDER=forward   0, 1, 2 ... (the default)      SIMT_ORDER=reverse   ... 2, 1, 0
//   SIMT_ORDER=SEED      a number: shuffled, and threads that become ready change places
#pragma once
#include <cstdint>
#include <numeric>

namespace simt {

class Order {
public:
    enum class Kind { forward, reverse, shuffled };
    Kind kind = Kind::forward;
    uint64_t seed = 0;

    static Order parse(const char* text);  // of SIMT_ORDER; throws std::invalid_argument
};
Order order();
void set_order(Order);

// A permutation of 0..n-1 that needs no memory.
class Permutation {
public:
    Permutation() = default;
    Permutation(const Order& order, uint64_t salt, uint64_t n) : kind(order.kind), n(n) {
        if (kind != Order::Kind::shuffled || n < 2) return;
        const uint64_t random = mix(order.seed * 0x9e3779b97f4a7c15 + salt);
        offset = random % n;
        stride = (random >> 20) % n | 1;
        while (std::gcd(stride, n) != 1) stride += 2;
    }
    uint64_t operator()(uint64_t i) const {
        switch (kind) {
            case Order::Kind::forward: return i;
            case Order::Kind::reverse: return n - 1 - i;
            case Order::Kind::shuffled: break;
        }
        return (offset + i * stride) % n;
    }
    static constexpr uint64_t mix(uint64_t x) {  // the finaliser of SplitMix64 (Steele, Lea, Flood 2014)
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
        x = (x ^ x >> 27) * 0x94d049bb133111eb;
        return x ^ x >> 31;
    }

private:
    Order::Kind kind = Order::Kind::forward;
    uint64_t n = 0, offset = 0, stride = 1;
};

}  // namespace simt
