#include <functional>
#include <thread>
#include "block.h"
#include "cluster.h"

namespace simt {
namespace {

// OS threads that stay, one for each rank: fibers and shared memory are theirs.
class Worker {
public:
    static Worker& of(unsigned rank) {
        static Worker* workers[most_cluster_blocks] = {};
        if (!workers[rank]) workers[rank] = new Worker;
        return *workers[rank];
    }
    void start(std::function<void()> f) {
        const std::lock_guard lock(mutex);
        work = std::move(f);
        changed.notify_all();
    }

private:
    Worker() {
        std::thread([this] { loop(); }).detach();
    }
    void loop() {
        for (;;) {
            std::function<void()> f;
            {
                std::unique_lock lock(mutex);
                changed.wait(lock, [&] { return bool(work); });
                f = std::exchange(work, nullptr);
            }
            f();
        }
    }
    std::mutex mutex;
    std::condition_variable changed;
    std::function<void()> work;
};

}  // namespace

Cluster::Cluster(const Launch& l, dim3 first_block)
    : launch(l), first(first_block), members(size_t(l.cluster.x) * l.cluster.y * l.cluster.z) {}

dim3 Cluster::block_at(unsigned rank) const {
    const dim3& c = launch.cluster;
    return dim3(first.x + rank % c.x, first.y + rank / c.x % c.y, first.z + rank / (c.x * c.y));
}

void Cluster::run() {
    const Permutation order(launch.order, first.x + 1, count());
    baton = unsigned(order(0));
    unsigned left = count();
    for (unsigned i = 0; i < count(); i++)
        Worker::of(i).start([this, i, &left] {
            std::unique_lock lock(mutex);
            changed.wait(lock, [&] { return baton == i || failed; });
            const bool goes = !failed;
            lock.unlock();
            if (goes) run_member(i);
            lock.lock();
            members[i].state = State::over;
            unsigned next;
            bool any = pick(next, i);
            for (unsigned k = 0; k < count() && !any; k++)  // a stuck one, which will find that it is
                if (members[k].state != State::over) next = k, any = true;
            if (any) hand_to(next);
            left--;
            changed.notify_all();
        });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !left; });
    if (failure) std::rethrow_exception(failure);
}

void Cluster::run_member(unsigned rank) {
    const dim3 at = block_at(rank);
    const dim3& g = launch.grid;
    try {
        Block::mine().run(launch, at, at.x + uint64_t(g.x) * (at.y + uint64_t(g.y) * at.z), this, rank);
    } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failed) failure = std::current_exception();
        failed = true;
        changed.notify_all();
    }
}

void Cluster::begin(unsigned rank, Block* block) { members[rank].block = block, members[rank].state = State::runs; }

// Another block that can go on; in a shuffled order any of them.
bool Cluster::pick(unsigned& rank, unsigned after) const {
    const bool shuffled = launch.order.kind == Order::Kind::shuffled;
    const unsigned turn = shuffled ? unsigned(Permutation::mix(launch.order.seed + turns)) % count() : after + 1;
    for (unsigned i = 0; i < count(); i++) {
        rank = (turn + i) % count();
        if (rank != after && members[rank].state != State::over && !members[rank].stuck) return true;
    }
    return false;
}

void Cluster::hand_to(unsigned rank) {
    turns++;
    baton = rank;
    changed.notify_all();
}

bool Cluster::let_others_run(unsigned rank, bool ready) {
    std::unique_lock lock(mutex);
    members[rank].stuck = !ready;
    unsigned next;
    if (!pick(next, rank)) return ready && !failed;
    hand_to(next);
    changed.wait(lock, [&] { return baton == rank || failed; });
    return !failed && (ready || !members[rank].stuck);
}

unsigned Cluster::living() const {
    unsigned n = 0;
    for (const Member& m : members)
        if (m.state == State::new_one) n += launch.block.x * launch.block.y * launch.block.z;
        else if (m.state == State::runs) n += m.block->living_threads();
    return n;
}

// ---- What blocks do together ----

void Block::cluster_arrive(unsigned arriving) {
    cluster_barrier().arrived += arriving;
    complete_cluster_barrier();
}

void Block::cluster_wait(const char* name, unsigned phase, At at) {
    ClusterBarrier& b = cluster_barrier();
    while (b.phase == phase) {
        b.waiting.push_back({rank, self()});
        self()->waits_in = name;
        self()->waits_at = at;
        wait();
    }
}

// A launch without clusters is one of clusters of one block.
ClusterBarrier& Block::cluster_barrier() {
    if (cluster) return cluster->barrier;
    if (!own_barrier) own_barrier = std::make_unique<ClusterBarrier>();
    return *own_barrier;
}

void Block::complete_cluster_barrier() {
    if (!cluster && !own_barrier) return;
    ClusterBarrier& b = cluster ? cluster->barrier : *own_barrier;
    if (!b.arrived || b.arrived < (cluster ? cluster->living() : living)) return;
    b.arrived = 0;
    b.phase++;
    const auto waiting = std::exchange(b.waiting, {});
    for (const auto& [whose, thread] : waiting) {
        if (!cluster || whose == rank) {
            make_ready(thread);
            continue;
        }
        cluster->block(whose)->make_ready(thread);
        cluster->wake(whose);
    }
}

// The block of that rank, while it runs.
Block& Block::peer(const char* name, unsigned other, At at) {
    if (!cluster && other == 0) return *this;
    if (!cluster || other >= cluster->count())
        fail(719, std::string(name) + ": there is no block of rank " + std::to_string(other) + " in this cluster; " +
                      to_string(at));
    if (other == rank) return *this;
    Block* const b = strict ? cluster->block(other) : cluster->block_that_was(other);
    if (!b)
        fail(719, std::string(name) + ": the block of rank " + std::to_string(other) +
                      (cluster->has_begun(other) ? " is over" : " may not have begun") +
                      ": no barrier of the cluster holds it; " + to_string(at));
    return *b;
}

}  // namespace simt
