// config.json of every family, and the course's: what is accepted is written and read again as the same model.
#include "fuzz.h"
#include "host/checkpoint/course_model.h"
#include "host/checkpoint/huggingface_config.h"

void fuzz(std::string_view input) {
    Json json;
    if (!accepts([&] { json = parse_json(input, "input"); })) return;
    accepts([&] { course_model_from_json(json, "input"); });
    ModelDescription model;
    if (!accepts([&] { model = model_from_json(json, "input"); })) return;
    const std::string text = to_text(to_json(model));
    const bool again = accepts([&] { model = model_from_json(parse_json(text, "output"), "output"); });
    expect(again, "what is written can be read");
    expect(to_text(to_json(model)) == text, "the same model");
}
