// A large file that is written in pieces and appears complete and durable, or not at all.
#pragma once
#include <memory>
#include <string>
#include "files.h"

namespace files {

class AtomicFile {
public:
    // At `path`, in the place of what is there when commit() is called. Its directory must be there. Throws Error{io}.
    explicit AtomicFile(const std::string& path);
    ~AtomicFile();  // without commit(): removes what was written
    AtomicFile(const AtomicFile&) = delete;
    Writer& writer() { return *file; }
    void commit();

private:
    std::string path, parent, temporary;
    std::unique_ptr<Writer> file;
};

}  // namespace files
