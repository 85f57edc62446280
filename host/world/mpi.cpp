#include "mpi.h"
#include <unistd.h>
#include "host/base/error.h"

#ifdef GPT_MPI
#include <mpi.h>
#include <sched.h>
#include <algorithm>
#include <chrono>
#include <climits>
#include <list>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

// How long the others get to say that they wait, once one has lost its patience.
constexpr std::chrono::seconds roll_call(5);
constexpr int roll_call_tag = 1;

void check(int code, const char* what) {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    throw Error(Exit::device, "MPI", std::string(what) + ": " + text, "the last checkpoint is whole");
}

int count(size_t bytes) {
    REQUIRE(bytes <= size_t(INT_MAX));
    return int(bytes);
}

// Who waits looks again and again at first, then lets others have the processor: there may be more ranks than cores.
void rest(int turn) {
    if (turn < 200) return;
    if (turn < 2000) sched_yield();
    else std::this_thread::sleep_for(std::chrono::microseconds(50));
}

}  // namespace

struct Mpi::State {
    MPI_Comm data = MPI_COMM_NULL, calls = MPI_COMM_NULL;  // what is carried, and who waits for whom
    int rank = 0, size = 1, place = 0, neighbours = 1;
    double patience;
    uint64_t sent = 0;

    int64_t operation = 0;                 // the number of the one that is under way
    std::vector<int64_t> heard, waits_in;  // from each rank: what is being received; the last operation it waited in
    std::vector<MPI_Request> listening;
    struct Call {
        int64_t operation;
        MPI_Request request;
    };
    std::list<Call> said;
    bool called = false;  // that this rank waits in this operation

    void listen_to(int other) {
        if (other != rank)
            check(MPI_Irecv(&heard[size_t(other)], 1, MPI_INT64_T, other, roll_call_tag, calls,
                            &listening[size_t(other)]),
                  "MPI_Irecv");
    }

    // True if somebody has lost its patience with this operation, or an earlier one that this rank is through with.
    bool hear() {
        bool asked = false;
        for (int other = 0, done = 0; other < size; other++) {
            if (other == rank) continue;
            check(MPI_Test(&listening[size_t(other)], &done, MPI_STATUS_IGNORE), "MPI_Test");
            if (!done) continue;
            waits_in[size_t(other)] = heard[size_t(other)];
            asked |= waits_in[size_t(other)] <= operation;
            listen_to(other);
        }
        return asked;
    }
    void call() {
        called = true;
        std::erase_if(said, [](Call& call) {
            int done = 0;
            return MPI_Test(&call.request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done;
        });
        for (int other = 0; other < size; other++) {
            if (other == rank) continue;
            Call& call = said.emplace_back(Call{operation, MPI_REQUEST_NULL});
            check(MPI_Isend(&call.operation, 1, MPI_INT64_T, other, roll_call_tag, calls, &call.request), "MPI_Isend");
        }
    }
    // The last may just have come. Who came may still be stopped before it has done its part: it is asked again later.
    void require_all_to_wait() {
        std::string missing;
        int many = 0;
        for (int other = 0; other < size; other++)
            if (other != rank && waits_in[size_t(other)] < operation)
                missing += (many++ ? ", " : "") + std::to_string(other);
        std::fill(waits_in.begin(), waits_in.end(), 0);
        called = false;
        if (many == 0) return;
        throw Error(Exit::device, (many == 1 ? "rank " : "ranks ") + missing,
                    "the others have waited " + std::to_string(long(patience)) + " s for " +
                        (many == 1 ? "it: it is" : "them: they are") + " stopped, dead or too slow",
                    "the last checkpoint is whole; --rank-timeout N waits longer");
    }

    void finish(MPI_Request request, const char* what) {
        operation++;
        called = false;
        const auto most = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(patience));
        auto deadline = Clock::now() + most;
        for (int turn = 0, done = 0;; turn++) {
            check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), what);
            if (done) return;
            rest(turn);
            if (turn < 2000 || turn % 64 != 0) continue;
            const bool asked = hear(), late = Clock::now() >= deadline;
            if (late && called) {
                require_all_to_wait();
                deadline = Clock::now() + most;
            } else if (late || (asked && !called)) {
                call();
                deadline = Clock::now() + roll_call;
            }
        }
    }
};

bool Mpi::built_in() { return true; }

