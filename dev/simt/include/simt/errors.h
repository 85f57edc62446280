// The runtime API's errors: name, number, what cudaGetErrorString says.
#pragma once

// clang-format off
#define SIMT_ERRORS(row) \
    row(cudaSuccess, 0, "no error") \
    row(cudaErrorInvalidValue, 1, "invalid argument") \
    row(cudaErrorMemoryAllocation, 2, "out of memory") \
    row(cudaErrorInitializationError, 3, "initialization error") \
    row(cudaErrorInvalidConfiguration, 9, "invalid configuration argument") \
    row(cudaErrorInvalidDevicePointer, 17, "invalid device pointer") \
    row(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy") \
    row(cudaErrorInsufficientDriver, 35, "CUDA driver version is insufficient for CUDA runtime version") \
    row(cudaErrorDevicesUnavailable, 46, "CUDA-capable device(s) is/are busy or unavailable") \
    row(cudaErrorInvalidDeviceFunction, 98, "invalid device function") \
    row(cudaErrorNoDevice, 100, "no CUDA-capable device is detected") \
    row(cudaErrorInvalidDevice, 101, "invalid device ordinal") \
    row(cudaErrorNoKernelImageForDevice, 209, "no kernel image is available for execution on the device") \
    row(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered") \
    row(cudaErrorNvlinkUncorrectable, 220, "uncorrectable NVLink error detected during the execution") \
    row(cudaErrorUnsupportedPtxVersion, 222, "the provided PTX was compiled with an unsupported toolchain.") \
    row(cudaErrorInvalidResourceHandle, 400, "invalid resource handle") \
    row(cudaErrorIllegalState, 401, "the operation cannot be performed in the present state") \
    row(cudaErrorNotReady, 600, "device not ready") \
    row(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered") \
    row(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch") \
    row(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated") \
    row(cudaErrorAssert, 710, "device-side assert triggered") \
    row(cudaErrorHardwareStackError, 714, "hardware stack error") \
    row(cudaErrorIllegalInstruction, 715, "an illegal instruction was encountered") \
    row(cudaErrorMisalignedAddress, 716, "misaligned address") \
    row(cudaErrorLaunchFailure, 719, "unspecified launch failure") \
    row(cudaErrorNotSupported, 801, "operation not supported") \
    row(cudaErrorSystemNotReady, 802, "system not yet initialized") \
    row(cudaErrorSystemDriverMismatch, 803, "system has unsupported display driver / cuda driver combination") \
    row(cudaErrorCompatNotSupportedOnDevice, 804, "forward compatibility was attempted on non supported HW") \
    row(cudaErrorStreamCaptureUnsupported, 900, "operation not permitted when stream is capturing") \
    row(cudaErrorStreamCaptureInvalidated, 901, "operation failed due to a previous error during capture") \
    row(cudaErrorStreamCaptureUnjoined, 904, "capturing stream has unjoined work") \
    row(cudaErrorInvalidClusterSize, 912, "cluster misconfiguration") \
    row(cudaErrorUnknown, 999, "unknown error")
// clang-format on
