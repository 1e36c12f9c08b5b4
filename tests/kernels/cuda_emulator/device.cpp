/* The device itself: one, of compute capability 9.0, with what its properties promise. */
#include <cstdio>
#include <cstring>

#include "runtime.h"

using namespace ech_emu;

enum { MULTIPROCESSORS = 4, CAPABILITY_MAJOR = 9, CAPABILITY_MINOR = 0, DRIVER = 13000 };

static int chosen;

static cudaError_t attribute(int *value, enum cudaDeviceAttr name)
{
    switch (name) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = 1024;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = static_cast<int>(SHARED_PLAIN);
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = static_cast<int>(SHARED_OPTIN);
        break;
    case cudaDevAttrWarpSize:
        *value = 32;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = MULTIPROCESSORS;
        break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = 2048;
        break;
    case cudaDevAttrMaxGridDimX:
        *value = INT32_MAX;
        break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
        *value = 65535;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = CAPABILITY_MAJOR;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = CAPABILITY_MINOR;
        break;
    case cudaDevAttrMemoryPoolsSupported:
    case cudaDevAttrUnifiedAddressing:
        *value = 1;
        break;
    case cudaDevAttrIntegrated:
    case cudaDevAttrComputeMode:
        *value = 0;
        break;
    default:
        return cudaErrorInvalidValue;
    }
    return cudaSuccess;
}

extern "C" {

cudaError_t cudaGetDeviceCount(int *count)
{
    Guard guard(lock);
    if (count)
        *count = device_here() ? 1 : 0;
    return remember(!count          ? cudaErrorInvalidValue
                    : device_here() ? cudaSuccess
                                    : cudaErrorInsufficientDriver);
}

cudaError_t cudaSetDevice(int device)
{
    ECH_EMU_ENTER("cudaSetDevice");
    if (device != 0)
        return remember(cudaErrorInvalidDevice);
    chosen = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    ECH_EMU_ENTER("cudaGetDevice");
    if (!device)
        return remember(cudaErrorInvalidValue);
    *device = chosen;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr name, int device)
{
    ECH_EMU_ENTER("cudaDeviceGetAttribute");
    if (!value || device != 0)
        return remember(device != 0 ? cudaErrorInvalidDevice : cudaErrorInvalidValue);
    return remember(attribute(value, name));
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    ECH_EMU_ENTER("cudaGetDeviceProperties");
    if (!p || device != 0)
        return remember(device != 0 ? cudaErrorInvalidDevice : cudaErrorInvalidValue);
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "Echelon CUDA emulator");
    p->totalGlobalMem = arena_total();
    p->sharedMemPerBlock = SHARED_PLAIN;
    p->sharedMemPerBlockOptin = p->sharedMemPerMultiprocessor = SHARED_OPTIN;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = 32;
    p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = INT32_MAX;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->totalConstMem = 65536;
    p->major = CAPABILITY_MAJOR;
    p->minor = CAPABILITY_MINOR;
    p->multiProcessorCount = MULTIPROCESSORS;
    p->maxThreadsPerMultiProcessor = 2048;
    p->l2CacheSize = 1 << 20;
    p->unifiedAddressing = p->memoryPoolsSupported = p->concurrentKernels = 1;
    p->textureAlignment = 512;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int length, int device)
{
    ECH_EMU_ENTER("cudaDeviceGetPCIBusId");
    if (!text || length < 13 || device != 0)
        return remember(cudaErrorInvalidValue);
    snprintf(text, static_cast<size_t>(length), "0000:00:00.0");
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    ECH_EMU_ENTER("cudaDeviceSynchronize");
    demand_checked("cudaDeviceSynchronize");
    return remember(drain_all());
}

cudaError_t cudaDeviceReset(void)
{
    ECH_EMU_ENTER("cudaDeviceReset");
    return remember(drain_all());
}

cudaError_t cudaSetDeviceFlags(unsigned int)
{
    ECH_EMU_ENTER("cudaSetDeviceFlags");
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    Guard guard(lock);
    if (!version)
        return remember(cudaErrorInvalidValue);
    *version = device_here() ? DRIVER : 0;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    Guard guard(lock);
    if (!version)
        return remember(cudaErrorInvalidValue);
    *version = CUDART_VERSION;
    return cudaSuccess;
}

static const struct {
    cudaError_t error;
    const char *name, *text;
} ERRORS[] = {
#define ERROR(error, text)                                                                                   \
    {                                                                                                        \
        error, #error, text                                                                                  \
    }
    ERROR(cudaSuccess, "no error"),
    ERROR(cudaErrorInvalidValue, "invalid argument"),
    ERROR(cudaErrorMemoryAllocation, "out of memory"),
    ERROR(cudaErrorInitializationError, "initialization error"),
    ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    ERROR(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
    ERROR(cudaErrorInvalidDeviceFunction, "invalid device function"),
    ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    ERROR(cudaErrorNotReady, "device not ready"),
    ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    ERROR(cudaErrorHostMemoryAlreadyRegistered,
          "part or all of the requested memory range is already mapped"),
    ERROR(cudaErrorHostMemoryNotRegistered, "pointer does not correspond to a registered memory region"),
    ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    ERROR(cudaErrorUnknown, "unknown error"),
#undef ERROR
};

const char *cudaGetErrorName(cudaError_t error)
{
    for (const auto &e : ERRORS)
        if (e.error == error)
            return e.name;
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error)
{
    for (const auto &e : ERRORS)
        if (e.error == error)
            return e.text;
    return "unrecognized error code";
}
}