Mpi::Mpi(double patience) : state(std::make_unique<State>()) {
    State& s = *state;
    s.patience = patience;
    int given = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &given), "MPI_Init_thread");
    check(MPI_Comm_dup(MPI_COMM_WORLD, &s.data), "MPI_Comm_dup");
    check(MPI_Comm_dup(MPI_COMM_WORLD, &s.calls), "MPI_Comm_dup");
    for (const MPI_Comm comm : {s.data, s.calls}) MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(s.data, &s.rank);
    MPI_Comm_size(s.data, &s.size);
    MPI_Comm here = MPI_COMM_NULL;
    check(MPI_Comm_split_type(s.data, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here), "MPI_Comm_split_type");
    MPI_Comm_rank(here, &s.place);
    MPI_Comm_size(here, &s.neighbours);
    MPI_Comm_free(&here);
    s.heard.assign(size_t(s.size), 0);
    s.waits_in.assign(size_t(s.size), 0);
    s.listening.assign(size_t(s.size), MPI_REQUEST_NULL);
    for (int other = 0; other < s.size; other++) s.listen_to(other);
}

Mpi::~Mpi() = default;

int Mpi::rank() const { return state->rank; }
int Mpi::size() const { return state->size; }
int Mpi::place() const { return state->place; }
int Mpi::neighbours() const { return state->neighbours; }
uint64_t Mpi::bytes_sent() const { return state->sent; }

void Mpi::all_to_all(void* receive, const void* send, size_t bytes) {
    MPI_Request request;
    check(MPI_Ialltoall(send, count(bytes), MPI_BYTE, receive, count(bytes), MPI_BYTE, state->data, &request),
          "MPI_Ialltoall");
    state->sent += bytes * size_t(size() - 1);
    state->finish(request, "MPI_Ialltoall");
}

void Mpi::all_gather(void* all, size_t bytes) {
    MPI_Request request;
    check(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_BYTE, all, count(bytes), MPI_BYTE, state->data, &request),
          "MPI_Iallgather");
    state->sent += bytes * size_t(size() - 1);
    state->finish(request, "MPI_Iallgather");
}

void Mpi::gather(void* all, const void* mine, std::span<const size_t> bytes) {
    std::vector<int> counts, begins;
    size_t sum = 0;
    for (const size_t b : bytes) counts.push_back(count(b)), begins.push_back(count(sum)), sum += b;
    MPI_Request request;
    check(MPI_Igatherv(mine, counts[size_t(rank())], MPI_BYTE, all, counts.data(), begins.data(), MPI_BYTE, 0,
                       state->data, &request),
          "MPI_Igatherv");
    if (rank() != 0) state->sent += bytes[size_t(rank())];
    state->finish(request, "MPI_Igatherv");
}

void Mpi::broadcast(void* data, size_t bytes) {
    MPI_Request request;
    check(MPI_Ibcast(data, count(bytes), MPI_BYTE, 0, state->data, &request), "MPI_Ibcast");
    if (rank() == 0) state->sent += bytes * size_t(size() - 1);
    state->finish(request, "MPI_Ibcast");
}

void Mpi::barrier() {
    MPI_Request request;
    check(MPI_Ibarrier(state->data, &request), "MPI_Ibarrier");
    state->finish(request, "MPI_Ibarrier");
}

void Mpi::leave() {
    barrier();
    for (MPI_Request& request : state->listening)
        if (request != MPI_REQUEST_NULL) MPI_Cancel(&request), MPI_Request_free(&request);
    MPI_Finalize();
}

void Mpi::abort(int code) {
    MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

#else

struct Mpi::State {};

bool Mpi::built_in() { return false; }
Mpi::Mpi(double) { throw Error(Exit::device, "MPI", "this program was built without it"); }
Mpi::~Mpi() = default;
int Mpi::rank() const { return 0; }
int Mpi::size() const { return 1; }
int Mpi::place() const { return 0; }
int Mpi::neighbours() const { return 1; }
uint64_t Mpi::bytes_sent() const { return 0; }
void Mpi::all_to_all(void*, const void*, size_t) {}
void Mpi::all_gather(void*, size_t) {}
void Mpi::gather(void*, const void*, std::span<const size_t>) {}
void Mpi::broadcast(void*, size_t) {}
void Mpi::barrier() {}
void Mpi::leave() {}
void Mpi::abort(int code) { _exit(code); }

#endif
