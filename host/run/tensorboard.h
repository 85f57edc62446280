// What TensorBoard reads: a file of records, each its length, the length's checksum, an Event and the Event's checksum.
// An Event is protobuf of TensorFlow's event.proto: the fields we write are in tensorboard.cpp.
#pragma once
#include <memory>
#include <span>
#include <string>
#include "host/base/files.h"

// CRC-32C as records have it: rotated, and a constant added.
uint32_t masked_crc32c(std::string_view bytes);

struct Scalar {
    const char* tag;
    double value;
};

class EventFile {
public:
    static constexpr const char *prefix = "events.out.tfevents.", *suffix = ".gpt_cu";  // of our files' names

    // Begins a new file in the directory. What our older ones there tell of later steps than this is cut off, and what
    // a crash tore: a resumed run says it again. Throws Error{io}.
    EventFile(const std::string& directory, int64_t step);

    // A full disk must not end a run: false if this was not written.
    bool add(int64_t step, std::span<const Scalar> scalars);
    bool add_text(int64_t step, const char* tag, std::string text);

private:
    std::unique_ptr<files::Log> log;
};
