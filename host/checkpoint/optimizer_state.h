// The optimiser's state as safetensors: whole rows under the names PREFIX.ROW, fp32.
#pragma once
#include <string>
#include <vector>
#include "parameter_values.h"

// Which rows of the layout there is a state of.
using HasState = std::function<bool(const Parameter&)>;
inline bool all_have(const Parameter&) { return true; }

struct NamedParameters {
    std::string prefix;
    GetParameter get;
    HasState has = all_have;
};
struct NamedTargets {
    std::string prefix;
    SetParameter set;
    HasState has = all_have;
};
WrittenFile save_parameters(const std::string& path, const Layout& layout, const std::vector<NamedParameters>& parts);
// Throws Error{input} unless the file holds just these, with the layout's shapes.
void load_parameters(const std::string& path, const Layout& layout, const std::vector<NamedTargets>& parts);
