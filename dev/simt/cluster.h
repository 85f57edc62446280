// Blocks that run together. Each is on an OS thread of its own, but only one at a time goes on: whoever has the baton
// may touch what belongs to the others. A block hands it over when none of its threads can go on, or, in a shuffled
// order, now and then.
#pragma once
#include <condition_variable>
#include <exception>
#include <mutex>
#include <vector>
#include "grid.h"

namespace simt {

class Block;
struct CudaThread;

constexpr unsigned most_cluster_blocks = 16, most_portable_cluster_blocks = 8;

struct ClusterBarrier {
    unsigned arrived = 0, phase = 0;
    std::vector<std::pair<unsigned, CudaThread*>> waiting;  // rank of its block
};

class Cluster {
public:
    Cluster(const Launch&, dim3 first_block);
    unsigned count() const { return unsigned(members.size()); }
    dim3 block_at(unsigned rank) const;  // its index in the grid
    // Runs all blocks, in an order of the launch's; throws the Failure of the first that fails.
    void run();

    // ---- Called by the block that has the baton ----
    // False: none can go on any more, or one has failed. `ready`: this one could.
    bool let_others_run(unsigned rank, bool ready);
    void wake(unsigned rank) { members[rank].stuck = false; }
    // Null: that block has not begun, or is over.
    Block* block(unsigned rank) const { return members[rank].state == State::runs ? members[rank].block : nullptr; }
    // The same, also when it is over: its memory stays.
    Block* block_that_was(unsigned rank) const { return members[rank].block; }
    bool has_begun(unsigned rank) const { return members[rank].state != State::new_one; }
    void begin(unsigned rank, Block*);
    unsigned living() const;  // threads
    bool has_failed() const { return failed; }

    const Launch& launch;
    const dim3 first;
    ClusterBarrier barrier;

private:
    enum class State { new_one, runs, over };
    struct Member {
        Block* block = nullptr;
        State state = State::new_one;
        bool stuck = false;
    };
    void run_member(unsigned rank);
    bool pick(unsigned& rank, unsigned after) const;
    void hand_to(unsigned rank);

    std::vector<Member> members;
    std::mutex mutex;
    std::condition_variable changed;
    unsigned baton = 0;
    uint64_t turns = 0;
    bool failed = false;
    std::exception_ptr failure;
};

}  // namespace simt
