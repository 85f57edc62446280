// gpt.cu: trains a GPT-style Transformer and writes text with it.   ./train_gpt --help
#include <cstdio>
#include "host/base/signals.h"
#include "host/commands/commands.h"
#include "host/options/options_parse.h"

int main(int argc, char** argv) {
    catch_signals();
    try {
        const Options options = parse(argc, argv);
        return int(run_command(options));
    } catch (const Error& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return int(error.code);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: internal: %s; please report\n", error.what());
        return int(Exit::internal);
    }
}
