/* The table of operations: what a backend offers, as plain functions over plain structs.
 *
 * A backend fills the entries it has; kernels/ops.c lays them over ref_exact's and checks that none is
 * missing. On the CPU an operation runs in the calling thread (its queue may bring a team for one large
 * product); on a device it is queued and done after ech_queue_sync. All pointers of the argument structs are
 * addresses that the backend can reach: the process's own memory on the CPU, inside a `struct ech_mem` on a
 * device.
 *
 * Formats. A product is named by how its weights are stored and what it computes in (enum ech_format); the
 * class of each format is `numerics[format]`: equal names promise equal bits, NULL says "not here".
 *
 * Exactness of the CPU classes `cpu-*`. Each output element is one chain over ascending k from 0, whatever
 * the tile, the batch or the team: f32 one FMA an element; bf16 pairs, the odd element's FMA first, then the
 * even one's, denormal inputs and results flushed to zero (what `dpbf16` does); int8 exact in int32, scaled
 * once; int4 exact in int32 for each group of 32, one FMA a group. Bias, activation and residual come after
 * the chain, in f32. Reductions over a row use 16 virtual lanes (element i belongs to lane i mod 16,
 * ascending) and the fixed tree 8+8, 4+4, 2+2, 1+1; exp, erf and tanh are one polynomial each
 * (kernels/ref/mathf.h). So avx2, avx512 and ref_exact give the same bits, and a row's bits do not depend on
 * its place or its neighbours. This folder knows no MPI, file, YAML or base/: it builds alone. */
#ifndef ECH_KERNELS_OPS_H
#define ECH_KERNELS_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ech_op_status {
    ECH_OP_OK = 0,
    ECH_OP_SHAPE,       /* a length is negative or does not fit; an id is outside its table */
    ECH_OP_UNSUPPORTED, /* this backend does not do this (say so at open, not in the loop) */
    ECH_OP_MEMORY,      /* scratch or device memory is lacking */
    ECH_OP_DEVICE       /* the device failed; ech_queue_error says how */
};

enum ech_act {
    ECH_ACT_NONE,
    ECH_ACT_GELU, /* by erf */
    ECH_ACT_GELU_TANH,
    ECH_ACT_RELU,
    ECH_ACT_SILU,
    ECH_ACT_TANH,
    ECH_ACT_QUICK_GELU, /* x sigmoid(1.702 x) */
    ECH_ACT_RELU2,      /* relu(x)^2 */
    ECH_ACT_SIGMOID,
    ECH_ACTS
};
enum ech_pool { ECH_POOL_MEAN, ECH_POOL_CLS, ECH_POOL_MAX };
/* How a weight is stored in its file; from Q8_0 on the block formats of GGUF (blocks.h). */
enum ech_wtype {
    ECH_W_F32,
    ECH_W_F16,
    ECH_W_BF16,
    ECH_W_Q8_0,
    ECH_W_Q4_0,
    ECH_W_Q4_1,
    ECH_W_Q5_0,
    ECH_W_Q5_1,
    ECH_W_Q2_K,
    ECH_W_Q3_K,
    ECH_W_Q4_K,
    ECH_W_Q5_K,
    ECH_W_Q6_K,
    ECH_W_IQ4_NL,
    ECH_W_IQ4_XS,
    ECH_W_MXFP4,
    ECH_W_TQ1_0,
    ECH_W_TQ2_0,
    ECH_WTYPES,
    /* For linear_pack with ECH_FMT_INT8 alone, any alignment: (n, k) int8, kept as they are; at the next
     * multiple of 4 bytes n f32: an output's weights are its values times that. */
    ECH_W_S8 = ECH_WTYPES
};

