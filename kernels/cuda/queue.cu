/* Queues: a stream, pinned staging memory for put and get, scratch on the device, and the error text.
 * A put copies into a pinned slot and goes on; a get lands in a slot and reaches the caller's memory when the
 * slot is needed again or at sync, whichever comes first. */
#include "kernels/cuda/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int note(struct cuda_queue *q, int status, const char *what, const char *name, const char *text)
{
    if (!q->failed) { /* the first one is the cause of those that follow */
        snprintf(q->base.error, sizeof q->base.error, "device %d (%.60s): %.60s: %.50s: %.60s",
                 q->base.device, cuda_device_name(q->base.device), what, name, text);
        q->failed = status;
    }
    return status;
}

int cuda_result(struct cuda_queue *q, cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return ECH_OP_OK;
    (void)cudaGetLastError();
    return note(q, e == cudaErrorMemoryAllocation ? ECH_OP_MEMORY : ECH_OP_DEVICE, what, cudaGetErrorName(e),
                cudaGetErrorString(e));
}

int cuda_lt_result(struct cuda_queue *q, cublasStatus_t s, const char *what)
{
    return s == CUBLAS_STATUS_SUCCESS ? ECH_OP_OK
                                      : note(q, ECH_OP_DEVICE, what, "cuBLASLt", cublasLtGetStatusString(s));
}

int cuda_launched(struct cuda_queue *q, const char *kernel)
{
    return cuda_result(q, cudaGetLastError(), kernel);
}

int cuda_enter(struct ech_queue *queue, struct cuda_queue **out)
{
    if (!queue)
        return ECH_OP_MEMORY;
    *out = (struct cuda_queue *)queue;
    return cuda_result(*out, cudaSetDevice(queue->device), "choosing the device");
}

/* What a get brought goes where it was asked for. */
static void deliver(struct cuda_slot *s)
{
    if (s->busy && s->host)
        memcpy(s->host, s->pinned, s->bytes);
    s->busy = false;
}

/* The next slot, free: what it carried has arrived. */
static int take_slot(struct cuda_queue *q, struct cuda_slot **out)
{
    struct cuda_slot *s = &q->slots[q->next];
    q->next = (q->next + 1) % SLOTS;
    if (s->busy) {
        int rc = cuda_result(q, cudaEventSynchronize(s->done), "waiting for a copy");
        if (rc)
            return rc;
        deliver(s);
    }
    *out = s;
    return ECH_OP_OK;
}

static int copy_piece(struct cuda_queue *q, void *device, void *host, size_t bytes, bool to_device)
{
    struct cuda_slot *s;
    int rc = take_slot(q, &s);
    if (rc)
        return rc;
    if (to_device)
        memcpy(s->pinned, host, bytes);
    cudaError_t e = to_device ? cudaMemcpyAsync(device, s->pinned, bytes, cudaMemcpyHostToDevice, q->stream)
                              : cudaMemcpyAsync(s->pinned, device, bytes, cudaMemcpyDeviceToHost, q->stream);
    if (e == cudaSuccess)
        e = cudaEventRecord(s->done, q->stream);
    if ((rc = cuda_result(q, e, to_device ? "copying to the device" : "copying from the device")))
        return rc;
    s->busy = true;
    s->host = to_device ? NULL : host;
    s->bytes = bytes;
    return ECH_OP_OK;
}

static int copy(struct ech_queue *queue, void *device, void *host, size_t bytes, bool to_device)
{
    struct cuda_queue *q;
    int rc = cuda_enter(queue, &q);
    if (!rc && bytes && (!device || !host))
        return ECH_OP_SHAPE;
    for (size_t at = 0; !rc && at < bytes; at += SLOT_BYTES)
        rc = copy_piece(q, (char *)device + at, (char *)host + at,
                        bytes - at < SLOT_BYTES ? bytes - at : SLOT_BYTES, to_device);
    return rc;
}

int cuda_put(struct ech_queue *queue, void *to, const void *host, size_t bytes)
{
    return copy(queue, to, (void *)host, bytes, true);
}

int cuda_get(struct ech_queue *queue, void *host, const void *from, size_t bytes)
{
    return copy(queue, (void *)from, host, bytes, false);
}

static int read_fault(struct cuda_queue *q)
{
    static const char *const texts[] = {"", "embed: an id is outside its table",
                                        "rotary: a position is outside the table",
                                        "combine: an index is outside the rows",
                                        "relative: an index is outside the columns"};
    int fault = *q->fault_seen;
    if (fault == FAULT_NONE)
        return ECH_OP_OK;
    int rc = cuda_result(q, cudaMemsetAsync(q->fault, 0, sizeof(int), q->stream), "clearing an error word");
    if (rc)
        return rc;
    snprintf(q->base.error, sizeof q->base.error, "%s", texts[fault > FAULT_RELATIVE ? 0 : fault]);
    return ECH_OP_SHAPE;
}

