#include "race.h"

#include <map>

namespace ech_emu
{

/* ---- clocks of a warp: known[t][u] is how far t has seen u; an access carries its thread's own clock ----
 */

uint16_t clock_own(const Fiber &f)
{
    return f.warp->uniform ? f.warp->clock : f.warp->own[f.lane];
}

static uint16_t known(const Warp &w, unsigned lane, unsigned of)
{
    return w.uniform ? static_cast<uint16_t>(w.clock - 1) : w.known[lane][of];
}

bool clock_knows(const Fiber &f, unsigned thread, uint16_t clock)
{
    return thread == f.thread ||
           (thread / 32 == f.thread / 32U && known(*f.warp, f.lane, thread % 32) >= clock);
}

bool clock_knows_warp(const Fiber &f, uint16_t clock)
{
    for (unsigned lane = 0; lane < 32; lane++)
        if ((f.warp->exists >> lane & 1U) && lane != f.lane && known(*f.warp, f.lane, lane) < clock)
            return false;
    return true;
}

void clocks_reset(Warp &w)
{
    w.uniform = true;
    w.clock = 1;
}

static uint16_t highest(const Warp &w)
{
    uint16_t most = w.uniform ? w.clock : 0;
    for (int i = 0; !w.uniform && i < 32; i++)
        most = w.own[i] > most ? w.own[i] : most;
    return most;
}

static void spread(Warp &w)
{
    for (int lane = 0; lane < 32; lane++) {
        w.own[lane] = w.clock;
        for (int of = 0; of < 32; of++)
            w.known[lane][of] = static_cast<uint16_t>(w.clock - 1);
    }
    w.uniform = false;
}

static void meet_some(Warp &w, uint32_t lanes)
{
    uint16_t joined[32] = {0};
    for (int lane = 0; lane < 32; lane++)
        for (int of = 0; (lanes >> lane & 1U) && of < 32; of++) {
            uint16_t seen = of == lane ? w.own[lane] : w.known[lane][of];
            joined[of] = seen > joined[of] ? seen : joined[of];
        }
    for (int lane = 0; lane < 32; lane++)
        if (lanes >> lane & 1U) {
            for (int of = 0; of < 32; of++)
                w.known[lane][of] = joined[of];
            w.own[lane]++;
        }
}

void clocks_meet(Warp &w, uint32_t lanes)
{
    uint16_t most = highest(w);
    if (most == UINT16_MAX) { /* begin a new interval: forgets races across it, invents none */
        run.interval++;
        clocks_reset(w);
        return;
    }
    if (lanes == w.exists) {
        w.uniform = true;
        w.clock = static_cast<uint16_t>(most + 1);
        return;
    }
    if (w.uniform)
        spread(w);
    meet_some(w, lanes);
}

/* ---- fences between blocks: fence, atomic | atomic, fence on the same address ---- */

struct Stretch {
    uint32_t first, last; /* intervals of one block */
};
static std::map<uintptr_t, std::vector<Stretch>> released; /* by the address of the atomic */
static std::vector<Stretch> offered, acquired;             /* to the block that runs */
static bool fenced;

void fences_begin_launch()
{
    released.clear();
}

void fences_begin_block()
{
    offered.clear();
    acquired.clear();
    fenced = false;
}

void fence_passed()
{
    acquired.insert(acquired.end(), offered.begin(), offered.end());
    offered.clear();
    fenced = true;
}

void atomic_passed(uintptr_t a)
{
    if (!fenced && released.empty())
        return;
    std::vector<Stretch> &here = released[a];
    bool own = !here.empty() && here.back().first == run.block_first;
    offered.insert(offered.end(), here.begin(), own ? here.end() - 1 : here.end());
    if (own)
        here.back().last = run.interval;
    else if (fenced)
        here.push_back({run.block_first, run.interval});
}

static bool block_acquired(uint32_t interval)
{
    for (const Stretch &s : acquired)
        if (interval >= s.first && interval <= s.last)
            return true;
    return false;
}

/* ---- cells ---- */

static Collision none()
{
    return {false, false, false, 0, 0};
}

static Collision with_store(const Cell &c, const Fiber &f, bool atomic, uint32_t since)
{
    if (c.store_interval < since || (atomic && (c.store_thread & THREAD_ATOMIC)))
        return none();
    uint16_t thread = c.store_thread & THREAD_MASK;
    if (c.store_interval < run.block_first) {
        if (block_acquired(c.store_interval))
            return none();
        return {true, true, true, c.store_interval, thread};
    }
    if (c.store_interval < run.interval)
        return none();
    if (thread != THREAD_SEVERAL && clock_knows(f, thread, c.store_clock))
        return none();
    return {true, true, false, c.store_interval, thread};
}

static Collision with_loads(const Cell &c, const Fiber &f, uint32_t since)
{
    if (c.load_interval < since)
        return none();
    if (c.load_interval < run.block_first && !block_acquired(c.load_interval))
        return {true, false, true, c.load_interval, c.load_thread};
    if (c.other_load >= since && !block_acquired(c.other_load))
        return {true, false, true, c.other_load, THREAD_SEVERAL};
    if (c.load_interval < run.interval)
        return none();
    uint16_t thread = c.load_thread;
    bool ordered = thread == THREAD_SEVERAL ? false
                   : thread & THREAD_WARP
                       ? (thread & 0xffU) == f.thread / 32U && clock_knows_warp(f, c.load_clock)
                       : clock_knows(f, thread, c.load_clock);
    return ordered ? none() : Collision{true, false, false, c.load_interval, thread};
}

/* Loads do not collide with each other; the cell keeps as much of them as one store must be tested for. */
static void note_load(Cell &c, const Fiber &f, uint32_t since)
{
    uint16_t own = clock_own(f);
    bool here = c.load_interval == run.interval;
    if (!here && c.load_interval >= since && c.load_interval < run.block_first)
        c.other_load = c.load_interval;
    if (here && c.load_thread != f.thread) {
        uint16_t thread = c.load_thread;
        bool same_warp = thread != THREAD_SEVERAL &&
                         ((thread & THREAD_WARP) ? (thread & 0xffU) : thread / 32U) == f.thread / 32U;
        if (!same_warp) {
            c.load_thread = THREAD_SEVERAL;
            return;
        }
        bool seen =
            (thread & THREAD_WARP) ? clock_knows_warp(f, c.load_clock) : clock_knows(f, thread, c.load_clock);
        if (!seen) {
            c.load_thread = static_cast<uint16_t>(THREAD_WARP | f.thread / 32U);
            c.load_clock = own > c.load_clock ? own : c.load_clock;
            return;
        }
    }
    c.load_interval = run.interval;
    c.load_thread = f.thread;
    c.load_clock = own;
}

static void note_store(Cell &c, const Fiber &f, bool atomic)
{
    bool several = atomic && c.store_interval == run.interval && (c.store_thread & THREAD_ATOMIC) &&
                   (c.store_thread & THREAD_MASK) != f.thread;
    c.store_interval = run.interval;
    c.store_thread = static_cast<uint16_t>((several ? uint16_t{THREAD_SEVERAL} : f.thread) |
                                           (atomic ? uint16_t{THREAD_ATOMIC} : uint16_t{0}));
    c.store_clock = clock_own(f);
}

Collision race_load(Cell &c, const Fiber &f, uint32_t since)
{
    Collision hit = with_store(c, f, false, since);
    if (!hit.found)
        note_load(c, f, since);
    return hit;
}

Collision race_store(Cell &c, const Fiber &f, bool atomic, uint32_t since)
{
    Collision hit = with_store(c, f, atomic, since);
    if (!hit.found)
        hit = with_loads(c, f, since);
    if (!hit.found)
        note_store(c, f, atomic);
    return hit;
}

} // namespace ech_emu
