// Hopper's own instructions (compute capability 9.0, sm_90a): asynchronous barriers, tensor copies, warpgroup products.
// As in ptx.cuh, all of their inline PTX is here, and dev/simt supplies the same functions on the CPU.
//
// Shared memory has two proxies: loads, stores, ldmatrix and stmatrix go through the generic one, tensor copies and
// warpgroup products through the asynchronous one. Between a write through the one and a use through the other stand
// proxy_fence() by the writing thread and then a barrier. (PTX manual: Asynchronous Warpgroup Level Matrix
// Instructions, Data Movement and Conversion, Parallel Synchronization: mbarrier.)
#pragma once
#include <cstdint>
#include "ptx.cuh"

// How a tensor lies in memory and which box of it a copy moves, as the driver encodes it (tensor_map.cuh). Kernels take
// it as `const __grid_constant__ TensorMap`.
struct alignas(64) TensorMap {
    unsigned char opaque[128];
};

// In shared memory. A phase ends when all arrivals of it have come and all bytes announced in it are there.
struct alignas(8) AsyncBarrier {
    uint64_t word;
};

// Which way a matrix in shared memory lies for a warpgroup's product: its rows along k, or across.
enum class Major { k, across };

// Kernels of these instructions have a body only where this is 1: in machine code for sm_90a, and in dev/simt.
#if !defined(__CUDACC__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HOPPER 1
#else
#define HOPPER 0
#endif
// __launch_bounds__ of such kernels. Without a body none may have so many threads: a launch there fails and says so.
constexpr int hopper_threads(int threads) { return HOPPER ? threads : 32; }

#ifndef __CUDACC__
#include <simt/ptx_hopper.h>
#elif HOPPER

// ---- Asynchronous barriers ----

// By one thread, before the others see it: then barrier_init_fence() by the same thread, and a barrier of the block.
__device__ inline void barrier_init(AsyncBarrier* b, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
}
__device__ inline void barrier_init_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

__device__ inline void barrier_arrive(AsyncBarrier* b) {
    asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
// Arrives, and announces bytes that copies will bring in this phase.
__device__ inline void barrier_arrive_expect(AsyncBarrier* b, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)),
                 "r"(bytes)
                 : "memory");
}
// Until the phase of this parity is over. Phases count from 0: of a new barrier the one before, parity 1, is over.
__device__ inline void barrier_wait(AsyncBarrier* b, unsigned parity) {
    asm volatile(
        "{ .reg .pred done;\n"
        "again: mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again; }" ::"r"(shared_address(b)),
        "r"(parity)
        : "memory");
}

// What this thread has written to shared memory so far comes before what the asynchronous proxy does after a barrier.
__device__ inline void proxy_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// ---- Tensor copies, by one thread ----

__device__ inline void prefetch_tensor_map(const TensorMap& map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// The box of `map` that begins at these coordinates (the innermost first, elements) to shared memory, 128-byte aligned
// (1024, if the map swizzles). Elements outside of the tensor become zeros. The whole box's bytes count at the barrier.
__device__ inline void tensor_load(void* shared, const TensorMap& map, AsyncBarrier* b, int c0, int c1) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], "
        "[%2];" ::"r"(shared_address(shared)),
        "l"(&map), "r"(shared_address(b)), "r"(c0), "r"(c1)
        : "memory");
}
__device__ inline void tensor_load(void* shared, const TensorMap& map, AsyncBarrier* b, int c0, int c1, int c2) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
        "[%2];" ::"r"(shared_address(shared)),
        "l"(&map), "r"(shared_address(b)), "r"(c0), "r"(c1), "r"(c2)
        : "memory");
}
__device__ inline void tensor_load(void* shared, const TensorMap& map, AsyncBarrier* b, int c0, int c1, int c2,
                                   int c3) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, "
        "%6}], [%2];" ::"r"(shared_address(shared)),
        "l"(&map), "r"(shared_address(b)), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
        : "memory");
}

