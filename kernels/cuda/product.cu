/* `linear`: x made ready (rounded, quantised, filled up to whole tiles), multiplied, and finished (int8's
 * scales, activation, residual, the type of y) in one pass. Blocks of rows keep the sums in the second-level
 * cache between the two. What needs neither goes in place: x of the right type, y that is only the sums. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/lanes.h"
#include "kernels/cuda/product.h"

extern "C" {
#include "kernels/convert.h"
}

enum { QUAD = 4, STEP = WARP * QUAD, SPAN = 4 * STEP, BLOCK_ROWS = 16384 };
static const int64_t BLOCK_BYTES = (int64_t)32 << 20; /* of sums in flight */

/* --- packing, on the host --- */

size_t cuda_packed_bytes(enum ech_format format, int64_t n, int64_t k)
{
    if (n <= 0 || k <= 0 ||
        (format != ECH_FMT_F32 && format != ECH_FMT_BF16 && format != ECH_FMT_F16 && format != ECH_FMT_INT8))
        return 0;
    size_t scales = format == ECH_FMT_INT8 ? (size_t)packed_rows(format, n) * sizeof(float) : 0;
    return packed_scales_at(format, n, k) + scales;
}

static void pack_row8(const void *w, enum ech_wtype type, int64_t at, int64_t k, int8_t *out, float *scale)
{
    float most = 0;
    for (int64_t i = 0; i < k; i++) {
        float v = fabsf(ech_load_weight(w, type, at + i));
        most = v <= most ? most : v; /* a NaN stays */
        if (most != most)
            break;
    }
    *scale = most < 7.8886091e-31f ? 0.0f : most / 127.0f;
    for (int64_t i = 0; i < k; i++) {
        float v = *scale == 0.0f ? 0.0f : rintf(ech_load_weight(w, type, at + i) * (127.0f / most));
        out[i] = (int8_t)fminf(fmaxf(v, -127.0f), 127.0f);
    }
}

static void pack_row(enum ech_format format, const void *w, enum ech_wtype type, int64_t row, int64_t n,
                     int64_t k, void *packed)
{
    int64_t stride = packed_stride(format, k), bytes = element_bytes(format);
    char *out = (char *)packed + row * stride * bytes;
    memset(out, 0, (size_t)(stride * bytes));
    float *scales = (float *)((char *)packed + packed_scales_at(format, n, k));
    if (format == ECH_FMT_INT8) {
        scales[row] = 0;
        if (row < n)
            pack_row8(w, type, row * k, k, (int8_t *)out, &scales[row]);
        return;
    }
    for (int64_t i = 0; i < k; i++) {
        float v = ech_load_weight(w, type, row * k + i);
        if (format == ECH_FMT_F32)
            ((float *)out)[i] = v;
        else if (format == ECH_FMT_BF16)
            ((uint16_t *)out)[i] = ech_round_bf16(v);
        else
            ((uint16_t *)out)[i] = __half_as_ushort(__float2half_rn(v));
    }
}

int cuda_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k, void *packed,
              int64_t part, int64_t parts)
{
    int rc = cuda_check_pack(format, w, type, n, k, packed, part, parts);
    if (rc || n == 0 || k == 0)
        return rc;
    int64_t rows = packed_rows(format, n);
    for (int64_t r = rows * part / parts; r < rows * (part + 1) / parts; r++)
        pack_row(format, w, type, r, n, k, packed);
    return ECH_OP_OK;
}

/* --- x made ready --- */

struct stage {
    enum ech_format format;
    int64_t rows, all, k, stride; /* rows of x, rows to write, elements of a row written */
    const void *x;
    int64_t ldx;
    enum ech_atype type;
    void *out;
    float *scale; /* int8 of an f32 x */
    bool wide;
};

