// What the tests of simt share: memory of a device, launches, and what was said of a kernel that failed.
#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>
#include "dev/simt/order.h"
#include "dev/simt/report.h"
#include "dev/simt/sanitizer.h"

template <class T>
class Device {
public:
    explicit Device(size_t n) : n(n) { EXPECT_EQ(cudaMalloc(&p, n * sizeof(T)), cudaSuccess); }
    explicit Device(const std::vector<T>& values) : Device(values.size()) {
        EXPECT_EQ(cudaMemcpy(p, values.data(), n * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
    }
    Device(const Device&) = delete;
    ~Device() { cudaFree(p); }
    operator T*() const { return p; }
    std::vector<T> get() const {
        std::vector<T> values(n);
        EXPECT_EQ(cudaMemcpy(values.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
        return values;
    }

private:
    T* p = nullptr;
    size_t n;
};

template <class... P, class... A>
cudaError_t start(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, const A&... args) {
    const cudaLaunchConfig_t config{grid, block, shared_bytes, nullptr, nullptr, 0};
    return cudaLaunchKernelEx(&config, kernel, args...);
}

template <class... P, class... A>
void run(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, const A&... args) {
    ASSERT_EQ(start(kernel, grid, block, shared_bytes, args...), cudaSuccess);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

// Runs a kernel that must fail, and gives what was said about it.
template <class... P, class... A>
std::string failure_of(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, const A&... args) {
    simt::take_report();
    EXPECT_EQ(start(kernel, grid, block, shared_bytes, args...), cudaSuccess);
    EXPECT_NE(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaDeviceReset(), cudaSuccess);
    return simt::take_report();
}

inline void expect_says(const std::string& message, const std::vector<std::string>& parts) {
    for (const std::string& part : parts)
        EXPECT_NE(message.find(part), std::string::npos) << '"' << part << "\" is not in\n" << message;
}

// Does it in every kind of order.
template <class F>
void in_every_order(F f) {
    const simt::Order before = simt::order();
    for (const char* name : {"forward", "reverse", "1", "2", "3"}) {
        SCOPED_TRACE(std::string("SIMT_ORDER=") + name);
        simt::set_order(simt::Order::parse(name));
        f();
    }
    simt::set_order(before);
}
