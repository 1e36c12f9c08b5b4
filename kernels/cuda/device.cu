/* Devices: which there are, whether this build can use them, their memory, and the numerics classes. */
#include "kernels/cuda/inside.h"

#include <stdio.h>
#include <string.h>

#include <mutex>

enum { DEVICES_MAX = 64, OLDEST = 8 }; /* OLDEST: compute capability 8.0 */

static struct {
    std::mutex lock;
    bool filled;
    int count;
    cudaDeviceProp props[DEVICES_MAX];
    char numerics[ECH_FORMATS][64];
    struct ech_ops table;
} found;

const struct ech_ops *cuda_table(void)
{
    return &found.table;
}

const char *cuda_device_name(int device)
{
    return device >= 0 && device < found.count ? found.props[device].name : "?";
}

int cuda_devices(void)
{
    return found.count;
}

/* Every driver error of the first call, in words that say what to do. */
static void explain_count(cudaError_t e, char *why)
{
    if (e == cudaErrorInsufficientDriver)
        snprintf(why, WHY, "no CUDA device: the driver is older than the toolkit (CUDA %d.%d) or absent",
                 CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    else if (e == cudaErrorNoDevice || e == cudaSuccess)
        snprintf(why, WHY, "no CUDA device: the driver sees none (CUDA_VISIBLE_DEVICES hides them, perhaps)");
    else
        snprintf(why, WHY, "no CUDA device: %s: %s", cudaGetErrorName(e), cudaGetErrorString(e));
}

static bool same_kind(const cudaDeviceProp *a, const cudaDeviceProp *b)
{
    return a->major == b->major && a->minor == b->minor && a->multiProcessorCount == b->multiProcessorCount;
}

/* All devices of a process are of one kind: the table has one numerics class a format. */
static int read_devices(char *why)
{
    int count = 0;
    cudaError_t e = cudaGetDeviceCount(&count);
    if (e != cudaSuccess || count < 1) {
        explain_count(e, why);
        (void)cudaGetLastError();
        return ECH_OP_DEVICE;
    }
    count = count < DEVICES_MAX ? count : DEVICES_MAX;
    for (int d = 0; d < count; d++) {
        cudaDeviceProp *p = &found.props[d];
        if ((e = cudaGetDeviceProperties(p, d)) != cudaSuccess) {
            snprintf(why, WHY, "CUDA device %d: %s", d, cudaGetErrorString(e));
            return ECH_OP_DEVICE;
        }
        if (p->major < OLDEST) {
            snprintf(why, WHY, "CUDA device %d (%.100s) has compute capability %d.%d; this build needs %d.0",
                     d, p->name, p->major, p->minor, OLDEST);
            return ECH_OP_DEVICE;
        }
        if (!same_kind(p, &found.props[0])) {
            snprintf(why, WHY,
                     "CUDA devices 0 (%.60s) and %d (%.60s) would give other bits: leave one kind visible by "
                     "CUDA_VISIBLE_DEVICES",
                     found.props[0].name, d, p->name);
            return ECH_OP_DEVICE;
        }
    }
    found.count = count;
    return ECH_OP_OK;
}

/* The choice of an algorithm depends on the number of multiprocessors, so the class names it too. */
static void fill_numerics(void)
{
    static const enum ech_format here[] = {ECH_FMT_F32, ECH_FMT_BF16, ECH_FMT_F16, ECH_FMT_INT8};
    static const char *const names[] = {"f32", "bf16", "f16", "int8"};
    static const enum ech_format own[] = {ECH_FMT_BLOCK,
                                          ECH_FMT_BLOCK_INT8}; /* cuBLASLt has no part in them */
    static const char *const own_names[] = {"block", "block-int8"};
    const cudaDeviceProp *p = &found.props[0];
    for (size_t i = 0; i < sizeof here / sizeof here[0]; i++) {
        snprintf(found.numerics[here[i]], sizeof found.numerics[0], "cuda-%s-1-sm%d%dx%d-cublaslt%zu",
                 names[i], p->major, p->minor, p->multiProcessorCount, cublasLtGetVersion());
        found.table.numerics[here[i]] = found.numerics[here[i]];
    }
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        snprintf(found.numerics[own[i]], sizeof found.numerics[0], "cuda-%s-1-sm%d%d", own_names[i], p->major,
                 p->minor);
        found.table.numerics[own[i]] = found.numerics[own[i]];
    }
}

