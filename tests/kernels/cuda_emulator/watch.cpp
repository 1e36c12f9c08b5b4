/* Each access of an emulated source comes here: from gcc's thread-sanitizer callbacks (they name every load
 * and store apart, which the address sanitizer's do not: a store after a load of the same place is left out
 * there), from its alignment and bounds checks, and from memcpy and its kin. */
#include <cstring>

#include "race.h"

namespace ech_emu
{

static const char *const DID[] = {"read", "write", "atomic"};

static Fault fault_at(ech_emu_kind kind, uintptr_t a, size_t n, const void *pc)
{
    Fault f;
    f.kind = kind;
    f.pc = pc;
    f.address = a;
    f.bytes = n;
    return f;
}

static void report_outside(uintptr_t a, size_t n, Access how, const void *pc, bool freed)
{
    Fault f = fault_at(ECH_EMU_OUTSIDE, a, n, pc);
    f.what =
        format("%s of %s", DID[static_cast<int>(how)], freed ? "freed memory" : "memory that is no kernel's");
    f.hint =
        "compare the index with the allocation's size; a wrong grid shape or a host pointer also ends here";
    report(std::move(f));
}

static void report_unwritten(uintptr_t a, size_t n, const uint8_t *state, const void *pc)
{
    size_t first = 0;
    while (first < n && state[first] == WRITTEN)
        first++;
    Fault f = fault_at(ECH_EMU_UNWRITTEN, a, n, pc);
    f.what = format("byte %zu of this read was never stored, copied or set", first);
    f.hint =
        "who should have written it? in shared memory: is the loop over all elements, is the tail filled?";
    report(std::move(f));
}

static void report_misaligned(uintptr_t a, size_t n, const void *pc)
{
    Fault f = fault_at(ECH_EMU_MISALIGNED, a, n, pc);
    f.what = format("an access of %zu bytes wants an address that is a multiple of its size", n);
    f.hint =
        "a row's stride or a tensor's offset is no multiple of the vector; test it before choosing vectors";
    report(std::move(f));
}

static std::string name_thread(uint16_t thread)
{
    if (thread == THREAD_SEVERAL)
        return "several threads";
    if (thread & THREAD_WARP)
        return format("several lanes of warp %u", thread & 0xffU);
    dim3 b = run.launch->block;
    return format("thread (%u,%u,%u)", thread % b.x, thread / b.x % b.y, thread / b.x / b.y);
}

static std::string name_block(uint32_t interval)
{
    size_t i = run.first_of.size();
    while (i > 1 && run.first_of[i - 1] > interval)
        i--;
    uint64_t n = i ? run.number_of[i - 1] : 0;
    dim3 g = run.launch->grid;
    return format("block (%u,%u,%u)", static_cast<unsigned>(n % g.x), static_cast<unsigned>(n / g.x % g.y),
                  static_cast<unsigned>(n / g.x / g.y));
}

static void report_race(uintptr_t a, size_t n, Access how, const Collision &hit, const void *pc)
{
    Fault f = fault_at(ECH_EMU_RACE, a, n, pc);
    f.what = format("this %s meets a %s by ", DID[static_cast<int>(how)], hit.stored ? "write" : "read") +
             (hit.other_block ? name_block(hit.interval) : name_thread(hit.thread)) +
             (hit.other_block ? " of the same launch" : " since the last barrier");
    f.hint = hit.other_block ? "blocks run in any order: only two launches, or a fence and an atomic on both "
                               "sides (fence, atomic; atomic, fence), order them"
                             : "__syncthreads() between the two, or __syncwarp() where both are of one warp";
    report(std::move(f));
}

/* n bytes whose states and cells begin at `state` and `cells` and do not leave their page. */
static void check(uintptr_t a, size_t n, Access how, const void *pc, uint8_t *state, Cell *cells,
                  uint32_t since)
{
    const Fiber &f = *current;
    for (size_t i = 0; i < n; i++) {
        if (how != Access::STORE && state[i] == UNWRITTEN)
            return report_unwritten(a, n, state, pc);
        if (state[i] != WRITTEN && state[i] != UNWRITTEN)
            return report_outside(a, n, how, pc, state[i] == FREED);
    }
    for (size_t i = 0; i < n; i++) {
        Collision hit = how == Access::LOAD ? race_load(cells[i], f, since)
                                            : race_store(cells[i], f, how == Access::ATOMIC, since);
        if (hit.found)
            return report_race(a + i, n - i, how, hit, pc);
    }
    if (how != Access::LOAD)
        memset(state, WRITTEN, n);
}

static void check_device(uintptr_t a, size_t n, Access how, const void *pc)
{
    while (n && !run.given_up) {
        size_t left = CELL_PAGE - (a - arena.base) % CELL_PAGE, part = n < left ? n : left;
        check(a, part, how, pc, arena.state + (a - arena.base), arena_cells(a), run.launch_first);
        a += part;
        n -= part;
    }
}

/* Parameters may be read, locals used, tables of the module read, its variables used. */
static bool allowed(uintptr_t a, size_t n, Access how)
{
    if (a - current->stack < STACK_BYTES)
        return true;
    const Launch *l = run.launch;
    uintptr_t params = reinterpret_cast<uintptr_t>(l->params);
    if (a - params < l->params_bytes)
        return how == Access::LOAD && a + n <= params + l->params_bytes;
    return in_module(a);
}

void access(uintptr_t a, size_t n, Access how, const void *pc)
{
    if (!current) {
        if (in_arena(a))
            report_host_access(a, n, pc);
        return;
    }
    if (run.given_up || n == 0)
        return;
    uintptr_t in_shared = a - reinterpret_cast<uintptr_t>(shared.bytes),
              room = SHARED_MOST + STATE_SLACK - in_shared;
    if (in_arena(a))
        check_device(a, n, how, pc);
    else if (in_shared < SHARED_MOST)
        check(a, n < room ? n : room, how, pc, shared.state + in_shared, shared.cells + in_shared,
              run.block_first);
    else if (!allowed(a, n, how))
        report_outside(a, n, how, pc, false);
}

void report_host_access(uintptr_t a, size_t n, const void *pc)
{
    Fault f = fault_at(ECH_EMU_HOST, a, n, pc);
    f.what = "host code reads or writes device memory";
    f.hint = "copy it with cudaMemcpyAsync; on a device this is a segmentation fault";
    report(std::move(f));
}

void atomic_access(const volatile void *p, size_t n, const void *pc)
{
    uintptr_t a = reinterpret_cast<uintptr_t>(p);
    if (a % n != 0)
        report_misaligned(a, n, pc);
    access(a, n, Access::ATOMIC, pc);
    atomic_passed(a);
}

void fence(bool whole_device)
{
    if (whole_device)
        fence_passed();
}

} // namespace ech_emu

