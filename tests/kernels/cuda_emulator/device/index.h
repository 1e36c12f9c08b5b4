/* threadIdx and its kin, barriers and fences. Each built-in is a call, so that it is never watched itself. */
#ifndef ECH_EMU_DEVICE_INDEX_H
#define ECH_EMU_DEVICE_INDEX_H

#include <cuda_runtime_api.h>

namespace ech_emu
{

/* Constant for a thread's whole life. */
uint3 thread_index() __attribute__((const));
uint3 block_index() __attribute__((const));
dim3 block_shape() __attribute__((const));
dim3 grid_shape() __attribute__((const));

enum class BarrierKind { PLAIN, COUNT, AND, OR };
int barrier(BarrierKind kind, int predicate, const char *file, int line);
void fence(bool whole_device);
unsigned active_lanes();
[[noreturn]] void trap(const char *file, int line);
long long ticks();

} // namespace ech_emu

#define threadIdx (ech_emu::thread_index())
#define blockIdx  (ech_emu::block_index())
#define blockDim  (ech_emu::block_shape())
#define gridDim   (ech_emu::grid_shape())
constexpr int warpSize = 32;

#define ECH_EMU_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(ECH_EMU_HERE)
{
    ech_emu::barrier(ech_emu::BarrierKind::PLAIN, 0, file, line);
}

inline int __syncthreads_count(int predicate, ECH_EMU_HERE)
{
    return ech_emu::barrier(ech_emu::BarrierKind::COUNT, predicate, file, line);
}

inline int __syncthreads_and(int predicate, ECH_EMU_HERE)
{
    return ech_emu::barrier(ech_emu::BarrierKind::AND, predicate, file, line);
}

inline int __syncthreads_or(int predicate, ECH_EMU_HERE)
{
    return ech_emu::barrier(ech_emu::BarrierKind::OR, predicate, file, line);
}

inline void __threadfence()
{
    ech_emu::fence(true);
}

inline void __threadfence_system()
{
    ech_emu::fence(true);
}

inline void __threadfence_block()
{
    ech_emu::fence(false);
}

inline unsigned __activemask()
{
    return ech_emu::active_lanes();
}

inline void __trap(ECH_EMU_HERE)
{
    ech_emu::trap(file, line);
}

inline long long clock64()
{
    return ech_emu::ticks();
}

inline void __nanosleep(unsigned)
{
}

#endif
