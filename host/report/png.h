// Small pictures as PNG files: one colour, as opaque as each pixel says, so that they suit a light and a dark page.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct Colour {
    uint8_t red, green, blue;
};

std::string png(const std::vector<uint8_t>& opacity, int width, int height, Colour colour);  // row by row
std::string base64(std::string_view bytes);
