#include "commands.h"
#include <fmt/core.h>
#include <omp.h>
#include "plan.h"
#include "run.h"
#include "sample.h"
#include "train.h"

void print_piece(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
        throw Error(Exit::io, "stdout", "cannot write", "is the reader gone or the disk full?");
}

Exit train_on_cpu(const Options& options) {
    return train(options, Cpu<float>(), fmt::format("CPU, {} threads, fp32", omp_get_max_threads()));
}

Exit sample_on_cpu(const Options& options) { return sample(options, Cpu<float>()); }

namespace {
Exit plan(const Options& options) {
    Config base;
    if (const Config* preset = find_preset(options.model)) base = *preset;
    else base = read_model_description(model_directory(options.model)).config;
    run_plan(options, model_config(options, base));
    return Exit::done;
}
}  // namespace

Exit run_command(const Options& options) {
    if (options.help) {
        print_piece(help_text(options.command));
        return Exit::done;
    }
    if (options.command == Command::plan) return plan(options);
    if (options.threads > 0) omp_set_num_threads(options.threads);
    if (options.device == DeviceKind::cuda || options.device == DeviceKind::simt)
        throw Error(Exit::device, "--device", "this build has no kernels", "use --device cpu");
    return options.command == Command::train ? train_on_cpu(options) : sample_on_cpu(options);
}