/* Products: weights, and what they are multiplied in. */
enum ech_format {
    ECH_FMT_F32,
    ECH_FMT_BF16,     /* both sides rounded to bf16, f32 sums */
    ECH_FMT_INT8,     /* weights int8, a scale per output; rows of x int8, a scale per row as it comes */
    ECH_FMT_INT4,     /* weights int4, a scale per 32 of k; x int8, a scale per 32 of k */
    ECH_FMT_BF16_F32, /* weights rounded to bf16, computed as ECH_FMT_F32: half the memory */
    ECH_FMT_F16,      /* devices: both sides f16, f32 sums */
    /* Weights in place, row by row as a file has them, of any ech_wtype: nothing is packed
     * (linear_packed_bytes 0), `packed` is the first row at any alignment, k is whole blocks. */
    ECH_FMT_BLOCK,      /* decoded, then as ECH_FMT_F32: the same bits */
    ECH_FMT_BLOCK_INT8, /* types with groups only (blocks.h); x int8, a scale per 32 of k */
    ECH_FORMATS
};

/* Are weights multiplied where a file has them? */
static inline bool ech_format_in_place(enum ech_format format)
{
    return format == ECH_FMT_BLOCK || format == ECH_FMT_BLOCK_INT8;
}

/* Activations in memory. Q8: byte = value + 128, value in [-127, 127]; x = value * scale of its row. Each row
 * of Q8 has a stride of at least cols rounded up to 64; the bytes from cols to that are 128. */
enum ech_atype { ECH_A_F32, ECH_A_BF16, ECH_A_Q8, ECH_A_F16, ECH_ATYPES };

/* Elements of a Q8 row's stride. */
static inline int64_t ech_q8_stride(int64_t cols)
{
    return (cols + 63) / 64 * 64;
}

/* ECH_W_S8: where the scales begin, and bytes in all. */
static inline size_t ech_s8_scales(int64_t n, int64_t k)
{
    return ((size_t)n * (size_t)k + 3) / 4 * 4;
}
static inline size_t ech_s8_bytes(int64_t n, int64_t k)
{
    return ech_s8_scales(n, k) + (size_t)n * sizeof(float);
}

struct ech_queue; /* opaque: one per compute thread; opened from a backend */

/* y = act(x W^T + bias) [+ residual]. W is (n, k) row-major as in the file, packed beforehand for `format`.
 * Shapes  x (m, k) stride ldx; y (m, n) stride ldy; bias (n) or NULL; residual (m, n) stride ldr or NULL
 *         (f32, added after the activation; may be y itself). Strides in elements, >= width. m = 0: success.
 *         y may not overlap x. scale: x_scale (m) of a Q8 x, y_scale (m) of a Q8 y.
 * Types   x: f32 always (rounded or quantised on the way in); bf16 with ECH_FMT_BF16; Q8 with ECH_FMT_INT8;
 *         f16 with ECH_FMT_F16. y: f32, bf16, Q8 (f16 on devices; no Q8 with BLOCK and BLOCK_INT8), whatever
 *         the format: the bits of an f32 y put through `convert`. A residual with y of another type may not
 * be y itself. INT8    y = act(fma((float)sum, x_scale * w_scale, bias or 0)) [+ residual]; k <=
 * ECH_INT8_K_MAX, so that the sum fits int32. INT4: each group's FMA takes (float)sum and x_scale * w_scale;
 * bias is added after. Q8 of a row: most = max |x|; most < 2^-100: all zero, scale 0; else value = round to
 * even(x * (127 / most)), scale = most / 127. With an x_multiplier the file fixes how f32 rows are
 * rounded: value = round to even(min(max(x * x_multiplier, -127), 127)), scale = 1 (that of the weights is
 * then 1 / (x_multiplier * theirs)), 2^-100 <= x_multiplier <= 2^100. A NaN or infinity in the row makes all
 * its results NaN or infinite. BLOCK_INT8: groups of 16 or 32 of k (blocks.h), w = scale * value - min. Each
 * 32 of a row of x are quantised as a Q8 row is: values and x_scale. Groups in ascending k: sum =
 * fma((float)dot of values, x_scale * scale, sum); then, in types with mins, sum = fma(min, -(x_scale *
 * (float)sum of x's values), sum). */
