/* What a .cu file sees in place of nvcc's built-ins, through kernels/cuda/launch.h. The types and the host
 * interface are the toolkit's own headers. Nothing here is for host code that nvcc compiles. */
#ifndef ECH_EMU_EMULATOR_H
#define ECH_EMU_EMULATOR_H

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <utility>

#include <cuda_runtime.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#ifndef __launch_bounds__
#define __launch_bounds__(...)
#endif
/* Shared memory is named by ECH_SHARED: a plain static would be neither fresh in each block nor watched. */
#undef __shared__
#define __shared__ shared_memory_is_declared_by_ECH_SHARED

#include "device/launch.h"
#include "device/index.h"
#include "device/warp.h"
#include "device/atomic.h"
#include "device/arith.h"
#include "device/cache.h"
#include "device/attributes.h"

/* Copies by the C library are accesses too. The names stay, the symbols are the emulator's. */
extern "C" {
void *memcpy(void *to, const void *from, size_t n) noexcept __asm__("ech_emu_memcpy");
void *memmove(void *to, const void *from, size_t n) noexcept __asm__("ech_emu_memmove");
void *memset(void *to, int byte, size_t n) noexcept __asm__("ech_emu_memset");
}

#define ECH_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                           \
    ech_emu::launch(#kernel, __FILE__, __LINE__, kernel, dim3(grid), dim3(block), (shared_bytes),            \
                    (stream)__VA_OPT__(, ) __VA_ARGS__)

#define ECH_SHARED(type, name, dimensions)                                                                   \
    static const char name##_key = 0;                                                                        \
    using name##_shape = type dimensions;                                                                    \
    name##_shape &name = *static_cast<name##_shape *>(                                                       \
        ech_emu::shared_static(&name##_key, #name, sizeof(name##_shape), alignof(name##_shape)))

#define ECH_SHARED_DYNAMIC(type, name) type *const name = static_cast<type *>(ech_emu::shared_dynamic())

#endif