__device__ static void stage_int8(const struct stage &s, const char *x, int64_t r, int lane)
{
    int8_t *out = (int8_t *)s.out + r * s.stride;
    struct q8 q = {1.0f, 1.0f};
    if (s.type == ECH_A_F32) {
        uint32_t most = 0;
        for (int64_t c = lane * QUAD; c < s.k; c += STEP) {
            float v[QUAD];
            load4(v, x, s.type, 0.0f, c, s.k, s.wide);
            for (int j = 0; j < QUAD; j++)
                most = size_of(v[j]) > most ? size_of(v[j]) : most;
        }
        q = q8_of(warp_most(most));
        if (lane == 0)
            s.scale[r] = q.scale;
    }
    for (int64_t c = lane * QUAD; c < s.stride; c += STEP) {
        float v[QUAD];
        load4(v, x, s.type, 1.0f, c, s.k, s.wide); /* a scale of 1: the integers themselves */
        *(char4 *)(out + c) = make_char4((signed char)q8_value(v[0], q), (signed char)q8_value(v[1], q),
                                         (signed char)q8_value(v[2], q), (signed char)q8_value(v[3], q));
    }
}

__global__ void stage_rows(struct stage s)
{
    int64_t r = (int64_t)blockIdx.x * ROW_WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (r >= s.all)
        return;
    if (r >= s.rows) {
        for (int64_t c = lane * QUAD; c < s.stride; c += STEP) {
            if (s.format == ECH_FMT_INT8)
                *(char4 *)((char *)s.out + r * s.stride + c) = make_char4(0, 0, 0, 0);
            else if (s.format == ECH_FMT_F32)
                *(float4 *)((float *)s.out + r * s.stride + c) = make_float4(0, 0, 0, 0);
            else
                *(ushort4 *)((uint16_t *)s.out + r * s.stride + c) = make_ushort4(0, 0, 0, 0);
        }
        return;
    }
    const char *x = row_of(s.x, s.type, r, s.ldx);
    if (s.format == ECH_FMT_INT8) {
        stage_int8(s, x, r, lane);
        return;
    }
    enum ech_atype to = s.format == ECH_FMT_F32    ? ECH_A_F32
                        : s.format == ECH_FMT_BF16 ? ECH_A_BF16
                                                   : ECH_A_F16;
    char *out = (char *)row_of(s.out, to, r, s.stride);
    struct q8 none = {0.0f, 0.0f};
    for (int64_t c = lane * QUAD; c < s.stride; c += STEP) {
        float v[QUAD];
        load4(v, x, s.type, 0.0f, c, s.k, s.wide);
        store_wide(out, to, none, c, v);
    }
}

/* --- finishing --- */

struct finish {
    int64_t rows, n, ldc, span; /* span: columns a warp does; all of them for a Q8 y */
    void *c;
    const float *x_scale, *w_scale; /* int8: sums are integers */
    const float *bias;              /* where the product has not added it */
    enum ech_act act;
    const float *residual;
    int64_t ldr;
    void *y;
    int64_t ldy;
    enum ech_atype y_type;
    float *y_scale;
    bool wide_y, wide_residual, wide_bias;
};

__device__ static void finish_quad(const struct finish &f, int64_t r, int64_t c, float v[QUAD])
{
    const char *sums = (const char *)f.c + (r * f.ldc + c) * 4;
    if (f.x_scale) {
        int4 s = *(const int4 *)sums;
        float scale[QUAD], bias[QUAD] = {0.0f, 0.0f, 0.0f, 0.0f}, xs = f.x_scale[r];
        load4(scale, (const char *)f.w_scale, ECH_A_F32, 0.0f, c, f.n, true);
        if (f.bias)
            load4(bias, (const char *)f.bias, ECH_A_F32, 0.0f, c, f.n, f.wide_bias);
        v[0] = fmaf((float)s.x, xs * scale[0], bias[0]), v[1] = fmaf((float)s.y, xs * scale[1], bias[1]);
        v[2] = fmaf((float)s.z, xs * scale[2], bias[2]), v[3] = fmaf((float)s.w, xs * scale[3], bias[3]);
    } else {
        load4(v, sums - c * 4, ECH_A_F32, 0.0f, c, f.n, true);
        for (int j = 0; f.bias && j < QUAD; j++)
            v[j] += c + j < f.n ? f.bias[c + j] : 0.0f;
    }
    for (int j = 0; j < QUAD; j++)
        v[j] = act_of(f.act, v[j]);
    if (!f.residual)
        return;
    float add[QUAD];
    load4(add, row_of(f.residual, ECH_A_F32, r, f.ldr), ECH_A_F32, 0.0f, c, f.n, f.wide_residual);
    for (int j = 0; j < QUAD; j++)
        v[j] += add[j];
}

