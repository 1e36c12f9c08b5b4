/* Products and gathers on a file's own blocks, plain: a block of threads has 32 outputs and 8 rows of x, a
 * thread one element of the result, whose chain is that of ops.h: ascending k, one FMA an element, or with
 * int8 exact sums and one FMA a group. Blocks are taken apart into shared memory, 256 of k at a time. So a
 * row's bits depend on nothing else in the call. */
#include "kernels/cuda/arguments.h"
#include "kernels/cuda/lanes.h"

#define ECH_BV_FUNCTION __device__ static inline
#define ECH_BV_HALF     from_f16
#include "kernels/blocks_values.h"

enum { OUTPUTS = 32, ROWS = 8, THREADS = OUTPUTS * ROWS, DEPTH = 256, UNIT = 32, UNITS = DEPTH / UNIT };

/* This shared object has the table of types to itself. */
const struct ech_block_type *ech_block_type(enum ech_wtype type)
{
    static const struct ech_block_type types[] = {{"F32", 1, 4, 0, 0, false},
                                                  {"F16", 1, 2, 0, 0, false},
                                                  {"BF16", 1, 2, 0, 0, false},
#define ROW(name, ...) {#name, __VA_ARGS__},
                                                  ECH_BLOCK_TYPES(ROW)
#undef ROW
    };
    static_assert(sizeof types / sizeof types[0] == ECH_WTYPES, "a line for each type");
    return (int)type >= 0 && type < ECH_WTYPES ? &types[type] : NULL;
}

static int64_t row_bytes(enum ech_wtype type, int64_t cols)
{
    const struct ech_block_type *t = ech_block_type(type);
    return cols / t->elements * t->bytes;
}

/* 256 of k of an output; a word more than a multiple of the banks. */
struct taken {
    struct ech_block_values v;
    float gap;
};

struct call {
    struct ech_linear_args a;
    struct ech_block_type type;
    int64_t row_bytes;
};

/* Elements [k0, k0 + 256) of output j, or as many as there are, by the threads whose block is among them. */
__device__ static void take_apart(const struct call &c, int64_t first, int64_t k0, struct taken *to)
{
    int per = (int)(DEPTH / c.type.elements), groups = (int)(c.type.elements / c.type.group);
    for (int i = threadIdx.x; i < OUTPUTS * per; i += THREADS) {
        int j = i % OUTPUTS, b = i / OUTPUTS;
        int64_t k = k0 + b * c.type.elements;
        if (first + j >= c.a.n || k >= c.a.k)
            continue;
        struct ech_block_values v;
        ech_bv_values(
            c.a.w_type,
            (const uint8_t *)c.a.packed + (first + j) * c.row_bytes + k / c.type.elements * c.type.bytes, &v);
        for (int e = 0; e < c.type.elements; e++)
            to[j].v.bytes[b * c.type.elements + e] = v.bytes[e];
        for (int g = 0; g < groups; g++) {
            to[j].v.scale[b * groups + g] = v.scale[g];
            to[j].v.min[b * groups + g] = v.min[g];
        }
    }
}

