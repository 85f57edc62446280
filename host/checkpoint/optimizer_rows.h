// The optimiser's state as safetensors: whole rows under the names PREFIX.ROW, fp32.
#pragma once
#include <string>
#include <vector>
#include "row_values.h"

struct NamedRows {
    std::string prefix;
    GetRow get;
};
struct NamedTargets {
    std::string prefix;
    SetRow set;
};
WrittenFile save_rows(const std::string& path, const Layout& layout, const std::vector<NamedRows>& parts);
// Throws Error{input} unless the file holds just these, with the layout's shapes.
void load_rows(const std::string& path, const Layout& layout, const std::vector<NamedTargets>& parts);
