// The command line: an argument a line.
#include <sstream>

#include "fuzz.h"
#include "host/options/options_parse.h"

void fuzz(std::string_view input) {
    std::istringstream lines{std::string(input)};
    std::vector<std::string> args;
    for (std::string line; std::getline(lines, line) && args.size() < 64;) args.push_back(line);
    accepts([&] { parse(args); });
}
