#include "power_cut.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xxhash.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include "temporary_directory.h"
#include "traced.h"

namespace fs = std::filesystem;

namespace power_cut {

namespace {

constexpr const char* mark_path = "/nowhere/mark/";

std::string contents(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& data) {
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (file < 0 || ::write(file, data.data(), data.size()) != ssize_t(data.size())) std::abort();
    close(file);
}

// Follows what a process does below a folder, on the tree as the process sees it.
class Recorder {
public:
    Recorder(const std::string& folder, Recording& out) : root(fs::canonical(folder)), out(out) {
        read(root, 0);
        out.before = now;
    }

    void done(const SystemCall& call) {
        if (call.number == SYS_access) {
            const std::string text = call.text(0);
            if (text.starts_with(mark_path)) add(Mark{text.substr(std::string(mark_path).size())}, "mark");
            return;
        }
        if (call.number == SYS_write && int(call.arguments[0]) == STDOUT_FILENO)
            return add(Mark{call.bytes(1, size_t(call.arguments[2]))}, "print");
        if (call.result < 0) return;
        switch (call.number) {
            case SYS_openat: return opened(call.path(0, 1), int(call.arguments[2]));
            case SYS_open: return opened(call.path(-1, 0), int(call.arguments[1]));
            case SYS_write: return wrote(call, -1);
            case SYS_pwrite64: return wrote(call, int64_t(call.arguments[3]));
            case SYS_ftruncate: return cut(call.path_of_file(0), call.arguments[1]);
            case SYS_truncate: return cut(call.path(-1, 0), call.arguments[1]);
            case SYS_fsync: return synced(call.path_of_file(0));
            case SYS_mkdir: return made(call.path(-1, 0), Node::Kind::directory, "");
            case SYS_mkdirat: return made(call.path(0, 1), Node::Kind::directory, "");
            case SYS_symlink: return made(call.path(-1, 1), Node::Kind::link, call.text(0));
            case SYS_symlinkat: return made(call.path(1, 2), Node::Kind::link, call.text(0));
            case SYS_unlink:
            case SYS_rmdir: return removed(call.path(-1, 0));
            case SYS_unlinkat: return removed(call.path(0, 1));
            case SYS_rename: return renamed(call.path(-1, 0), call.path(-1, 1), 0);
            case SYS_renameat:
            case SYS_renameat2:
                return renamed(call.path(0, 1), call.path(2, 3), call.number == SYS_renameat2 ? call.arguments[4] : 0);
        }
    }

private:
    struct Place {
        Id directory = -1;
        std::string entry;
        Id id = -1;
    };

    void read(const fs::path& path, Id id) {
        Node& node = now.nodes[id];
        node.kind = Node::Kind::directory;
        for (const fs::directory_entry& e : fs::directory_iterator(path)) {
            const Id child = next++;
            now.nodes[id].entries[e.path().filename()] = child;
            if (e.is_symlink()) now.nodes[child] = {Node::Kind::link, fs::read_symlink(e.path()), {}};
            else if (e.is_directory()) read(e.path(), child);
            else now.nodes[child] = {Node::Kind::file, contents(e.path()), {}};
        }
    }

    // directory -1: not in the folder.
    Place find(const std::string& path) const {
        const fs::path inner = fs::path(path).lexically_relative(root);
        if (inner.empty() || *inner.begin() == "..") return {};
        if (inner == ".") return {0, "", 0};
        Place at{-1, "", 0};
        for (const fs::path& part : inner) {
            if (part.empty()) continue;
            const auto directory = now.nodes.find(at.id);
            if (directory == now.nodes.end()) return {};
            const auto entry = directory->second.entries.find(part);
            at = {at.id, part, entry == directory->second.entries.end() ? -1 : entry->second};
        }
        return at;
    }

