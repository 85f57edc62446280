// The optimiser's state as safetensors: whole rows under the names PREFIX.ROW, fp32.
#pragma once
#include <string>
#include <vector>
#include "parameter_values.h"

struct NamedParameters {
    std::string prefix;
    GetParameter get;
};
struct NamedTargets {
    std::string prefix;
    SetParameter set;
};
WrittenFile save_parameters(const std::string& path, const Layout& layout, const std::vector<NamedParameters>& parts);
// Throws Error{input} unless the file holds just these, with the layout's shapes.
void load_parameters(const std::string& path, const Layout& layout, const std::vector<NamedTargets>& parts);
