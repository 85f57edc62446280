// Checkpoints: what is saved comes back, damage is named, and a run's checkpoints stay in order.
#include "host/checkpoint/checkpoint.h"
#include "checkpoint_case.h"
#include "dev/test/support/expect_error.h"
#include "host/checkpoint/config_json.h"
#include "host/checkpoint/model_files.h"

TEST(checkpoint, everything_comes_back) {
    const Temporary run;
    const std::string path = save_checkpoint(run.path, toy().contents(500));
    EXPECT_EQ(path, run / "step_00000500");
    EXPECT_EQ(files::list(path),
              (Names{"config.json", "generation_config.json", "manifest.json", "model.safetensors",
                     "optimizer.safetensors", "state.json", "tokenizer.json", "tokenizer_config.json"}));
    EXPECT_EQ(files::list(run.path), (Names{"latest", "step_00000500"}));
    const Checkpoint c = open_checkpoint(run / "latest");
    EXPECT_EQ(c.path, path);
    EXPECT_EQ(c.step, 500);
    EXPECT_EQ(c.run, toy().contents(500).run);
    EXPECT_EQ(read_state(c), toy().contents(500).state);
    EXPECT_EQ(to_json(read_model_description(c.path).config), to_json(toy().weights.gpt.c));
    const Toy other(toy().weights.gpt.c, 7);
    load_weights(c.path, other.weights.gpt.c, other.weights.layout(), other.weights.set());
    load_optimizer(c, other.weights.layout(), {{"m", other.m.set()}, {"v", other.v.set()}});
    for (const Parameter& parameter : toy().weights.layout().parameters) {
        EXPECT_EQ(other.weights.get(parameter), toy().weights.get(parameter)) << parameter.name;
        EXPECT_EQ(other.m.get(parameter), toy().m.get(parameter)) << parameter.name;
        EXPECT_EQ(other.v.get(parameter), toy().v.get(parameter)) << parameter.name;
    }
    const Temporary again;  // load -> save gives the same bytes in every file
    save_checkpoint(again.path, other.contents(500));
    for (const std::string& name : files::list(path))
        EXPECT_EQ(contents_of(path + "/" + name), contents_of(again / "step_00000500/" + name)) << name;
}

TEST(checkpoint, any_damage_is_refused_naming_the_file) {
    const Temporary run;
    const std::string path = save_checkpoint(run.path, toy().contents(1));
    for (const std::string& name : files::list(path)) {
        const std::string file = path + "/" + name, good = contents_of(file);
        const auto refused = [&](const std::string& bytes, const std::string& how) {
            SCOPED_TRACE(name + " " + how);
            overwrite(file, bytes);
            expect_error(Exit::input, {file}, [&] { open_checkpoint(path); });
        };
        const size_t stride = good.size() / 30 + 1;
        for (size_t i = 0; i < good.size(); i += name == "manifest.json" ? 1 : stride) {
            std::string bad = good;
            bad[i] ^= char(1 << i % 8);
            refused(bad, "flipped at " + std::to_string(i));
            if (i % stride) continue;
            refused(good.substr(0, i), "cut at " + std::to_string(i));
            refused(good.substr(0, i) + std::string(good.size() - i, '\0'), "zeros from " + std::to_string(i));
        }
        refused(good + "\n", "longer");
        fs::remove(file);
        expect_error(Exit::input, {file, "No such file"}, [&] { open_checkpoint(path); });
        overwrite(file, good);
        open_checkpoint(path);
    }
}

TEST(checkpoint, a_manifest_names_only_files_beside_it) {
    const Temporary run;
    const std::string path = save_checkpoint(run.path, toy().contents(1)), file = path + "/manifest.json";
    const Json good = read_json(file);
    const auto refused = [&](Json json, std::initializer_list<std::string> words) {
        json.erase("xxh64");
        json["xxh64"] = files::hex(files::hash(to_text(json)));
        overwrite(file, to_text(json));
        expect_error(Exit::input, words, [&] { open_checkpoint(path); });
    };
    for (const char* name : {"../x", "/etc/passwd", "..", "a/b", ""}) {
        Json json = good;
        json["files"][name] = json["files"]["state.json"];
        refused(json, {file, "is not the name of a file"});
    }
    Json json = good;
    json["version"] = 2;
    refused(json, {file, "version 2", "reads 1"});
    json = good, json["format"] = "other";
    refused(json, {file, "is not the manifest"});
    json = good, json["files"].erase("state.json");
    refused(json, {file, "does not list state.json"});
    json = good, json["step"] = "1";
    refused(json, {file});
    refused(Json::object(), {file});
}

