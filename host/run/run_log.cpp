#include "run_log.h"
#include "host/base/error.h"
#include "host/base/files.h"

void read_log(const std::string& run, const std::function<void(const Json&)>& take) {
    const std::string path = run + "/log.jsonl";
    if (!files::exists(path))
        throw Error(Exit::input, run, "has no log.jsonl", "name the directory of a run, such as runs/tiny-1");
    const std::string text = files::read_file(path, uint64_t(4) << 30);
    int number = 0;
    for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const std::string where = path + " line " + std::to_string(++number);
        const Json line = parse_json(std::string_view(text).substr(begin, end - begin), where);
        if (!line.is_object()) throw Error(Exit::input, where, "is not an object", "was the log edited?");
        take(line);
    }
}
