// Saves in the background: they hold what the model was when they began, whatever training does meanwhile.
#include <fmt/core.h>
#include <atomic>
#include "child_case.h"
#include "dev/test/support/text_search.h"
#include "host/checkpoint/checkpoint.h"
#include "host/run/saver.h"

namespace {

struct Model {
    Layout layout;
    std::vector<float> values;
    Model() {
        for (int i = 0; i < 5; i++) layout.add("p" + std::to_string(i), {100 * (i + 1)});
        values.resize(layout.size);
        for (size_t i = 0; i < values.size(); i++) values[i] = float(i);
    }
    Snapshot::Part part(size_t times = 1) {
        std::vector<size_t> reads;
        for (const Parameter& p : layout.parameters) reads.push_back(times * p.size());
        return {[this](const Parameter& p, size_t first, std::span<float> out) {
                    std::copy_n(values.begin() + std::ptrdiff_t(p.slot.offset + first), out.size(), out.begin());
                },
                reads};
    }
    void change() {
        for (float& x : values) x = -1;
    }
};

bool holds(const GetParameter& get, const Parameter& p) {
    std::vector<float> out(p.size());
    get(p, 0, out);
    for (size_t i = 0; i < out.size(); i++)
        if (out[i] != float(p.slot.offset + i)) return false;
    return true;
}

}  // namespace

TEST(saving, a_snapshot_is_of_its_moment) {
    for (const auto copying : {Snapshot::Copying::by_this_thread, Snapshot::Copying::by_all_threads}) {
        Model model;
        Snapshot snapshot(model.layout, {model.part(), model.part(2)}, copying);
        const GetParameter one = snapshot.part(0), two = snapshot.part(1);
        EXPECT_TRUE(holds(one, model.layout.parameters[0]));  // read where it is
        EXPECT_TRUE(holds(two, model.layout.parameters[1]));
        EXPECT_EQ(snapshot.most_copied(), 0u);
        snapshot.detach();
        EXPECT_EQ(snapshot.most_copied(), sizeof(float) * (1500 - 100 + 1500)) << "what was read is not copied";
        model.change();
        for (size_t i = 1; i < 5; i++) EXPECT_TRUE(holds(one, model.layout.parameters[i])) << i;
        for (const size_t i : {0, 1, 2, 3, 4, 0, 2, 3, 4}) EXPECT_TRUE(holds(two, model.layout.parameters[i])) << i;
        EXPECT_TRUE(snapshot.all_read());
        std::vector<float> out(100);
        EXPECT_THROW(one(model.layout.parameters[0], 0, out), Error) << "more than was announced";
    }
}

TEST(saving, errors_are_taken_later_and_the_next_save_waits) {
    Model model;
    Saver saver;
    const auto snapshot = [&] {
        return std::make_unique<Snapshot>(model.layout, std::vector<Snapshot::Part>{model.part()},
                                          Snapshot::Copying::by_this_thread);
    };
    std::atomic<bool> go = false, through = false;
    saver.begin(snapshot(), Saver::Copies::at_change, [&] {
        while (!go) std::this_thread::yield();
        through = true;
        throw Error(Exit::io, "disk", "is full");
    });
    EXPECT_FALSE(saver.done());
    EXPECT_GT(Saving::under_way, 0) << "a second signal waits";
    saver.before_change();  // copies: it does not wait
    model.change();
    go = true;
    const std::exception_ptr problem = saver.finish();
    EXPECT_TRUE(through && saver.done());
    EXPECT_THROW(std::rethrow_exception(problem), Error);
    EXPECT_EQ(Saving::under_way, 0);
    EXPECT_EQ(saver.finish(), nullptr);
}

// On the CPU a save takes little of it at a time, until somebody waits for it.
TEST(saving, stands_back_until_somebody_waits) {
    const auto used = [] {
        timespec t;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
    };
    Model model;
    Snapshot::Part part = model.part(4);
    part.live = [&](const Parameter&, size_t, std::span<float>) {
        for (const double start = used(); used() < start + 1e-3;) {}
    };
    // How many times the processor's time 20 reads last.
    const auto stretch = [&](Snapshot::Copying copying, bool waits) {
        Saver saver;
        auto snapshot = std::make_unique<Snapshot>(model.layout, std::vector<Snapshot::Part>{part}, copying);
        const GetParameter get = snapshot->part(0);
        double ratio = 0;
        saver.begin(std::move(snapshot), Saver::Copies::at_change, [&] {
            const double begun = seconds();
            for (int i = 0; i < 20; i++) {
                const Parameter& p = model.layout.parameters[size_t(i % 5)];
                std::vector<float> out(p.size());
                get(p, 0, out);
            }
            ratio = (seconds() - begun) / used();
        });
        while (!waits && !saver.done()) sleep_ms(1);
        EXPECT_EQ(saver.finish(), nullptr);
        return ratio;
    };
    const auto shortest = [&](Snapshot::Copying copying, bool waits) {  // a busy machine stretches it too
        double least = 1e9;
        for (int tries = 0; tries < 10 && least > 40; tries++) least = std::min(least, stretch(copying, waits));
        return least;
    };
    EXPECT_GT(stretch(Snapshot::Copying::by_all_threads, false), 40);
    EXPECT_LT(shortest(Snapshot::Copying::by_all_threads, true), 40);
    EXPECT_LT(shortest(Snapshot::Copying::by_this_thread, false), 40) << "nobody else needs the processors";
}

