/* The emulator's own parts: fibers, memory and its shadow, launches, reports. Not for kernels.
 * One lock guards everything; `current` is the fiber that runs on this thread, or null in host code.
 * Invariant: each byte that a kernel may touch has a state, and a cell that names its last store and load. */
#ifndef ECH_EMU_INTERNAL_H
#define ECH_EMU_INTERNAL_H

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

#include "control.h"
#include "device/launch.h"
#include "device/warp.h"

namespace ech_emu
{

extern std::recursive_mutex lock;
using Guard = std::lock_guard<std::recursive_mutex>;

/* ---- memory ---- */

enum State : uint8_t { OUTSIDE = 0, UNWRITTEN = 1, WRITTEN = 2, FREED = 3 };

/* The last store to a byte and the last load of it: interval (see Run), thread, clock of its warp. */
struct Cell {
    uint32_t store_interval;
    uint16_t store_thread, store_clock;
    uint32_t load_interval;
    uint16_t load_thread, load_clock;
    uint32_t other_load; /* interval of a load by an earlier block of the launch */
};
enum : uint16_t {
    THREAD_ATOMIC = 0x8000,  /* flag of store_thread */
    THREAD_SEVERAL = 0x7fff, /* several threads of the block */
    THREAD_WARP = 0x4000,    /* several lanes of the warp in the low bits */
    THREAD_MASK = 0x7fff,
};

struct Allocation {
    size_t bytes;
    uint64_t number;
    bool live;
    const char *call;
    const void *made_at, *freed_at;
};

enum { STATE_SLACK = 64 };
inline constexpr size_t ARENA_BYTES = size_t{1} << 32;
inline constexpr size_t CELL_PAGE = 4096;
/* Shared memory of a block: without asking, and at most; the rest of SHARED_MOST holds gaps. */
inline constexpr size_t SHARED_PLAIN = size_t{48} << 10, SHARED_OPTIN = size_t{227} << 10;
inline constexpr size_t SHARED_MOST = size_t{256} << 10;

struct Arena {
    uintptr_t base;
    uint8_t *state;
    Cell **pages;
};
extern Arena arena;

inline bool in_arena(uintptr_t a)
{
    return a - arena.base < ARENA_BYTES;
}
void arena_open();
/* nullptr where the settable total is used up. */
void *arena_allocate(size_t bytes, const char *call, const void *from);
bool arena_free(void *p, const void *from); /* false: not the start of a live allocation */
size_t arena_used();
size_t arena_total();
/* The allocation that holds `a`, or else the nearest one below; base in *base. */
const Allocation *arena_find(uintptr_t a, uintptr_t *base);
Cell *arena_cells(uintptr_t a); /* the cell of one byte; valid to the end of its CELL_PAGE */
void arena_mark(uintptr_t a, size_t n, State state);
/* Is [p, p + n) inside one live allocation? */
bool arena_live(const void *p, size_t n);
bool arena_written(const void *p, size_t n);
std::string describe_address(uintptr_t a);

bool pinned_add(void *p, size_t n);
bool pinned_remove(void *p);
bool pinned(const void *p);

/* ---- fibers ---- */

enum Wait : uint8_t { READY, AT_WARP, AT_BARRIER, DONE };

struct Warp {
    uint32_t exists, done, waiting; /* lanes */
    bool uniform;                   /* all lanes met at their last meeting: `clock` tells all */
    uint16_t clock;
    uint16_t own[32];
    uint16_t known[32][32];
};

struct Fiber {
    void *stack_pointer;
    uintptr_t stack; /* lowest address */
    uint16_t thread;
    uint8_t lane;
    Wait wait;
    Warp *warp;
    uint3 index;
    Site site;
    WarpOp op;
    BarrierKind barrier;
    int predicate;
};

inline constexpr size_t STACK_BYTES = size_t{64} << 10;
extern thread_local Fiber *current __attribute__((tls_model("initial-exec")));

void fiber_stacks(std::vector<Fiber> &fibers); /* gives each its stack, for the whole process */
void fiber_start(Fiber &f);
void fiber_resume(Fiber &f); /* from the scheduler */
void fiber_leave();          /* from a fiber, back to the scheduler */

/* ---- the launch that runs ---- */

struct Run {
    const Launch *launch;
    uint3 block;
    /* Intervals number the stretches between barriers over the whole process: those of this launch begin at
     * launch_first, those of this block at block_first. */
    uint32_t launch_first, block_first, interval;
    bool given_up;
    std::vector<uint32_t> first_of; /* per block run so far: its block_first and its number */
    std::vector<uint64_t> number_of;
};
extern Run run;

struct Shared {
    uint8_t *bytes, *state; /* SHARED_MOST, state with slack */
    Cell *cells;
    size_t used;
};
extern Shared shared;
void shared_open();
void shared_begin_launch(size_t dynamic_bytes);
void shared_begin_block();
bool shared_name(size_t offset, std::string *text);

bool launch_check(const Launch &l, cudaError_t *error); /* a configuration that the device refuses */
cudaError_t launch_execute(const Launch &l);
size_t dynamic_limit(const void *kernel);
void set_dynamic_limit(const void *kernel, size_t bytes);
int order();

uint16_t clock_own(const Fiber &f);
bool clock_knows(const Fiber &f, unsigned thread, uint16_t clock);
bool clock_knows_warp(const Fiber &f, uint16_t clock);
void clocks_meet(Warp &w, uint32_t lanes);
void clocks_reset(Warp &w);

/* ---- reports ---- */

struct Fault {
    ech_emu_kind kind;
    const void *pc = nullptr; /* where, or */
    Site site = {nullptr, 0};
    uintptr_t address = 0;
    size_t bytes = 0;
    std::string what, where, hint;
};
std::string format(const char *text, ...) __attribute__((format(printf, 1, 2)));
std::string source_of(const void *pc); /* file:line, or module+offset */
std::string source_of(const Site &site);
/* In a fiber does not return: the launch is given up, and the scheduler calls report_of. */
void report(Fault &&fault);
void report_of(const Fiber &fiber);
void report_now(Fault &&fault, const Fiber &fiber); /* from the scheduler */

/* ---- host side ---- */

enum class Access { LOAD, STORE, ATOMIC };
void access(uintptr_t a, size_t n, Access how, const void *pc);
void report_host_access(uintptr_t a, size_t n, const void *pc);
bool in_module(uintptr_t a); /* static data of a loaded program or library */

cudaError_t remember(cudaError_t error); /* for cudaGetLastError; returns it */
bool fails_now();
void note_unchecked(const Launch *l); /* null: was checked */
void demand_checked(const char *call);

} // namespace ech_emu

#endif
