// dataset.json beside a shard.
#include "fuzz.h"
#include "host/data/shard_writer.h"

void fuzz(std::string_view input) {
    static const FuzzDirectory directory;
    directory.write(ShardWriter::sidecar, input);
    accepts([&] { read_sidecar(directory.path + "/tokens_000000.bin", 5); });
}