/* The results of a row go back into its sums, so that the second pass over a Q8 row is a plain read. */
__device__ static struct q8 finish_most(const struct finish &f, int64_t r, int lane)
{
    uint32_t most = 0;
    for (int64_t c = lane * QUAD; c < f.n; c += STEP) {
        float v[QUAD];
        finish_quad(f, r, c, v);
        for (int j = 0; j < QUAD; j++)
            if (c + j < f.n)
                most = size_of(v[j]) > most ? size_of(v[j]) : most;
        *(float4 *)((float *)f.c + r * f.ldc + c) = make_float4(v[0], v[1], v[2], v[3]);
    }
    return q8_of(warp_most(most));
}

__global__ void finish_rows(struct finish f)
{
    int64_t r = (int64_t)blockIdx.x * ROW_WARPS + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (r >= f.rows)
        return;
    char *y = (char *)row_of(f.y, f.y_type, r, f.ldy);
    int64_t first = (int64_t)blockIdx.y * f.span, last = first + f.span < f.n ? first + f.span : f.n;
    struct q8 q = {0.0f, 0.0f};
    if (f.y_type == ECH_A_Q8) {
        q = finish_most(f, r, lane);
        pad_q8(y, f.n, lane);
        if (lane == 0)
            f.y_scale[r] = q.scale;
    }
    for (int64_t c = first + lane * QUAD; c < last; c += STEP) {
        float v[QUAD];
        if (f.y_type == ECH_A_Q8)
            load_wide(v, (const char *)((float *)f.c + r * f.ldc), ECH_A_F32, 0.0f, c);
        else
            finish_quad(f, r, c, v);
        store4(y, f.y_type, q, c, f.n, f.wide_y, v);
    }
}

/* --- the whole --- */

/* Scratch of a product: staged x and its scales, a bias moved to a boundary, the sums. */
struct layout {
    size_t x, scale, bias, sums, bytes;
    int64_t ldc;
};

static struct layout lay_out(enum ech_format format, int64_t rows, int64_t n, int64_t k)
{
    struct layout l;
    l.ldc = round_up(packed_rows(format, n), 4);
    l.x = 0;
    l.scale = (size_t)round_up(rows * packed_stride(format, k) * element_bytes(format), 256);
    l.bias = l.scale + (format == ECH_FMT_INT8 ? (size_t)round_up(rows * 4, 256) : 0);
    l.sums = l.bias + (size_t)round_up(n * 4, 256);
    l.bytes = l.sums + (size_t)(rows * l.ldc * 4);
    return l;
}

static int64_t block_rows(int64_t m, int64_t n)
{
    int64_t rows = BLOCK_BYTES / (4 * (n > 0 ? n : 1)) / TILE_ROWS * TILE_ROWS;
    rows = smaller(rows < TILE_ROWS ? (int64_t)TILE_ROWS : rows, BLOCK_ROWS);
    return smaller(rows, round_up(m, TILE_ROWS));
}

size_t cuda_linear_workspace(enum ech_format format, int64_t m, int64_t n, int64_t k, int threads)
{
    (void)threads;
    if (m <= 0 || n <= 0 || ech_format_in_place(format))
        return 0;
    return lay_out(format, block_rows(m, n), n, k > 0 ? k : 0).bytes;
}

struct work {
    struct cuda_queue *q;
    const struct ech_linear_args *a;
    const struct algorithm *algorithm;
    struct operands o; /* of the block at hand */
    struct layout at;
    char *scratch;
    int64_t rows_max;
    bool x_in_place, y_in_place;
};

