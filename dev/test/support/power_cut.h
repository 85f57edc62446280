// What a disk may hold after the power failed: the file operations of a process, and every state that they allow.
//
// A file's data are sure to be there once the file was synced (fsync) behind them; a directory's entries once the
// directory was. What was not synced is lost, kept, or half there: of data the first half, or their length with zeros
// in their place; of a directory's changes any of them without the others (where they are many: none, all, one alone,
// all but one, the first or the last so many). Whatever was not synced varies independently of everything else.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace power_cut {

using Id = int;  // of a file, directory or link, whatever it is called

struct Node {
    enum class Kind { file, directory, link } kind = Kind::file;
    std::string data;  // of a file; where a link leads
    std::map<std::string, Id> entries;
};
struct Tree {
    std::map<Id, Node> nodes;                    // 0 is the watched folder
    void make(const std::string& folder) const;  // there, which is empty
    using Hash = std::pair<uint64_t, uint64_t>;
    Hash hash() const;  // of names, kinds and contents
};

struct Change {  // of a directory: `entry` becomes `id`, or goes (-1)
    Id directory;
    std::string entry;
    Id id;
};
struct Write {
    Id file;
    uint64_t at;
    std::string bytes;
};
struct Cut {
    Id file;
    uint64_t size;
};
struct Sync {
    Id node;
};
struct Mark {
    std::string text;
};  // what the process has told the world by now
struct Operation {
    std::variant<std::vector<Change>, Write, Cut, Sync, Mark> what;
    std::string name;  // for people
    bool is_sync_of(Node::Kind kind, const std::map<Id, Node>& made) const;
};

// A process's operations below a folder, from the folder as it was.
struct Recording {
    Tree before;
    std::map<Id, Node> made;  // what the process made: kind, and where links lead
    std::vector<Operation> operations;
    int exit_code = 0;
};
// Runs `body` in a process of its own. What it prints, and mark(), become marks.
Recording record(const std::string& folder, const std::function<void()>& body);
void mark(const std::string& text);

struct State {
    const Tree& tree;
    std::vector<std::string> marks;  // before the power failed
    bool told(const std::string& text) const;
};
struct Count {
    size_t states = 0, different = 0, looked_at = 0, violations = 0;
    std::string first;  // violation
};
// Every state of the recording goes into an empty folder, of those that differ every `stride`th. `wrong` says what is
// wrong with it, or "".
Count try_all(const Recording& recording, size_t stride,
              const std::function<std::string(const std::string& folder, const State&)>& wrong);

}  // namespace power_cut