// A disk so slow that a save takes several steps: every checkpoint has the bytes of a run that ended there.
TEST(saving, on_a_slow_disk_checkpoints_are_the_same) {
    const Temporary at;
    const fs::path text = write_text(at);
    const GpuFound gpu = find_gpu();
    std::vector<std::pair<std::string, std::string>> runs{{"cpu", "fp32"}};
    if (gpu.kind != GpuFound::Kind::none)
        runs.insert(runs.end(), {{kernels_of(gpu), "fp32"}, {kernels_of(gpu), "bf16"}});
    for (const auto& [device, dtype] : runs) {
        const auto out = [&](const char* name) { return at.path / (device + dtype + name); };
        const auto flags = [&](int steps, const char* save_every) {
            return std::vector<std::string>{
                "--device",     device,     "--dtype",    dtype,      "--steps", std::to_string(steps),
                "--save-every", save_every, "--schedule", "constant", "--keep",  "9"};
        };
        static fs::path log;
        static std::string last;
        log = out("slow") / "log.jsonl", last = "";
        files::before_operation = [](const char* operation, const std::string& path) {
            if (std::string(operation) != "write" || !path.ends_with(".safetensors") || last == path) return;
            last = path;
            const uint64_t before = fs::file_size(log);  // the next step's line comes when it has changed the weights
            for (int i = 0; i < 100 && fs::file_size(log) == before; i++) sleep_ms(2);
        };
        const Outcome o = run(small(out("slow"), text, flags(9, "3")));
        files::before_operation = nullptr;
        ASSERT_EQ(o.code, Exit::done) << o.error;
        for (const int step : {3, 6, 9}) {
            const fs::path only = out(std::to_string(step).c_str());
            ASSERT_EQ(run(small(only, text, flags(step, "0"))).code, Exit::done);
            EXPECT_EQ(weights_of(only, step), weights_of(out("slow"), step)) << step;
        }
    }
}

// While a run goes on there are never more than are to be kept and the one that is being written.
TEST(saving, old_checkpoints_go_on_the_way) {
    const Temporary at;
    static fs::path out;
    static size_t most;
    for (const char* tokens : {"32", "4096"}) {  // a save takes longer than the step after it, or ends before
        out = at.path / tokens, most = 0;
        files::before_operation = [](const char* operation, const std::string& path) {
            if (std::string(operation) == "rename" && fs::path(path).filename().string().starts_with("step_"))
                most = std::max(most, list_checkpoints(out.string()).size());
        };
        const Outcome o = run(
            small(out, write_text(at),
                  {"--save-every", "1", "--steps", "12", "--keep", "2", "--eval-every", "0", "--total-batch", tokens}));
        files::before_operation = nullptr;
        EXPECT_EQ(o.code, Exit::done) << o.error;
        EXPECT_EQ(most, 2u);
    }
}

TEST(saving, a_disk_that_fails_is_said_at_the_next_step) {
    const Temporary at;
    const fs::path text = write_text(at);
    static int saves, failing;
    // A run of 12 steps whose first `bad` saves find no room.
    const auto run_on_bad_disk = [&](const char* name, int bad, const char* save_every) {
        saves = 0, failing = bad;
        files::before_operation = [](const char* operation, const std::string& path) {
            if (std::string(operation) == "open" && path.ends_with("model.safetensors") && saves++ < failing)
                throw Error(Exit::io, path, "no room");
        };
        const Outcome o = run(small(at.path / name, text, {"--save-every", save_every, "--steps", "12"}));
        files::before_operation = nullptr;
        return o;
    };
    const Outcome two = run_on_bad_disk("two", 2, "2");
    EXPECT_EQ(two.code, Exit::done) << two.error;
    EXPECT_EQ(saves, 6);
    EXPECT_TRUE(has(two.error, "no room; training goes on")) << two.error;
    const Outcome all = run_on_bad_disk("all", 100, "1");
    EXPECT_EQ(all.code, Exit::io) << all.error;
    EXPECT_EQ(saves, 3) << "the third in a row ends the run";
}