enum { ECH_INT8_K_MAX = 1 << 17 };
struct ech_linear_args {
    size_t size; /* sizeof *this: old callers keep working when fields are added at the end */
    int64_t m, n, k;
    const void *x;
    int64_t ldx;
    const void *packed;
    const float *bias;
    enum ech_act act;
    const float *residual;
    int64_t ldr;
    void *y;
    int64_t ldy;
    enum ech_format format;
    enum ech_atype x_type, y_type;
    const float *x_scale;
    float *y_scale;
    enum ech_wtype w_type; /* ECH_FMT_BLOCK, ECH_FMT_BLOCK_INT8: how `packed` is stored */
    float x_multiplier;    /* ECH_FMT_INT8 with f32 x; 0: each row has its own */
};

/* Rows of one type into another by way of f32: f32 into bf16 (round to even, denormals to zero), Q8, f16, and
 * back. Shapes  x (rows, cols) stride ldx, y the same stride ldy; x_scale, y_scale (rows) for Q8. y may not
 * be x.
 */
struct ech_convert_args {
    size_t size;
    int64_t rows, cols;
    const void *x;
    int64_t ldx;
    enum ech_atype x_type;
    const float *x_scale;
    void *y;
    int64_t ldy;
    enum ech_atype y_type;
    float *y_scale;
};

enum ech_norm { ECH_NORM_LAYER, ECH_NORM_RMS };

/* LAYER: y = (x - mean) / sqrt(var + eps) * gain + shift, each row (var: biased, two passes). RMS:
 * y = x / sqrt(mean of squares + eps) * (gain + gain_offset). y may be x.
 * Shapes  x, y (rows, parts*cols), strides ldx, ldy, f32; each of a row's `parts` is normed by itself (q and
 * k by head; 0: one). gain, shift (cols), shift may be NULL; also (rows, cols) stride ld_also or NULL: the
 * same result a second time in bf16, Q8 (also_scale (rows)) or f16, as `convert` gives it, for the product
 * that follows. Errors  ECH_OP_SHAPE: also a shift with RMS, a gain_offset with LAYER, `also` in f32 or with
 * parts above 1.
 */
struct ech_norm_args {
    size_t size;
    int64_t rows, cols;
    const float *x;
    int64_t ldx;
    const float *gain, *shift;
    float eps;
    float *y;
    int64_t ldy;
    enum ech_norm kind;
    float gain_offset; /* RMS: 1 where a model stores gain - 1 (Gemma) */
    void *also;
    int64_t ld_also;
    enum ech_atype also_type;
    float *also_scale;
    int64_t parts;
};

/* Scaled dot-product attention over packed sequences: no padding exists, none is computed.
 * Shapes  q (queries, heads*head_dim) stride ldq; k, v (keys, kv_heads*head_dim) strides ldk, ldv; out
 *         (queries, heads*head_dim) stride ldo; starts (sequences + 1): sequence s owns queries
 *         [starts[s], starts[s+1]). key_starts the same for keys; NULL: starts. key_counts (sequences) or
 *         NULL: sequence s has the keys key_starts[s] .. + key_counts[s], in any order and with any room
 *         between (a cache; key_starts is then (sequences)). bias (heads, bias_span,
 *         bias_span) or NULL: added to the score, element (h, i, j) by positions in the sequence (bias_span
 * >= longest sequence of queries and of keys). slopes (heads) or NULL: ALiBi, slope * -|i - j| is added.
 *         kv_heads divides heads. Position of query i: i + (keys - queries) of its sequence. With a bias no
 *         sequence has more queries than keys; with slopes none is longer than 2^24.
 * Masks   causal: key j <= query i only. window > 0: |i - j| < window only (causal: i - window < j <= i).
 * Score   s = (q . k) * scale; softcap > 0: s = softcap * tanh(s / softcap); then bias; then ALiBi.
 * Softmax over blocks of ECH_KEY_BLOCK keys counted from the sequence's first key: most = the largest score
 * so far, this block's included; where it grew, the lanes of the total and the value sums are multiplied by
 * exp(old - most); then e = exp(s - most) is added to its lane (16 lanes by key position) and the chain of
 * value sums goes on over ascending j. out = (sums + 0) / total (the tree over the lanes). All scores -inf:
 * zeros. A key that is masked is not touched: its value may be infinite.
 * Types   compute F32: q, out f32, k, v f32 or bf16 (widened exactly). compute BF16: q, k, v, out each f32 or
 * bf16; q, k, the exponentials and v are rounded to bf16, sums as in ECH_FMT_BF16; max, exp and total stay
 * f32. F16 on devices. Device  starts, key_starts and key_counts are host arrays on every backend; `out` may
 * not overlap q, k, v. Errors  ECH_OP_MEMORY if workspace is NULL and the queue's scratch is smaller than it
 * must be. */