TEST(checkpoint, the_newest_that_verifies) {
    const Temporary run;
    expect_error(Exit::input, {"/none"}, [&] { newest(run / "none"); });
    EXPECT_EQ(newest(run.path), -1);
    for (int step : {10, 20, 30}) save(run.path, step);
    EXPECT_EQ(newest(run.path), 30);
    const std::string weights = run / "step_00000030/model.safetensors";
    std::string bytes = contents_of(weights);
    bytes.back() ^= 1;  // its size is right: only the checksum tells
    overwrite(weights, bytes);
    fs::remove(run / "step_00000020/manifest.json");
    fs::create_directory(run / "step_00000040");  // not whole, not ours, not checkpoints
    fs::create_directory(run / "step_5");
    fs::create_directory(run / "step_00000050.tmp");
    overwrite(run / "step_00000060", "a file");
    std::string told;
    const auto found = newest_checkpoint(run.path, [&](const std::string& line) { told += line + "\n"; });
    ASSERT_TRUE(found);
    EXPECT_EQ(found->step, 10);
    EXPECT_NE(told.find(weights), told.npos) << told;
    EXPECT_NE(told.find("step_00000020/manifest.json"), told.npos) << told;
    save(run.path, 15);  // newer than 30, although fewer steps
    EXPECT_EQ(newest(run.path), 15);
    save(run.path, 30);
    save(run.path, 20);
    EXPECT_EQ(newest(run.path), 20);
    fs::remove_all(run / "step_00000010");
    fs::remove_all(run / "step_00000015");
    overwrite(run / "step_00000020/manifest.json", "?");
    overwrite(weights, bytes);
    expect_error(Exit::input, {run.path, "no checkpoint is whole"}, [&] { newest(run.path); });
    fs::rename(run / "step_00000030", run / "step_00000031");
    EXPECT_EQ(steps(run.path), Steps{});  // another step's name
}

TEST(checkpoint, keeps_the_last_and_the_best) {
    const Temporary run;
    for (int step : {1, 2, 3, 4, 5}) save(run.path, step);
    mark_best(run.path, 2);
    EXPECT_EQ(best_step(run.path), 2);
    overwrite(run / "step_00000003/notes.txt", "mine");  // somebody's file: leave the directory alone
    overwrite(run / "step_1", "mine");
    fs::create_directory(run / "step_00000009");
    prune_checkpoints(run.path, 1);
    EXPECT_EQ(files::list(run.path),
              (Names{"best", "latest", "step_00000002", "step_00000003", "step_00000005", "step_00000009", "step_1"}));
    mark_best(run.path, 5);
    prune_checkpoints(run.path, 0);  // at least one always stays
    EXPECT_EQ(steps(run.path), (Steps{3, 5}));
    save(run.path, 4);  // an earlier step, resumed and saved again
    prune_checkpoints(run.path, 1);
    EXPECT_EQ(steps(run.path), (Steps{3, 5, 4}));  // 5 is the best
    EXPECT_EQ(files::link_target(run / "latest"), "step_00000004");
    EXPECT_EQ(best_step(run.path), 5);
}

namespace {
void no_links(const char* operation, const std::string& path) {
    if (operation == std::string("symlink")) throw Error(Exit::io, path, "there are no links here");
}
void no_latest_and_best(const char*, const std::string& path) {
    const std::string name = fs::path(path).filename();
    if (name.find("latest") != name.npos || name.find("best") != name.npos) throw Error(Exit::io, path, "cannot be");
}

// As `scp -r` copies a run: what the links lead to, instead of them.
void copy_following_links(const fs::path& from, const fs::path& to) {
    for (const fs::directory_entry& entry : fs::directory_iterator(from))
        fs::copy(fs::canonical(entry.path()), to / entry.path().filename(), fs::copy_options::recursive);
}
}  // namespace