// The other way; elements outside of the tensor are left out, and no coordinate may be negative (an illegal instruction
// on an H100). What was written generically needs proxy_fence() by its writers and a barrier before. A commit closes
// this thread's group of stores.
__device__ inline void tensor_store(const TensorMap& map, const void* shared, int c0, int c1) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&map),
                 "r"(shared_address(shared)), "r"(c0), "r"(c1)
                 : "memory");
}
__device__ inline void tensor_store(const TensorMap& map, const void* shared, int c0, int c1, int c2) {
    asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(&map),
                 "r"(shared_address(shared)), "r"(c0), "r"(c1), "r"(c2)
                 : "memory");
}
__device__ inline void tensor_store(const TensorMap& map, const void* shared, int c0, int c1, int c2, int c3) {
    asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(&map),
                 "r"(shared_address(shared)), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
                 : "memory");
}
__device__ inline void tensor_store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// Until at most so many groups still read shared memory (their place may then be written again) ...
template <int pending>
__device__ void tensor_store_wait_read() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
}
// ... or are not yet in global memory.
template <int pending>
__device__ void tensor_store_wait() {
    asm volatile("cp.async.bulk.wait_group %0;" ::"n"(pending) : "memory");
}

// ---- Products of a warpgroup: 4 warps, the first a multiple of 4. All of its threads, converged. ----
//
//   wgmma: d (64 x N) = a (64 x 16) . b (16 x N) (+ d). Warp w of the group holds rows 16 w to 16 w + 15: register i of
//   a lane is row g + 8 (i / 2 % 2), column 8 (i / 4) + 2 t + i % 2. a in registers is laid out as in mma.
//
// A product begins when it is called and is done after wgmma_wait: until then nobody may touch d, a in registers, or
// what it reads in shared memory. After any other write to these registers, wgmma_fence() must stand before the next
// product.

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int pending>  // until at most so many groups are
__device__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

// After the wait, before d is read: the compiler must not move its reading up.
template <int registers>
__device__ void wgmma_done(float (&d)[registers]) {
#pragma unroll
    for (int i = 0; i < registers; i++) asm volatile("" : "+f"(d[i])::"memory");
}

// Registers of more or fewer than the kernel was launched with, for all warps of a warpgroup: a multiple of 8,
// 24 to 256.
template <int registers>
__device__ void registers_shrink() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers>
__device__ void registers_grow() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

// A matrix in shared memory, as tensor copies with 128-byte swizzle leave it: panels of rows of 64 bf16. `leading` and
// `stride` are bytes (PTX manual, Matrix Descriptor): rows along k: leading is not used, stride = 8 rows = 1024; rows
// across k (64 columns of it to a panel): leading from one panel to the next, stride = 8 of k = 1024.
// descriptor_at moves along k.
__device__ inline uint64_t matrix_descriptor(const void* shared, unsigned leading, unsigned stride) {
    const auto field = [](unsigned bytes) { return uint64_t((bytes & 0x3ffff) >> 4); };
    return field(shared_address(shared)) | field(leading) << 16 | field(stride) << 32 | uint64_t(1) << 62;
}
__device__ inline uint64_t descriptor_at(uint64_t descriptor, unsigned bytes) { return descriptor + (bytes >> 4); }

// clang-format off
#define D4 "%0, %1, %2, %3"
#define D16 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define D32 D16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define D48 D32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define D64 D48 ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define D80 D64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"
#define D96 D80 ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define D112 D96 ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111"
#define D128 D112 ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define O4 "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
#define O16 "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15])
#define O32 O16, "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define O48 O32, "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47])
#define O64 O48, "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
#define O80 O64, "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71]), "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), "+f"(d[79])
#define O96 O80, "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91]), "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95])
#define O112 O96, "+f"(d[96]), "+f"(d[97]), "+f"(d[98]), "+f"(d[99]), "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103]), "+f"(d[104]), "+f"(d[105]), "+f"(d[106]), "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111])
#define O128 O112, "+f"(d[112]), "+f"(d[113]), "+f"(d[114]), "+f"(d[115]), "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119]), "+f"(d[120]), "+f"(d[121]), "+f"(d[122]), "+f"(d[123]), "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127])
#define WGMMA_SHARED(N, D, O, A, B, ADD, TA, TB)                                                                   \
    asm volatile("{ .reg .pred add; setp.ne.b32 add, " ADD ", 0; wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 " \
                 "{" D "}, " A ", " B ", add, 1, 1, " TA ", " TB "; }"                                               \
                 : O : "l"(a), "l"(b), "r"(int(add)), "n"(int(of_a == Major::across)), "n"(int(of_b == Major::across)))
