#include "text.h"
#include <algorithm>
#include "scanner.h"

namespace ptx {
namespace {

size_t bytes_of_type(std::string_view type, const Scanner& s) {
    const size_t digits = type.find_first_of("0123456789");
    const std::string_view bits = digits == type.npos ? "" : type.substr(digits);
    if (bits == "8") return 1;
    if (bits == "16") return 2;
    if (bits == "32") return 4;
    if (bits == "64") return 8;
    s.fail("a type that this machine does not know");
}

// After ".shared": ".align 4 .b8 name[16] = {1, 2}"
Variable read_variable(Scanner& s, std::string_view space) {
    Variable v{"", std::string(space.substr(1)), 1, 1, {}};
    std::string_view type = s.opcode();
    if (type == ".align") v.align = size_t(s.whole()), type = s.opcode();
    const size_t element = bytes_of_type(type, s);
    v.align = std::max(v.align, element);
    v.name = s.name();
    v.bytes = element;
    while (s.take('[')) {
        v.bytes = s.peek() == ']' ? 0 : v.bytes * size_t(s.whole());
        s.expect(']');
    }
    if (!s.take('=')) return v;
    const bool list = s.take('{');
    do {
        const uint64_t bits = s.number().bits;
        for (size_t i = 0; i < element; i++) v.data.push_back(char(bits >> 8 * i));
    } while (list && s.take(','));
    if (list) s.expect('}');
    return v;
}

}  // namespace

// Reads an entry.
class Reader {
public:
    Reader(const ModuleText& module, const ModuleText::Place& place)
        : module(module), s(module.text, place.begin, place.end, module.origin) {}

    EntryText read() {
        s.opcode();
        e.name = s.name();
        if (s.take('(')) read_parameters();
        while (s.peek() != '{') read_directive();
        s.expect('{');
        scopes.emplace_back();
        while (!scopes.empty()) read_line();
        for (const auto& [statement, operand, scope] : references) resolve(statement, operand, scope);
        return std::move(e);
    }

private:
    struct Scope {
        std::map<std::string, int, std::less<>> registers;
        std::map<std::string, std::string, std::less<>> labels;
        std::string suffix;
    };

    void read_parameters() {
        while (!s.take(')')) {
            s.opcode();  // .param
            size_t align = 1, element = 0;
            std::string_view word = s.opcode();
            if (word == ".align") align = size_t(s.whole()), word = s.opcode();
            element = bytes_of_type(word, s);
            while (s.peek() == '.') {  // .ptr .global .align 16
                if (s.opcode() == ".align") s.whole();
            }
            align = std::max(align, element);
            Parameter p{std::string(s.name()), 0, element};
            if (s.take('[')) p.bytes *= size_t(s.whole()), s.expect(']');
            p.offset = (e.parameter_bytes + align - 1) / align * align;
            e.parameter_bytes = p.offset + p.bytes;
            e.parameters.push_back(p);
            s.take(',');
        }
    }

    void read_directive() {
        const std::string_view word = s.opcode();
        if (word == ".explicitcluster") return;
        int numbers[3] = {1, 1, 1}, count = 0, product = 1;
        do product *= numbers[std::min(count++, 2)] = int(s.whole());
        while (s.take(','));
        if (word == ".maxntid" || word == ".reqntid") e.max_threads = product;
        else if (word == ".reqnctapercluster") std::copy(std::begin(numbers), std::end(numbers), e.cluster);
        else if (word != ".minnctapersm" && word != ".maxnreg" && word != ".maxclusterrank")
            s.fail("an entry's directive that this machine does not know: " + std::string(word));
    }

    void read_line() {
        const char c = s.peek();
        if (c == '{') return s.take('{'), open_scope();
        if (c == '}') return s.take('}'), scopes.pop_back();
        if (c == ';') return void(s.take(';'));
        if (c == '.') return read_declaration();
        if (c == '\0') s.fail("the entry has no end");
        Statement statement;
        statement.at = at;
        const size_t begin = s.position();
        if (s.take('@')) {
            statement.guard_negated = s.take('!');
            statement.guard = find_register(s.name());
        } else {
            const size_t from = s.position();
            const std::string_view name = s.name();
            if (s.take(':')) return void(e.labels[label_here(name)] = e.statements.size());
            s.go_to(from);
        }
        statement.opcode = s.opcode();
        while (!s.take(';')) {
            statement.operands.push_back(read_operand());
            if (!s.take(',') && s.peek() != ';') s.fail("expected ',' or ';'");
        }
        statement.text = std::string_view(module.text).substr(begin, s.position() - begin);
        note_references(statement);
        e.statements.push_back(std::move(statement));
    }

