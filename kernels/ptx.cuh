// What kernels need of the machine beyond CUDA C++, under names of our own: the one place for inline PTX.
#pragma once

// The block's dynamic shared memory, as many bytes as launch() was asked for.
template <class T>
__device__ T* dynamic_shared() {
    extern __shared__ __align__(16) unsigned char dynamic_shared_memory[];
    return reinterpret_cast<T*>(dynamic_shared_memory);
}