using namespace ech_emu;

/* ---- gcc's callbacks ---- */

#define PC      __builtin_return_address(0)
#define ADDRESS reinterpret_cast<uintptr_t>(p)
#define WATCH(n)                                                                                             \
    extern "C" void __tsan_read##n(void *p)                                                                  \
    {                                                                                                        \
        access(ADDRESS, n, Access::LOAD, PC);                                                                \
    }                                                                                                        \
    extern "C" void __tsan_write##n(void *p)                                                                 \
    {                                                                                                        \
        access(ADDRESS, n, Access::STORE, PC);                                                               \
    }                                                                                                        \
    extern "C" void __tsan_unaligned_read##n(void *p)                                                        \
    {                                                                                                        \
        access(ADDRESS, n, Access::LOAD, PC);                                                                \
    }                                                                                                        \
    extern "C" void __tsan_unaligned_write##n(void *p)                                                       \
    {                                                                                                        \
        access(ADDRESS, n, Access::STORE, PC);                                                               \
    }
extern "C" {
void __tsan_init(void);
void __tsan_func_entry(void *);
void __tsan_func_exit(void);
void __tsan_read_range(void *p, size_t n);
void __tsan_write_range(void *p, size_t n);
void __tsan_vptr_update(void *p, void *value);
void *ech_emu_memcpy(void *to, const void *from, size_t n);
void *ech_emu_memmove(void *to, const void *from, size_t n);
void *ech_emu_memset(void *to, int byte, size_t n);
}
WATCH(1)
WATCH(2)
WATCH(4)
WATCH(8)
WATCH(16)

void __tsan_init(void)
{
}

void __tsan_func_entry(void *)
{
}

void __tsan_func_exit(void)
{
}

void __tsan_vptr_update(void *, void *)
{
}

void __tsan_read_range(void *p, size_t n)
{
    access(ADDRESS, n, Access::LOAD, PC);
}

void __tsan_write_range(void *p, size_t n)
{
    access(ADDRESS, n, Access::STORE, PC);
}

static void watch_copy(void *to, const void *from, size_t n, const void *pc)
{
    access(reinterpret_cast<uintptr_t>(from), n, Access::LOAD, pc);
    access(reinterpret_cast<uintptr_t>(to), n, Access::STORE, pc);
}

void *ech_emu_memcpy(void *to, const void *from, size_t n)
{
    watch_copy(to, from, n, PC);
    return memcpy(to, from, n);
}

void *ech_emu_memmove(void *to, const void *from, size_t n)
{
    watch_copy(to, from, n, PC);
    return memmove(to, from, n);
}

void *ech_emu_memset(void *to, int byte, size_t n)
{
    access(reinterpret_cast<uintptr_t>(to), n, Access::STORE, PC);
    return memset(to, byte, n);
}
