/* Inside of the CUDA backend: what its files share on the host. Only this folder includes it.
 * One `struct cuda_device` a device for the life of the process, one `struct cuda_queue` a queue; every call
 * of the runtime is checked, and what it said goes into the queue's error text. */
#ifndef ECH_KERNELS_CUDA_INSIDE_H
#define ECH_KERNELS_CUDA_INSIDE_H

#include <cublasLt.h>
#include <cuda_runtime.h>

extern "C" {
#include "kernels/ops.h"
#include "kernels/plugin.h"
#include "kernels/queue.h"
}

#include "kernels/cuda/launch.h"

enum {
    WARP = 32,
    ROW_WARPS = 4, /* rows a block, in kernels that give a warp to a row */
    SLOTS = 4,     /* of pinned staging memory a queue */
    WHY = 256      /* bytes of an error text (ops.h) */
};
static const size_t SLOT_BYTES = (size_t)2 << 20;

/* A piece of pinned memory on its way to the device, or back from it to `host`. */
struct cuda_slot {
    void *pinned;
    cudaEvent_t done;
    bool busy;
    void *host; /* NULL: a put */
    size_t bytes;
};

struct cuda_queue {
    struct ech_queue base; /* first: what ops.c sees */
    cudaStream_t stream;
    cublasLtHandle_t lt;
    int *fault, *fault_seen; /* on the device, and pinned: an enum cuda_fault */
    struct cuda_slot slots[SLOTS];
    int next;
    int failed; /* the first failure since the last sync */
};

/* What a kernel found in data that the host cannot see. */
enum cuda_fault { FAULT_NONE, FAULT_EMBED, FAULT_ROTARY, FAULT_COMBINE, FAULT_RELATIVE };

/* table.cu: every entry, the numerics classes apart. */
void cuda_fill(struct ech_ops *out);

/* device.cu */
const struct ech_ops *cuda_open(char *why);
const char *cuda_describe(char *out, size_t bytes);
const char *cuda_device_name(int device);
int cuda_devices(void);
int cuda_mem_alloc(int device, size_t bytes, struct ech_mem *out, char *why);
void cuda_mem_free(struct ech_mem *mem);
/* "asked N bytes, free F of T, device 0 (NAME)" after an allocation failed. */
void cuda_memory_text(int device, size_t asked, const char *what, char *why);
const struct ech_ops *cuda_table(void);

/* queue.cu */
struct ech_queue *cuda_queue_open(const struct ech_ops *ops, const struct ech_queue_options *o, char *why);
void cuda_queue_close(struct ech_queue *queue);
int cuda_queue_sync(struct ech_queue *queue);
int cuda_put(struct ech_queue *queue, void *to, const void *host, size_t bytes);
int cuda_get(struct ech_queue *queue, void *host, const void *from, size_t bytes);

/* The queue as ours, its device made current. ECH_OP_MEMORY where there is no queue. */
int cuda_enter(struct ech_queue *queue, struct cuda_queue **out);
/* ECH_OP_OK, or ECH_OP_DEVICE with the text of `e` while doing `what`. */
int cuda_result(struct cuda_queue *q, cudaError_t e, const char *what);
int cuda_lt_result(struct cuda_queue *q, cublasStatus_t s, const char *what);
/* After each launch. */
int cuda_launched(struct cuda_queue *q, const char *kernel);

/* product.cu, tile.cu */
size_t cuda_packed_bytes(enum ech_format format, int64_t n, int64_t k);
int cuda_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k, void *packed,
              int64_t part, int64_t parts);
size_t cuda_linear_workspace(enum ech_format format, int64_t m, int64_t n, int64_t k, int threads);
int cuda_linear(struct ech_queue *queue, const struct ech_linear_args *args);
/* Products seen so far whose algorithm is cuBLASLt's, and those that our own kernel does. */
void cuda_algorithms(int *theirs, int *own);

/* blocks.cu: checked arguments, neither m nor n 0. */
int cuda_block_linear(struct cuda_queue *q, const struct ech_linear_args *args);
int cuda_block_embed(struct cuda_queue *q, const struct ech_embed_args *args);

/* rows.cu */
int cuda_convert(struct ech_queue *queue, const struct ech_convert_args *args);
int cuda_norm(struct ech_queue *queue, const struct ech_norm_args *args);
int cuda_embed(struct ech_queue *queue, const struct ech_embed_args *args);
int cuda_pool(struct ech_queue *queue, const struct ech_pool_args *args);
int cuda_gate(struct ech_queue *queue, const struct ech_gate_args *args);
int cuda_rotary(struct ech_queue *queue, const struct ech_rotary_args *args);
int cuda_combine(struct ech_queue *queue, const struct ech_combine_args *args);
int cuda_ssru(struct ech_queue *queue, const struct ech_ssru_args *args);
int cuda_relative(struct ech_queue *queue, const struct ech_relative_args *args);
int cuda_activate(struct ech_queue *queue, enum ech_act act, float *x, int64_t count);
int cuda_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld);
int cuda_log_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld);

/* attention.cu */
size_t cuda_attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads);
int cuda_attention(struct ech_queue *queue, const struct ech_attention_args *args);

__host__ __device__ static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t cuda_blocks(int64_t count, int64_t per_block)
{
    return (count + per_block - 1) / per_block;
}

#endif
