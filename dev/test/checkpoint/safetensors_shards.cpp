// Models whose weights are spread over several files by an index.
#include <fstream>
#include "dev/test/support/expect_error.h"
#include "huggingface_case.h"

using safetensors::Dtype;

TEST(huggingface, shards) {
    const Temporary dir;
    const ToyModel model(toy_qwen2());
    save(dir.path, model);
    const std::string whole = dir / "model.safetensors", index = dir / "model.safetensors.index.json";
    std::vector<Named> parts[2];
    Json map;
    for (const Named& t : read_tensors(whole)) {
        const int part = map["weight_map"].size() % 2;
        parts[part].push_back(t);
        map["weight_map"][t.name] = part ? "b.safetensors" : "a.safetensors";
    }
    std::filesystem::remove(whole);
    write_tensors(dir / "a.safetensors", parts[0]);
    write_tensors(dir / "b.safetensors", parts[1]);
    write_json(index, map);
    const ToyModel again = load(dir.path);
    for (const Parameter& parameter : model.layout().parameters)
        EXPECT_EQ(again.get(parameter), model.get(parameter)) << parameter.name;

    const std::string name = parts[1][0].name;
    const auto refuse = [&](const Json& json, std::initializer_list<std::string> words) {
        write_json(index, json);
        expect_error(Exit::input, words, [&] { load(dir.path); });
    };
    for (const char* bad : {"../b.safetensors", "/etc/passwd", "..", "", "x/b.safetensors"}) {
        Json json = map;
        json["weight_map"][name] = bad;
        refuse(json, {"index.json", name, "is not the name of a file beside it"});
    }
    Json json = map;
    json["weight_map"][name] = "a.safetensors";
    refuse(json, {"a.safetensors", name, "is missing"});
    json = map, json["weight_map"][name] = 5;
    refuse(json, {name, "is not the name"});
    json = map, json["weight_map"]["model.more"] = "c.safetensors";
    refuse(json, {"c.safetensors", "No such file"});
    std::string many = map.dump();
    many.resize(many.size() - 2);
    for (int i = 0; i < 1'000'000; i++) many += ",\"z." + std::to_string(i) + "\":\"a.safetensors\"";
    files::replace_file(index, many + "}}");
    expect_error(Exit::input, {"a.safetensors", "z.0 is missing"}, [&] { load(dir.path); });
    refuse({{"weight_map", Json::object()}}, {"weight_map"});
    refuse(Json::array(), {"weight_map"});
    parts[0].push_back(parts[1][0]);
    write_tensors(dir / "a.safetensors", parts[0]);
    refuse(map, {name, "in another shard too"});
}

// A link may lead out of the directory only as Hugging Face's cache makes them.
TEST(huggingface, links_to_shards_stay_inside) {
    const Temporary dir;
    const ToyModel model(toy_llama());
    const auto make = [&](const std::string& folder, const std::string& target) {
        std::filesystem::create_directories(folder);
        save(folder, model);
        Json map;
        for (const Named& t : read_tensors(folder + "/model.safetensors"))
            map["weight_map"][t.name] = "one.safetensors";
        const auto shard = std::filesystem::path(folder) / "one.safetensors";
        std::filesystem::create_directories((shard.parent_path() / target).parent_path());
        std::filesystem::rename(folder + "/model.safetensors", shard.parent_path() / target);
        std::filesystem::remove(shard);
        std::filesystem::create_symlink(target, shard);
        write_json(folder + "/model.safetensors.index.json", map);
        load(folder);
    };
    make(dir / "hub/snapshots/rev", "../../blobs/0123abcd");
    make(dir / "inside", "files/one.safetensors");
    for (const char* outside : {"../elsewhere/one", "../../blobs/0123"})
        expect_error(Exit::input, {"index.json", "is a link to", "outside"}, [&] { make(dir / "plain/x", outside); });
    expect_error(Exit::input, {"outside"}, [&] { make(dir / "snapshots/rev", "../../elsewhere/one"); });
}
