#include "checkpoint.h"
#include <algorithm>
#include <filesystem>
#include <set>
#include "host/base/messages.h"
#include "huggingface_config.h"
#include "huggingface_weights.h"

namespace fs = std::filesystem;

namespace {

constexpr const char* manifest_name = "manifest.json";
constexpr const char* optimizer_name = "optimizer.safetensors";
constexpr const char* format = "gpt.cu checkpoint";
constexpr int format_version = 1;

// The manifest's text ends with a checksum of the rest, and only the exact text is accepted: no byte of it can change.
std::string manifest_text(Json manifest) {
    manifest.erase("xxh64");
    manifest["xxh64"] = files::hex(files::hash(to_text(manifest)));
    return to_text(manifest);
}

CheckpointFile write_text(const std::string& directory, const std::string& name, const std::string& text) {
    files::Writer writer(directory + "/" + name);
    writer.write(text.data(), text.size());
    writer.close();
    return {name, writer.size(), files::hex(writer.hash())};
}

CheckpointFile listed(const WrittenFile& file) { return {file.name, file.size, files::hex(file.hash)}; }

bool plain_name(const std::string& name) {
    return !name.empty() && name[0] != '.' && name.find_first_of(std::string("/\0", 2)) == name.npos &&
           name != manifest_name;
}

Checkpoint read_manifest(const std::string& directory) {
    const std::string path = directory + "/" + manifest_name;
    const std::string text = files::read_file(path, 64 << 20);
    const Json json = parse_json(text, path);
    const auto need = [&](bool condition, const std::string& reason) {
        if (!condition) throw Error(Exit::input, path, reason);
    };
    need(json.is_object() && json.value("format", Json()) == format, std::string("is not the manifest of a ") + format);
    need(json.value("version", Json()) == format_version, "is of version " + json.value("version", Json()).dump() +
                                                              ", this program reads " + std::to_string(format_version));
    need(manifest_text(json) == text, "its checksum does not match: it is damaged");
    Checkpoint c;
    c.path = directory;
    try {
        c.step = parse_count(json.at("step"), path + ": step");
        c.sequence = parse_count(json.at("sequence"), path + ": sequence");
        c.run = json.at("run");
        for (const auto& [name, file] : json.at("files").items())
            c.files.push_back(
                {name, uint64_t(parse_count(file.at("bytes"), path + ": bytes")), file.at("xxh64").get<std::string>()});
    } catch (const Json::exception& error) { throw Error(Exit::input, path, error.what()); }
    for (const CheckpointFile& file : c.files)
        need(plain_name(file.name), "lists " + Json(file.name).dump() + ", which is not the name of a file beside it");
    return c;
}

void verify_file(const std::string& path, const CheckpointFile& file, Verify verify) {
    const uint64_t size = files::Reader(path).size();
    if (size != file.size)
        throw Error(Exit::input, path,
                    "has " + std::to_string(size) + " bytes, the manifest says " + std::to_string(file.size),
                    "it is truncated or was changed");
    if (verify == Verify::checksums && files::hex(files::hash_file(path)) != file.xxh64)
        throw Error(Exit::input, path, "its checksum does not match the manifest", "it is damaged or was changed");
}

std::string manifest_of(const CheckpointContents& contents, int64_t sequence,
                        const std::vector<CheckpointFile>& files) {
    Json manifest = {{"format", format},
                     {"version", format_version},
                     {"step", contents.step},
                     {"sequence", sequence},
                     {"run", contents.run}};
    for (const CheckpointFile& file : files)
        manifest["files"][file.name] = {{"bytes", file.size}, {"xxh64", file.xxh64}};
    return manifest_text(manifest);
}

// The names in a checkpoint's directory that are not those of its files.
std::vector<std::string> foreign_files(const std::string& directory) {
    std::set<std::string> ours;
    try {
        for (const CheckpointFile& file : read_manifest(directory).files) ours.insert(file.name);
    } catch (const Error&) {}
    std::vector<std::string> foreign = files::list(directory);
    std::erase_if(foreign, [&](const std::string& name) { return ours.contains(name) || is_checkpoint_file(name); });
    return foreign;
}

// What stands where a checkpoint is to appear and is not only ours gets another name.
void make_way(const std::string& run, const std::string& name) {
    const std::string path = run + "/" + name;
    std::error_code error;
    if (!files::exists(path)) return;
    if (files::is_directory(path) && foreign_files(path).empty()) return;
    std::string other = name + ".old";
    for (int n = 2; files::exists(run + "/" + other); n++) other = name + ".old" + std::to_string(n);
    fs::rename(path, run + "/" + other, error);
    if (error) throw Error(Exit::io, path, "cannot rename: " + error.message());
    warn(path + ": holds more than a checkpoint of ours; it is " + other + " now");
}

void point_or_warn(const std::string& run, const char* link, const std::string& name) {
    try {
        point_at(run, link, name);
    } catch (const Error& error) {  // the checkpoint itself is whole
        if (error.code != Exit::io) throw;
        warn(std::string(error.what()) + "; " + run + "/" + link + " does not lead to " + name);
    }
}

}  // namespace

