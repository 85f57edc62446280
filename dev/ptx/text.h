// A PTX module as it is written: what nvcc's output consists of (PTX ISA, chapters 4 and 5), and no more.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>
#include "statement.h"

namespace ptx {

enum class Width : uint8_t { predicate, half, word, double_word };
constexpr int bytes_of(Width w) { return w == Width::double_word ? 8 : w == Width::half ? 2 : 4; }

struct Parameter {
    std::string name;
    size_t offset, bytes;
};
struct Variable {
    std::string name, space;  // "shared", "local", "global", "const"
    size_t align, bytes;      // of dynamic shared memory 0 bytes
    std::vector<char> data;   // as it is initialised; zeros follow
};

struct EntryText {
    std::string name;
    std::vector<Parameter> parameters;
    size_t parameter_bytes = 0;
    int max_threads = 1024;
    unsigned cluster[3] = {0, 0, 0};
    std::vector<Width> registers;
    std::vector<Variable> variables;  // those that its body declares
    std::vector<Statement> statements;
    std::map<std::string, size_t> labels;  // the statement that follows each
};

class ModuleText {
public:
    std::string target;
    std::vector<Variable> variables;

    // Throws TextError. Bodies of entries are only found, not read.
    ModuleText(std::string text, std::string origin);
    std::vector<std::string> entries() const;
    bool has(const std::string& entry) const { return places.contains(entry); }
    EntryText read(const std::string& entry) const;

private:
    struct Place {
        size_t begin, end;  // of ".entry", and after its "}"
    };
    std::string text, origin;
    std::map<std::string, Place, std::less<>> places;
    std::map<int, std::string> files;
    size_t end_of_body(size_t) const;
    void find_files();
    void find_parts();
    friend class Reader;
};

}  // namespace ptx
