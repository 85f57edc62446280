#include "atomic_file.h"
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace files {

AtomicFile::AtomicFile(const std::string& path) : path(path) {
    const std::filesystem::path name = std::filesystem::path(path).filename();
    parent = std::filesystem::path(path).parent_path().string();
    if (parent.empty()) parent = ".";
    std::error_code ignored;
    if (!std::filesystem::is_directory(parent, ignored))
        throw Error(Exit::io, path, "cannot create it: there is no directory " + parent, "make it first");
    remove_leftovers(parent, name.string() + ".");
    temporary = parent + "/.tmp." + name.string() + "." + std::to_string(getpid());
    file = std::make_unique<Writer>(temporary);
}

AtomicFile::~AtomicFile() {
    if (file) unlink(temporary.c_str());
}

void AtomicFile::commit() {
    file->close();
    if (before_operation) before_operation("rename", path);
    if (::rename(temporary.c_str(), path.c_str()))
        throw Error(Exit::io, path, std::string("cannot create: ") + std::strerror(errno));
    file.reset();
    sync_directory(parent);
}

}  // namespace files
