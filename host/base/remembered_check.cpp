#include "remembered_check.h"
#include <fmt/core.h>
#include <cstdlib>
#include "files.h"
#include "json.h"

namespace {
constexpr uint64_t most_bytes = 1 << 20;

// "": nowhere. A relative $XDG_CACHE_HOME is none, as its specification has it.
std::string folder() {
    const auto absolute = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value && *value == '/' ? value : "");
    };
    const std::string cache = absolute("XDG_CACHE_HOME"), home = absolute("HOME");
    if (!cache.empty()) return cache + "/gpt.cu";
    return home.empty() ? "" : home + "/.cache/gpt.cu";
}

Json to_json(const CheckedOn& on) {
    return {{"gpu", on.gpu},     {"driver", on.driver}, {"runtime", on.runtime},
            {"build", on.build}, {"dtype", on.dtype},   {"gemm", on.gemm}};
}

std::string file_of(const CheckedOn& on) {
    return fmt::format("{}/self_check-{}.json", folder(), files::hex(files::hash(to_text(to_json(on)))));
}

// Without a hash of its own, a build cannot be told from the next one.
bool can_remember(const CheckedOn& on) { return !on.build.empty() && !folder().empty(); }
}  // namespace

std::optional<std::vector<KernelFault>> recall_check(const CheckedOn& on) {
    if (!can_remember(on) || !files::exists(file_of(on))) return {};
    try {
        const Json saved = read_json(file_of(on), most_bytes);
        if (saved.at("on") != to_json(on)) return {};  // another's, of the same hash
        std::vector<KernelFault> faults;
        for (const Json& fault : saved.at("faults")) {
            const auto kernels = from_name<Kernels>(fault.at("kernels").get<std::string>());
            if (!kernels) return {};
            faults.push_back({*kernels, fault.at("text").get<std::string>()});
        }
        return faults;
    } catch (const Error&) {
    } catch (const Json::exception&) {}
    return {};
}

void remember_check(const CheckedOn& on, const std::vector<KernelFault>& faults) {
    if (!can_remember(on)) return;
    Json list = Json::array();
    for (const KernelFault& fault : faults) list.push_back({{"kernels", name_of(fault.kernels)}, {"text", fault.text}});
    try {
        files::make_directories(folder());
        files::replace_file(file_of(on), to_text({{"on", to_json(on)}, {"faults", list}}));
    } catch (const Error&) {}
}

std::string this_build() {
    try {
        return files::hex(files::hash_file("/proc/self/exe"));
    } catch (const Error&) { return ""; }
}
