/* How a kernel is launched and how it names shared memory, under nvcc and under the emulator alike.
 * The emulator (tests/kernels/cuda_emulator) compiles the same sources as plain C++ with
 * ECH_CUDA_EMULATED defined; kernels therefore never write <<<>>> or __shared__ themselves.
 * Invariant: everything else in a .cu file is plain CUDA C++.
 *
 * ECH_LAUNCH(kernel, grid, block, shared_bytes, stream, args...)
 *   Queues the kernel; no value. The caller then reads cudaGetLastError() before the next launch, copy or
 *   synchronisation. A template kernel with a comma in its name is written in parentheses: (scale<float, 4>).
 * ECH_SHARED(type, name, dimensions);
 *   Static shared memory: ECH_SHARED(float, tile, [32][33]); or, for one value, ECH_SHARED(float, total, );
 *   Not initialised: each block finds unknown bytes in it.
 * ECH_SHARED_DYNAMIC(type, name);
 *   `type *name`, 16-byte aligned, of the launch's shared_bytes. */
#ifndef ECH_KERNELS_CUDA_LAUNCH_H
#define ECH_KERNELS_CUDA_LAUNCH_H

#ifdef ECH_CUDA_EMULATED

#include "emulator.h"

#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define ECH_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                           \
    kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)

#define ECH_SHARED(type, name, dimensions) __shared__ type name dimensions

#define ECH_SHARED_DYNAMIC(type, name)                                                                       \
    extern __shared__ __align__(16) unsigned char ech_shared_dynamic[];                                      \
    type *const name = reinterpret_cast<type *>(ech_shared_dynamic)

#endif
#endif
