// What the ranks do with flat buffers, on GPUs: not there yet (host/world/exchange.h is, on CPUs).
#pragma once
#include "host/world/exchange.h"
#include "kernels/tools/gpu.cuh"

[[noreturn]] inline void refuse_ranks() {
    throw Error(Exit::device, "--ranks", "trains on CPUs only so far", "add --device cpu");
}
template <class T, class U>
void reduce_scatter(U*, const Shards&, const World&, Gpu<T>) {
    refuse_ranks();
}
template <class T, class U>
void all_gather(U*, const Shards&, const World&, Gpu<T>) {
    refuse_ranks();
}
template <class T, class U>
void all_gather(U*, const World&, Gpu<T>) {
    refuse_ranks();
}
