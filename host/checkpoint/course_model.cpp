#include "course_model.h"
#include "json_fields.h"

ModelDescription course_model_from_json(const Json& json, const std::string& what) {
    const Fields f(json, what);
    Config c = *find_preset("cs336-small");
    const auto size = [&](const char* key) {
        if (!f.find(key)) f.refuse(key, "is missing");
        return f.integer(key, 0);
    };
    c.V = size("vocab_size"), c.T = size("context_length"), c.C = size("d_model"), c.L = size("num_layers");
    c.NH = c.NKV = size("num_heads"), c.F = size("d_ff");
    if (c.NH < 1 || c.C % c.NH) f.refuse("d_model", "must be a multiple of num_heads");
    c.HS = c.C / c.NH;
    c.rope_theta = float(f.number("rope_theta", 10000));
    if (const auto wrong = problems(c); !wrong.empty()) throw Error(Exit::input, what, wrong.front());
    ModelDescription model;
    model.config = c;
    return model;
}
