// The words of an enum, in the order of its values: flags, files and printing all use these.
#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

template <class E>
inline constexpr auto names_of = nullptr;
template <class E>
const char* name_of(E value) {
    return names_of<E>[size_t(value)];
}
template <class E>
std::optional<E> from_name(std::string_view name) {
    for (size_t i = 0; i < names_of<E>.size(); i++)
        if (name == names_of<E>[i]) return E(i);
    return std::nullopt;
}
