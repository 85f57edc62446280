// Files of prompts, as lines and as JSON lines.
#include "host/generate/prompts.h"
#include "fuzz.h"

void fuzz(std::string_view input) {
    static const FuzzDirectory folder;
    for (const std::string name : {"prompts.txt", "prompts.jsonl"}) {
        folder.write(name, input);
        accepts([&] {
            for (const std::string& prompt : read_prompts(folder.path + "/" + name))
                expect(!prompt.empty(), "empty lines are left out");
        });
    }
}
