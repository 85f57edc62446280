#include "world.h"
#include <cstdio>
#include <thread>
#include "host/base/error.h"
#include "host/base/progress.h"

World World::join(double patience) {
    World world;
    world.joined = std::make_shared<Joined>(patience);
    world.rank_ = world.mpi().rank();
    world.size_ = world.mpi().size();
    return world;
}

Mpi& World::mpi() const {
    REQUIRE(joined != nullptr);
    return joined->mpi;
}

int World::place() const { return joined ? joined->mpi.place() : 0; }
int World::neighbours() const { return joined ? joined->mpi.neighbours() : 1; }
uint64_t World::bytes_sent() const { return joined ? joined->mpi.bytes_sent() : 0; }

std::string World::text_of_first(std::string mine) const {
    if (alone()) return mine;
    mine.resize(of_first(mine.size()));
    mpi().broadcast(mine.data(), mine.size());
    return mine;
}

std::vector<std::string> World::texts_of_all(const std::string& mine) const {
    if (alone()) return {mine};
    const std::vector<size_t> sizes = of_all(mine.size());
    size_t sum = 0;
    for (const size_t size : sizes) sum += size;
    std::string joined_texts(first() ? sum : 0, ' ');
    mpi().gather(joined_texts.data(), mine.data(), sizes);
    std::vector<std::string> all;
    if (!first()) return all;
    size_t at = 0;
    for (const size_t size : sizes) all.push_back(joined_texts.substr(at, size)), at += size;
    return all;
}

double World::sum(double mine) const {
    double sum = 0;
    for (const double x : of_all(mine)) sum += x;
    return sum;
}

void World::barrier() const {
    if (!alone()) mpi().barrier();
}

void World::wait_until(const std::function<bool()>& ready) const {
    const double start = seconds();
    while (!ready()) {
        if (seconds() - start > 0.002) std::this_thread::sleep_for(std::chrono::microseconds(20));
        if (!joined || seconds() - start < joined->patience) continue;
        barrier();  // who does not come is named
        throw Error(Exit::device, "rank " + std::to_string(rank_),
                    "what the ranks do together has not ended in " + std::to_string(long(joined->patience)) + " s",
                    "all of them are there; --rank-timeout N waits longer");
    }
}

void World::leave() {
    if (joined) joined->mpi.leave();
    joined.reset();
}

void World::write_output_to(const std::string& directory) const {
    if (joined) joined->output.move_to(directory);
}

void World::fail(int code, const std::vector<std::string>& lines) const {
    if (!first()) std::this_thread::sleep_for(std::chrono::seconds(3));
    for (const std::string& line : lines) joined->output.complain(line);
    joined->mpi.abort(code);
}
