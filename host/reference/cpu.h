// Where a model lives. The last argument of every layer function says where it runs:
// `Gpu<T>` picks the kernel, `Cpu<T>` picks the reference. Same name, same arguments.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>
#include "host/base/error.h"
#include "threads.h"

// Whose matmul a GPU uses: cuBLAS's, ours (native), or cuBLAS's where the program finds it (automatic).
enum class Gemm { automatic, cublas, native };

// Whether backward overwrites or accumulates weight gradients, where a layer's equations say +=. A step's first
// micro-batch overwrites, so nothing has to be cleared.
enum class Into { assign, add };

// Runs the reference. T = float to train, double to prove, std::complex<double> to differentiate (see test_gpt.cu).
template <class T>
class Cpu {
public:
    using Real = T;                           // weights, activations and the gradients of activations
    using Stat = T;                           // what must not be rounded: statistics, losses, weight gradients, moments
    static constexpr int vocab_multiple = 1;  // a row of logits is padded to a multiple of this
    static constexpr int steps_ahead =
        0;  // steps of training the host may submit before it knows the last one's result

    Into into = Into::add;  // what gradients of weights do to what is there
    // The same device for layers that are to treat gradients of weights so. Gpt says it in every call.
    Cpu writing(Into gradients) const {
        Cpu device = *this;
        device.into = gradients;
        return device;
    }

    // n zeros, 256-byte aligned; they live as long as any copy of this device. Throws Error{device} without memory.
    template <class U>
    U* allocate(size_t n) const {
        static_assert(std::is_trivially_destructible_v<U>);
        constexpr size_t alignment = 256;  // by hand: glibc 2.36's aligned_alloc does not reuse what was freed
        const size_t bytes = std::max<size_t>(n, 1) * sizeof(U);
        void* const block = std::malloc(bytes + alignment);
        if (!block)
            throw Error(Exit::device, "memory", "cannot allocate " + std::to_string(bytes >> 20) + " MiB",
                        "`train_gpt plan` shows what a model needs; try a smaller --batch");
        blocks->emplace_back(block, std::free);
        U* const p = reinterpret_cast<U*>((reinterpret_cast<uintptr_t>(block) + alignment - 1) / alignment * alignment);
        zero(p, n);
        return p;
    }

    template <class U>
    void zero(U* p, size_t n) const {
        constexpr size_t block = size_t(1) << 16;
        parallel_for(int((n + block - 1) / block),
                     [=](int b) { std::fill(p + b * block, p + std::min(n, (b + 1) * block), U{}); });
    }
    template <class U>
    void upload(U* device, const U* host, size_t n) const {
        std::copy_n(host, n, device);
    }
    template <class U>
    void download(U* host, const U* device, size_t n) const {
        std::copy_n(device, n, host);
    }

    // The same for other threads. No work under way may change what is copied.
    template <class U>
    void download_aside(U* host, const U* device, size_t n) const {
        std::copy_n(device, n, host);
    }

    // For devices that work on while the host does something else; this one is always done. Host memory that such
    // copies use lives as long as any copy of this device, and is left alone until the device has reached a later mark.
    struct Mark {};
    template <class U>
    U* allocate_host(size_t n) const {
        return allocate<U>(n);
    }
    template <class U>
    void upload_async(U* device, const U* host, size_t n) const {
        upload(device, host, n);
    }
    template <class U>
    void download_async(U* host, const U* device, size_t n) const {
        download(host, device, n);
    }
    Mark mark() const { return {}; }
    void wait(const Mark&) const {}
    bool reached(const Mark&) const { return true; }

    // Does `work`; a device may record it and from then on repeat the recording, so it must be the same every time.
    struct Recording {};
    template <class Work>
    void replay(Recording&, Work work) const {
        work();
    }

    // What Gpu does for profilers.
    struct NoRange {
        ~NoRange() {}
    };
    NoRange range(const char*, long = -1) const { return {}; }
    void profiler_start() const {}
    void profiler_stop() const {}

    // The calling thread's scratch memory, at least n elements, good until this thread's next call.
    T* scratch(size_t n) const {
        thread_local std::vector<T> mine;
        if (mine.size() < n) mine.resize(n);
        return mine.data();
    }

private:
    using Blocks = std::vector<std::unique_ptr<void, void (*)(void*)>>;
    std::shared_ptr<Blocks> blocks = std::make_shared<Blocks>();
};