static const float *w_scale(const struct ech_linear_args *a)
{
    return (const float *)((const char *)a->packed + packed_scales_at(a->format, a->n, a->k));
}

/* Rows [first, first + rows) of x into scratch, zeros up to whole tiles. */
static int stage_block(struct work *w, int64_t first, int64_t rows)
{
    const struct ech_linear_args *a = w->a;
    struct stage s = {};
    s.format = a->format;
    s.rows = rows, s.all = w->o.m, s.k = a->k, s.stride = packed_stride(a->format, a->k);
    s.x = row_of(a->x, a->x_type, first, a->ldx);
    s.ldx = a->ldx;
    s.type = a->x_type;
    s.out = w->scratch + w->at.x;
    s.scale = (float *)(w->scratch + w->at.scale);
    s.wide = is_wide(a->x, a->x_type, a->ldx);
    ECH_LAUNCH(stage_rows, dim3((unsigned)cuda_blocks(s.all, ROW_WARPS)), dim3(ROW_WARPS * WARP), 0,
               w->q->stream, s);
    w->o.x = s.out;
    w->o.ldx = s.stride;
    return cuda_launched(w->q, "staging a product's input");
}

static int finish_block(struct work *w, int64_t first, int64_t rows)
{
    const struct ech_linear_args *a = w->a;
    bool ints = a->format == ECH_FMT_INT8 && a->k > 0;
    struct finish f = {};
    f.rows = rows, f.n = a->n, f.ldc = w->at.ldc;
    f.span = a->y_type == ECH_A_Q8 ? a->n : (int64_t)SPAN;
    f.c = w->scratch + w->at.sums;
    if (ints) {
        f.x_scale = a->x_type == ECH_A_Q8 ? a->x_scale + first : (const float *)(w->scratch + w->at.scale);
        f.w_scale = w_scale(a);
    }
    f.bias = ints || a->k == 0 ? a->bias : NULL;
    f.wide_bias = is_wide(a->bias, ECH_A_F32, 0);
    f.act = a->act;
    f.residual = a->residual ? a->residual + first * a->ldr : NULL;
    f.ldr = a->ldr;
    f.wide_residual = is_wide(a->residual, ECH_A_F32, a->ldr);
    f.y = (void *)row_of(a->y, a->y_type, first, a->ldy);
    f.ldy = a->ldy;
    f.y_type = a->y_type;
    f.y_scale = a->y_scale ? a->y_scale + first : NULL;
    f.wide_y = is_wide(a->y, a->y_type, a->ldy);
    dim3 grid((unsigned)cuda_blocks(rows, ROW_WARPS), (unsigned)cuda_blocks(f.n, f.span));
    ECH_LAUNCH(finish_rows, grid, dim3(ROW_WARPS * WARP), 0, w->q->stream, f);
    return cuda_launched(w->q, "finishing a product");
}

static int run_block(struct work *w, int64_t first, int64_t rows)
{
    const struct ech_linear_args *a = w->a;
    bool whole = rows % TILE_ROWS == 0, direct = w->y_in_place && whole;
    int rc = ECH_OP_OK;
    w->o.m = round_up(rows, TILE_ROWS);
    if (w->x_in_place && whole) {
        w->o.x = row_of(a->x, a->x_type, first, a->ldx);
        w->o.ldx = a->ldx;
    } else if ((rc = stage_block(w, first, rows))) {
        return rc;
    }
    w->o.c = direct ? (void *)row_of(a->y, ECH_A_F32, first, a->ldy) : (void *)(w->scratch + w->at.sums);
    w->o.ldc = direct ? a->ldy : w->at.ldc;
    rc = multiply(w->q, w->algorithm, &w->o);
    return rc || direct ? rc : finish_block(w, first, rows);
}

