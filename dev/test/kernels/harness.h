// One layer at one shape on both devices: the kernels on Gpu<T> against the reference on Cpu<double>.
//
//   Case<bf16> c("rmsnorm", {{"N", 7}, {"C", 72}});
//   auto inp = c.random<bf16>("inp", N * C), out = c.fresh<bf16>("out", N * C);
//   c.run([&](auto on) { rmsnorm_forward(out(on), ..., inp(on), ..., on); });
//   c.expect(out, C);
//
// The kernels run three times, from the same numbers and with scratch memory full of NaNs, on a CPU in different orders
// of blocks and threads, and must give the same bits.
#pragma once
#include <gtest/gtest.h>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>
#include "kernels/tools/cublaslt.cuh"
#include "kernels/tools/tensor_map.cuh"
#include "kernels/tools/tolerance.cuh"
#if __has_include(<simt/simt.h>)
#include "dev/simt/order.h"
inline void set_test_order(int round) {
    const simt::Order orders[] = {
        {simt::Order::Kind::forward, 0}, {simt::Order::Kind::reverse, 0}, {simt::Order::Kind::shuffled, 7}};
    simt::set_order(orders[round]);
}
#else
inline void set_test_order(int) {}
#endif

// Tests of kernels that only Hopper has.
class OnHopper : public testing::Test {
    void SetUp() override {
        if (!has_hopper(Gpu<bf16>())) GTEST_SKIP() << "skipped: of compute capability 9.0 only";
    }
};

template <class U>
constexpr bool is_number = std::is_same_v<U, float> || std::is_same_v<U, bf16>;
template <class T>
constexpr const char* dtype_name = std::is_same_v<T, bf16> ? "bf16" : "fp32";

// n values, U on the GPU, double (or U, where it is no number) on the CPU. Copies share them.
template <class U>
struct Tensor {
    using Host = std::conditional_t<is_number<U>, double, U>;
    std::string name;
    size_t n = 0;
    U* device = nullptr;
    std::shared_ptr<Host[]> host;

    Host* operator()(const Cpu<double>&) const { return host.get(); }
    template <class T>
    U* operator()(const Gpu<T>&) const {
        return device;
    }
};

struct Size {
    const char* name;
    long value;
};

// The ways of doing matmuls that there are here: what any GPU can, Hopper's tensor cores, cuBLAS.
enum class Products { native, hopper, cublas };
inline std::vector<Products> products() {
    std::vector<Products> all{Products::native};
    if (has_hopper(Gpu<bf16>())) all.push_back(Products::hopper);
    if (installed_cublas().table) all.push_back(Products::cublas);
    return all;
}

template <class T>
class Case {
public:
    Gpu<T> gpu;
    Cpu<double> cpu;

    void multiply_by(Products products) {
        gpu.gemm = products == Products::cublas ? Gemm::cublas : Gemm::native;
        if (products != Products::hopper) gpu.distrust(Kernels::linear_hopper);
    }

    Case(const std::string& layer, const std::vector<Size>& sizes) : title(layer) {
        for (const Size& s : sizes) title += std::string(" ") + s.name + "=" + std::to_string(s.value);
        title += std::string(" ") + dtype_name<T>;
    }

    // Normally distributed, rounded to U on both sides.
    template <class U>
    Tensor<U> random(const std::string& name, size_t n, double scale = 1) {
        std::normal_distribution<double> normal(0, scale);
        return generate<U>(name, n, [&](size_t) { return normal(generator); });
    }
    template <class U>
    Tensor<U> fill(const std::string& name, size_t n, double value) {
        return generate<U>(name, n, [=](size_t) { return value; });
    }
    // For what a layer assigns.
    template <class U>
    Tensor<U> fresh(const std::string& name, size_t n) {
        return fill<U>(name, n, NAN);
    }
    Tensor<int> integers(const std::string& name, size_t n, int limit) {
        std::uniform_int_distribution<int> below(0, limit - 1);
        return generate<int>(name, n, [&](size_t) { return below(generator); });
    }
    template <class U>
    Tensor<U> values(const std::string& name, const std::vector<U>& v) {
        return generate<U>(name, v.size(), [&](size_t i) { return v[i]; });
    }
    template <class U, class Value>
    Tensor<U> generate(const std::string& name, size_t n, Value value) {  // value(i)
        using Host = typename Tensor<U>::Host;
        Tensor<U> t{name, n, gpu.template allocate<U>(n), std::shared_ptr<Host[]>(new Host[n])};
        const std::unique_ptr<U[]> rounded(new U[n]);
        for (size_t i = 0; i < n; i++) {
            if constexpr (is_number<U>) t.host[i] = double(rounded[i] = U(float(value(i))));
            else t.host[i] = rounded[i] = value(i);
        }
        gpu.upload(t.device, rounded.get(), n);
        buffers.push_back(
            {name, reinterpret_cast<std::byte*>(t.device), std::vector<std::byte>(n * sizeof(U)), {}, {}});
        return t;
    }

    // Runs layer(device) on the GPU three times, and on the CPU.
    template <class Layer>
    void run(Layer layer) {
        for (Buffer& b : buffers) download(b, b.before);
        for (int round = 0; round < 3; round++) {
            set_test_order(round);
            for (const Buffer& b : buffers) gpu.upload(b.device, b.before.data(), b.before.size());
            poison_scratch();
            layer(gpu);
            for (Buffer& b : buffers) {
                download(b, round ? b.again : b.after);
                if (round && b.again != b.after)
                    ADD_FAILURE() << title << ": " << b.name << ": other bits in run " << round;
            }
        }
        set_test_order(0);
        layer(cpu);
    }

    // `terms`: how many rounded numbers make up one of its elements.
    template <class U>
    void expect(const Tensor<U>& t, double terms, Rounded rounded = {}) {
        std::vector<U> got(t.n);
        gpu.download(got.data(), t.device, t.n);
        if constexpr (is_number<U>) {
            const double allowed = tolerance<U>(terms) + rounded.template tolerance<T>();
            const std::string text = mismatch(got.data(), t.host.get(), t.n, allowed, rounded.row);
            if (!text.empty()) ADD_FAILURE() << title << ": " << t.name << ": " << text;
        } else {
            for (size_t i = 0; i < t.n; i++)
                if (got[i] != t.host[i]) {
                    ADD_FAILURE() << title << ": " << t.name << ": element " << i << ": got " << got[i] << ", want "
                                  << t.host[i];
                    return;
                }
        }
    }

    // From here on both sides hold what the reference computed, rounded to U: the next step starts from the same
    // numbers.
    template <class U>
    void share(const Tensor<U>& t) {
        std::vector<U> rounded(t.n);
        for (size_t i = 0; i < t.n; i++) t.host[i] = double(rounded[i] = U(float(t.host[i])));
        gpu.upload(t.device, rounded.data(), t.n);
    }

private:
    struct Buffer {
        std::string name;
        std::byte* device;
        std::vector<std::byte> before, after, again;
    };

    void download(const Buffer& b, std::vector<std::byte>& to) {
        to.resize(b.before.size());
        gpu.download(to.data(), b.device, to.size());
    }
    void poison_scratch() {
        const size_t n = 1 << 18;
        const std::vector<float> nan(n, NAN);
        gpu.upload(gpu.template scratch<float>(n), nan.data(), n);
    }

    std::string title;
    std::vector<Buffer> buffers;
    std::mt19937 generator{20};
};
