// Words for messages: text in quotation marks, and what a misspelt word most likely meant.
#pragma once
#include <string>
#include <vector>

// "text" in quotation marks, on one line whatever it holds, and not longer than a line.
std::string in_quotes(const std::string& text);

// The one of `names` that `word` most likely meant; "" if none is close.
std::string nearest(const std::string& word, const std::vector<std::string>& names);
