// What the program's pictures share: their colours, light or dark as the reader's system is, and their axes.
#pragma once
#include <fmt/core.h>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace svg {

inline constexpr std::array colors = {"#2f7ed8", "#e0722e", "#2f9e57", "#9b59d0", "#d6455d", "#12939a"};

inline constexpr const char* style = R"(<style>
svg { color-scheme: light dark; --paper: #ffffff; --ink: #24292f; --soft: #57606a; --grid: #d8dee4;
  background: var(--paper) }
@media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #30363d } }
text { font: 12px system-ui, sans-serif; fill: var(--soft) }
.title { font-weight: 600; fill: var(--ink) }
.grid { stroke: var(--grid); stroke-width: 1 }
.ideal { stroke: var(--soft); stroke-dasharray: 2 4; fill: none }
.faint { stroke-width: 1; opacity: 0.3 }
</style>
)";

inline std::string begin(double width, double height) {
    return fmt::format(
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\">\n",
               width, height) +
           style + fmt::format("<rect width=\"{}\" height=\"{}\" fill=\"var(--paper)\"/>\n", width, height);
}

// 1.5M of 1,500,000.
inline std::string label(double v) {
    if (std::abs(v) < 1e-12) return "0";  // and never -0
    for (const auto& [size, unit] : {std::pair(1e9, "B"), {1e6, "M"}, {1e4, "k"}})
        if (std::abs(v) >= size) return fmt::format("{:g}{}", v / (unit[0] == 'k' ? 1e3 : size), unit);
    return fmt::format("{:g}", std::round(v * 1e9) / 1e9);
}

}  // namespace svg