#define WGMMA_REGISTERS(N, D, O, A0, A1, A2, A3, B, ADD, TB)                                                      \
    asm volatile("{ .reg .pred add; setp.ne.b32 add, " ADD ", 0; wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 " \
                 "{" D "}, {" A0 ", " A1 ", " A2 ", " A3 "}, " B ", add, 1, 1, " TB "; }"                            \
                 : O : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)), "n"(int(of_b == Major::across)))
// clang-format on

// a and b: descriptors. d is added to, or, without `add`, assigned.
template <Major of_a = Major::k, Major of_b = Major::k, int registers>
__device__ void wgmma(float (&d)[registers], uint64_t a, uint64_t b, bool add) {
    if constexpr (registers == 4) WGMMA_SHARED(8, D4, O4, "%4", "%5", "%6", "%7", "%8");
    else if constexpr (registers == 16) WGMMA_SHARED(32, D16, O16, "%16", "%17", "%18", "%19", "%20");
    else if constexpr (registers == 32) WGMMA_SHARED(64, D32, O32, "%32", "%33", "%34", "%35", "%36");
    else if constexpr (registers == 48) WGMMA_SHARED(96, D48, O48, "%48", "%49", "%50", "%51", "%52");
    else if constexpr (registers == 64) WGMMA_SHARED(128, D64, O64, "%64", "%65", "%66", "%67", "%68");
    else if constexpr (registers == 96) WGMMA_SHARED(192, D96, O96, "%96", "%97", "%98", "%99", "%100");
    else if constexpr (registers == 128) WGMMA_SHARED(256, D128, O128, "%128", "%129", "%130", "%131", "%132");
    else static_assert(registers == 0, "no such shape here");
}
// a: the lane's share of 64 x 16.
template <Major of_b = Major::k, int registers>
__device__ void wgmma(float (&d)[registers], const uint32_t (&a)[4], uint64_t b, bool add) {
    if constexpr (registers == 16) WGMMA_REGISTERS(32, D16, O16, "%16", "%17", "%18", "%19", "%20", "%21", "%22");
    else if constexpr (registers == 32) WGMMA_REGISTERS(64, D32, O32, "%32", "%33", "%34", "%35", "%36", "%37", "%38");
    else if constexpr (registers == 48) WGMMA_REGISTERS(96, D48, O48, "%48", "%49", "%50", "%51", "%52", "%53", "%54");
    else if constexpr (registers == 64) WGMMA_REGISTERS(128, D64, O64, "%64", "%65", "%66", "%67", "%68", "%69", "%70");
    else if constexpr (registers == 96)
        WGMMA_REGISTERS(192, D96, O96, "%96", "%97", "%98", "%99", "%100", "%101", "%102");
    else if constexpr (registers == 128)
        WGMMA_REGISTERS(256, D128, O128, "%128", "%129", "%130", "%131", "%132", "%133", "%134");
    else static_assert(registers == 0, "no such shape here");
}
#undef D4
#undef O4
#undef D16
#undef O16
#undef D32
#undef O32
#undef D48
#undef O48
#undef D64
#undef O64
#undef D80
#undef O80
#undef D96
#undef O96
#undef D112
#undef O112
#undef D128
#undef O128
#undef WGMMA_SHARED
#undef WGMMA_REGISTERS
#endif
