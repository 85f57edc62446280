// Text and JSON lines.
#include "host/data/documents.h"
#include "fuzz.h"

void fuzz(std::string_view input) {
    const std::string path = file_of(input);
    for (const TextFormat format : {TextFormat::automatic, TextFormat::text, TextFormat::jsonl})
        for (const BadLines bad : {BadLines::refused, BadLines::skipped})
            accepts([&] {
                DocumentReader reader({path}, {format, "text", bad},
                                      [](std::string_view text, size_t near) { return std::min(near, text.size()); });
                while (!reader.read(64).empty()) {}
                expect(reader.done() <= input.size(), "no more than there is");
            });
}
