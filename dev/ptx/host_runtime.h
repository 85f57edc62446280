// What nvcc's host code calls and no header of the runtime API declares (NVIDIA's crt/host_runtime.h), and the launches
// by untyped arguments, which only PTX's kernels have. registration.cpp and launch.cpp define them.
#pragma once
#include "dev/simt/include/simt/runtime_api.h"

extern "C" {

// Before main: an object's fat binary, and which host address stands for which kernel and which variable of it.
void** __cudaRegisterFatBinary(void* wrapper);
void __cudaRegisterFatBinaryEnd(void** object);
void __cudaUnregisterFatBinary(void** object);
char __cudaInitModule(void** object);
void __cudaRegisterFunction(void** object, const char* function, char* device_function, const char* name,
                            int thread_limit, uint3* thread, uint3* block, dim3* block_size, dim3* grid_size,
                            int* warp_size);
void __cudaRegisterVar(void** object, char* variable, char* device_variable, const char* name, int external,
                       size_t bytes, int constant, int global);
void __cudaRegisterManagedVar(void** object, void** variable, char* device_variable, const char* name, int external,
                              size_t bytes, int constant, int global);

// `kernel<<<grid, block, shared_bytes, stream>>>(...)`: pushes the numbers, and calls a stub that pops them and
// launches. CUDA 13's asks for a handle first.
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t);
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared_bytes, cudaStream_t*);
cudaError_t __cudaGetKernel(const void** handle, const void* function);
cudaError_t __cudaLaunchKernel(const void* handle, dim3 grid, dim3 block, void** arguments, size_t shared_bytes,
                               cudaStream_t);

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared_bytes,
                             cudaStream_t);
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t*, const void* function, void** arguments);

// Device variables, which the host cannot reach here: each throws Error{device} that names the variable.
cudaError_t cudaGetSymbolAddress(void** address, const void* variable);
cudaError_t cudaGetSymbolSize(size_t* bytes, const void* variable);
cudaError_t cudaMemcpyToSymbol(const void* variable, const void* from, size_t bytes, size_t offset, cudaMemcpyKind);
cudaError_t cudaMemcpyFromSymbol(void* to, const void* variable, size_t bytes, size_t offset, cudaMemcpyKind);
cudaError_t cudaMemcpyToSymbolAsync(const void* variable, const void* from, size_t bytes, size_t offset, cudaMemcpyKind,
                                    cudaStream_t);
cudaError_t cudaMemcpyFromSymbolAsync(void* to, const void* variable, size_t bytes, size_t offset, cudaMemcpyKind,
                                      cudaStream_t);

}  // extern "C"
