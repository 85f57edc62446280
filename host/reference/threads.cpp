#include "threads.h"
#include <omp.h>
#include <sched.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>
#include <vector>

namespace {

constexpr int most_threads = 256;

// Who waits looks again and again for so long, then sleeps: to be woken takes as long as a short loop.
constexpr auto patience = std::chrono::microseconds(100);

template <class Ready>
bool becomes_ready(Ready ready) {
    using Clock = std::chrono::steady_clock;
    for (const auto end = Clock::now() + patience; Clock::now() < end;)
        for (int i = 0; i < 64; i++) {
            if (ready()) return true;
#ifdef __x86_64__
            __builtin_ia32_pause();
#endif
        }
    return false;
}

thread_local int number = 0;       // of this thread in the team
thread_local bool inside = false;  // of a loop

// Under OMP_PROC_BIND the program's first thread stays in one place, and a thread it starts would stay there with it.
void take_a_place(int thread) {
    const int places = omp_get_num_places();
    if (omp_get_proc_bind() == omp_proc_bind_false || places == 0) return;
    std::vector<int> processors(omp_get_place_num_procs(thread % places));
    omp_get_place_proc_ids(thread % places, processors.data());
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int i : processors) CPU_SET(i, &set);
    sched_setaffinity(0, sizeof set, &set);  // a wish: without it all is slower, and the same
}

// The threads that help the one in run(). They live as long as the process. A forked child has none of them and works
// alone, to the same result.
class Team {
public:
    void run(int n, int threads, void (*function)(const void*, int), const void* argument) {
        hire(threads);
        call = function, work = argument, count = n;
        members = threads;
        done = 0;
        for (int i = 0; i < threads; i++) shares[i].left = end(i) - end(i - 1);
        if (sleepers > 0) {
            bell++;
            bell.notify_all();
        }
        help();
        if (becomes_ready([this] { return done == count; })) return;
        caller_sleeps = true;
        for (int some; (some = done) != count;) done.wait(some);
        caller_sleeps = false;
    }

private:
    // What is left of a thread's share: its last `left` indices. Who takes some may then read the loop's description,
    // as that changes only when every share is empty and all that was taken is done.
    struct alignas(64) Share {
        std::atomic<int> left = 0;
    };

    int end(int share) const { return int((share + 1LL) * count / members); }

    bool anything_left() const {
        return std::any_of(shares.begin(), shares.begin() + members, [](const Share& s) { return s.left > 0; });
    }

    // Works on what is left, first of the own share, then of the others', in pieces that shrink towards the end.
    void help() {
        inside = true;
        for (int k = 0, all = members; k < all; k++) {
            const int owner = (number + k) % all;
            std::atomic<int>& left = shares[owner].left;
            for (int n = left; n > 0;) {
                const int piece = (n + 3) / 4;
                if (!left.compare_exchange_weak(n, n - piece)) continue;
                for (int i = end(owner) - n, last = i + piece; i < last; i++) call(work, i);
                report(piece);
                n = left;
            }
        }
        inside = false;
    }

    void report(int piece) {
        const int all = count;  // before the caller may go on to another loop
        if (done.fetch_add(piece) + piece == all && caller_sleeps) done.notify_one();
    }

    void hire(int threads) {
        try {
            for (; hired < threads; hired++) std::thread([this, i = hired] { serve(i); }).detach();
        } catch (const std::system_error&) {  // no more threads to be had: the others do all
        }
    }

    void serve(int i) {
        number = i;
        take_a_place(i);
        const auto ready = [this] { return number < members && anything_left(); };
        for (;;) {
            if (!becomes_ready(ready)) {
                sleepers++;
                const unsigned heard = bell;
                if (!ready()) bell.wait(heard);
                sleepers--;
            }
            help();
        }
    }

    std::array<Share, most_threads> shares;
    void (*call)(const void*, int) = nullptr;
    const void* work = nullptr;
    int count = 0, hired = 1;  // the caller is the first
    std::atomic<int> members = 0, done = 0, sleepers = 0;
    std::atomic<unsigned> bell = 0;
    std::atomic<bool> caller_sleeps = false;
};

}  // namespace

int thread_count() { return std::clamp(omp_get_max_threads(), 1, most_threads); }

void parallel_for(int count, void (*call)(const void*, int), const void* work) {
    static Team& team = *new Team;  // never destroyed, as its threads are not
    static std::atomic_flag busy;   // by a loop of another thread, which then has the team
    const int threads = std::min(thread_count(), count);
    if (inside || threads <= 1 || omp_in_parallel() || busy.test_and_set()) {
        for (int i = 0; i < count; i++) call(work, i);
        return;
    }
    team.run(count, threads, call, work);
    busy.clear();
}
