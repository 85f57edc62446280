#include "data_paths.h"
#include <glob.h>
#include <sys/stat.h>
#include <algorithm>
#include <map>
#include "host/base/error.h"
#include "host/base/files.h"
#include "host/base/messages.h"

bool is_shard(const std::string& path) { return path.ends_with(".bin"); }

std::vector<std::string> expand_path(const std::string& flag, const std::string& path) {
    if (path.empty()) throw Error(Exit::usage, flag, "an empty path");
    if (path.find_first_of("*?[") == path.npos || files::exists(path)) return {path};
    glob_t found;
    std::vector<std::string> paths;
    const int result = glob(path.c_str(), 0, nullptr, &found);
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++) paths.emplace_back(found.gl_pathv[i]);
    globfree(&found);
    if (paths.empty()) throw Error(Exit::input, flag + " " + path, "no file matches");
    std::sort(paths.begin(), paths.end());  // by bytes: glob's own order depends on the locale
    return paths;
}

std::vector<std::string> expand_paths(const std::string& flag, const std::vector<std::string>& patterns,
                                      std::vector<std::string>& warnings) {
    std::vector<std::string> paths;
    std::map<std::pair<dev_t, ino_t>, std::string> seen;
    for (const std::string& pattern : patterns)
        for (std::string& path : expand_path(flag, pattern)) {
            struct stat status;
            if (stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
                const auto [first, fresh] = seen.emplace(std::pair(status.st_dev, status.st_ino), path);
                if (!fresh) {
                    warnings.push_back(flag + " " + path + ": is the same file as " + first->second +
                                       ", and read once");
                    continue;
                }
            }
            paths.push_back(std::move(path));
        }
    return paths;
}

std::vector<std::string> expand_paths(const std::string& flag, const std::vector<std::string>& patterns) {
    std::vector<std::string> warnings;
    std::vector<std::string> paths = expand_paths(flag, patterns, warnings);
    for (const std::string& warning : warnings) warn(warning);
    return paths;
}