const struct ech_ops *cuda_open(char *why)
{
    std::lock_guard<std::mutex> hold(found.lock);
    if (found.filled)
        return &found.table;
    if (read_devices(why) != ECH_OP_OK)
        return NULL;
    cuda_fill(&found.table);
    fill_numerics();
    found.filled = true;
    return &found.table;
}

static size_t describe_device(int d, char *out, size_t bytes)
{
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, d) != cudaSuccess)
        return (size_t)snprintf(out, bytes, "; device %d does not answer", d);
    size_t spare = 0, total = p.totalGlobalMem;
    if (cudaSetDevice(d) != cudaSuccess || cudaMemGetInfo(&spare, &total) != cudaSuccess)
        return (size_t)snprintf(out, bytes, "; device %d: %s, sm_%d%d, memory in use or exclusive", d, p.name,
                                p.major, p.minor);
    return (size_t)snprintf(out, bytes, "; device %d: %s, sm_%d%d, %.1f GiB free of %.1f", d, p.name, p.major,
                            p.minor, (double)spare / (1 << 30), (double)total / (1 << 30));
}

const char *cuda_describe(char *out, size_t bytes)
{
    int driver = 0, count = 0;
    if (bytes == 0)
        return out;
    if (cudaDriverGetVersion(&driver) != cudaSuccess)
        driver = 0;
    size_t lt = cublasLtGetVersion();
    size_t used =
        (size_t)snprintf(out, bytes, "cuBLASLt %zu.%zu.%zu, CUDA runtime %d.%d, ", lt / 10000, lt / 100 % 100,
                         lt % 100, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    if (used < bytes && driver)
        used += (size_t)snprintf(out + used, bytes - used, "driver for CUDA %d.%d", driver / 1000,
                                 driver % 1000 / 10);
    else if (used < bytes)
        used += (size_t)snprintf(out + used, bytes - used, "no driver");
    if (cudaGetDeviceCount(&count) != cudaSuccess)
        count = 0;
    (void)cudaGetLastError();
    for (int d = 0; d < count && used < bytes; d++)
        used += describe_device(d, out + used, bytes - used);
    int theirs, own;
    cuda_algorithms(&theirs, &own);
    if (theirs + own > 0 && used < bytes)
        snprintf(out + used, bytes - used, "; products: %d by cuBLASLt, %d by our own kernel (slow)", theirs,
                 own);
    return out;
}

void cuda_memory_text(int device, size_t asked, const char *what, char *why)
{
    size_t spare = 0, total = 0;
    (void)cudaGetLastError(); /* the failure is told: the next check must not see it again */
    if (!why)
        return;
    if (cudaMemGetInfo(&spare, &total) != cudaSuccess)
        spare = total = 0;
    snprintf(why, WHY, "out of device memory for %s: asked %zu bytes, %zu free of %zu, device %d (%.80s)",
             what, asked, spare, total, device, cuda_device_name(device));
}

int cuda_mem_alloc(int device, size_t bytes, struct ech_mem *out, char *why)
{
    if (device < 0 || device >= found.count) {
        if (why)
            snprintf(why, WHY, "there is no CUDA device %d (%d found)", device, found.count);
        return ECH_OP_SHAPE;
    }
    void *at = NULL;
    cudaError_t e = cudaSetDevice(device);
    if (e == cudaSuccess)
        e = cudaMalloc(&at, bytes ? bytes : 1);
    if (e == cudaErrorMemoryAllocation) {
        cuda_memory_text(device, bytes, "the backend's data", why);
        return ECH_OP_MEMORY;
    }
    if (e != cudaSuccess) {
        (void)cudaGetLastError();
        if (why)
            snprintf(why, WHY, "device %d (%.80s): allocating %zu bytes: %s", device,
                     cuda_device_name(device), bytes, cudaGetErrorString(e));
        return ECH_OP_DEVICE;
    }
    out->at = at;
    out->bytes = bytes;
    out->ops = &found.table;
    out->device = device;
    return ECH_OP_OK;
}

void cuda_mem_free(struct ech_mem *mem)
{
    if (mem->at && (cudaSetDevice(mem->device) != cudaSuccess || cudaFree(mem->at) != cudaSuccess))
        (void)cudaGetLastError(); /* a lost device: its memory went with it */
    memset(mem, 0, sizeof *mem);
}
