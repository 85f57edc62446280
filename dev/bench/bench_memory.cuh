// The tensors of one kernel at one shape. Each is declared once, with what the kernel does to it; its memory and the
// bytes that must move both follow from that.
#pragma once
#include <cstring>
#include "kernels/tools/common.cuh"
#include "roofline.h"

// Random numbers, as zeros make tensor cores and memory faster than they are. `touched`: elements that the kernel
// reaches of a table it reads or changes here and there (0: all).
struct Values {
    double low = -1, high = 1;
    size_t touched = 0;
};

template <class U>
__global__ void bench_fill_kernel(U* p, size_t n, uint64_t seed, float low, float range) {
    for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += size_t(gridDim.x) * blockDim.x) {
        uint64_t x = (i + seed) * 0x9e3779b97f4a7c15;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
        x = (x ^ x >> 27) * 0x94d049bb133111eb;
        const float value = low + range * (float(x >> 40) * 0x1p-24f);
        if constexpr (std::is_same_v<U, int>) p[i] = std::min(int(value), int(low + range) - 1);  // below `high`
        else p[i] = U(value);
    }
}

class BenchMemory {
public:
    enum class Access { in, out, update };
    enum class Type { bf16, fp32, integer, constant };
    struct Tensor {
        Access access;
        Type type;
        size_t n, element;  // numbers, and bytes of one
        Values values;
        std::byte* data = nullptr;
        std::vector<std::byte> constant = {};
        bool whole() const { return values.touched == 0 || values.touched == n; }
    };

    // Where nothing is given to run on, it only counts, and every pointer is null.
    explicit BenchMemory(const Gpu<bf16>* on) : on(on) {}

    template <class U>
    U* in(size_t n, Values v = {}) {
        return add<U>(Access::in, n, v);
    }
    template <class U>
    U* out(size_t n) {
        return add<U>(Access::out, n, {});
    }
    template <class U>
    U* update(size_t n, Values v = {}) {
        return add<U>(Access::update, n, v);
    }
    template <class U>
    U* constants(const std::vector<U>& host) {
        U* p = add<U>(Access::in, host.size(), {}, Type::constant);
        tensors.back().constant.resize(host.size() * sizeof(U));
        std::memcpy(tensors.back().constant.data(), host.data(), host.size() * sizeof(U));
        return p;
    }
    void products(double operations) { work.products += operations; }
    void exponentials(double count) { work.exponentials += count; }

    void fill(uint64_t seed = 1) const {
        for (const Tensor& t : tensors) refill(t, seed++);
    }
    void refill(const Tensor& t, uint64_t seed) const {
        const auto random = [&](auto* p) {
            launch(bench_fill_kernel<std::remove_pointer_t<decltype(p)>>, 4 * on->sm_count, 256, 0, *on, p, t.n,
                   seed << 32, float(t.values.low), float(t.values.high - t.values.low));
        };
        switch (t.type) {
            case Type::bf16: return random(reinterpret_cast<bf16*>(t.data));
            case Type::fp32: return random(reinterpret_cast<float*>(t.data));
            case Type::integer: return random(reinterpret_cast<int*>(t.data));
            case Type::constant: return on->upload(t.data, t.constant.data(), t.constant.size());
        }
    }

    std::vector<Tensor> tensors;
    Work work;
    size_t allocated = 0;

private:
    template <class U>
    static constexpr Type type_of() {
        return std::is_same_v<U, bf16> ? Type::bf16 : std::is_same_v<U, float> ? Type::fp32 : Type::integer;
    }
    template <class U>
    U* add(Access access, size_t n, Values v, Type type = type_of<U>()) {
        const size_t moved = (v.touched ? v.touched : n) * sizeof(U);
        work.bytes += double(access == Access::update ? 2 * moved : moved);
        allocated += n * sizeof(U);
        U* p = on ? on->template allocate<U>(n) : nullptr;
        tensors.push_back({access, type, n, sizeof(U), v, reinterpret_cast<std::byte*>(p)});
        return p;
    }
    const Gpu<bf16>* on;
};
