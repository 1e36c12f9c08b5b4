/* What a test tells the emulator and hears from it. Plain C; exported by each emulated shared object.
 * Without a hook the first report is printed on stderr and the process ends with status 70. With one, the
 * hook gets each report; a kernel that committed a fault is given up and its launch reads as
 * cudaErrorLaunchFailure, faults of host code go on. */
#ifndef ECH_EMU_CONTROL_H
#define ECH_EMU_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ECH_EMU_API __attribute__((visibility("default")))

enum ech_emu_kind {
    ECH_EMU_OUTSIDE,    /* an access outside of every live allocation */
    ECH_EMU_UNWRITTEN,  /* a read of bytes that nothing ever wrote */
    ECH_EMU_MISALIGNED, /* an address that its type's alignment forbids */
    ECH_EMU_BOUNDS,     /* an index past the end of an array of fixed size */
    ECH_EMU_BARRIER,    /* a barrier that not all threads of a block reach */
    ECH_EMU_WARP,       /* a warp operation whose lanes disagree or are missing */
    ECH_EMU_RACE,       /* two threads, one of them storing, with nothing between them */
    ECH_EMU_UNCHECKED,  /* a launch whose error nobody read */
    ECH_EMU_HOST,       /* host code that touches device memory, or misuses the runtime */
    ECH_EMU_KINDS
};

/* Valid during the hook only. Texts are never NULL; "" where they do not apply. */
struct ech_emu_report {
    enum ech_emu_kind kind;
    const char *kernel, *source, *text; /* source: file:line of the access; text: the whole report */
    unsigned block[3], thread[3];
    uintptr_t address;
    size_t bytes;
};

typedef void (*ech_emu_report_fn)(void *data, const struct ech_emu_report *report);
ECH_EMU_API void ech_emu_on_report(ech_emu_report_fn hook, void *data); /* NULL: back to the default */
ECH_EMU_API const char *ech_emu_kind_name(enum ech_emu_kind kind);

/* The device: bytes of memory (also ECH_EMU_MEMORY), number of devices (0: no driver), live allocations. */
ECH_EMU_API void ech_emu_set_memory(size_t bytes);
ECH_EMU_API void ech_emu_set_devices(int count);
ECH_EMU_API size_t ech_emu_live_allocations(void);

/* Blocks and threads in another order (0: ascending, 1: descending; also ECH_EMU_ORDER). A result that
 * depends on it breaks the exactness contract. */
ECH_EMU_API void ech_emu_set_order(int order);

/* The n-th call from now of a runtime or cuBLASLt function fails (0: none). Counts down in calls that can
 * fail; cudaGetLastError and its like do not count. */
ECH_EMU_API void ech_emu_fail_call(int64_t n);
ECH_EMU_API int64_t ech_emu_calls(void); /* how many such calls there were so far */

/* cuBLASLt algorithms, as a bit mask over the heuristic's order, whose bits depend on where a row lies
 * (also ECH_EMU_VARIANT, "all" or a number). */
ECH_EMU_API void ech_emu_set_variant(uint32_t mask);

#ifdef __cplusplus
}
#endif
#endif
