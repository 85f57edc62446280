#include "plan_command.h"
#include <fmt/core.h>
#include <sstream>
#include "host/base/error.h"
#include "host/base/messages.h"
#include "host/base/progress.h"
#include "host/base/terminal.h"
#include "host/options/options_check.h"
#include "plan_text.h"

void run_plan(const Options& o, const Config& config) {
    REQUIRE(o.dtype != Dtype::automatic);
    const std::vector<std::string> wrong = problems(o, config);
    if (!wrong.empty()) throw Error(Exit::usage, wrong);
    const Plan plan = make_plan(config, o.batch, o.dtype, o.recompute, o.ranks, o.optimizer);
    std::string text = plan_text(o.model, plan) + family_text(o.model, plan);
    if (o.gpu_memory) text += remedies_text(plan, o.gpu_memory->count);

    const bool colour = wants_colour();
    std::istringstream lines(text);
    std::string shown;
    for (std::string line; std::getline(lines, line);) {
        const bool heading = colour && !line.starts_with(" ");
        shown += fmt::format("{}{}{}\n", heading ? "\033[1m" : "", printable(line), heading ? "\033[0m" : "");
    }
    print_piece(shown);
    if (!o.gpu_memory || fits(plan, o.gpu_memory->count)) return;

    std::string ways;
    for (const Remedy& r : remedies(plan, o.gpu_memory->count)) ways += (ways.empty() ? "" : ", or ") + r.flags;
    const Memory& m = plan.memory;
    throw Error(Exit::device, "memory",
                fmt::format("training needs {} of {}", bytes_text(m.total()), bytes_text(o.gpu_memory->count)),
                ways.empty() ? fmt::format("weights, gradients and optimiser alone take {}: choose a smaller --model",
                                           bytes_text(m.weights + m.gradients + m.moments + m.master + m.muon))
                             : "it fits with " + ways);
}
