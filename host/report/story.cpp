#include "story.h"
#include <algorithm>
#include "host/base/files.h"
#include "host/base/run_lock.h"
#include "host/checkpoint/config_json.h"
#include "host/options/flag_table.h"
#include "host/options/options_parse.h"
#include "host/run/run_log.h"

namespace {

void add_beginning(Story& story, const Json& line, const std::string& where) {
    restore(story.options, line["run"]);
    story.config = config_from_json(line["model"], where);
    story.parameters = line.value("parameters", uint64_t(0));
    story.steps = line.value("steps", story.options.epochs ? int64_t(0) : int64_t(story.options.steps));
    if (const double ranks = number(line["run"], "ranks"); ranks >= 1 && ranks <= 65536)
        story.options.ranks = int(ranks);
}

void add_end(Story& story, const Json& line) {
    const std::string end = line["end"].is_string() ? line["end"].get<std::string>() : "";
    story.ending = end == "finished"     ? Ending::finished
                   : end == "early stop" ? Ending::early_stop
                   : end == "stopped"    ? Ending::stopped
                                         : Ending::unknown;
}

}  // namespace

Story read_story(const std::string& run) {
    Story story;
    story.curve.name = curve_name(run);
    story.options = default_options(Command::train);
    const std::string log = run + "/log.jsonl";
    bool known = false;
    const bool held = files::RunLock::is_held(run);  // before its last word could be read
    const auto take = [&](const Json& line) {
        add_line(story.curve, line);
        story.ending = Ending::unknown;  // until the last line
        if (line.contains("run") && line.contains("model")) {
            add_beginning(story, line, log);
            known = true;
        } else if (line.contains("sample") && line["sample"].is_string()) {
            story.samples.push_back({line.value("step", int64_t(0)), line["sample"].get<std::string>()});
        } else if (line.contains("resumed")) {
            story.resumed.push_back(line.value("resumed", 0.0));
            story.steps = line.value("steps", story.steps);
        } else if (line.contains("end")) {
            add_end(story, line);
        }
    };
    try {
        read_log(run, take);
    } catch (const Json::exception& problem) { throw Error(Exit::input, log, problem.what(), "was the log edited?"); }
    if (!known)
        throw Error(Exit::input, run, "its log.jsonl does not begin with the run's flags and model",
                    "was the log edited?");
    story.goes_on = story.ending == Ending::unknown && held;
    story.steps = std::max(story.steps, int64_t(0));
    if (story.ending == Ending::unknown && !story.goes_on && story.steps && story.last_step() >= double(story.steps))
        story.ending = Ending::finished;  // logs of before they said so
    return story;
}