    void open_scope() {
        scopes.emplace_back();
        scopes.back().suffix = "@" + std::to_string(++scope_count);
    }
    std::string label_here(std::string_view name) {
        return scopes.back().labels[std::string(name)] = std::string(name) + scopes.back().suffix;
    }

    void read_declaration() {
        const std::string_view word = s.opcode();
        if (word == ".reg") return read_registers();
        if (word == ".loc") return read_place();
        if (word == ".pragma") return s.skip_past(';');
        if (word == ".shared" || word == ".local") {
            e.variables.push_back(read_variable(s, word));
            return s.expect(';');
        }
        if (word == ".param") return read_argument();
        s.fail("a directive that this machine does not know: " + std::string(word));
    }

    // A call's arguments are local to the thread (PTX ISA 5.1.6.2). Those of one name, of calls after each other,
    // share a place.
    void read_argument() {
        Variable v = read_variable(s, ".local");
        s.expect(';');
        const auto same = std::find_if(e.variables.begin(), e.variables.end(),
                                       [&](const Variable& other) { return other.name == v.name; });
        if (same == e.variables.end()) return e.variables.push_back(std::move(v));
        same->align = std::max(same->align, v.align), same->bytes = std::max(same->bytes, v.bytes);
    }

    // ".reg .b32 %r<100>;" or ".reg .pred p, q;"
    void read_registers() {
        const std::string_view type = s.opcode();
        const Width width = type == ".pred" ? Width::predicate : [&] {
            const size_t bytes = bytes_of_type(type, s);
            return bytes == 8 ? Width::double_word : bytes == 4 ? Width::word : Width::half;
        }();
        do {
            const std::string name(s.name());
            if (!s.take('<')) {
                add_register(name, width);
                continue;
            }
            const int64_t n = s.whole();
            s.expect('>');
            for (int64_t i = 0; i < n; i++) add_register(name + std::to_string(i), width);
        } while (s.take(','));
        s.expect(';');
    }
    void add_register(const std::string& name, Width width) {
        scopes.back().registers[name] = int(e.registers.size());
        e.registers.push_back(width);
    }
    int find_register(std::string_view name) {
        for (size_t i = scopes.size(); i-- > 0;)
            if (const auto it = scopes[i].registers.find(name); it != scopes[i].registers.end()) return it->second;
        s.fail("an unknown register: " + std::string(name));
    }

    // ".loc 3 215 10, function_name $L__info_string40, inlined_at 6 24 9". Of what stands in the wrappers of
    // instructions, the place that calls them tells more.
    void read_place() {
        const int file = int(s.whole()), line = int(s.whole());
        s.whole();
        at = place_of(file, line);
        if (!s.take(',')) return;
        s.name();
        s.name();
        if (!s.take(',')) return;
        s.name();
        const int outer_file = int(s.whole()), outer_line = int(s.whole());
        s.whole();
        const std::string_view name = at.file;
        if (name.find("/tools/ptx") != name.npos || name.find("/include/") != name.npos)
            at = place_of(outer_file, outer_line);
    }
    simt::At place_of(int file, int line) {
        const auto it = module.files.find(file);
        return {it == module.files.end() ? "PTX" : it->second.c_str(), line};
    }

    Operand read_operand() {
        Operand o;
        const char c = s.peek();
        if (c == '{' || c == '[' || c == '(') return read_list(c);
        if (c == '!') s.take('!'), o.negated = true;
        if (std::isdigit(static_cast<unsigned char>(c)) || c == '-') return s.number();
        std::string_view name = s.name();
        if (name == "_") return o;
        if (name[0] == '%' && s.peek() == '.') name = special_name(name);
        o.kind = Operand::Kind::reg;
        o.reg = known_register(name);
        if (o.reg < 0) o.kind = Operand::Kind::symbol, o.symbol = name;
        if (s.take('|')) {
            const std::string_view second = s.name();
            if (second != "_") o.second = find_register(second);
        }
        if (o.kind == Operand::Kind::symbol && s.take('+')) o.offset = s.whole();
        return o;
    }
    std::string_view special_name(std::string_view name) {  // %tid.x
        s.expect('.');
        s.name();
        return std::string_view(name.data(), name.size() + 2);
    }
    int known_register(std::string_view name) {
        for (size_t i = scopes.size(); i-- > 0;)
            if (const auto it = scopes[i].registers.find(name); it != scopes[i].registers.end()) return it->second;
        return -1;
    }