int cuda_queue_sync(struct ech_queue *queue)
{
    struct cuda_queue *q;
    int rc = cuda_enter(queue, &q);
    if (rc)
        return rc;
    cudaError_t e = cudaMemcpyAsync(q->fault_seen, q->fault, sizeof(int), cudaMemcpyDeviceToHost, q->stream);
    if (e == cudaSuccess)
        e = cudaStreamSynchronize(q->stream);
    rc = cuda_result(q, e, "waiting for the device");
    for (int i = 0; i < SLOTS; i++) {
        if (rc)
            q->slots[i].busy = false;
        deliver(&q->slots[i]);
    }
    if (!rc)
        rc = read_fault(q);
    int first = q->failed ? q->failed : rc;
    q->failed = ECH_OP_OK;
    return first;
}

void cuda_queue_close(struct ech_queue *queue)
{
    struct cuda_queue *q = (struct cuda_queue *)queue;
    bool well = cudaSetDevice(queue->device) == cudaSuccess;
    if (q->stream)
        well = cudaStreamSynchronize(q->stream) == cudaSuccess && well;
    for (int i = 0; i < SLOTS; i++) {
        if (q->slots[i].done)
            well = cudaEventDestroy(q->slots[i].done) == cudaSuccess && well;
        if (q->slots[i].pinned)
            well = cudaFreeHost(q->slots[i].pinned) == cudaSuccess && well;
    }
    if (q->lt)
        well = cublasLtDestroy(q->lt) == CUBLAS_STATUS_SUCCESS && well;
    if (q->fault_seen)
        well = cudaFreeHost(q->fault_seen) == cudaSuccess && well;
    if (q->fault)
        well = cudaFree(q->fault) == cudaSuccess && well;
    if (queue->workspace)
        well = cudaFree(queue->workspace) == cudaSuccess && well;
    if (q->stream)
        well = cudaStreamDestroy(q->stream) == cudaSuccess && well;
    if (!well)
        (void)cudaGetLastError(); /* a lost device; nobody is left to tell */
    free(q);
}

/* All that a queue owns. `what` names the piece that could not be had. */
static cudaError_t fill(struct cuda_queue *q, const char **what)
{
    cudaError_t e;
    *what = "a stream";
    if ((e = cudaSetDevice(q->base.device)) != cudaSuccess ||
        (e = cudaStreamCreateWithFlags(&q->stream, cudaStreamNonBlocking)) != cudaSuccess)
        return e;
    *what = "pinned memory";
    if ((e = cudaMallocHost((void **)&q->fault_seen, sizeof(int))) != cudaSuccess)
        return e;
    for (int i = 0; i < SLOTS; i++)
        if ((e = cudaMallocHost(&q->slots[i].pinned, SLOT_BYTES)) != cudaSuccess ||
            (e = cudaEventCreateWithFlags(&q->slots[i].done, cudaEventDisableTiming)) != cudaSuccess)
            return e;
    *what = "the scratch of a queue";
    if ((e = cudaMalloc((void **)&q->fault, sizeof(int))) != cudaSuccess ||
        (e = cudaMemsetAsync(q->fault, 0, sizeof(int), q->stream)) != cudaSuccess)
        return e;
    return q->base.bytes ? cudaMalloc(&q->base.workspace, q->base.bytes) : cudaSuccess;
}

static void explain_open(const struct cuda_queue *q, cudaError_t e, const char *what, char *why)
{
    int device = q->base.device;
    if (e == cudaErrorMemoryAllocation) {
        cuda_memory_text(device, q->base.bytes, what, why);
        return;
    }
    (void)cudaGetLastError();
    if (why)
        snprintf(why, WHY, "device %d (%.80s): %s: %s: %.80s", device, cuda_device_name(device), what,
                 cudaGetErrorName(e), cudaGetErrorString(e));
}

struct ech_queue *cuda_queue_open(const struct ech_ops *ops, const struct ech_queue_options *o, char *why)
{
    if (o->device < 0 || o->device >= cuda_devices()) {
        if (why)
            snprintf(why, WHY, "there is no CUDA device %d (%d found)", o->device, cuda_devices());
        return NULL;
    }
    struct cuda_queue *q = (struct cuda_queue *)calloc(1, sizeof *q);
    if (!q) {
        if (why)
            snprintf(why, WHY, "out of memory: a queue");
        return NULL;
    }
    q->base.ops = ops;
    q->base.threads = 1;
    q->base.device = o->device;
    q->base.bytes = o->workspace_bytes;
    const char *what = "";
    cudaError_t e = fill(q, &what);
    if (e != cudaSuccess) {
        explain_open(q, e, what, why);
    } else if (cublasLtCreate(&q->lt) != CUBLAS_STATUS_SUCCESS) {
        if (why)
            snprintf(why, WHY, "device %d (%.80s): cuBLASLt could not start", o->device,
                     cuda_device_name(o->device));
    } else {
        return &q->base;
    }
    cuda_queue_close(&q->base);
    return NULL;
}