    template <class What>
    void add(What what, const std::string& name) {
        out.operations.push_back({std::move(what), name});
    }
    void change(std::vector<Change> changes, const std::string& name) {
        for (const Change& c : changes)
            if (c.id < 0) now.nodes[c.directory].entries.erase(c.entry);
            else now.nodes[c.directory].entries[c.entry] = c.id;
        add(std::move(changes), name);
    }

    void made(const std::string& path, Node::Kind kind, const std::string& target) {
        const Place at = find(path);
        if (at.directory < 0) return;
        const Id id = next++;
        now.nodes[id] = out.made[id] = {kind, target, {}};
        change({{at.directory, at.entry, id}}, "make " + path);
    }
    void opened(const std::string& path, int flags) {
        const Place at = find(path);
        if (at.directory < 0 || !(flags & (O_CREAT | O_TRUNC))) return;
        if (at.id < 0) made(path, Node::Kind::file, "");
        else if (flags & O_TRUNC) cut(path, 0);
    }
    void wrote(const SystemCall& call, int64_t where) {
        const std::string path = call.path_of_file(0);
        const Place at = find(path);
        if (at.id < 0) return;
        std::string& data = now.nodes[at.id].data;
        const std::string bytes = call.bytes(1, size_t(call.result));
        if (where < 0) {
            struct stat status;  // every file of ours is written from front to back, or appended to
            where = stat(path.c_str(), &status) == 0 ? int64_t(status.st_size) - call.result : int64_t(data.size());
        }
        data.resize(std::max<size_t>(data.size(), size_t(where) + bytes.size()));
        data.replace(size_t(where), bytes.size(), bytes);
        add(Write{at.id, uint64_t(where), bytes}, "write " + path);
    }
    void cut(const std::string& path, uint64_t size) {
        const Place at = find(path);
        if (at.id < 0) return;
        now.nodes[at.id].data.resize(size);
        add(Cut{at.id, size}, "cut " + path);
    }
    void synced(const std::string& path) {
        const Place at = find(path);
        if (at.id >= 0) add(Sync{at.id}, "sync " + path);
    }
    void removed(const std::string& path) {
        const Place at = find(path);
        if (at.id >= 0) change({{at.directory, at.entry, -1}}, "remove " + path);
    }
    void renamed(const std::string& from, const std::string& to, uint64_t flags) {
        const Place a = find(from), b = find(to);
        if (a.id < 0 || b.directory < 0) return;
        const bool exchange = flags & 2;  // RENAME_EXCHANGE
        change({{b.directory, b.entry, a.id}, {a.directory, a.entry, exchange ? b.id : -1}}, "rename to " + to);
    }

    const fs::path root;
    Recording& out;
    Tree now;
    Id next = 1;
};

// ---- the states -----------------------------------------------------------------------------------------------------

void apply(Node& file, const Write& w) {
    file.data.resize(std::max<size_t>(file.data.size(), w.at + w.bytes.size()));
    file.data.replace(w.at, w.bytes.size(), w.bytes);
}

using DataOperation = std::variant<Write, Cut>;

// What may have become of a file whose last operations were not synced: lost first, kept last.
std::vector<std::string> possible_data(const Node& synced, const std::vector<DataOperation>& pending) {
    const auto with = [&](size_t count, bool zeros, size_t half_of = ~size_t(0)) {
        Node file = synced;
        for (size_t i = 0; i < count; i++) {
            if (const auto* cut = std::get_if<Cut>(&pending[i])) {
                file.data.resize(cut->size);
                continue;
            }
            Write w = std::get<Write>(pending[i]);
            if (zeros) w.bytes.assign(w.bytes.size(), '\0');
            if (i == half_of) w.bytes.resize(w.bytes.size() / 2);
            apply(file, w);
        }
        return file.data;
    };
    const size_t n = pending.size(), middle = n / 2 + 1;
    std::vector<std::string> all{with(0, false)};
    for (const std::string& data : {with(middle, false, middle - 1), with(n, true), with(n, false)})
        if (std::find(all.begin(), all.end(), data) == all.end() || data == with(n, false)) all.push_back(data);
    return all;
}

// Which of n changes were kept.
std::vector<std::vector<bool>> possible_changes(size_t n) {
    std::set<std::vector<bool>> all;
    if (n <= 6) {
        for (size_t bits = 0; bits < size_t(1) << n; bits++) {
            std::vector<bool> kept(n);
            for (size_t i = 0; i < n; i++) kept[i] = bits >> i & 1;
            all.insert(kept);
        }
    } else {
        for (size_t i = 0; i <= n; i++) {
            std::vector<bool> first(n), one(n), others(n, true);
            std::fill_n(first.begin(), i, true);
            std::vector<bool> last(first);
            last.flip();
            if (i < n) one[i] = true, others[i] = false;
            all.insert({first, last, one, others});
        }
    }
    return {all.begin(), all.end()};
}

// What is synced and what is not after some operations.
struct Durable {
    Tree tree;
    std::map<Id, std::vector<DataOperation>> data;  // pending, of a file
    std::vector<std::vector<Change>> changes;       // pending

