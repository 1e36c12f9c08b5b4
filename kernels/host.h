/* Memory and queues of the CPU backends: the process's own memory, scratch on the heap. */
#ifndef ECH_KERNELS_HOST_H
#define ECH_KERNELS_HOST_H

#include "kernels/ops.h"

int ech_host_devices(void);
int ech_host_mem_alloc(int device, size_t bytes, struct ech_mem *out, char *why);
void ech_host_mem_free(struct ech_mem *mem);
int ech_host_copy(struct ech_queue *queue, void *to, const void *from, size_t bytes);
struct ech_queue *ech_host_queue_open(const struct ech_ops *ops, const struct ech_queue_options *o,
                                      char *why);
void ech_host_queue_close(struct ech_queue *queue);
int ech_host_queue_sync(struct ech_queue *queue);

#endif
