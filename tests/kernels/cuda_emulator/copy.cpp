/* Memory of the device and pinned memory, copies and fills. */
#include <cstdlib>
#include <cstring>
#include <memory>

#include "runtime.h"

namespace ech_emu
{

static uintptr_t number(const void *p)
{
    return reinterpret_cast<uintptr_t>(p);
}

static bool on_device(const void *p)
{
    return in_arena(number(p));
}

/* One rectangle to copy, and whose call it was. */
struct Copy {
    void *to;
    const void *from;
    size_t to_pitch, from_pitch, width, height;
    const char *call;
    const void *pc;
    bool to_pinned, from_pinned;
    std::shared_ptr<std::vector<uint8_t>> staged; /* pageable source: taken when the copy was queued */
};

static void copy_fault(const Copy &c, ech_emu_kind kind, const void *p, const char *what, const char *hint)
{
    Fault f;
    f.kind = kind;
    f.pc = c.pc;
    f.address = number(p);
    f.bytes = c.width;
    f.what = std::string(c.call) + ": " + what;
    f.hint = hint;
    report(std::move(f));
}

static bool copy_good(const Copy &c, const uint8_t *to, const uint8_t *from)
{
    if ((c.to_pinned && !pinned(to)) || (c.from_pinned && !pinned(from))) {
        copy_fault(c, ECH_EMU_HOST, c.to_pinned ? to : from,
                   "the pinned buffer was freed before the copy ran",
                   "wait for the stream before cudaFreeHost");
        return false;
    }
    for (const uint8_t *p : {to, from})
        if (on_device(p) && !arena_live(p, c.width)) {
            copy_fault(c, ECH_EMU_OUTSIDE, p,
                       p == to ? "the destination is not all inside one live allocation"
                               : "the source is not all inside one live allocation",
                       "compare the bytes copied with the allocation's size, and who freed it");
            return false;
        }
    if (on_device(from) && !on_device(to) && !arena_written(from, c.width)) {
        copy_fault(c, ECH_EMU_UNWRITTEN, from, "bytes copied to the host were never written",
                   "copy what kernels wrote, not the padding around it");
        return false;
    }
    return true;
}

/* A copy inside the device carries "never written" along. */
static void carry_states(uint8_t *to, const uint8_t *from, size_t n)
{
    if (!on_device(to))
        return;
    if (on_device(from))
        memmove(arena.state + (number(to) - arena.base), arena.state + (number(from) - arena.base), n);
    else
        arena_mark(number(to), n, WRITTEN);
}

static cudaError_t copy_now(const Copy &c)
{
    for (size_t row = 0; row < c.height; row++) {
        uint8_t *to = static_cast<uint8_t *>(c.to) + row * c.to_pitch;
        const uint8_t *from = c.staged ? c.staged->data() + row * c.width
                                       : static_cast<const uint8_t *>(c.from) + row * c.from_pitch;
        if (!copy_good(c, to, from))
            return cudaErrorInvalidValue;
        carry_states(to, from, c.width);
        memmove(to, from, c.width);
    }
    return cudaSuccess;
}

static bool direction_good(const Copy &c, cudaMemcpyKind kind)
{
    bool to = on_device(c.to), from = on_device(c.from);
    switch (kind) {
    case cudaMemcpyHostToHost:
        return !to && !from;
    case cudaMemcpyHostToDevice:
        return to && !from;
    case cudaMemcpyDeviceToHost:
        return !to && from;
    case cudaMemcpyDeviceToDevice:
        return to && from;
    default:
        return kind == cudaMemcpyDefault;
    }
}

static void stage(Copy *c)
{
    c->staged = std::make_shared<std::vector<uint8_t>>(c->width * c->height);
    for (size_t row = 0; row < c->height; row++)
        memcpy(c->staged->data() + row * c->width,
               static_cast<const uint8_t *>(c->from) + row * c->from_pitch, c->width);
}

/* Pinned buffers are read and written when the copy runs; a pageable source is taken at once, and a pageable
 * destination is waited for, as the driver does. */
static cudaError_t copy(Copy c, cudaMemcpyKind kind, cudaStream_t stream, bool wait)
{
    demand_checked(c.call);
    if (c.width == 0 || c.height == 0)
        return cudaSuccess;
    if (!c.to || !c.from || !direction_good(c, kind))
        return remember(cudaErrorInvalidValue);
    c.to_pinned = pinned(c.to);
    c.from_pinned = pinned(c.from);
    bool pageable_to = !on_device(c.to) && !c.to_pinned;
    if (!on_device(c.from) && !c.from_pinned)
        stage(&c);
    if (!enqueue(stream, [c] { return copy_now(c); }))
        return remember(cudaErrorInvalidResourceHandle);
    return wait || pageable_to ? remember(drain(stream)) : cudaSuccess;
}

static cudaError_t fill(void *p, int byte, size_t n, cudaStream_t stream, const char *call, const void *pc)
{
    demand_checked(call);
    if (n == 0)
        return cudaSuccess;
    if (!on_device(p))
        return remember(cudaErrorInvalidValue);
    bool queued = enqueue(stream, [=] {
        if (!arena_live(p, n)) {
            Copy c = {p, nullptr, 0, 0, n, 1, call, pc, false, false, nullptr};
            copy_fault(c, ECH_EMU_OUTSIDE, p, "the bytes set are not all inside one live allocation",
                       "compare them with the allocation's size, and who freed it");
            return cudaErrorInvalidValue;
        }
        arena_mark(number(p), n, WRITTEN);
        memset(p, byte, n);
        return cudaSuccess;
    });
    return remember(queued ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

static cudaError_t allocate(void **p, size_t n, const char *call, const void *pc)
{
    if (!p)
        return remember(cudaErrorInvalidValue);
    if (n == 0) {
        *p = nullptr;
        return cudaSuccess;
    }
    void *got = arena_allocate(n, call, pc);
    if (!got)
        return remember(cudaErrorMemoryAllocation);
    *p = got;
    return cudaSuccess;
}

static cudaError_t release(void *p, const char *call, const void *pc)
{
    if (!p || arena_free(p, pc))
        return cudaSuccess;
    Fault f;
    f.kind = ECH_EMU_HOST;
    f.pc = pc;
    f.address = number(p);
    f.what = std::string(call) + " of what is not the start of a live allocation";
    f.hint = "freed twice, or a pointer into the middle";
    report(std::move(f));
    return remember(cudaErrorInvalidValue);
}

static cudaError_t host_allocate(void **p, size_t n)
{
    if (!p)
        return remember(cudaErrorInvalidValue);
    size_t whole = (n + 4095) / 4096 * 4096;
    void *got = n ? aligned_alloc(4096, whole) : nullptr;
    if (n && !got)
        return remember(cudaErrorMemoryAllocation);
    if (n) {
        memset(got, 0xff, whole);
        pinned_add(got, n);
    }
    *p = got;
    return cudaSuccess;
}

} // namespace ech_emu

using namespace ech_emu;

#define PC __builtin_return_address(0)

extern "C" {

cudaError_t cudaMalloc(void **p, size_t n)
{
    ECH_EMU_ENTER("cudaMalloc");
    return allocate(p, n, "cudaMalloc", PC);
}

cudaError_t cudaMallocAsync(void **p, size_t n, cudaStream_t)
{
    ECH_EMU_ENTER("cudaMallocAsync");
    return allocate(p, n, "cudaMallocAsync", PC);
}

cudaError_t cudaFree(void *p)
{
    ECH_EMU_ENTER("cudaFree");
    if (!p)
        return cudaSuccess;
    demand_checked("cudaFree");
    cudaError_t before = drain_all();
    cudaError_t error = release(p, "cudaFree", PC);
    return remember(before != cudaSuccess ? before : error);
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t stream)
{
    ECH_EMU_ENTER("cudaFreeAsync");
    const void *pc = PC;
    bool queued = enqueue(stream, [p, pc] { return release(p, "cudaFreeAsync", pc); });
    return remember(queued ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *total)
{
    ECH_EMU_ENTER("cudaMemGetInfo");
    if (!left || !total)
        return remember(cudaErrorInvalidValue);
    *total = arena_total();
    *left = arena_total() > arena_used() ? arena_total() - arena_used() : 0;
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, size_t n)
{
    ECH_EMU_ENTER("cudaMallocHost");
    return host_allocate(p, n);
}

cudaError_t cudaHostAlloc(void **p, size_t n, unsigned int)
{
    ECH_EMU_ENTER("cudaHostAlloc");
    return host_allocate(p, n);
}

cudaError_t cudaFreeHost(void *p)
{
    ECH_EMU_ENTER("cudaFreeHost");
    if (!p)
        return cudaSuccess;
    if (!pinned_remove(p)) {
        misuse("cudaFreeHost", "not pinned memory", "freed twice, or never by cudaMallocHost", PC);
        return remember(cudaErrorInvalidValue);
    }
    free(p);
    return cudaSuccess;
}

cudaError_t cudaHostRegister(void *p, size_t n, unsigned int)
{
    ECH_EMU_ENTER("cudaHostRegister");
    if (!p || n == 0 || on_device(p))
        return remember(cudaErrorInvalidValue);
    return remember(pinned_add(p, n) ? cudaSuccess : cudaErrorHostMemoryAlreadyRegistered);
}

cudaError_t cudaHostUnregister(void *p)
{
    ECH_EMU_ENTER("cudaHostUnregister");
    return remember(pinned_remove(p) ? cudaSuccess : cudaErrorHostMemoryNotRegistered);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t n, enum cudaMemcpyKind kind)
{
    ECH_EMU_ENTER("cudaMemcpy");
    return copy({to, from, n, n, n, 1, "cudaMemcpy", PC, false, false, nullptr}, kind, nullptr, true);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    ECH_EMU_ENTER("cudaMemcpyAsync");
    return copy({to, from, n, n, n, 1, "cudaMemcpyAsync", PC, false, false, nullptr}, kind, stream, false);
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                         size_t height, enum cudaMemcpyKind kind)
{
    ECH_EMU_ENTER("cudaMemcpy2D");
    if (width > to_pitch || width > from_pitch)
        return remember(cudaErrorInvalidValue);
    return copy({to, from, to_pitch, from_pitch, width, height, "cudaMemcpy2D", PC, false, false, nullptr},
                kind, nullptr, true);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    ECH_EMU_ENTER("cudaMemcpy2DAsync");
    if (width > to_pitch || width > from_pitch)
        return remember(cudaErrorInvalidValue);
    return copy(
        {to, from, to_pitch, from_pitch, width, height, "cudaMemcpy2DAsync", PC, false, false, nullptr}, kind,
        stream, false);
}

cudaError_t cudaMemset(void *p, int byte, size_t n)
{
    ECH_EMU_ENTER("cudaMemset");
    return fill(p, byte, n, nullptr, "cudaMemset", PC);
}

cudaError_t cudaMemsetAsync(void *p, int byte, size_t n, cudaStream_t stream)
{
    ECH_EMU_ENTER("cudaMemsetAsync");
    return fill(p, byte, n, stream, "cudaMemsetAsync", PC);
}

cudaError_t cudaMemcpyToSymbol(const void *symbol, const void *from, size_t n, size_t offset,
                               enum cudaMemcpyKind kind)
{
    ECH_EMU_ENTER("cudaMemcpyToSymbol");
    demand_checked("cudaMemcpyToSymbol");
    if (!in_module(number(symbol)) || on_device(from) ||
        (kind != cudaMemcpyHostToDevice && kind != cudaMemcpyDefault))
        return remember(cudaErrorInvalidValue);
    cudaError_t error = drain(nullptr);
    memcpy(static_cast<char *>(const_cast<void *>(symbol)) + offset, from, n);
    return remember(error);
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *p)
{
    ECH_EMU_ENTER("cudaPointerGetAttributes");
    if (!out)
        return remember(cudaErrorInvalidValue);
    *out = cudaPointerAttributes{};
    bool device = arena_live(p, 1), host = pinned(p);
    out->type = device ? cudaMemoryTypeDevice : host ? cudaMemoryTypeHost : cudaMemoryTypeUnregistered;
    out->device = device || host ? 0 : -2;
    out->devicePointer = device || host ? const_cast<void *>(p) : nullptr;
    out->hostPointer = device ? nullptr : const_cast<void *>(p);
    return cudaSuccess;
}

/* Pools: one, that keeps nothing. */
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device)
{
    ECH_EMU_ENTER("cudaDeviceGetDefaultMemPool");
    static char only;
    if (!pool || device != 0)
        return remember(cudaErrorInvalidValue);
    *pool = reinterpret_cast<cudaMemPool_t>(&only);
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr, void *value)
{
    ECH_EMU_ENTER("cudaMemPoolSetAttribute");
    return remember(pool && value ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t)
{
    ECH_EMU_ENTER("cudaMemPoolTrimTo");
    return remember(pool ? cudaSuccess : cudaErrorInvalidValue);
}
}
