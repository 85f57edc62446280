#include "commands.h"
#include <fmt/core.h>
#include <omp.h>
#include <unistd.h>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>
#include <system_error>
#include <thread>
#include "host/base/files.h"
#include "host/base/messages.h"
#include "host/base/progress.h"
#include "host/checkpoint/checkpoint.h"
#include "host/checkpoint/model_files.h"
#include "host/export/export_command.h"
#include "host/options/model_options.h"
#include "host/options/options_parse.h"
#include "host/plan/plan_command.h"
#include "host/report/curve_svg.h"
#include "host/report/report.h"
#include "host/report/watch.h"
#include "host/run/run_directory.h"
#include "host/world/launcher.h"
#include "join_ranks.h"
#include "run_on_cpu.h"
#include "tokenize_command.h"
#include "version.h"

namespace {
Config described_model(const std::string& directory) {
    const ModelDescription model = read_model_description(model_directory(directory));
    for (const std::string& warning : model.warnings) warn(warning);
    return model.config;
}

Exit plan(Options options) {
    Config base;
    if (const Config* preset = find_preset(options.model)) base = *preset;
    else base = described_model(options.model);
    // As it would be trained here, or on the GPU whose memory is given.
    const bool gpu = options.memory || !options.gpu.empty() ||
                     (options.dtype == Dtype::automatic && find_gpu().kind == GpuFound::Kind::real);
    options.dtype = dtype_on(gpu ? Processor::gpu : Processor::cpu, options.dtype);
    run_plan(options, model_config(options, base));
    return Exit::done;
}

Exit plot(const Options& options) {
    std::vector<Curve> curves;
    for (const std::string& run : options.runs) curves.push_back(read_curve(run));
    files::replace_output(options.out, plot_svg(curves, options.x));
    print_piece(fmt::format("wrote {}: open it in a browser\n", printable(options.out)));
    return Exit::done;
}

// OpenMP ends the program, without a word of ours, where it gets no thread: it and our own (threads.h) are tried first.
void try_threads() {
    const int wanted = 2 * (omp_get_max_threads() - 1);
    std::atomic<bool> all_are_there = false;
    std::vector<std::thread> tried;
    try {
        while (int(tried.size()) < wanted) tried.emplace_back([&] { all_are_there.wait(false); });
    } catch (const std::system_error&) {
        omp_set_num_threads(1);
        warn("this system gives no more threads: one does all");
    }
    all_are_there = true;
    all_are_there.notify_all();
    for (std::thread& thread : tried) thread.join();
}

// Processes that were started with another one: what ends all of them is said by the first, which ends the others.
void let_the_first_speak() {
    try {
        if (launched_by().rank > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
    } catch (const Error&) {}
}

// Names and texts in a line come from files and arguments.
int say(const World& world, Exit code, const std::vector<std::string>& lines) {
    if (!world.alone()) world.fail(int(code), lines);
    if (code == Exit::done) return 0;
    let_the_first_speak();
    for (const std::string& line : lines) {
        const std::string text = "error: " + printable(line) + "\n";
        std::fwrite(text.data(), 1, text.size(), stderr);
    }
    return int(code);
}
constexpr const char* no_memory =
    "memory: there is not enough of it; a smaller --batch, --context or --model takes less";

// Destructors of JSON take memory, and so do functions of the library that may not throw: where there is none at all,
// no exception can say so.
void end_without_memory() {
    const auto end = [](const char* why, Exit code) {
        for (const char* part : {"error: ", why, "\n"})
            if (::write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
        _exit(int(code));
    };
    if (!std::current_exception()) end("internal: the library gave up, perhaps for want of memory", Exit::internal);
    try {
        std::rethrow_exception(std::current_exception());
    } catch (const std::bad_alloc&) { end(no_memory, Exit::device); } catch (...) {
    }
    std::abort();
}
}  // namespace

int run_program(const std::vector<std::string>& args) {
    std::set_terminate(end_without_memory);
    World world;
    try {
        const Exit code = run_command(parse(args), world);
        world.leave();
        return int(code);
    } catch (const Error& error) { return say(world, error.code, error.lines); } catch (const std::bad_alloc&) {
        return say(world, Exit::device, {no_memory});
    } catch (const std::filesystem::filesystem_error& error) {
        return say(world, Exit::io, {error.path1().string() + ": " + error.code().message()});
    } catch (const std::system_error& error) {
        return say(world, Exit::io, {std::string("system: ") + error.what()});
    } catch (const std::exception& error) {
        return say(world, Exit::internal, {std::string("internal: ") + error.what() + "; please report"});
    }
}

// `device`: simt or ptx, each a build of its own.
static void check_simulated(const std::string& device, const GpuFound& gpu) {
    const bool simulated = gpu.kind == GpuFound::Kind::simulated;
    if (simulated && gpu.text.starts_with(device)) return;
    throw Error(
        Exit::device, "--device " + device,
        simulated ? "this build is for --device " + gpu.text.substr(0, gpu.text.find(' '))
                  : "the kernels of this build run on a GPU only",
        "`make train_gpt_" + device + "` builds the one whose run on the CPU" + (device == "ptx" ? ", by nvcc" : ""));
}

Exit run_command(const Options& given, World& world) {
    if (given.help) {
        print_piece(help_text(given.command));
        return Exit::done;
    }
    if (given.version) {
        print_piece(version_text(kernels_text()));
        return Exit::done;
    }
    Options options = given;
    if (const std::optional<Exit> ended = become_ranks(options, world)) return *ended;
    if (options.resume) options = with_saved(options);
    if (options.command == Command::plan) return plan(options);
    if (options.command == Command::plot) return plot(options);
    if (options.command == Command::watch && !options.has("threads")) omp_set_num_threads(1);  // training has the cores
    if (options.threads > 0) omp_set_num_threads(options.threads);
    try_threads();
    if (options.command == Command::tokenize) return tokenize(options);
    if (options.command == Command::report) return write_report(options), Exit::done;
    if (options.command == Command::watch) return watch(options);
    if (options.command == Command::export_model) return export_gguf(options);

    using Kind = GpuFound::Kind;
    const GpuFound gpu = options.device == DeviceKind::cpu ? GpuFound{Kind::none, "not asked for"} : find_gpu();
    const bool simulated = options.device == DeviceKind::simt || options.device == DeviceKind::ptx;
    if (simulated) check_simulated(std::string(name_of(options.device)), gpu);
    if (options.device == DeviceKind::cuda && gpu.kind != Kind::real)
        throw Error(Exit::device, "--device cuda",
                    gpu.kind == Kind::none ? gpu.text : "the kernels of this build run on the CPU only",
                    "--device cpu trains without a GPU");
    const bool on_gpu = gpu.kind == Kind::real || simulated;
    options.dtype = dtype_on(on_gpu ? Processor::gpu : Processor::cpu, options.dtype);
    if (on_gpu) return run_on_gpu(options, world);
    return run_on_cpu(options, gpu.kind == Kind::none ? gpu.text : "built without nvcc", world);
}
