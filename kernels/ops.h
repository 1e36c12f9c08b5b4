/* The table of operations: what a backend offers, as plain functions over plain structs.
 *
 * A backend fills every entry (kernels/ops.c overlays the fast ones over ref_exact's and checks that none is
 * missing). Operations run in the calling thread on the CPU: parallelism is over sequences, in the engine
 * above; a backend's `queue` is where a device, or later a team of threads for one token, comes in.
 *
 * Exactness (all f32 CPU backends but `openblas`): each output element of a product is one chain of FMAs in
 * ascending k, starting from 0, bias added after it; reductions over a row use 16 virtual lanes (element i
 * belongs to lane i mod 16, ascending) and the fixed tree 8+8, 4+4, 2+2, 1+1; exp, erf and tanh are one
 * polynomial each (kernels/ref/mathf.h). So avx2, avx512 and ref_exact give the same bits, and a row's bits
 * do not depend on its place or its neighbours.
 * This folder knows no MPI, file, YAML or base/: it builds alone. */
#ifndef ECH_KERNELS_OPS_H
#define ECH_KERNELS_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ech_op_status {
    ECH_OP_OK = 0,
    ECH_OP_SHAPE,       /* a length is negative or does not fit */
    ECH_OP_UNSUPPORTED, /* this backend does not do this (say so at open, not in the loop) */
    ECH_OP_MEMORY
};

enum ech_act { ECH_ACT_NONE, ECH_ACT_GELU, ECH_ACT_GELU_TANH, ECH_ACT_RELU, ECH_ACT_SILU, ECH_ACT_TANH };
enum ech_pool { ECH_POOL_MEAN, ECH_POOL_CLS, ECH_POOL_MAX };
enum ech_wtype { ECH_W_F32, ECH_W_F16, ECH_W_BF16 }; /* how a weight is stored in its file */

struct ech_queue; /* opaque: one per compute thread; opened from a backend */

/* y = act(x W^T + bias) [+ residual]. W is (n, k) row-major as in the file, packed beforehand.
 * Shapes  x (m, k) stride ldx; y (m, n) stride ldy; bias (n) or NULL; residual (m, n) stride ldr or NULL
 *         (added after the activation; may be y itself). Strides in elements, >= width. m = 0: success.
 *         y may not overlap x. */
struct ech_linear_args {
    size_t size; /* sizeof *this: old callers keep working when fields are added at the end */
    int64_t m, n, k;
    const float *x;
    int64_t ldx;
    const void *packed;
    const float *bias;
    enum ech_act act;
    const float *residual;
    int64_t ldr;
    float *y;
    int64_t ldy;
};

/* y = (x - mean) / sqrt(var + eps) * gain + shift, each row (var: biased, two passes). y may be x.
 * Shapes  x, y (rows, cols), strides ldx, ldy; gain, shift (cols), shift may be NULL. */
struct ech_norm_args {
    size_t size;
    int64_t rows, cols;
    const float *x;
    int64_t ldx;
    const float *gain, *shift;
    float eps;
    float *y;
    int64_t ldy;
};

/* Scaled dot-product attention over packed sequences: no padding exists, none is computed.
 * Shapes  q (tokens, heads*head_dim) stride ldq; k, v (tokens, kv_heads*head_dim) strides ldk, ldv;
 *         out (tokens, heads*head_dim) stride ldo; starts (sequences + 1): sequence s owns rows
 *         [starts[s], starts[s+1]). bias (heads, bias_span, bias_span) or NULL: added to the scaled score,
 *         element (h, i, j) by positions in the sequence (bias_span >= longest sequence).
 *         kv_heads divides heads. causal: key j <= query i only.
 * Softmax of a row: max, exp(x - max), sum (16 lanes over key positions from the sequence's start), divide
 * after the value product: out = (sum_j e_j v_j) / sum_j e_j, chain over ascending j. A query whose scores
 * are all -inf gives zeros.
 * Errors  ECH_OP_MEMORY if workspace is NULL and the queue's scratch is smaller than it must be. */