    // {...} and, of a call, (...), which may be empty; [...]
    Operand read_list(char begin) {
        const char end = begin == '{' ? '}' : begin == '[' ? ']' : ')';
        Operand o;
        s.take(begin);
        o.kind = begin == '[' ? Operand::Kind::address : Operand::Kind::list;
        if (begin == '(' && s.take(end)) return o;
        if (o.kind == Operand::Kind::address) read_address(o);
        if (o.kind == Operand::Kind::list) o.list.push_back(read_operand());
        while (s.take(',')) o.list.push_back(read_operand());
        s.expect(end);
        return o;
    }
    void read_address(Operand& o) {
        if (std::isdigit(static_cast<unsigned char>(s.peek()))) return void(o.offset = s.whole());
        const std::string_view name = s.name();
        o.reg = known_register(name);
        if (o.reg < 0) o.symbol = name;
        if (s.take('+')) o.offset = s.whole();
    }

    // Labels may come later: they are found when all is read.
    void note_references(const Statement& statement) {
        for (size_t i = 0; i < statement.operands.size(); i++)
            if (statement.operands[i].kind == Operand::Kind::symbol && statement.opcode.starts_with("bra")) {
                std::vector<std::string> suffixes;
                for (size_t k = scopes.size(); k-- > 0;) suffixes.push_back(scopes[k].suffix);
                references.push_back({e.statements.size(), i, suffixes});
            }
    }
    void resolve(size_t statement, size_t operand, const std::vector<std::string>& suffixes) {
        Operand& o = e.statements[statement].operands[operand];
        for (const std::string& suffix : suffixes)
            if (e.labels.contains(o.symbol + suffix)) return void(o.symbol += suffix);
        const simt::At& at = e.statements[statement].at;
        throw TextError(module.origin + ", " + e.name + ": no label " + o.symbol + "; " + at.file + ':' +
                        std::to_string(at.line));
    }

    const ModuleText& module;
    Scanner s;
    EntryText e;
    std::vector<Scope> scopes;
    int scope_count = 0;
    simt::At at{"PTX", 0};
    struct Reference {
        size_t statement, operand;
        std::vector<std::string> suffixes;
    };
    std::vector<Reference> references;
};

ModuleText::ModuleText(std::string t, std::string o) : text(std::move(t)), origin(std::move(o)) {
    const size_t target_at = text.find("\n.target ");
    if (target_at == text.npos) throw TextError(origin + ": this is no PTX: it has no .target");
    Scanner s(text, target_at + 8, text.size(), origin);
    target = s.name();
    find_files();
    find_parts();
}

void ModuleText::find_files() {
    for (size_t at = 0; (at = text.find(".file", at)) != text.npos;) {
        const size_t line = text.find_last_not_of(" \t", at - 1);
        at += 5;
        if (line == text.npos || text[line] != '\n') continue;
        Scanner s(text, at, text.size(), origin);
        const int number = int(s.whole());
        std::string name(s.quoted());
        if (const size_t dot = name.find("/./"); dot != name.npos) name.erase(0, dot + 3);
        files[number] = name;
    }
}

// After the brace that closes the first one from here on.
size_t ModuleText::end_of_body(size_t at) const {
    int depth = 0;
    for (; (at = text.find_first_of("{}/", at)) != text.npos; at++) {
        if (text.compare(at, 2, "//") == 0) at = std::min(text.find('\n', at), text.size() - 1);
        else if (text[at] == '{') depth++;
        else if (text[at] == '}' && --depth == 0) return at + 1;
    }
    throw TextError(origin + ": an entry without an end");
}

// Entries and variables: what stands at the begin of a line, outside of bodies.
void ModuleText::find_parts() {
    for (size_t at = 0; (at = text.find("\n.", at)) != text.npos; at++) {
        Scanner s(text, at, text.size(), origin);
        bool elsewhere = false;
        std::string_view word;
        size_t begin = 0;
        do {
            s.peek();
            begin = s.position(), word = s.opcode();
            elsewhere = elsewhere || word == ".extern";
        } while (word == ".visible" || word == ".extern" || word == ".weak");
        if (word == ".shared" || word == ".global" || word == ".const") variables.push_back(read_variable(s, word));
        // Functions that are only declared are refused where they are called.
        if (word == ".func" && !elsewhere)
            throw TextError(origin + ": it has functions that are called; this machine runs only what is inlined");
        if (word != ".entry") continue;
        const Place place{begin, end_of_body(begin)};
        places[std::string(s.name())] = place;
        at = place.end - 1;
    }
}

std::vector<std::string> ModuleText::entries() const {
    std::vector<std::string> names;
    for (const auto& [name, place] : places) names.push_back(name);
    return names;
}

EntryText ModuleText::read(const std::string& entry) const { return Reader(*this, places.at(entry)).read(); }

}  // namespace ptx
