#include "config_json.h"
#include <optional>
#include "json_fields.h"

namespace {

// Fields that came later stand in a file only where they are not 0: older files go on to be read.
enum class Since { always, later };

template <class C, class F>
void for_each_field(C& c, F&& field) {
    static_assert(sizeof(Config) == 104, "a new field of Config needs its line here");
    field("T", c.T), field("V", c.V), field("L", c.L), field("C", c.C);
    field("NH", c.NH), field("NKV", c.NKV), field("HS", c.HS), field("F", c.F);
    field("norm", c.norm), field("position", c.position), field("activation", c.activation),
        field("rope_pairs", c.rope_pairs);
    field("rope_theta", c.rope_theta);
    field("rope_factor", c.rope_scaling.factor), field("rope_low_frequency", c.rope_scaling.low_frequency);
    field("rope_high_frequency", c.rope_scaling.high_frequency),
        field("rope_original_context", c.rope_scaling.original_context);
    field("qkv_bias", c.qkv_bias), field("proj_bias", c.proj_bias), field("ffn_bias", c.ffn_bias),
        field("norm_bias", c.norm_bias);
    field("qk_norm", c.qk_norm), field("tied", c.tied);
    field("scores_by_layer", c.scores_by_layer, Since::later);
    field("window", c.window, Since::later), field("window_from", c.window_from, Since::later),
        field("full_every", c.full_every, Since::later);
    field("norm_eps", c.norm_eps), field("dropout", c.dropout), field("init_std", c.init_std), field("init", c.init);
}

}  // namespace

Json to_json(const Config& config) {
    Json json;
    for_each_field(config, [&](const char* name, auto value, Since since = Since::always) {
        if (since == Since::later && !int(value)) return;
        if constexpr (std::is_enum_v<decltype(value)>) json[name] = name_of(value);
        else if constexpr (std::is_same_v<decltype(value), float>) json[name] = shortest(value);
        else json[name] = value;
    });
    return json;
}

Config config_from_json(const Json& json, const std::string& what) {
    const Fields f(json, what);
    Config config;
    size_t known = 0;
    for_each_field(config, [&](const char* name, auto& value, Since since = Since::always) {
        using T = std::remove_reference_t<decltype(value)>;
        if (!f.find(name) && since == Since::later) return;
        if (!f.find(name)) f.refuse(name, "is missing");
        known++;
        if constexpr (std::is_same_v<T, bool>) value = f.flag(name, false);
        else if constexpr (std::is_same_v<T, int>) value = f.integer(name, 0);
        else if constexpr (std::is_same_v<T, float>) value = float(f.number(name, 0));
        else {
            const std::optional<T> known_value = from_name<T>(f.text(name, ""));
            if (!known_value) f.refuse(name, "\"" + f.text(name, "") + "\" is unknown");
            value = *known_value;
        }
    });
    if (json.size() != known)
        throw Error(Exit::input, what, "holds a field this version does not know", "use the version that wrote it");
    return config;
}