enum { ECH_KEY_BLOCK = 512 };
struct ech_attention_args {
    size_t size;
    int64_t sequences, heads, kv_heads, head_dim;
    const int64_t *starts;
    const void *q, *k, *v;
    int64_t ldq, ldk, ldv;
    const float *bias;
    int64_t bias_span;
    float scale;
    bool causal;
    void *out;
    int64_t ldo;
    void *workspace; /* 64-byte aligned, attention_workspace for the queue's threads; NULL: the queue's */
    const int64_t *key_starts;
    int64_t window;
    const float *slopes;
    float softcap;
    enum ech_format compute; /* ECH_FMT_F32, ECH_FMT_BF16, ECH_FMT_F16 */
    enum ech_atype q_type, kv_type, out_type;
    const int64_t *key_counts;
};

/* y[i] = sum over t of tables[t][ids[t][i]] (word + position + type embeddings), added in the order of t.
 * Shapes  tables[t] (rows[t], cols) in wtype[t], contiguous (block formats: cols whole blocks); ids[t]
 * (count); y (count, cols) f32. Errors  ECH_OP_SHAPE if an id is outside its table (a device says so in
 * ech_queue_sync). */
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
 * Shapes  x (tokens, cols) stride ldx; out (sequences, cols); starts is a host array on every backend. */
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

/* y = act(gate) * up: the gated forms (SwiGLU, GEGLU, ReGLU). y may be gate or up.
 * Shapes  gate, up, y (rows, cols) f32, strides ldg, ldu, ldy. */
struct ech_gate_args {
    size_t size;
    int64_t rows, cols;
    enum ech_act act;
    const float *gate, *up;
    int64_t ldg, ldu;
    float *y;
    int64_t ldy;
};

/* Rotary positions, in place: each pair (a, b) of a head turns by the angle of its position.
 * a' = a cos - b sin, b' = b cos + a sin, each as fma(a, cos, -(b * sin)), fma(b, cos, a * sin).
 * Shapes  x (rows, heads*head_dim) f32, stride ldx; cos, sin (table_rows, rotary/2): row r uses table row
 *         positions[r]. The first `rotary` of a head's elements turn, rotary even and <= head_dim.
 *         interleaved: pairs (2i, 2i+1) (GPT-J); else (i, i + rotary/2) (NeoX, Llama in Hugging Face's
 * order). Errors  ECH_OP_SHAPE if a position is outside the table (a device says so in ech_queue_sync). */
struct ech_rotary_args {
    size_t size;
    int64_t rows, heads, head_dim, rotary, table_rows;
    float *x;
    int64_t ldx;
    const float *cos, *sin;
    const int32_t *positions;
    bool interleaved;
};

/* The `count` largest of each row, largest first; equal values: the lower index first; NaN is larger than
 * all. count <= cols. count = 1 is argmax.
 * Shapes  x (rows, cols) stride ldx; values, indices (rows, count); values may be NULL. */