/* The scratch of the queue, and how many rows fit into it at a time. */
static int find_scratch(struct work *w)
{
    const struct ech_linear_args *a = w->a;
    w->scratch = (char *)w->q->base.workspace;
    w->rows_max = block_rows(a->m, a->n);
    while (w->rows_max > TILE_ROWS && lay_out(a->format, w->rows_max, a->n, a->k).bytes > w->q->base.bytes)
        w->rows_max -= TILE_ROWS;
    w->at = lay_out(a->format, w->rows_max, a->n, a->k);
    if (w->at.bytes <= w->q->base.bytes)
        return ECH_OP_OK;
    snprintf(w->q->base.error, sizeof w->q->base.error,
             "a %lld x %lld product needs %zu bytes of the queue's scratch; it has %zu", (long long)a->n,
             (long long)a->k, w->at.bytes, w->q->base.bytes);
    return ECH_OP_MEMORY;
}

/* The bias where cuBLASLt can read it: at a 16-byte boundary. */
static int place_bias(struct work *w)
{
    const struct ech_linear_args *a = w->a;
    if (a->format == ECH_FMT_INT8 || !a->bias)
        return ECH_OP_OK;
    w->o.bias = a->bias;
    if (is_wide(a->bias, ECH_A_F32, 0))
        return ECH_OP_OK;
    w->o.bias = (const float *)(w->scratch + w->at.bias);
    return cuda_result(w->q,
                       cudaMemcpyAsync(w->scratch + w->at.bias, a->bias, (size_t)a->n * 4,
                                       cudaMemcpyDeviceToDevice, w->q->stream),
                       "moving a bias");
}

static bool in_place(const struct ech_linear_args *a)
{
    enum ech_atype native = a->format == ECH_FMT_F32    ? ECH_A_F32
                            : a->format == ECH_FMT_BF16 ? ECH_A_BF16
                                                        : ECH_A_F16;
    return a->format != ECH_FMT_INT8 && a->x_type == native && (uintptr_t)a->x % 16 == 0 &&
           a->ldx * element_bytes(a->format) % 16 == 0;
}

/* A sum over nothing: 0 everywhere, finished as any other. */
static int clear_sums(struct work *w)
{
    return cuda_result(w->q, cudaMemsetAsync(w->scratch, 0, w->at.bytes, w->q->stream), "an empty product");
}

static int run_empty(struct work *w)
{
    int rc = ECH_OP_OK;
    for (int64_t r = 0; !rc && r < w->a->m; r += w->rows_max) {
        int64_t rows = smaller(w->a->m - r, w->rows_max);
        if (!(rc = clear_sums(w)))
            rc = finish_block(w, r, rows);
    }
    return rc;
}

int cuda_linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    struct work w = {};
    int rc = cuda_check_linear(a);
    if (rc || a->m == 0 || a->n == 0 || (rc = cuda_enter(queue, &w.q)))
        return rc;
    if (ech_format_in_place(a->format))
        return cuda_block_linear(w.q, a);
    w.a = a;
    if ((rc = find_scratch(&w)))
        return rc;
    w.o.format = a->format;
    w.o.n = packed_rows(a->format, a->n);
    w.o.k = product_depth(a->format, a->k);
    w.o.w = a->packed;
    w.o.ldw = packed_stride(a->format, a->k);
    if (a->k == 0)
        return run_empty(&w);
    if ((rc = place_bias(&w)) || !(w.algorithm = algorithm_for(w.q, &w.o, &rc)))
        return rc;
    w.x_in_place = in_place(a);
    w.y_in_place = a->format != ECH_FMT_INT8 && a->y_type == ECH_A_F32 && a->act == ECH_ACT_NONE &&
                   !a->residual && (uintptr_t)a->y % 16 == 0 && a->ldy % 4 == 0;
    for (int64_t r = 0; !rc && r < a->m;) {
        int64_t rows = smaller(a->m - r, w.rows_max);
        if (rows > TILE_ROWS && w.x_in_place)
            rows = rows / TILE_ROWS * TILE_ROWS; /* the last tile alone is staged */
        rc = run_block(&w, r, rows);
        r += rows;
    }
    return rc;
}
