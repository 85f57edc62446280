#include "order.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace simt {

static Order& current_order() {
    static Order order = [] {
        const char* text = std::getenv("SIMT_ORDER");
        try {
            return text ? Order::parse(text) : Order{};
        } catch (const std::invalid_argument& e) {
            std::fprintf(stderr, "error: SIMT_ORDER: %s\n", e.what());
            std::exit(2);
        }
    }();
    return order;
}

Order Order::parse(const char* text) {
    if (!std::strcmp(text, "forward")) return {Kind::forward, 0};
    if (!std::strcmp(text, "reverse")) return {Kind::reverse, 0};
    char* end;
    const uint64_t seed = std::strtoull(text, &end, 10);
    if (!*text || *end)
        throw std::invalid_argument(std::string("\"") + text + "\" is neither forward, reverse nor a seed");
    return {Kind::shuffled, seed};
}
Order order() { return current_order(); }
void set_order(Order order) { current_order() = order; }

}  // namespace simt
