/* Device memory: one reserved range, allocations that never lie next to each other, freed ones kept out of
 * use for as long as the range lasts. A state a byte and, for touched pages, a cell a byte. */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include <sys/mman.h>

#include "internal.h"

namespace ech_emu
{

std::recursive_mutex lock;
Arena arena;

static std::map<uintptr_t, Allocation> allocations;
static std::map<uintptr_t, size_t> pinned_ranges;
static uintptr_t next_free;
static size_t used, total = size_t{1} << 30;
static uint64_t made;

enum : size_t { GAP = 16384, ALIGNMENT = 256, FILL_MOST = size_t{16} << 20 };

static void *reserve(size_t bytes)
{
    void *p =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("cuda emulator: address space");
        abort();
    }
    return p;
}

void arena_open()
{
    if (arena.base)
        return;
    arena.state = static_cast<uint8_t *>(reserve(ARENA_BYTES + STATE_SLACK));
    arena.pages = static_cast<Cell **>(reserve(ARENA_BYTES / CELL_PAGE * sizeof(Cell *)));
    arena.base = reinterpret_cast<uintptr_t>(reserve(ARENA_BYTES));
    next_free = arena.base + GAP;
    const char *set = getenv("ECH_EMU_MEMORY");
    if (set)
        ech_emu_set_memory(strtoull(set, nullptr, 10));
}

static void forget_freed()
{
    for (auto i = allocations.begin(); i != allocations.end();) {
        if (i->second.live) {
            ++i;
            continue;
        }
        arena_mark(i->first, i->second.bytes, OUTSIDE);
        i = allocations.erase(i);
    }
}

/* The first gap between live allocations that takes `bytes`, once the range has been used up. */
static uintptr_t search(size_t bytes)
{
    uintptr_t at = arena.base + GAP;
    for (const auto &a : allocations) {
        if (a.first >= at + bytes + GAP)
            return at;
        at = (a.first + a.second.bytes + GAP + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return at + bytes + GAP <= arena.base + ARENA_BYTES ? at : 0;
}

void *arena_allocate(size_t bytes, const char *call, const void *from)
{
    arena_open();
    if (bytes > total - used || used > total)
        return nullptr;
    uintptr_t at = next_free;
    if (bytes + GAP > arena.base + ARENA_BYTES - at) {
        forget_freed();
        at = search(bytes);
        if (!at)
            return nullptr;
    } else {
        next_free = (at + bytes + GAP + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    allocations[at] = {bytes, ++made, true, call, from, nullptr};
    used += bytes;
    arena_mark(at, bytes, UNWRITTEN);
    if (bytes <= FILL_MOST)
        memset(reinterpret_cast<void *>(at), 0xff, bytes); /* NaN: what shows where a report is ignored */
    return reinterpret_cast<void *>(at);
}

bool arena_free(void *p, const void *from)
{
    auto i = allocations.find(reinterpret_cast<uintptr_t>(p));
    if (i == allocations.end() || !i->second.live)
        return false;
    i->second.live = false;
    i->second.freed_at = from;
    used -= i->second.bytes;
    arena_mark(i->first, i->second.bytes, FREED);
    uintptr_t first = (i->first + 4095) & ~uintptr_t{4095},
              last = (i->first + i->second.bytes) & ~uintptr_t{4095};
    if (last > first)
        madvise(reinterpret_cast<void *>(first), last - first, MADV_DONTNEED);
    return true;
}

size_t arena_used()
{
    return used;
}

size_t arena_total()
{
    return total;
}

const Allocation *arena_find(uintptr_t a, uintptr_t *base)
{
    auto i = allocations.upper_bound(a);
    if (i == allocations.begin())
        return nullptr;
    --i;
    *base = i->first;
    return &i->second;
}

Cell *arena_cells(uintptr_t a)
{
    size_t offset = a - arena.base;
    Cell **page = &arena.pages[offset / CELL_PAGE];
    if (!*page)
        *page = static_cast<Cell *>(calloc(CELL_PAGE, sizeof(Cell)));
    if (!*page)
        abort();
    return *page + offset % CELL_PAGE;
}

void arena_mark(uintptr_t a, size_t n, State state)
{
    memset(arena.state + (a - arena.base), state, n);
}

static bool all_at_least(const void *p, size_t n, bool written)
{
    uintptr_t a = reinterpret_cast<uintptr_t>(p);
    if (n == 0)
        return true;
    if (!in_arena(a) || n > arena.base + ARENA_BYTES - a)
        return false;
    const uint8_t *s = arena.state + (a - arena.base);
    for (size_t i = 0; i < n; i++)
        if (s[i] != WRITTEN && (written || s[i] != UNWRITTEN))
            return false;
    return true;
}

bool arena_live(const void *p, size_t n)
{
    return all_at_least(p, n, false);
}

bool arena_written(const void *p, size_t n)
{
    return all_at_least(p, n, true);
}

static std::string describe_allocation(uintptr_t a)
{
    uintptr_t base;
    const Allocation *found = arena_find(a, &base);
    if (!found)
        return "device memory below every allocation";
    std::string name = format("allocation %llu (%zu bytes by %s, %s)", (unsigned long long)found->number,
                              found->bytes, found->call, source_of(found->made_at).c_str());
    size_t at = a - base;
    std::string freed = found->live ? "" : ", freed at " + source_of(found->freed_at);
    if (at < found->bytes)
        return format("byte %zu of ", at) + name + freed;
    return format("%zu bytes past the end of ", at - found->bytes) + name + freed;
}

std::string describe_address(uintptr_t a)
{
    std::string text;
    if (in_arena(a))
        return describe_allocation(a);
    if (a - reinterpret_cast<uintptr_t>(shared.bytes) < SHARED_MOST) {
        shared_name(a - reinterpret_cast<uintptr_t>(shared.bytes), &text);
        return text;
    }
    if (pinned(reinterpret_cast<void *>(a)))
        return "pinned host memory: kernels work on device memory only";
    if (a < 4096)
        return "a null pointer";
    return "host memory or a wild pointer";
}

bool pinned_add(void *p, size_t n)
{
    return pinned_ranges.emplace(reinterpret_cast<uintptr_t>(p), n).second;
}

bool pinned_remove(void *p)
{
    return pinned_ranges.erase(reinterpret_cast<uintptr_t>(p)) == 1;
}

bool pinned(const void *p)
{
    auto i = pinned_ranges.upper_bound(reinterpret_cast<uintptr_t>(p));
    if (i == pinned_ranges.begin())
        return false;
    --i;
    return reinterpret_cast<uintptr_t>(p) - i->first < i->second;
}

} // namespace ech_emu

using namespace ech_emu;

void ech_emu_set_memory(size_t bytes)
{
    Guard guard(lock);
    total = bytes < ARENA_BYTES / 2 ? bytes : ARENA_BYTES / 2;
}

size_t ech_emu_live_allocations(void)
{
    Guard guard(lock);
    size_t live = 0;
    for (const auto &a : allocations)
        live += a.second.live;
    return live;
}
