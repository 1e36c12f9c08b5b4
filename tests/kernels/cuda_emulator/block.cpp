/* Runs a launch: block after block; in a block warp after warp, each until its lanes are done or wait for a
 * barrier. A fault gives the launch up: its fibers are never resumed. */
#include <chrono>
#include <cstdlib>

#include "block.h"
#include "race.h"

namespace ech_emu
{

Run run;

static std::vector<Fiber> fibers;
static Warp warps[32];
static unsigned threads;
static int descending;
static uint32_t last_interval;

static std::string name_of(const Fiber &f)
{
    return format("thread (%u,%u,%u)", f.index.x, f.index.y, f.index.z);
}

/* A fault of the block rather than of one access, told of fiber f. */
static void block_fault(const Fiber &f, ech_emu_kind kind, std::string what, const char *hint)
{
    Fault fault;
    fault.kind = kind;
    fault.site = f.site;
    fault.what = std::move(what);
    fault.hint = hint;
    run.given_up = true;
    report_now(std::move(fault), f);
}

/* ---- warp operations ---- */

uint64_t warp_meet(WarpKind kind, uint32_t mask, uint64_t value, uint32_t lane, int width, const char *file,
                   int line)
{
    Fiber &f = *current;
    f.site = {file, line};
    f.op = {kind, mask, value, lane, width, f.site};
    f.wait = AT_WARP;
    f.warp->waiting |= 1U << f.lane;
    fiber_leave();
    return f.op.value;
}

static bool width_good(const WarpOp &op)
{
    return op.width > 0 && op.width <= 32 && (op.width & (op.width - 1)) == 0;
}

/* Do the lanes of the group do the same thing? Tells of the first that does not. */
static bool in_step(const Fiber *lanes, uint32_t group, const Fiber &f)
{
    const char *hint = "every lane named in the mask must reach the same operation with the same mask";
    if (!(f.op.mask >> f.lane & 1U) || !width_good(f.op)) {
        block_fault(f, ECH_EMU_WARP,
                    format("the mask %#x leaves out the calling lane, or the width %d is no power "
                           "of two up to 32",
                           f.op.mask, f.op.width),
                    hint);
        return false;
    }
    for (unsigned i = 0; i < 32; i++) {
        if (!(group >> i & 1U))
            continue;
        const WarpOp &other = lanes[i].op;
        if (other.mask == f.op.mask && other.kind == f.op.kind && other.site.line == f.op.site.line)
            continue;
        block_fault(f, ECH_EMU_WARP,
                    format("lane %u is at ", i) + source_of(other.site) +
                        format(" with mask %#x, lane %u at ", other.mask, f.lane) + source_of(f.op.site) +
                        format(" with mask %#x", f.op.mask),
                    hint);
        return false;
    }
    return true;
}

/* Completes the operation that f waits in, if all lanes of its mask that still run wait too. */
static void try_complete(Warp &w, Fiber *lanes, const Fiber &f)
{
    uint32_t group = f.op.mask & w.exists & ~w.done;
    if ((group & w.waiting) != group || !in_step(lanes, group | 1U << f.lane, f))
        return;
    uint64_t results[32];
    int lost = warp_results(lanes, group, results);
    if (lost >= 0) {
        block_fault(lanes[lost], ECH_EMU_WARP, format("lane %d reads a lane that takes no part", lost),
                    "the value is undefined on a device; the lane has returned or is not in the mask");
        return;
    }
    clocks_meet(w, group);
    w.waiting &= ~group;
    for (unsigned i = 0; i < 32; i++)
        if (group >> i & 1U) {
            lanes[i].op.value = results[i];
            lanes[i].wait = READY;
        }
}

/* A lane has gone: others may have waited for it alone. */
static void retry_waiting(Warp &w, Fiber *lanes)
{
    for (unsigned i = 0; i < 32 && !run.given_up; i++)
        if (w.waiting >> i & 1U)
            try_complete(w, lanes, lanes[i]);
}

static void resume(Warp &w, Fiber *lanes, Fiber &f)
{
    fiber_resume(f);
    if (run.given_up) {
        report_of(f);
        return;
    }
    if (f.wait == AT_WARP) {
        try_complete(w, lanes, f);
    } else if (f.wait == DONE) {
        w.done |= 1U << f.lane;
        retry_waiting(w, lanes);
    }
}

static void run_warp(unsigned number)
{
    Warp &w = warps[number];
    Fiber *lanes = &fibers[number * 32];
    unsigned count = static_cast<unsigned>(__builtin_popcount(w.exists));
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned i = 0; i < count; i++) {
            Fiber &f = lanes[descending ? count - 1 - i : i];
            if (f.wait != READY)
                continue;
            resume(w, lanes, f);
            if (run.given_up)
                return;
            moved = true;
        }
    }
    for (unsigned i = 0; i < count; i++)
        if (lanes[i].wait == AT_WARP)
            return block_fault(lanes[i], ECH_EMU_WARP,
                               format("waits for lanes %#x, which wait at a barrier of the block",
                                      lanes[i].op.mask & w.exists & ~w.done & ~w.waiting),
                               "on a device this hangs");
}

