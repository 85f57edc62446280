// What tests of simulated devices share, those of dev/ptx too: memory, every order, and what a message must say.
#pragma once
#include <gtest/gtest.h>
#include <string>
#include <vector>
#include "dev/simt/include/simt/runtime_api.h"
#include "dev/simt/order.h"

template <class T>
class Device {
public:
    explicit Device(size_t n) : n(n) { EXPECT_EQ(cudaMalloc(&p, n * sizeof(T)), cudaSuccess); }
    explicit Device(const std::vector<T>& values) : Device(values.size()) { set(values); }
    Device(const Device&) = delete;
    ~Device() { cudaFree(p); }
    operator T*() const { return p; }
    void set(const std::vector<T>& values) {
        EXPECT_EQ(cudaMemcpy(p, values.data(), n * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
    }
    std::vector<T> get() const {
        std::vector<T> values(n);
        EXPECT_EQ(cudaMemcpy(values.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
        return values;
    }

private:
    T* p = nullptr;
    size_t n;
};

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