struct ech_topk_args {
    size_t size;
    int64_t rows, cols, count;
    const float *x;
    int64_t ldx;
    float *values;
    int32_t *indices;
};

/* y[r] = [y[r] +] sum over j of weight[r][j] * x[index[r][j]], one FMA each in ascending j from 0 (or from
 * y): rows gathered for an expert (take 1, no weights: copies), results of experts brought together. Shapes
 * x (x_rows, cols) stride ldx; index, weight (rows, take), weight NULL: the rows are added as they are; y
 * (rows, cols) stride ldy, no overlap with x. Errors  ECH_OP_SHAPE if an index is outside x (a device says so
 * in ech_queue_sync). */
struct ech_combine_args {
    size_t size;
    int64_t rows, cols, take, x_rows;
    const float *x;
    int64_t ldx;
    const int32_t *index;
    const float *weight;
    bool add;
    float *y;
    int64_t ldy;
};

/* One step of Marian's simpler recurrence: f = sigmoid(forget), cell = f * cell + (1 - f) * x as
 * fma(f, cell, (1 - f) * x), y = relu(cell). y may be x or forget.
 * Shapes  forget, x, cell, y (rows, cols), strides ldf, ldx, ldc, ldy. */
struct ech_ssru_args {
    size_t size;
    int64_t rows, cols;
    const float *forget, *x;
    int64_t ldf, ldx;
    float *cell;
    int64_t ldc;
    float *y;
    int64_t ldy;
};

/* Scores of distances (DeBERTa), as a bias of `attention`: y[i][j] = (content[i][d] + position[j][d]) * scale
 * with d = index[centre + i - j]; one of the two may be NULL: then it is the other * scale.
 * Shapes  content, position (rows, cols) strides ldc, ldp; index (2 centre + 1), rows <= centre + 1; y (rows,
 *         rows) stride ldy, no overlap. Errors  ECH_OP_SHAPE if an index is outside (a device says so in
 *         ech_queue_sync). */
struct ech_relative_args {
    size_t size;
    int64_t rows, cols;
    const float *content, *position;
    int64_t ldc, ldp;
    const int32_t *index;
    int64_t centre;
    float scale;
    float *y;
    int64_t ldy;
};

/* Memory that operations read and write: a handle, so that an address always has an owner. */
struct ech_mem {
    void *at;
    size_t bytes;
    const struct ech_ops *ops;
    int device;
};

struct ech_queue_options {
    size_t size;
    size_t workspace_bytes; /* the largest product and attention it will run */
    int threads;            /* of one operation; 0 and 1: the caller's alone */
    int device;             /* 0 on the CPU */
};

struct ech_ops {
    const char *name; /* "avx512", "avx2", "ref_exact", "openblas", "ref", "cuda" */
    const char
        *numerics[ECH_FORMATS];     /* [ECH_FMT_F32] "cpu-f32-2": equal names promise equal bits; NULL: no */
    const char *(*available)(void); /* NULL: yes; else why not, for people */
    bool device;                    /* memory of its own: reach it by mem_alloc, put and get */

    /* A weight matrix (n, k) row-major of `type` becomes `linear_packed_bytes` bytes at `packed` (64-byte
     * aligned, in the process's memory on every backend; a device gets a copy of it by put). Several threads
     * or processes pack together: part p of `parts` writes its share only. */
    size_t (*linear_packed_bytes)(enum ech_format format, int64_t n, int64_t k);
    int (*linear_pack)(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                       void *packed, int64_t part, int64_t parts);
    /* Bytes of scratch a queue needs for products up to (m, n, k) with x and y of any type on `threads`, and
     * for attention up to a length (queries or keys). */
    size_t (*linear_workspace)(enum ech_format format, int64_t m, int64_t n, int64_t k, int threads);
    size_t (*attention_workspace)(enum ech_format compute, int64_t longest, int64_t head_dim, int threads);

