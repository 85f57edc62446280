// Text and JSON lines.
#include "host/data/documents.h"
#include "fuzz.h"

void fuzz(std::string_view input) {
    const std::string path = file_of(input);
    for (const TextFormat format : {TextFormat::automatic, TextFormat::text, TextFormat::jsonl})
        accepts([&] {
            DocumentReader reader({path}, format,
                                  [](std::string_view text, size_t near) { return std::min(near, text.size()); });
            for (auto parts = reader.read(64); !parts.empty(); parts = reader.read(64))
                for (const TextPart& part : parts)
                    accepts([&] {
                        if (part.json) text_of_line(part, "text");
                    });
            expect(reader.done() <= input.size(), "no more than there is");
        });
}
