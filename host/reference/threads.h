// Loops over all threads. A thread starts with its own share of the loop and then helps the others with theirs. So a
// thread that the system has stopped, or that has not woken up yet, holds nobody up but for the piece it has begun:
// another program may have a core to itself, and the loop goes on with the rest.
#pragma once

// Threads that share a loop: what OpenMP would take (OMP_NUM_THREADS, omp_set_num_threads).
int thread_count();

// Calls call(work, i) once for every i of 0..count-1, on any thread, in any order; returns when all are done. Inside of
// another such loop the calling thread does all of it.
void parallel_for(int count, void (*call)(const void* work, int i), const void* work);

template <class Work>
void parallel_for(int count, const Work& work) {
    parallel_for(
        count, [](const void* work, int i) { (*static_cast<const Work*>(work))(i); }, &work);
}

// Loops that do not depend on each other, as one: each has count() and a call operator.
template <class... Loop>
void parallel_together(const Loop&... loops) {
    parallel_for((loops.count() + ...), [&](int i) {
        const auto mine = [&](const auto& loop) {  // whether i is one of the loop's
            if (i >= 0 && i < loop.count()) loop(i);
            i -= loop.count();
        };
        (mine(loops), ...);
    });
}