__device__ static float plain_weight(const uint8_t *row, enum ech_wtype type, int64_t i)
{
    const uint8_t *p = row + i * (type == ECH_W_F32 ? 4 : 2); /* of any alignment */
    if (type == ECH_W_F32)
        return __uint_as_float((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                               (uint32_t)p[3] << 24);
    uint16_t word = (uint16_t)(p[0] | p[1] << 8);
    return type == ECH_W_F16 ? from_f16(word) : from_bf16(word);
}

/* Bias, activation, residual, the type of y. */
__device__ static void put_result(const struct ech_linear_args &a, int64_t r, int64_t j, float sum)
{
    if (a.bias)
        sum += a.bias[j];
    sum = act_of(a.act, sum);
    if (a.residual)
        sum += a.residual[r * a.ldr + j];
    struct q8 none = {0.0f, 0.0f};
    store1((char *)row_of(a.y, a.y_type, r, a.ldy), a.y_type, none, j, sum);
}

__global__ void block_f32(struct call c, int64_t before)
{
    ECH_SHARED(struct taken, w, [OUTPUTS]);
    ECH_SHARED(float, xs, [ROWS][DEPTH]);
    int j = threadIdx.x % OUTPUTS, r = threadIdx.x / OUTPUTS;
    int64_t first = (int64_t)blockIdx.x * OUTPUTS, row = before + (int64_t)blockIdx.y * ROWS;
    bool mine = first + j < c.a.n && row + r < c.a.m;
    const float *x = (const float *)c.a.x;
    float sum = 0.0f;
    for (int64_t k0 = 0; k0 < c.a.k; k0 += DEPTH) {
        int depth = (int)smaller(c.a.k - k0, DEPTH);
        __syncthreads();
        if (c.type.group)
            take_apart(c, first, k0, w);
        for (int i = threadIdx.x; i < ROWS * DEPTH; i += THREADS)
            if (row + i / DEPTH < c.a.m && i % DEPTH < depth)
                xs[i / DEPTH][i % DEPTH] = x[(row + i / DEPTH) * c.a.ldx + k0 + i % DEPTH];
        __syncthreads();
        for (int i = 0; mine && i < depth; i++) {
            float v;
            if (c.type.group) {
                int g = i / (int)c.type.group;
                v = w[j].v.scale[g] * (float)((int)w[j].v.bytes[i] - c.type.offset);
                v = c.type.mins ? v - w[j].v.min[g] : v;
            } else {
                v = plain_weight((const uint8_t *)c.a.packed + (first + j) * c.row_bytes, c.a.w_type, k0 + i);
            }
            sum = fmaf(xs[r][i], v, sum);
        }
    }
    if (mine)
        put_result(c.a, row + r, first + j, sum);
}

/* 32 of x: values, their scale, their sums over the first and the second 16. */
struct quantised {
    int8_t value[UNIT];
    float scale;
    int sum[2];
};

__device__ static void quantise(const float *x, struct quantised *to)
{
    uint32_t most = 0;
    for (int i = 0; i < UNIT; i++)
        most = size_of(x[i]) > most ? size_of(x[i]) : most;
    struct q8 q = q8_of(most);
    bool finite = most < 0x7f800000u;
    to->scale = q.scale;
    to->sum[0] = to->sum[1] = 0;
    for (int i = 0; i < UNIT; i++) {
        int v = finite ? q8_value(x[i], q) : 0;
        to->value[i] = (int8_t)v;
        to->sum[i / (UNIT / 2)] += v;
    }
}

/* The chain of one element goes on over `units` of 32. */
__device__ static float chain(const struct call &c, const struct taken &w, const struct quantised *x,
                              int units, float sum)
{
    const int group = (int)c.type.group, parts = UNIT / group;
    for (int g = 0; g < units * parts; g++) {
        const struct quantised &q = x[g / parts];
        int part = g % parts, dot = 0, values = parts == 1 ? q.sum[0] + q.sum[1] : q.sum[part];
        for (int i = 0; i < group; i++)
            dot += (int)q.value[part * group + i] * (int)w.v.bytes[g * group + i];
        sum = fmaf((float)(dot - c.type.offset * values), q.scale * w.v.scale[g], sum);
        if (c.type.mins)
            sum = fmaf(w.v.min[g], -(q.scale * (float)values), sum);
    }
    return sum;
}

__global__ void block_int8(struct call c, int64_t before)
{
    ECH_SHARED(struct taken, w, [OUTPUTS]);
    ECH_SHARED(struct quantised, xs, [ROWS][UNITS]);
    int j = threadIdx.x % OUTPUTS, r = threadIdx.x / OUTPUTS;
    int64_t first = (int64_t)blockIdx.x * OUTPUTS, row = before + (int64_t)blockIdx.y * ROWS;
    bool mine = first + j < c.a.n && row + r < c.a.m;
    float sum = 0.0f;
    for (int64_t k0 = 0; k0 < c.a.k; k0 += DEPTH) {
        int units = (int)(smaller(c.a.k - k0, DEPTH) / UNIT);
        __syncthreads();
        take_apart(c, first, k0, w);
        int part = threadIdx.x % UNITS, whose = threadIdx.x / UNITS;
        if (whose < ROWS && row + whose < c.a.m && part < units)
            quantise((const float *)c.a.x + (row + whose) * c.a.ldx + k0 + part * UNIT, &xs[whose][part]);
        __syncthreads();
        if (mine)
            sum = chain(c, w[j], xs[r], units, sum);
    }
    if (mine)
        put_result(c.a, row + r, first + j, sum);
}

int cuda_block_linear(struct cuda_queue *q, const struct ech_linear_args *a)
{
    static const int64_t GRID = 65535;
    struct call c = {};
    c.a = *a;
    c.type = *ech_block_type(a->w_type);
    c.row_bytes = row_bytes(a->w_type, a->k);
    int rc = ECH_OP_OK;
    for (int64_t row = 0; !rc && row < a->m; row += GRID * ROWS) {
        dim3 grid((unsigned)cuda_blocks(a->n, OUTPUTS),
                  (unsigned)smaller(cuda_blocks(a->m - row, ROWS), GRID));
        if (a->format == ECH_FMT_BLOCK)
            ECH_LAUNCH(block_f32, grid, dim3(THREADS), 0, q->stream, c, row);
        else
            ECH_LAUNCH(block_int8, grid, dim3(THREADS), 0, q->stream, c, row);
        rc = cuda_launched(q, "a product on blocks");
    }
    return rc;
}

/* --- gather --- */

struct tables {
    struct ech_block_type type[4];
    int64_t row_bytes[4];
};

/* Threads for a row. */
__host__ __device__ static inline int64_t cuda_units(int64_t cols)
{
    return (cols + UNIT - 1) / UNIT;
}

/* 32 columns a thread: they lie in one block of every type. */
__global__ void block_embed(struct ech_embed_args a, struct tables tables, int *fault)
{
    int64_t units = cuda_units(a.cols), at = (int64_t)blockIdx.x * THREADS + threadIdx.x, r = at / units,
            c0 = at % units * UNIT;
    if (r >= a.count)
        return;
    bool known = true;
    for (int t = 0; t < a.tables_count; t++)
        known = known && a.ids[t][r] >= 0 && a.ids[t][r] < a.rows[t];
    if (!known) {
        atomicMax(fault, (int)FAULT_EMBED);
        return;
    }
    for (int t = 0; t < a.tables_count; t++) {
        const struct ech_block_type &type = tables.type[t];
        const uint8_t *row = (const uint8_t *)a.tables[t] + a.ids[t][r] * tables.row_bytes[t];
        struct ech_block_values v;
        if (type.group)
            ech_bv_values(a.wtype[t], row + c0 / type.elements * type.bytes, &v);
        for (int64_t c = c0; c < a.cols && c < c0 + UNIT; c++) {
            int i = (int)(c % type.elements);
            float x = type.group ? v.scale[i / type.group] * (float)((int)v.bytes[i] - type.offset)
                                 : plain_weight(row, a.wtype[t], c);
            x = type.mins ? x - v.min[i / type.group] : x;
            float *y = a.y + r * a.cols + c;
            *y = t ? *y + x : x;
        }
    }
}

int cuda_block_embed(struct cuda_queue *q, const struct ech_embed_args *a)
{
    struct tables tables = {};
    for (int t = 0; t < a->tables_count; t++) {
        tables.type[t] = *ech_block_type(a->wtype[t]);
        tables.row_bytes[t] = row_bytes(a->wtype[t], a->cols);
    }
    dim3 grid((unsigned)cuda_blocks(a->count * cuda_units(a->cols), THREADS));
    ECH_LAUNCH(block_embed, grid, dim3(THREADS), 0, q->stream, *a, tables, q->fault);
    return cuda_launched(q, "embed");
}