    int (*linear)(struct ech_queue *queue, const struct ech_linear_args *args);
    int (*convert)(struct ech_queue *queue, const struct ech_convert_args *args);
    int (*norm)(struct ech_queue *queue, const struct ech_norm_args *args);
    int (*attention)(struct ech_queue *queue, const struct ech_attention_args *args);
    int (*embed)(struct ech_queue *queue, const struct ech_embed_args *args);
    int (*pool)(struct ech_queue *queue, const struct ech_pool_args *args);
    int (*gate)(struct ech_queue *queue, const struct ech_gate_args *args);
    int (*rotary)(struct ech_queue *queue, const struct ech_rotary_args *args);
    int (*topk)(struct ech_queue *queue, const struct ech_topk_args *args);
    int (*combine)(struct ech_queue *queue, const struct ech_combine_args *args);
    int (*ssru)(struct ech_queue *queue, const struct ech_ssru_args *args);
    int (*relative)(struct ech_queue *queue, const struct ech_relative_args *args);
    /* x (count) in place. */
    int (*activate)(struct ech_queue *queue, enum ech_act act, float *x, int64_t count);
    /* Softmax of each row in place, (rows, cols) stride ld; -inf entries become 0, also where all are. */
    int (*softmax)(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld);
    /* x - max - log(sum exp(x - max)) of each row in place; all -inf: unchanged. */
    int (*log_softmax)(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld);

    /* Devices, and what they are called; CPU backends have one. mem_free takes what mem_alloc gave. put and
     * get copy between the process's memory and the backend's; they are queued: host memory stays untouched
     * until ech_queue_sync. `why` is at least 256 bytes. */
    int (*devices)(void);
    int (*mem_alloc)(int device, size_t bytes, struct ech_mem *out, char *why);
    void (*mem_free)(struct ech_mem *mem);
    int (*put)(struct ech_queue *queue, void *to, const void *host, size_t bytes);
    int (*get)(struct ech_queue *queue, void *host, const void *from, size_t bytes);

    /* Queues: called through ech_queue_*. */
    struct ech_queue *(*queue_open)(const struct ech_ops *ops, const struct ech_queue_options *o, char *why);
    void (*queue_close)(struct ech_queue *queue);
    int (*queue_sync)(struct ech_queue *queue);
};

/* Every backend compiled in, NULL-terminated, best first for `auto`: avx512, avx2, openblas, ref_exact, ref;
 * then `cuda`, where ech_ops_find opened it. */
const struct ech_ops *const *ech_ops_all(void);
/* By name, or "auto": the first of the processor's that is available. "cuda" opens its shared object. NULL:
 * `why` (at least 256 bytes) says what was missing and which names exist. */
const struct ech_ops *ech_ops_find(const char *name, char *why);
/* With "auto": one line for the log, what was chosen and what was refused, with the reason. */
const char *ech_ops_explain(char *out, size_t bytes);

const char *ech_ops_format_name(enum ech_format format); /* "f32", "bf16", ..., "block", "block-int8" */
/* By how weights are stored and what is computed in: ("bf16", "f32") is ECH_FMT_BF16_F32. false: no such
 * pair. */
bool ech_ops_format_of(const char *weights, const char *compute, enum ech_format *out);
size_t ech_atype_bytes(enum ech_atype type);

/* A queue owns scratch memory for the largest product and attention it will run. NULL: `why` (256 bytes or
 * NULL) says what was lacking. */
struct ech_queue *ech_queue_open(const struct ech_ops *ops, const struct ech_queue_options *o, char *why);
void ech_queue_close(struct ech_queue *queue);
void *ech_queue_workspace(struct ech_queue *queue);
/* Wait until everything queued is done (CPU: at once); the first failure since the last call. */
int ech_queue_sync(struct ech_queue *queue);
/* What ECH_OP_DEVICE or ECH_OP_MEMORY was about; "" if nothing. */
const char *ech_queue_error(const struct ech_queue *queue);

#endif
