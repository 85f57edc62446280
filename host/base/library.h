// A library that is looked for when the program runs. What is needed of it is a table of pointers to its functions.
#pragma once
#include <dlfcn.h>
#include <memory>
#include <string>
#include <utility>

// Sets pointers by find(name), and keeps the first name that is not there.
template <class Find>
struct FunctionFinder {
    Find find;
    const char* missing = nullptr;

    explicit FunctionFinder(Find find) : find(find) {}
    template <class F>
    void operator()(F& function, const char* name) {
        void* const address = find(name);
        if (!address && !missing) missing = name;
        function = reinterpret_cast<F>(address);
    }
};

// No table: and why.
template <class Table>
struct LibraryFound {
    std::unique_ptr<const Table> table;
    std::string reason;
};

// `file` as dlopen takes it: a path, or a name for the folders that the system's loader knows. fill(Table&, find) is
// the table's; it gives the name of a function without which the library is of no use, or null.
template <class Table>
LibraryFound<Table> load_library(const std::string& file) {
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char* const why = dlerror();
        return {nullptr, why ? why : file + " was not found"};
    }
    auto table = std::make_unique<Table>();
    if (const char* missing = fill(*table, [=](const char* name) { return dlsym(library, name); }))
        return {nullptr, file + " has no " + missing};
    return {std::move(table), ""};
}
