#include "handshake.h"
#include <algorithm>
#include "host/base/error.h"
#include "host/base/file_reader.h"

void require_same(const World& world, const Json& facts, const std::string& reason, const std::string& hint) {
    if (world.alone()) return;
    const std::string text = facts.dump(-1, ' ', false, Json::error_handler_t::replace);
    const std::vector<uint64_t> hashes = world.of_all(files::hash(text));
    const auto other = std::ranges::find_if(hashes, [&](uint64_t hash) { return hash != hashes[0]; });
    if (other == hashes.end()) return;
    const std::vector<std::string> texts = world.texts_of_all(text);
    if (world.first()) {
        const size_t r = size_t(other - hashes.begin());
        const std::string name = "rank " + std::to_string(r);
        std::string what;
        for (const std::string& line :
             differences(parse_json(texts[0], "rank 0"), parse_json(texts[r], name), "on rank 0", "on " + name))
            what += (what.empty() ? "" : "; ") + line;
        throw Error(Exit::device, name, reason + " (" + what + ")", hint);
    }
    world.barrier();
}