    void apply_changes(const std::vector<Change>& all) {
        for (const Change& c : all)
            if (c.id < 0) tree.nodes[c.directory].entries.erase(c.entry);
            else tree.nodes[c.directory].entries[c.entry] = c.id;
    }
    void take(const Operation& o) {
        if (const auto* c = std::get_if<std::vector<Change>>(&o.what)) changes.push_back(*c);
        if (const auto* w = std::get_if<Write>(&o.what)) data[w->file].push_back(*w);
        if (const auto* c = std::get_if<Cut>(&o.what)) data[c->file].push_back(*c);
        if (const auto* s = std::get_if<Sync>(&o.what)) sync(s->node);
    }
    void sync(Id node) {
        for (const DataOperation& o : data[node])
            if (const auto* w = std::get_if<Write>(&o)) apply(tree.nodes[node], *w);
            else tree.nodes[node].data.resize(std::get<Cut>(o).size);
        data.erase(node);
        std::erase_if(changes, [&](const std::vector<Change>& change) {
            const bool here = std::any_of(change.begin(), change.end(), [&](auto& c) { return c.directory == node; });
            if (here) apply_changes(change);
            return here;
        });
    }
};

constexpr size_t most_combinations = 600;  // of one moment

using Files = std::vector<std::pair<Id, std::vector<std::string>>>;  // what may have become of each

// Every combination; where they are many, one file alone differs from all others, which are lost or kept.
std::vector<std::vector<size_t>> possible_choices(const Files& files, size_t most) {
    std::vector<std::vector<size_t>> all{std::vector<size_t>(files.size())};
    size_t combinations = 1;
    for (const auto& [id, data] : files) combinations *= data.size();
    if (combinations <= most) {
        for (size_t i = 0; i < files.size(); i++)
            for (size_t n = all.size(), k = 0; k < n; k++)
                for (size_t c = 1; c < files[i].second.size(); c++) all.push_back(all[k]), all.back()[i] = c;
        return all;
    }
    for (const bool kept : {false, true})
        for (size_t i = 0; i < files.size(); i++)
            for (size_t c = 0; c < files[i].second.size(); c++) {
                std::vector<size_t> choice(files.size());
                for (size_t k = 0; kept && k < files.size(); k++) choice[k] = files[k].second.size() - 1;
                choice[i] = c;
                all.push_back(choice);
            }
    return all;
}

// Every combination of what may have become of each directory and each file.
void for_each_state(const Durable& at, const std::function<void(const Tree&)>& visit) {
    std::vector<std::vector<bool>> kept = possible_changes(at.changes.size());
    Files files;
    for (const auto& [id, pending] : at.data) {
        const auto node = at.tree.nodes.find(id);
        files.emplace_back(id, possible_data(node->second, pending));
    }
    for (const std::vector<bool>& which : kept) {
        Durable state{at.tree, {}, {}};
        for (size_t i = 0; i < which.size(); i++)
            if (which[i]) state.apply_changes(at.changes[i]);
        for (const std::vector<size_t>& choice : possible_choices(files, most_combinations / kept.size())) {
            for (size_t i = 0; i < files.size(); i++)
                state.tree.nodes[files[i].first].data = files[i].second[choice[i]];
            visit(state.tree);
        }
    }
}

void make_node(const Tree& tree, Id id, const std::string& path) {
    const auto found = tree.nodes.find(id);
    if (found == tree.nodes.end()) return;
    const Node& node = found->second;
    if (node.kind == Node::Kind::link) {
        if (symlink(node.data.c_str(), path.c_str())) std::abort();
    } else if (node.kind == Node::Kind::file) {
        write_file(path, node.data);
    } else {
        if (id != 0 && ::mkdir(path.c_str(), 0777)) std::abort();
        for (const auto& [name, child] : node.entries) make_node(tree, child, path + "/" + name);
    }
}

void add_to_hash(const Tree& tree, Id id, XXH3_state_t* hash) {
    const auto add = [&](const std::string& text) { XXH3_128bits_update(hash, text.data(), text.size()); };
    const auto found = tree.nodes.find(id);
    if (found == tree.nodes.end()) return;
    const Node& node = found->second;
    add(char('0' + int(node.kind)) + std::to_string(node.data.size()) + ":");
    add(node.data);
    for (const auto& [name, child] : node.entries) {
        add("/" + name + "=");
        add_to_hash(tree, child, hash);
    }
    add(";");
}

}  // namespace

void Tree::make(const std::string& folder) const { make_node(*this, 0, folder); }

Tree::Hash Tree::hash() const {
    const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), XXH3_freeState);
    XXH3_128bits_reset(state.get());
    add_to_hash(*this, 0, state.get());
    const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
    return {hash.high64, hash.low64};
}

