/* Memory and queues of the CPU backends (host.h). */
#include "kernels/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/queue.h"

enum { ALIGN = 64 };

static void *allocate(size_t bytes, const char *what, char *why)
{
    void *at = bytes <= SIZE_MAX - ALIGN ? aligned_alloc(ALIGN, (bytes + ALIGN - 1) / ALIGN * ALIGN) : NULL;
    if (!at && why)
        snprintf(why, 256, "out of memory: %zu bytes for %s", bytes, what);
    return at;
}

int ech_host_devices(void)
{
    return 1;
}

int ech_host_mem_alloc(int device, size_t bytes, struct ech_mem *out, char *why)
{
    void *at = allocate(bytes ? bytes : 1, "the backend's memory", why);
    if (!at)
        return ECH_OP_MEMORY;
    *out = (struct ech_mem){.at = at, .bytes = bytes, .device = device};
    return ECH_OP_OK;
}

void ech_host_mem_free(struct ech_mem *mem)
{
    free(mem->at);
    memset(mem, 0, sizeof *mem);
}

int ech_host_copy(struct ech_queue *queue, void *to, const void *from, size_t bytes)
{
    (void)queue;
    if (bytes && to != from)
        memcpy(to, from, bytes);
    return ECH_OP_OK;
}

struct ech_queue *ech_host_queue_open(const struct ech_ops *ops, const struct ech_queue_options *o, char *why)
{
    struct ech_queue *queue = calloc(1, sizeof *queue);
    if (!queue) {
        if (why)
            snprintf(why, 256, "out of memory: a queue");
        return NULL;
    }
    queue->ops = ops;
    queue->threads = o->threads > 1 ? o->threads : 1;
    queue->bytes = o->workspace_bytes;
    if (queue->bytes && !(queue->workspace = allocate(queue->bytes, "the scratch of a queue", why))) {
        free(queue);
        return NULL;
    }
    return queue;
}

void ech_host_queue_close(struct ech_queue *queue)
{
    free(queue->workspace);
    free(queue);
}

int ech_host_queue_sync(struct ech_queue *queue)
{
    (void)queue;
    return ECH_OP_OK;
}