/* ---- barriers of the block ---- */

int barrier(BarrierKind kind, int predicate, const char *file, int line)
{
    Fiber &f = *current;
    f.site = {file, line};
    f.barrier = kind;
    f.predicate = predicate;
    f.wait = AT_BARRIER;
    fiber_leave();
    return f.predicate;
}

static int combine(BarrierKind kind)
{
    int count = 0;
    for (unsigned i = 0; i < threads; i++)
        count += fibers[i].predicate != 0;
    return kind == BarrierKind::COUNT ? count : kind == BarrierKind::AND ? count == (int)threads : count > 0;
}

/* All threads wait, or some do and the others have returned. */
static void release_barrier(const Fiber &first)
{
    for (unsigned i = 0; i < threads; i++) {
        const Fiber &f = fibers[i];
        if (f.wait == DONE)
            return block_fault(first, ECH_EMU_BARRIER,
                               name_of(f) + " has returned, " + name_of(first) + " waits",
                               "move the return behind the last barrier, and guard the work instead");
        if (f.site.line != first.site.line || f.barrier != first.barrier)
            return block_fault(first, ECH_EMU_BARRIER,
                               name_of(f) + " waits at " + source_of(f.site) + ", " + name_of(first) +
                                   " at " + source_of(first.site),
                               "one barrier that all threads reach, outside of the branch");
    }
    int value = first.barrier == BarrierKind::PLAIN ? 0 : combine(first.barrier);
    for (unsigned i = 0; i < threads; i++) {
        fibers[i].predicate = value;
        fibers[i].wait = READY;
    }
    run.interval++;
    for (unsigned w = 0; w * 32 < threads; w++)
        clocks_reset(warps[w]);
}

/* ---- a block, a launch ---- */

static void begin_block(uint64_t number)
{
    dim3 g = run.launch->grid;
    run.block = {static_cast<unsigned>(number % g.x), static_cast<unsigned>(number / g.x % g.y),
                 static_cast<unsigned>(number / g.x / g.y)};
    run.interval++;
    run.block_first = run.interval;
    run.first_of.push_back(run.block_first);
    run.number_of.push_back(number);
    fences_begin_block();
    shared_begin_block();
    for (unsigned w = 0; w * 32 < threads; w++) {
        unsigned lanes = threads - w * 32 < 32 ? threads - w * 32 : 32;
        warps[w].exists = lanes == 32 ? ~0U : (1U << lanes) - 1;
        warps[w].done = warps[w].waiting = 0;
        clocks_reset(warps[w]);
    }
    for (unsigned i = 0; i < threads; i++)
        fiber_start(fibers[i]);
}

static void run_block(uint64_t number)
{
    begin_block(number);
    for (;;) {
        unsigned count = (threads + 31) / 32;
        for (unsigned w = 0; w < count && !run.given_up; w++)
            run_warp(descending ? count - 1 - w : w);
        const Fiber *waiting = nullptr;
        for (unsigned i = 0; i < threads && !waiting; i++)
            waiting = fibers[i].wait == AT_BARRIER ? &fibers[i] : nullptr;
        if (run.given_up || !waiting)
            return;
        release_barrier(*waiting);
    }
}

static void prepare_fibers(dim3 b)
{
    if (fibers.empty()) {
        fibers.resize(1024);
        fiber_stacks(fibers);
    }
    threads = b.x * b.y * b.z;
    for (unsigned i = 0; i < threads; i++) {
        fibers[i].thread = static_cast<uint16_t>(i);
        fibers[i].lane = static_cast<uint8_t>(i % 32);
        fibers[i].warp = &warps[i / 32];
        fibers[i].index = {i % b.x, i / b.x % b.y, i / b.x / b.y};
    }
}

cudaError_t launch_execute(const Launch &l)
{
    arena_open();
    prepare_fibers(l.block);
    run.launch = &l;
    run.given_up = false;
    run.first_of.clear();
    run.number_of.clear();
    run.interval = last_interval + 1;
    run.launch_first = run.interval;
    descending = order();
    fences_begin_launch();
    shared_begin_launch(l.shared_bytes);
    uint64_t blocks = uint64_t{l.grid.x} * l.grid.y * l.grid.z;
    for (uint64_t i = 0; i < blocks && !run.given_up; i++)
        run_block(descending ? blocks - 1 - i : i);
    last_interval = run.interval;
    run.launch = nullptr;
    return run.given_up ? cudaErrorLaunchFailure : cudaSuccess;
}

/* ---- built-ins ---- */

uint3 thread_index()
{
    return current->index;
}

uint3 block_index()
{
    return run.block;
}

dim3 block_shape()
{
    return run.launch->block;
}

dim3 grid_shape()
{
    return run.launch->grid;
}

unsigned active_lanes()
{
    return current->warp->exists & ~current->warp->done;
}

void trap(const char *file, int line)
{
    Fault f;
    f.kind = ECH_EMU_OUTSIDE;
    f.site = {file, line};
    f.what = "the kernel trapped itself";
    report(std::move(f));
    abort();
}

long long ticks()
{
    return std::chrono::steady_clock::now().time_since_epoch().count();
}

} // namespace ech_emu