bool Operation::is_sync_of(Node::Kind kind, const std::map<Id, Node>& made) const {
    const auto* sync = std::get_if<Sync>(&what);
    if (!sync) return false;
    const auto node = made.find(sync->node);
    return node == made.end() ? kind == Node::Kind::directory : node->second.kind == kind;
}

bool State::told(const std::string& text) const {
    return std::any_of(marks.begin(), marks.end(), [&](const std::string& m) { return m.find(text) != m.npos; });
}

void mark(const std::string& text) { (void)!access((mark_path + text).c_str(), F_OK); }

Recording record(const std::string& folder, const std::function<void()>& body) {
    Recording recording;
    Recorder recorder(folder, recording);
    recording.exit_code = run_traced(
        body, [](const SystemCall&) { return Verdict{}; }, [&](const SystemCall& call) { recorder.done(call); });
    return recording;
}

Count try_all(const Recording& recording, size_t stride,
              const std::function<std::string(const std::string&, const State&)>& wrong) {
    Count count;
    Durable at{recording.before, {}, {}};
    for (const auto& [id, node] : recording.made) at.tree.nodes[id] = node;  // empty, until something is synced
    std::set<Tree::Hash> seen;
    std::vector<std::string> marks;
    for (size_t done = 0; done <= recording.operations.size(); done++) {
        if (done > 0) {
            const Operation& last = recording.operations[done - 1];
            at.take(last);
            if (const auto* m = std::get_if<Mark>(&last.what)) marks.push_back(m->text), seen.clear();
        }
        for_each_state(at, [&](const Tree& tree) {
            count.states++;
            if (!seen.insert(tree.hash()).second || count.different++ % stride) return;
            count.looked_at++;
            const Temporary folder;
            tree.make(folder.path);
            const std::string fault = wrong(folder.path, {tree, marks});
            if (fault.empty()) return;
            count.violations++;
            if (count.first.empty())
                count.first =
                    fault + ", when the power fails after " + (done ? recording.operations[done - 1].name : "nothing");
        });
    }
    return count;
}

}  // namespace power_cut
