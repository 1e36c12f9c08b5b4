/* Host calls that take a kernel: cuda_runtime.h types them for nvcc only. */
#ifndef ECH_EMU_DEVICE_ATTRIBUTES_H
#define ECH_EMU_DEVICE_ATTRIBUTES_H

#include <cuda_runtime_api.h>

template <class... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute name, int value)
{
    return cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel), name, value);
}

template <class... P> cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, void (*kernel)(P...))
{
    return cudaFuncGetAttributes(out, reinterpret_cast<const void *>(kernel));
}

template <class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void (*kernel)(P...), int threads,
                                                          size_t shared_bytes)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, reinterpret_cast<const void *>(kernel),
                                                         threads, shared_bytes);
}

template <class T>
cudaError_t cudaMemcpyToSymbol(const T &symbol, const void *from, size_t n, size_t offset = 0,
                               cudaMemcpyKind kind = cudaMemcpyHostToDevice)
{
    return cudaMemcpyToSymbol(reinterpret_cast<const void *>(&symbol), from, n, offset, kind);
}

#endif
