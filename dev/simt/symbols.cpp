#include "symbols.h"
#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace simt {
namespace {

constexpr char shared_tag[] = "B6shared", lambda_tag[] = "EUl", dynamic_name[] = "_Z21dynamic_shared_memoryB6shared";

// The program itself is the first object that dl_iterate_phdr lists.
dl_phdr_info program() {
    dl_phdr_info info{};
    dl_iterate_phdr([](dl_phdr_info* first, size_t, void* out) { return *static_cast<dl_phdr_info*>(out) = *first, 1; },
                    &info);
    return info;
}

[[noreturn]] void die(const char* reason) {
    std::fprintf(stderr, "simt: cannot read the program's symbol table: %s; link it without -s\n", reason);
    std::exit(1);
}

template <class F>
void for_each_symbol(F f) {
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (file < 0 || fstat(file, &status)) die("cannot open /proc/self/exe");
    const size_t bytes = size_t(status.st_size);
    void* map = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (map == MAP_FAILED) die("cannot map /proc/self/exe");
    const char* image = static_cast<const char*>(map);
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image);
    const auto* sections = reinterpret_cast<const Elf64_Shdr*>(image + header->e_shoff);
    bool found = false;
    for (int i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB) continue;
        found = true;
        const auto* symbols = reinterpret_cast<const Elf64_Sym*>(image + sections[i].sh_offset);
        const char* names = image + sections[sections[i].sh_link].sh_offset;
        for (size_t s = 0; s < sections[i].sh_size / sizeof(Elf64_Sym); s++)
            if (symbols[s].st_shndx != SHN_UNDEF) f(symbols[s], names + symbols[s].st_name);
    }
    munmap(map, bytes);
    if (!found) die("it is stripped");
}

}  // namespace

const Symbols& Symbols::read() {
    static const Symbols all = [] {
        Symbols s;
        struct Variable {
            size_t offset, bytes;
            bool shared;
        };
        std::vector<Variable> variables;
        for_each_symbol([&](const Elf64_Sym& symbol, const char* name) {
            const int type = ELF64_ST_TYPE(symbol.st_info);
            // A function that a kernel's lambda is given to has the kernel's visibility, too.
            const bool of_kernel =
                ELF64_ST_VISIBILITY(symbol.st_other) == STV_PROTECTED && !std::strstr(name, lambda_tag);
            if (type != STT_TLS) return;
            const bool shared = std::strstr(name, shared_tag);
            variables.push_back({symbol.st_value, symbol.st_size, shared});
            if (shared && std::strcmp(name, dynamic_name))
                s.shared.push_back({name, symbol.st_value, symbol.st_size, of_kernel});
        });
        variables.push_back({thread_local_block().bytes, 0, false});
        std::sort(variables.begin(), variables.end(), [](auto& a, auto& b) { return a.offset < b.offset; });
        for (size_t i = 1; i < variables.size(); i++) {
            const size_t end = variables[i - 1].offset + variables[i - 1].bytes;
            if ((variables[i - 1].shared || variables[i].shared) && end < variables[i].offset)
                s.gaps.push_back({end, variables[i].offset - end});
        }
        std::sort(s.shared.begin(), s.shared.end(), [](auto& a, auto& b) { return a.offset < b.offset; });
        return s;
    }();
    return all;
}

bool SharedVariable::belongs_to(const std::string& function) const {
    return function.size() > 2 && symbol.compare(2, function.size() - 1, function, 1) == 0 &&
           symbol[1 + function.size()] == 'E';
}

std::string Symbols::mangled_name(const void* function) {
    const size_t address = reinterpret_cast<size_t>(function) - program().dlpi_addr;
    std::string found;
    for_each_symbol([&](const Elf64_Sym& symbol, const char* name) {
        if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_value == address) found = name;
    });
    return found;
}

// "rmsnorm_forward_kernel<float>", without return type and parameters
std::string Symbols::readable(const std::string& mangled) {
    int status = 0;
    char* text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
    std::string name = status == 0 ? text : mangled.empty() ? "a kernel" : mangled;
    std::free(text);
    const std::string nameless = "(anonymous namespace)::";
    for (size_t at; (at = name.find(nameless)) != std::string::npos;) name.erase(at, nameless.size());
    int depth = 0;
    size_t parameters = name.size(), start = 0;
    for (size_t i = 0; i < name.size(); i++) {
        depth += name[i] == '<' ? 1 : name[i] == '>' ? -1 : 0;
        if (depth == 0 && name[i] == ' ') start = i + 1;
        if (depth == 0 && name[i] == '(') {
            parameters = i;
            break;
        }
    }
    return name.substr(start, parameters - start);
}

ThreadLocalBlock thread_local_block() {
    const dl_phdr_info info = program();
    size_t bytes = 0;
    for (int i = 0; i < info.dlpi_phnum; i++)
        if (info.dlpi_phdr[i].p_type == PT_TLS) bytes = info.dlpi_phdr[i].p_memsz;
    return {static_cast<char*>(info.dlpi_tls_data), bytes};
}

}  // namespace simt
