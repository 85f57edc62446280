// state.json: the loop's numbers and the saved flags, which --resume takes from there.
#include "fuzz.h"
#include "host/options/flag_table.h"
#include "host/options/options_parse.h"
#include "host/run/loop_state.h"

void fuzz(std::string_view input) {
    Json json;
    if (!accepts([&] { json = parse_json(input, "input"); }) || !json.is_object()) return;
    accepts([&] { loop_state_from_json(json.value("loop", Json()), "input"); });
    accepts([&] {
        Options options = default_options(Command::train);
        restore(options, json.value("options", Json()));
    });
}
