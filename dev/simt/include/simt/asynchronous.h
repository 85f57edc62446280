// What ptx_hopper.h needs from the scheduler (async_barrier.cpp, tensor_copy.cpp, warpgroup.cpp). As in simt.h.
//
// Barriers, maps and descriptors are what they are on the GPU, a few bytes; what they stand for is kept here.
#pragma once
#include "simt.h"

namespace simt {

// ---- Asynchronous barriers: `word` is what shared memory holds at `barrier`, and names it ----

uint64_t async_barrier_init(const void* barrier, int arrivals, At);  // gives the word
void async_barrier_init_fence();
void async_barrier_arrive(const void* barrier, uint64_t word, unsigned bytes, At);
void async_barrier_wait(const void* barrier, uint64_t word, unsigned parity, At);

void proxy_fence();

// ---- Tensor copies ----

struct Coordinates {
    int rank, c[5];
};
void check_tensor_map(const char* name, const void* map, At);
void tensor_load(void* shared, const void* map, const void* barrier, uint64_t word, const Coordinates&, At);
void tensor_store(const void* map, const void* shared, const Coordinates&, At);
void tensor_store_commit();
enum class Until { read, written };
void tensor_store_wait(unsigned pending, Until);

// ---- Products of a warpgroup ----

struct Factors {
    bool a_in_registers, a_across, b_across, add;
    int registers;  // of d, in each lane
    uint64_t a, b;  // descriptors
};
void multiply(float* d, const uint32_t* a_registers, const Factors&, At);
// What d holds until its product is waited for: a signalling NaN, as arithmetic on it leaves another.
constexpr unsigned in_flight_bits = 0xffbfffff;
constexpr bool in_flight(const float& x) { return __builtin_bit_cast(unsigned, x) == in_flight_bits; }
void wgmma_fence(At);
void wgmma_commit(At);
void wgmma_wait(unsigned pending, At);
void set_registers(int registers, At);

uint64_t matrix_descriptor(const void* shared, unsigned leading, unsigned stride, At);
uint64_t descriptor_at(uint64_t descriptor, unsigned bytes, At);

}  // namespace simt
