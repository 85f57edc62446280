// gpt.cu: trains a GPT-style Transformer and writes text with it.   ./train_gpt --help
#include "host/base/messages.h"
#include "host/base/signals.h"
#include "host/commands/commands.h"

int main(int argc, char** argv) {
    open_standard_streams();
    catch_signals();
    return run_program({argv + (argc > 0), argv + argc});
}
