// How several ranks come to be: mpirun, srun or another starts this program several times and tells each in environment
// variables which it is. `--ranks N` alone makes this program start itself so, by mpirun.
#pragma once
#include <functional>
#include <string>
#include "host/base/error.h"

struct Launched {
    int rank = 0, size = 1;
    std::string by;  // "mpirun", "srun", "torchrun"; "": nobody, one rank
};
using Environment = std::function<const char*(const char* name)>;  // getenv

// Throws Error{usage} where the variables contradict each other.
Launched launched_by(const Environment& environment);
Launched launched_by();

// Refuses what this program cannot join: Error{device} with what to install, or how to start it.
void require_joinable(const Launched& launched);

// Starts this program again with the same arguments as N ranks on this machine, and waits for them: their output is
// ours, and signals reach them. Returns their exit code; a rank that dies is named, and is Exit::device.
Exit start_ranks(int ranks);

// What mpirun says of a job that it had to end: "rank 1 was killed by signal 9"; "" if it names no rank.
std::string death_told_by_mpirun(const std::string& said);