uint64_t checkpoint_bytes(const CheckpointContents& contents) {
    uint64_t bytes = 1 << 20;
    for (const Parameter& parameter : contents.layout->parameters) {
        bytes += parameter.size() * (uint64_t(safetensors::bits(contents.model.dtype)) / 8);
        for (const NamedParameters& part : contents.optimizer)
            if (part.has(parameter)) bytes += parameter.size() * sizeof(float);
    }
    for (const auto& [name, text] : contents.texts) bytes += text.size();
    return bytes;
}

std::string save_checkpoint(const std::string& run, const CheckpointContents& contents) {
    for (const char* name : {"step_", "latest.", "best."}) files::remove_leftovers(run, name);
    files::require_space(run, checkpoint_bytes(contents));
    int64_t sequence = 1;
    for (const Checkpoint& c : list_checkpoints(run)) sequence = std::max(sequence, c.sequence + 1);

    const std::string name = checkpoint_name(contents.step);
    files::AtomicDirectory directory(run, name, [](const std::string&) { return true; });  // make_way has looked
    std::vector<CheckpointFile> files;
    const auto text = [&](const std::string& name, const std::string& text) {
        files.push_back(write_text(directory.path(), name, text));
    };
    text("config.json", to_text(to_json(contents.model)));
    if (std::none_of(contents.texts.begin(), contents.texts.end(),
                     [](const auto& t) { return t.first == "generation_config.json"; }))
        text("generation_config.json", to_text(generation_config(contents.model.special)));
    for (const auto& [name, content] : contents.texts) {
        REQUIRE(plain_name(name));
        text(name, content);
    }
    files.push_back(listed(save_weights(directory.path(), contents.model, *contents.layout, contents.weights)));
    if (!contents.optimizer.empty())
        files.push_back(
            listed(save_parameters(directory.path() + "/" + optimizer_name, *contents.layout, contents.optimizer)));
    text("state.json", to_text(contents.state));
    files::write_file(directory.path() + "/" + manifest_name, manifest_of(contents, sequence, files));
    make_way(run, name);
    std::string path = directory.commit();
    open_checkpoint(path, Verify::sizes);  // what a network file system made of it
    point_or_warn(run, "latest", name);
    return path;
}

void require_as_listed(const std::string& directory, const std::string& name) {
    const std::string manifest = directory + "/" + manifest_name, path = directory + "/" + name;
    if (!files::exists(manifest) || !files::exists(path)) return;
    if (const Json json = read_json(manifest); !json.is_object() || json.value("format", Json()) != format) return;
    const Checkpoint checkpoint = read_manifest(directory);
    for (const CheckpointFile& file : checkpoint.files)
        if (file.name == name &&
            (files::Reader(path).size() != file.size || files::hex(files::hash_file(path)) != file.xxh64))
            throw Error(Exit::input, path, "is not the file that was saved: it does not match manifest.json",
                        "take another checkpoint, or delete manifest.json if you changed the file");
}

namespace {

// What a link such as RUN/latest names: it may move while we read.
std::string resolved(const std::string& path) {
    const std::string link = files::link_target(path);
    return link.empty() ? path : (fs::path(path).parent_path() / link).string();
}

}  // namespace

Checkpoint open_checkpoint(const std::string& path, Verify verify) {
    const std::string directory = resolved(path);
    Checkpoint checkpoint = read_manifest(directory);
    for (const CheckpointFile& file : checkpoint.files) verify_file(directory + "/" + file.name, file, verify);
    for (const char* needed : {"config.json", "model.safetensors", "state.json"})
        if (std::none_of(checkpoint.files.begin(), checkpoint.files.end(),
                         [&](const auto& file) { return file.name == needed; }))
            throw Error(Exit::input, directory + "/" + manifest_name, std::string("does not list ") + needed);
    return checkpoint;
}

Json read_state(const Checkpoint& checkpoint) { return read_json(checkpoint.path + "/state.json"); }