TEST(checkpoint, where_there_are_no_links_files_lead_to_them) {
    const Temporary run;
    files::before_operation = no_links;
    for (int step : {1, 2, 3}) save(run.path, step);
    mark_best(run.path, 2);
    files::before_operation = nullptr;
    EXPECT_EQ(contents_of(run / "latest"), "step_00000003\n");
    EXPECT_EQ(best_step(run.path), 2);
    EXPECT_EQ(model_directory(run.path), run / "step_00000002");
    EXPECT_EQ(model_directory(run / "latest"), run / "step_00000003");
    prune_checkpoints(run.path, 1);
    EXPECT_EQ(steps(run.path), (Steps{2, 3}));
    save(run.path, 4);  // where there are links
    EXPECT_EQ(files::link_target(run / "latest"), "step_00000004");
}

TEST(checkpoint, without_latest_and_best_a_run_goes_on) {
    const Temporary run;
    files::before_operation = no_latest_and_best;
    save(run.path, 1);
    mark_best(run.path, 1);
    files::before_operation = nullptr;
    EXPECT_EQ(newest(run.path), 1);
    EXPECT_EQ(model_directory(run.path), run.path);
    overwrite(run / "best", "what I like best");
    fs::create_directory(run / "latest");
    overwrite(run / "latest/notes.txt", "mine");
    save(run.path, 2);
    mark_best(run.path, 2);
    EXPECT_EQ(newest(run.path), 2);
    EXPECT_EQ(contents_of(run / "best"), "what I like best");
    EXPECT_EQ(contents_of(run / "latest/notes.txt"), "mine");
}

TEST(checkpoint, links_that_became_directories) {
    const Temporary start;
    for (int step : {1, 2}) save(start.path, step);
    mark_best(start.path, 1);
    const Temporary copy;
    copy_following_links(start.path, copy.path);
    ASSERT_TRUE(fs::is_directory(fs::symlink_status(copy / "best")));
    EXPECT_EQ(best_step(copy.path), 1);
    save(copy.path, 3);
    prune_checkpoints(copy.path, 1);
    EXPECT_EQ(steps(copy.path), (Steps{1, 3}));
    mark_best(copy.path, 3);
    EXPECT_EQ(files::list(copy.path), (Names{"best", "latest", "step_00000001", "step_00000003"}));
    EXPECT_EQ(files::link_target(copy / "latest"), "step_00000003");
    EXPECT_EQ(files::link_target(copy / "best"), "step_00000003");

    const Temporary alone;  // the best without the checkpoint it was: it becomes that
    fs::copy(start / "best/", alone / "best", fs::copy_options::recursive);
    save(alone.path, 5);
    mark_best(alone.path, 5);
    EXPECT_EQ(files::list(alone.path), (Names{"best", "latest", "step_00000001", "step_00000005"}));
    open_checkpoint(alone / "step_00000001");
}

TEST(checkpoint, all_that_is_wrong_is_said) {
    const Temporary run;
    for (int step : {1, 2, 3}) save(run.path, step);
    overwrite(run / "step_00000001/manifest.json", "?");
    overwrite(run / "step_00000002/state.json", "short");
    fs::remove(run / "step_00000003/config.json");
    expect_error(
        Exit::input,
        {"step_00000001/manifest.json", "step_00000002/state.json", "step_00000003/config.json", "No such file"},
        [&] { newest(run.path); });
}

TEST(checkpoint, a_damaged_one_of_the_same_step_is_replaced) {
    const Temporary run;
    save(run.path, 1);
    overwrite(run / "step_00000001/model.safetensors", "damaged");
    save(run.path, 1);
    EXPECT_EQ(newest(run.path), 1);
    EXPECT_EQ(files::list(run.path), (Names{"latest", "step_00000001"}));
}

TEST(checkpoint, values_that_are_not_finite_leave_everything_as_it_was) {
    const Temporary run;
    save(run.path, 1);
    const Toy broken(toy().weights.gpt.c);
    broken.v.values(broken.v.layout().parameters.back())[0] = NAN;
    expect_error(Exit::numeric, {"v.", "is nan"}, [&] { save_checkpoint(run.path, broken.contents(2)); });
    EXPECT_EQ(files::list(run.path), (Names{"latest", "step_00000001"}));
}
