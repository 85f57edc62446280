#include "checkpoint_names.h"
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include "host/base/files.h"
#include "host/base/json.h"

namespace {

namespace fs = std::filesystem;

constexpr uint64_t most_bytes_of_a_name = 64, most_bytes_of_a_manifest = 64 << 20;

std::string text_of(const std::string& path, uint64_t limit) {
    try {
        return files::read_file(path, limit);
    } catch (const Error&) { return ""; }
}

// The name of the checkpoint that a directory is a copy of, or "".
std::string copied_from(const std::string& directory) {
    try {
        return checkpoint_name(parse_count(read_json(directory + "/manifest.json").at("step"), directory));
    } catch (const Error&) {
    } catch (const Json::exception&) {}
    return "";
}

bool holds_only_a_checkpoint(const std::string& directory) {
    const Json manifest = read_json(directory + "/manifest.json");
    const auto is_ours = [&](const std::string& name) {
        return is_checkpoint_file(name) || (manifest.contains("files") && manifest["files"].contains(name));
    };
    const std::vector<std::string> entries = files::list(directory);
    return std::all_of(entries.begin(), entries.end(), is_ours);
}

// A checkpoint's copy goes if the checkpoint itself is there, else it takes its place.
void dissolve_copy(const std::string& run, const std::string& link) {
    const std::string copy = run + "/" + link, name = copied_from(copy), original = run + "/" + name;
    if (name.empty() || !holds_only_a_checkpoint(copy))
        throw Error(Exit::io, copy, "is a directory with other files than a checkpoint's", "move it elsewhere");
    const auto manifest = [](const std::string& of) {
        return text_of(of + "/manifest.json", most_bytes_of_a_manifest);
    };
    std::error_code error;
    if (!files::exists(original)) fs::rename(copy, original, error);
    else if (manifest(copy) == manifest(original)) files::remove_directory(run, link);
    else throw Error(Exit::io, copy, "is another checkpoint than " + name, "move it elsewhere");
    if (error) throw Error(Exit::io, copy, "cannot rename: " + error.message());
}

}  // namespace

std::string checkpoint_name(int64_t step) {
    char name[32];
    std::snprintf(name, sizeof name, "step_%08lld", static_cast<long long>(step));
    return name;
}

std::optional<int64_t> checkpoint_step(const std::string& name) {
    const std::string digits = name.starts_with("step_") ? name.substr(5) : "";
    if (digits.size() < 8 || digits.size() > 18 || digits.find_first_not_of("0123456789") != digits.npos) return {};
    const int64_t step = std::stoll(digits);
    return name == checkpoint_name(step) ? std::optional(step) : std::nullopt;
}

bool is_checkpoint_file(const std::string& name) {
    static const std::string names[] = {
        "config.json", "generation_config.json", "model.safetensors", "optimizer.safetensors",
        "state.json",  "manifest.json",          "tokenizer.json",    "tokenizer_config.json"};
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::string pointed_at(const std::string& run, const std::string& link) {
    const std::string path = run + "/" + link;
    std::string name = files::is_directory(path) ? copied_from(path)
                       : files::is_file(path)    ? text_of(path, most_bytes_of_a_name)
                                                 : files::link_target(path);
    while (name.ends_with('\n') || name.ends_with('/')) name.pop_back();
    return checkpoint_step(name) ? name : "";
}

void point_at(const std::string& run, const std::string& link, const std::string& name) {
    const std::string path = run + "/" + link;
    if (files::is_directory(path)) dissolve_copy(run, link);
    if (files::is_file(path) && pointed_at(run, link).empty())
        throw Error(Exit::io, path, "is a file of somebody's", "move it elsewhere");
    try {
        files::replace_link(path, name);
    } catch (const Error&) {  // a file system may have no symbolic links
        files::replace_file(path, name + "\n");
    }
}