void load_optimizer(const Checkpoint& checkpoint, const Layout& layout, const std::vector<NamedTargets>& parts) {
    load_parameters(checkpoint.path + "/" + optimizer_name, layout, parts);
}

namespace {

// Every directory of RUN with a checkpoint's name; `broken` hears why one is not whole.
std::vector<Checkpoint> find_checkpoints(const std::string& run, const Warn& broken) {
    std::vector<Checkpoint> found;
    for (const std::string& name : files::list(run)) {
        const std::string path = run + "/" + name;
        const auto step = checkpoint_step(name);
        if (!step || !files::link_target(path).empty()) continue;
        try {
            found.push_back(open_checkpoint(path, Verify::sizes));
            if (found.back().step == *step) continue;
            found.pop_back();
            broken(path + ": is a checkpoint of another step under this name");
        } catch (const Error& error) { broken(error.what()); }
    }
    std::sort(found.begin(), found.end(), [](const Checkpoint& a, const Checkpoint& b) {
        return std::pair(a.sequence, a.step) < std::pair(b.sequence, b.step);
    });
    return found;
}

}  // namespace

std::vector<Checkpoint> list_checkpoints(const std::string& run) {
    return find_checkpoints(run, [](const std::string&) {});
}

std::optional<Checkpoint> newest_checkpoint(const std::string& run, const Warn& warn, Verify verify) {
    std::string reasons;
    const Warn skip = [&](const std::string& why) {
        warn(why);
        reasons += (reasons.empty() ? "" : "; ") + why;
    };
    std::vector<Checkpoint> whole = find_checkpoints(run, skip);
    for (; !whole.empty(); whole.pop_back()) {
        try {
            return open_checkpoint(whole.back().path, verify);
        } catch (const Error& error) { skip(error.what()); }
    }
    if (reasons.empty()) return {};
    throw Error(Exit::input, run, "no checkpoint is whole (" + reasons + ")",
                "restore one, or start again with another --out");
}

void repair_latest(const std::string& run, const Checkpoint& checkpoint) {
    const std::string name = checkpoint_name(checkpoint.step);
    for (const Checkpoint& other : list_checkpoints(run))
        if (other.sequence > checkpoint.sequence) return;
    if (pointed_at(run, "latest") != name) point_or_warn(run, "latest", name);
}

void mark_best(const std::string& run, int64_t step) {
    REQUIRE(files::exists(run + "/" + checkpoint_name(step)));
    point_or_warn(run, "best", checkpoint_name(step));
}

std::optional<int64_t> best_step(const std::string& run) { return checkpoint_step(pointed_at(run, "best")); }

void prune_checkpoints(const std::string& run, int keep) {
    const std::vector<Checkpoint> whole = list_checkpoints(run);
    const auto best = best_step(run);
    for (size_t i = 0; i + size_t(std::max(keep, 1)) < whole.size(); i++)
        if (whole[i].step != best && foreign_files(whole[i].path).empty())
            files::remove_directory(run, checkpoint_name(whole[i].step));
}

void remove_checkpoint(const std::string& run, const std::string& name) {
    const std::string path = run + "/" + name;
    const std::vector<std::string> foreign = foreign_files(path);
    if (foreign.empty()) return files::remove_directory(run, name);
    std::vector<std::string> ours = files::list(path);
    std::erase_if(ours, [&](const std::string& file) { return std::ranges::count(foreign, file) > 0; });
    // Not whole without it. (clang 14 has no std::ranges::partition.)
    std::partition(ours.begin(), ours.end(), [](const std::string& file) { return file == manifest_name; });
    for (const std::string& file : ours) {
        std::error_code error;
        fs::remove(path + "/" + file, error);
        if (error) throw Error(Exit::io, path + "/" + file, "cannot remove: " + error.message());
    }
}

std::string model_directory(const std::string& path) {
    const auto led_to = [](const fs::path& run, const std::string& link) -> std::string {
        const std::string name = pointed_at(run.empty() ? "." : run.string(), link);
        std::string found = (run / name).string();
        return !name.empty() && files::exists(found + "/config.json") ? found : "";
    };
    const fs::path plain = files::without_slash(path);
    if (!files::is_directory(plain))  // a link, which may move while we read
        if (std::string found = led_to(plain.parent_path(), plain.filename().string()); !found.empty()) return found;
    if (files::exists(path + "/config.json")) return path;
    for (const std::string link : {"best", "latest"}) {
        if (files::is_directory(plain / link) && files::exists(path + "/" + link + "/config.json"))
            return path + "/" + link;
        if (std::string found = led_to(path, link); !found.empty()) return found;
    }
    return path;
}
