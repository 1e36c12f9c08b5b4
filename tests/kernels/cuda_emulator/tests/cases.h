/* The emulator's own tests. A FAULT has a kernel or host code that commits the fault (NAME_bad) and a twin
 * without it (NAME_good); the line of the fault carries the comment "fault: NAME". A FEATURE checks values
 * and counts what differs with `expect`. All of them are plain functions of one emulated shared object. */
#ifndef ECH_EMU_TESTS_CASES_H
#define ECH_EMU_TESTS_CASES_H

#include <stdbool.h>
#include <stddef.h>

#include "control.h"

#ifdef __cplusplus
#include <vector>

#include "kernels/cuda/launch.h"
extern "C" {
#endif

/* Fails the running test, in main.c. */
ECH_EMU_API void expect(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs what is queued and forgets the last error, between two tests of one process. */
ECH_EMU_API void settle(void);

/* name, kind, kernel ("" for host code), block and thread by x alone (-1: not told) */
#define FAULTS(FAULT)                                                                                        \
    FAULT(past_end, ECH_EMU_OUTSIDE, "store_at", 0, 0)                                                       \
    FAULT(before_start, ECH_EMU_OUTSIDE, "store_at", 0, 0)                                                   \
    FAULT(other_grid, ECH_EMU_OUTSIDE, "scale", 1, 28)                                                       \
    FAULT(freed, ECH_EMU_OUTSIDE, "load_one", 0, 0)                                                          \
    FAULT(host_pointer, ECH_EMU_OUTSIDE, "load_one", 0, 0)                                                   \
    FAULT(pinned_pointer, ECH_EMU_OUTSIDE, "load_one", 0, 0)                                                 \
    FAULT(null_pointer, ECH_EMU_OUTSIDE, "load_one", 0, 0)                                                   \
    FAULT(shared_past_end, ECH_EMU_OUTSIDE, "shared_span", 0, 31)                                            \
    FAULT(dynamic_past_end, ECH_EMU_OUTSIDE, "dynamic_span", 0, 31)                                          \
    FAULT(other_stack, ECH_EMU_OUTSIDE, "lend_local", 0, 1)                                                  \
    FAULT(copy_struct_past_end, ECH_EMU_OUTSIDE, "copy_wide", 0, 1)                                          \
    FAULT(memcpy_past_end, ECH_EMU_OUTSIDE, "copy_bytes", 0, 3)                                              \
    FAULT(parameter_store, ECH_EMU_OUTSIDE, "store_at", 0, 0)                                                \
    FAULT(unwritten, ECH_EMU_UNWRITTEN, "sum_all", 0, 0)                                                     \
    FAULT(unwritten_tail, ECH_EMU_UNWRITTEN, "copy_vectors", 0, 2)                                           \
    FAULT(unwritten_shared, ECH_EMU_UNWRITTEN, "shared_half", 0, 0)                                          \
    FAULT(unwritten_next_block, ECH_EMU_UNWRITTEN, "shared_kept", 1, 0)                                      \
    FAULT(unwritten_copied, ECH_EMU_UNWRITTEN, "", -1, -1)                                                   \
    FAULT(misaligned16, ECH_EMU_MISALIGNED, "copy_vectors", 0, 0)                                            \
    FAULT(misaligned8, ECH_EMU_MISALIGNED, "load_pairs", 0, 0)                                               \
    FAULT(misaligned_half2, ECH_EMU_MISALIGNED, "load_halves", 0, 0)                                         \
    FAULT(bounds, ECH_EMU_BOUNDS, "column", 0, 4)                                                            \
    FAULT(barrier_returned, ECH_EMU_BARRIER, "barrier_guarded", 0, 0)                                        \
    FAULT(barrier_branch, ECH_EMU_BARRIER, "barrier_branch", 0, 0)                                           \
    FAULT(warp_missing, ECH_EMU_WARP, "shuffle_some", 0, 0)                                                  \
    FAULT(warp_out_of_step, ECH_EMU_WARP, "shuffle_branch", 0, 31)                                           \
    FAULT(warp_mask, ECH_EMU_WARP, "shuffle_mask", 0, 31)                                                    \
    FAULT(warp_lost_lane, ECH_EMU_WARP, "shuffle_lost", 0, 0)                                                \
    FAULT(race_shared, ECH_EMU_RACE, "rotate", 0, 1)                                                         \
    FAULT(race_update, ECH_EMU_RACE, "prefix", 0, 1)                                                         \
    FAULT(race_warp, ECH_EMU_RACE, "warp_exchange", 0, 1)                                                    \
    FAULT(race_half_warp, ECH_EMU_RACE, "half_warp", 0, 31)                                                  \
    FAULT(race_same_place, ECH_EMU_RACE, "store_same", 0, 1)                                                 \
    FAULT(race_broadcast, ECH_EMU_RACE, "broadcast", 0, 0)                                                   \
    FAULT(race_global, ECH_EMU_RACE, "global_rotate", 0, 1)                                                  \
    FAULT(race_blocks, ECH_EMU_RACE, "block_sum", 1, 0)                                                      \
    FAULT(race_blocks_read, ECH_EMU_RACE, "block_neighbour", 1, 0)                                           \
    FAULT(race_bytes, ECH_EMU_RACE, "store_bytes", 0, 1)                                                     \
    FAULT(race_atomic, ECH_EMU_RACE, "atomic_mixed", 0, 0)                                                   \
    FAULT(race_fence, ECH_EMU_RACE, "last_block", 3, 0)                                                      \
    FAULT(unchecked_launch, ECH_EMU_UNCHECKED, "", -1, -1)                                                   \
    FAULT(unchecked_sync, ECH_EMU_UNCHECKED, "", -1, -1)                                                     \
    FAULT(unchecked_copy, ECH_EMU_UNCHECKED, "", -1, -1)                                                     \
    FAULT(host_access, ECH_EMU_HOST, "", -1, -1)                                                             \
    FAULT(host_memcpy, ECH_EMU_HOST, "", -1, -1)                                                             \
    FAULT(double_free, ECH_EMU_HOST, "", -1, -1)                                                             \
    FAULT(copy_past_end, ECH_EMU_OUTSIDE, "", -1, -1)                                                        \
    FAULT(fill_past_end, ECH_EMU_OUTSIDE, "", -1, -1)                                                        \
    FAULT(pinned_freed_early, ECH_EMU_HOST, "", -1, -1)                                                      \
    FAULT(product_past_end, ECH_EMU_OUTSIDE, "", -1, -1)                                                     \
    FAULT(product_unwritten, ECH_EMU_UNWRITTEN, "", -1, -1)

#define FEATURES(FEATURE)                                                                                    \
    FEATURE(shuffles)                                                                                        \
    FEATURE(votes)                                                                                           \
    FEATURE(reductions)                                                                                      \
    FEATURE(atomics)                                                                                         \
    FEATURE(arithmetic)                                                                                      \
    FEATURE(halves)                                                                                          \
    FEATURE(barriers)                                                                                        \
    FEATURE(shared_shapes)                                                                                   \
    FEATURE(row_norm)                                                                                        \
    FEATURE(order)                                                                                           \
    FEATURE(refused_launches)                                                                                \
    FEATURE(streams_are_late)                                                                                \
    FEATURE(events)                                                                                          \
    FEATURE(memory_limit)                                                                                    \
    FEATURE(no_device)                                                                                       \
    FEATURE(failing_calls)                                                                                   \
    FEATURE(products)                                                                                        \
    FEATURE(epilogues)                                                                                       \
    FEATURE(typed_products)                                                                                  \
    FEATURE(algorithms)                                                                                      \
    FEATURE(variant)

#define DECLARE_FAULT(name, kind, kernel, block, thread)                                                     \
    ECH_EMU_API void name##_bad(void);                                                                       \
    ECH_EMU_API void name##_good(void);
FAULTS(DECLARE_FAULT)
#undef DECLARE_FAULT
#define DECLARE_FEATURE(name) ECH_EMU_API void feature_##name(void);
FEATURES(DECLARE_FEATURE)
#undef DECLARE_FEATURE

#ifdef __cplusplus
}

/* A device buffer filled from a vector, or left as it is. */
template <class T> T *device_copy(const std::vector<T> &host)
{
    void *p = nullptr;
    expect(cudaMalloc(&p, host.size() * sizeof(T)) == cudaSuccess, "cudaMalloc");
    expect(cudaMemcpy(p, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess,
           "copy");
    return static_cast<T *>(p);
}

template <class T> T *device_empty(size_t count)
{
    void *p = nullptr;
    expect(cudaMalloc(&p, count * sizeof(T)) == cudaSuccess, "cudaMalloc");
    return static_cast<T *>(p);
}

template <class T> std::vector<T> host_copy(const T *p, size_t count)
{
    std::vector<T> host(count);
    expect(cudaMemcpy(host.data(), p, count * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess, "copy back");
    return host;
}

/* Runs what was launched; true where no error came of it. */
inline bool finish()
{
    bool launched = cudaGetLastError() == cudaSuccess;
    bool done = cudaDeviceSynchronize() == cudaSuccess;
    cudaGetLastError();
    return launched && done;
}
#endif

#endif
