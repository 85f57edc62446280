// What the tests of simt share: launches, and what was said of a kernel that failed.
#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <string>
#include "dev/simt/report.h"
#include "dev/simt/sanitizer.h"
#include "device_test.h"

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
