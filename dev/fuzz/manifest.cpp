// manifest.json of a checkpoint. Its checksum would stop every change at once, so a valid one is put in its place.
#include "fuzz.h"
#include "host/checkpoint/checkpoint.h"

void fuzz(std::string_view input) {
    static const FuzzDirectory directory;
    static const bool once = [] {
        for (const char* name : {"config.json", "model.safetensors", "state.json"}) directory.write(name, "{}");
        return true;
    }();
    const auto open = [&](std::string_view text) {
        directory.write("manifest.json", text);
        accepts([&] { expect(once && open_checkpoint(directory.path).step >= 0, "a step"); });
    };
    open(input);
    Json json;
    if (!accepts([&] { json = parse_json(input, "input"); }) || !json.is_object()) return;
    json.erase("xxh64");
    json["xxh64"] = files::hex(files::hash(to_text(json)));
    open(to_text(json));
}