struct ech_attention_args {
    size_t size;
    int64_t sequences, heads, kv_heads, head_dim;
    const int64_t *starts;
    const float *q, *k, *v;
    int64_t ldq, ldk, ldv;
    const float *bias;
    int64_t bias_span;
    float scale;
    bool causal;
    float *out;
    int64_t ldo;
    void *workspace; /* ech_ops.attention_workspace bytes, 64-byte aligned; NULL: the queue's */
};

/* y[i] = sum over t of tables[t][ids[t][i]] (word + position + type embeddings), added in the order of t.
 * Shapes  tables[t] (rows[t], cols) in wtype[t], contiguous; ids[t] (count); y (count, cols).
 * Errors  ECH_OP_SHAPE if an id is outside its table. */
struct ech_embed_args {
    size_t size;
    int64_t count, cols, tables_count;
    const void *tables[4];
    enum ech_wtype wtype[4];
    int64_t rows[4];
    const int32_t *ids[4];
    float *y;
};

/* One vector a sequence: mean, first row or elementwise maximum of its rows; normalise: divide by
 * max(L2 norm, 1e-12). A sequence without rows gives zeros.
 * Shapes  x (tokens, cols) stride ldx; out (sequences, cols). */
struct ech_pool_args {
    size_t size;
    int64_t sequences, cols;
    const int64_t *starts;
    const float *x;
    int64_t ldx;
    enum ech_pool kind;
    bool normalize;
    float *out;
};

struct ech_ops {
    const char *name;               /* "avx512", "avx2", "ref_exact", "openblas", "ref" */
    const char *numerics;           /* "cpu-f32-1": equal names promise equal bits */
    const char *(*available)(void); /* NULL: yes; else why not, for people */

    /* A weight matrix (n, k) row-major of `type` becomes `linear_packed_bytes` bytes at `packed` (64-byte
     * aligned). Several threads or processes pack together: part p of `parts` writes its panels only. */
    size_t (*linear_packed_bytes)(int64_t n, int64_t k);
    int (*linear_pack)(const void *w, enum ech_wtype type, int64_t n, int64_t k, void *packed, int64_t part,
                       int64_t parts);
    /* Bytes of scratch a queue needs for products up to (m, n, k), and for attention up to a length. */
    size_t (*linear_workspace)(int64_t m, int64_t n, int64_t k);
    size_t (*attention_workspace)(int64_t longest, int64_t head_dim);

    /* Queues that need no scratch may be NULL; `openblas` needs linear_workspace bytes (else ECH_OP_MEMORY).
     */
    int (*linear)(struct ech_queue *queue, const struct ech_linear_args *args);
    int (*layer_norm)(struct ech_queue *queue, const struct ech_norm_args *args);
    int (*attention)(struct ech_queue *queue, const struct ech_attention_args *args);
    int (*embed)(struct ech_queue *queue, const struct ech_embed_args *args);
    int (*pool)(struct ech_queue *queue, const struct ech_pool_args *args);
    /* x (count) in place. */
    int (*activate)(struct ech_queue *queue, enum ech_act act, float *x, int64_t count);
    /* Softmax of each row in place, (rows, cols) stride ld; -inf entries become 0, also where all are. */
    int (*softmax)(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld);
};

/* Every backend compiled in, NULL-terminated, best first for `auto`: avx512, avx2, openblas, ref_exact, ref.
 */
const struct ech_ops *const *ech_ops_all(void);
/* By name, or "auto": the first one available. NULL: `why` (at least 256 bytes) says what was missing and
 * which names exist. */
const struct ech_ops *ech_ops_find(const char *name, char *why);
/* With "auto": one line for the log, what was chosen and what was refused, with the reason. */
const char *ech_ops_explain(char *out, size_t bytes);

/* A queue owns scratch memory for the largest product and attention it will run. */
struct ech_queue *ech_queue_open(const struct ech_ops *ops, size_t workspace_bytes);
void ech_queue_close(struct ech_queue *queue);
void *ech_queue_workspace(struct ech_queue *queue);
/* Wait until everything queued is done (CPU: at once). */
int ech_queue_sync(struct ech_queue *queue);

#endif
