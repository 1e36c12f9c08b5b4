/* Launches as the host sees them: refused configurations, the error that must be read, the queue. */
#include <cstdlib>
#include <map>
#include <memory>

#include "runtime.h"

namespace ech_emu
{

static std::map<const void *, size_t> dynamic_limits;
/* Each host thread has its own last error, as with the real runtime. */
static thread_local cudaError_t last_error = cudaSuccess;
static thread_local bool unchecked;
static thread_local std::string unchecked_name;
static thread_local Site unchecked_site;
static int chosen_order = -1, devices = 1;
static int64_t calls, fail_in;

cudaError_t remember(cudaError_t error)
{
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last_error = error;
    return error;
}

bool fails_now()
{
    calls++;
    return fail_in > 0 && --fail_in == 0;
}

bool device_here()
{
    return devices > 0;
}

int order()
{
    if (chosen_order < 0) {
        const char *set = getenv("ECH_EMU_ORDER");
        chosen_order = set ? atoi(set) : 0;
    }
    return chosen_order;
}

size_t dynamic_limit(const void *kernel)
{
    auto i = dynamic_limits.find(kernel);
    return i == dynamic_limits.end() ? SHARED_PLAIN : i->second;
}

void demand_checked(const char *call)
{
    if (!unchecked)
        return;
    unchecked = false;
    Fault f;
    f.kind = ECH_EMU_UNCHECKED;
    f.site = unchecked_site;
    f.what = "the launch of " + unchecked_name + " was followed by " + call + " before anyone read its error";
    f.hint = "cudaGetLastError() right behind each launch: a refused launch runs nothing and says nothing";
    report(std::move(f));
}

void misuse(const char *call, const std::string &what, const char *hint, const void *pc)
{
    Fault f;
    f.kind = ECH_EMU_HOST;
    f.pc = pc;
    f.what = std::string(call) + ": " + what;
    f.hint = hint;
    report(std::move(f));
}

static cudaError_t refused(const Launch &l)
{
    uint64_t threads = uint64_t{l.block.x} * l.block.y * l.block.z;
    if (threads == 0 || threads > 1024 || l.block.z > 64)
        return cudaErrorInvalidConfiguration;
    if (l.grid.x == 0 || l.grid.y == 0 || l.grid.z == 0 || l.grid.x > INT32_MAX || l.grid.y > 65535 ||
        l.grid.z > 65535)
        return cudaErrorInvalidConfiguration;
    return l.shared_bytes > dynamic_limit(l.function) ? cudaErrorInvalidValue : cudaSuccess;
}

struct Queued {
    Launch l;
    explicit Queued(const Launch &launch) : l(launch)
    {
    }
    Queued(const Queued &) = delete;
    Queued &operator=(const Queued &) = delete;
    ~Queued()
    {
        l.destroy(l.params);
    }
};

void enqueue_launch(const Launch &l, cudaStream_t stream)
{
    Guard guard(lock);
    auto queued = std::make_shared<Queued>(l);
    demand_checked("another launch");
    unchecked = true;
    unchecked_name = l.kernel;
    unchecked_site = l.site;
    cudaError_t error = fails_now()     ? cudaErrorUnknown
                        : device_here() ? refused(l)
                                        : cudaErrorInsufficientDriver;
    if (error == cudaSuccess && !enqueue(stream, [queued] { return launch_execute(queued->l); }))
        error = cudaErrorInvalidResourceHandle;
    remember(error);
}

} // namespace ech_emu

using namespace ech_emu;

void ech_emu_set_order(int order)
{
    Guard guard(lock);
    chosen_order = order;
}

void ech_emu_set_devices(int count)
{
    Guard guard(lock);
    devices = count;
}

void ech_emu_fail_call(int64_t n)
{
    Guard guard(lock);
    fail_in = n;
}

int64_t ech_emu_calls(void)
{
    Guard guard(lock);
    return calls;
}

extern "C" {

cudaError_t cudaGetLastError(void)
{
    Guard guard(lock);
    unchecked = false;
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void)
{
    Guard guard(lock);
    unchecked = false;
    return last_error;
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value)
{
    ECH_EMU_ENTER("cudaFuncSetAttribute");
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
        return cudaSuccess;
    if (!kernel || attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        static_cast<size_t>(value) > SHARED_OPTIN)
        return remember(cudaErrorInvalidValue);
    dynamic_limits[kernel] = static_cast<size_t>(value);
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *kernel)
{
    ECH_EMU_ENTER("cudaFuncGetAttributes");
    if (!out || !kernel)
        return remember(cudaErrorInvalidDeviceFunction);
    *out = cudaFuncAttributes{};
    out->maxThreadsPerBlock = 1024;
    out->maxDynamicSharedSizeBytes = static_cast<int>(dynamic_limit(kernel));
    out->numRegs = 32;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *kernel, int threads,
                                                          size_t shared_bytes)
{
    ECH_EMU_ENTER("cudaOccupancyMaxActiveBlocksPerMultiprocessor");
    if (!blocks || !kernel || threads <= 0)
        return remember(cudaErrorInvalidValue);
    size_t by_threads = threads > 1024 ? 0 : 2048 / static_cast<size_t>(threads);
    size_t by_shared = shared_bytes > dynamic_limit(kernel) ? 0 : SHARED_OPTIN / (shared_bytes + 1024);
    *blocks = static_cast<int>(by_threads < by_shared ? by_threads : by_shared);
    return cudaSuccess;
}
}
