#include "join_ranks.h"
#include <omp.h>
#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include "host/base/file_reader.h"
#include "host/options/flag_table.h"
#include "host/world/handshake.h"
#include "host/world/launcher.h"

namespace {

void require_as_started(const Options& options, const Launched& launched) {
    if (!options.has("ranks") || options.ranks == launched.size) return;
    throw Error(Exit::usage, "--ranks " + std::to_string(options.ranks),
                launched.by + " started " + std::to_string(launched.size), "leave it out");
}

void require_all_there(const World& world, const Launched& launched) {
    if (world.size() == launched.size) return;
    throw Error(
        Exit::device, launched.by,
        "started " + std::to_string(launched.size) + " ranks, of which MPI knows " + std::to_string(world.size()),
        launched.by == "srun" ? "srun --mpi=pmix tells it of all" : "is it the mpirun of the MPI built with?");
}

// Without --threads the ranks that may run on the same cores share them. Launchers bind ranks to cores, or do not.
void share_cores(const Options& options, const World& world) {
    struct Place {
        char host[64] = {};
        cpu_set_t cores = {};
    } mine;
    gethostname(mine.host, sizeof mine.host - 1);
    sched_getaffinity(0, sizeof mine.cores, &mine.cores);
    int sharing = 0;
    for (const Place& other : world.of_all(mine)) sharing += std::memcmp(&other, &mine, sizeof mine) == 0;
    if (options.threads == 0 && !std::getenv("OMP_NUM_THREADS"))
        omp_set_num_threads(std::max(1, CPU_COUNT(&mine.cores) / sharing));
}

}  // namespace

std::optional<Exit> become_ranks(const Options& options, World& world) {
    if (options.command != Command::train) return {};
    const Launched launched = launched_by();
    if (launched.size == 1) {
        if (options.ranks == 1) return {};
        return start_ranks(options.ranks);
    }
    require_joinable(launched);
    require_as_started(options, launched);
    world = World::join(options.rank_timeout);
    require_all_there(world, launched);
    share_cores(options, world);
    const Json facts{{"program", files::hex(files::hash_file("/proc/self/exe"))}, {"flags", to_json(options)}};
    require_same(world, facts, "was started otherwise", "start all ranks by one command");
    return {};
}
