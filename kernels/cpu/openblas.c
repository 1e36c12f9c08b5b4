/* `openblas`: products by OpenBLAS's sgemm, for processors without AVX2, by name, and as a yardstick.
 * sgemm's bits change with the number of rows and a row's place among them, except in blocks of 8 on the
 * kernels measured so far. So every call has exactly 8 rows (the last block padded with zeros), copied to
 * the same scratch, in one thread; a self-test at first use moves a row through the block and compares bits,
 * and compares sums with double: a BLAS that fails either is refused, with the reason. */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "kernels/backends.h"
#include "kernels/check.h"
#include "kernels/convert.h"
#include "kernels/queue.h"
#include "kernels/ref/narrow.h"

enum { ROWS = 8 };

/* OpenBLAS built on OpenMP takes the thread count from the calling thread: each is told once. */
static void single_thread(void)
{
    static thread_local bool told;
    if (!told)
        openblas_set_num_threads(1);
    told = true;
}

/* y (8, n) = x (8, k) w (n, k)^T. */
static void block_product(const float *x, const float *w, float *y, int64_t n, int64_t k)
{
    single_thread();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ROWS, (blasint)n, (blasint)k, 1.0f, x, (blasint)k, w,
                (blasint)k, 0.0f, y, (blasint)n);
}

static size_t packed_bytes(enum ech_format format, int64_t n, int64_t k)
{
    return format == ECH_FMT_F32 && n > 0 && k > 0 ? (size_t)n * (size_t)k * sizeof(float) : 0;
}

/* Row-major as given; half precisions are widened here, once. */
static int pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                void *packed, int64_t part, int64_t parts)
{
    int rc = ech_check_pack(format, w, type, n, k, packed, part, parts);
    if (rc || format != ECH_FMT_F32 || n == 0 || k == 0)
        return rc || format == ECH_FMT_F32 ? rc : ECH_OP_UNSUPPORTED;
    int64_t from = n * part / parts * k, to = n * (part + 1) / parts * k;
    if (type == ECH_W_F32)
        memcpy((float *)packed + from, (const float *)w + from, (size_t)(to - from) * sizeof(float));
    for (int64_t i = from; i < to && type != ECH_W_F32; i++)
        ((float *)packed)[i] = ech_load_weight(w, type, i);
    return ECH_OP_OK;
}

/* Floats of a block of n columns, rounded so that what follows begins on a cache line. */
static size_t block_floats(int64_t n)
{
    return (size_t)ROWS * (size_t)((n + 15) / 16 * 16);
}

static size_t workspace(enum ech_format format, int64_t m, int64_t n, int64_t k, int threads)
{
    (void)threads;
    return format == ECH_FMT_F32 && m > 0 && n > 0 && k >= 0
               ? (block_floats(k) + block_floats(n)) * sizeof(float)
               : 0;
}

/* Bias and activation on the sums, by the table's own entry (avx2's where that is here), then out. */
static int finish_row(struct ech_queue *queue, const struct ech_linear_args *a, int64_t row, float *sum)
{
    for (int64_t j = 0; j < a->n && a->bias; j++)
        sum[j] += a->bias[j];
    int rc = queue->ops->activate(queue, a->act, sum, a->n);
    for (int64_t j = 0; j < a->n && a->residual; j++)
        sum[j] += a->residual[row * a->ldr + j];
    ech_narrow_row(a->y_type, sum, a->n, (char *)a->y + (size_t)(row * a->ldy) * ech_atype_bytes(a->y_type),
                   a->y_scale ? a->y_scale + row : NULL);
    return rc;
}

static int linear(struct ech_queue *queue, const struct ech_linear_args *a)
{
    int rc = ech_check_linear(a);
    if (!rc && (a->format != ECH_FMT_F32 || a->y_type > ECH_A_Q8))
        return ECH_OP_UNSUPPORTED;
    if (rc || a->m == 0 || a->n == 0)
        return rc;
    if (!queue || queue->bytes < workspace(a->format, a->m, a->n, a->k, 1))
        return ECH_OP_MEMORY;
    float *x = queue->workspace, *y = x + block_floats(a->k);
    for (int64_t row = 0; row < a->m && !rc; row += ROWS) {
        int64_t rows = a->m - row < ROWS ? a->m - row : ROWS;
        memset(x, 0, (size_t)(ROWS * a->k) * sizeof(float));
        memset(y, 0, (size_t)(ROWS * a->n) * sizeof(float)); /* beta = 0, and k = 0 */
        for (int64_t r = 0; r < rows && a->k > 0; r++)
            memcpy(x + r * a->k, (const float *)a->x + (row + r) * a->ldx, (size_t)a->k * sizeof(float));
        if (a->k > 0)
            block_product(x, a->packed, y, a->n, a->k);
        for (int64_t r = 0; r < rows && !rc; r++)
            rc = finish_row(queue, a, row + r, y + r * a->n);
    }
    return rc;
}

/* The self-test. Scratch of one shape: weights, a block of rows, the block with its rows turned, results. */
struct trial {
    int64_t n, k;
    float *w, *x, *turned, *y, *moved;
};

static float noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * 0x1p-23f - 1.0f;
}

static bool sums_right(const struct trial *t)
{
    for (int64_t i = 0; i < ROWS * t->n; i++) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < t->k; k++) {
            double p = (double)t->x[i / t->n * t->k + k] * (double)t->w[i % t->n * t->k + k];
            sum += p;
            size += fabs(p);
        }
        if (!(fabs((double)t->y[i] - sum) <= 1e-6 * size))
            return false;
    }
    return true;
}

/* Row r of x stands at (r + turn) mod 8: its results must stand there with the same bits. */
static bool moves_exactly(const struct trial *t, int64_t turn)
{
    for (int64_t r = 0; r < ROWS; r++)
        memcpy(t->turned + (r + turn) % ROWS * t->k, t->x + r * t->k, (size_t)t->k * sizeof(float));
    block_product(t->turned, t->w, t->moved, t->n, t->k);
    for (int64_t r = 0; r < ROWS; r++)
        if (memcmp(t->moved + (r + turn) % ROWS * t->n, t->y + r * t->n, (size_t)t->n * sizeof(float)) != 0)
            return false;
    return true;
}

static const char *try_shape(int64_t n, int64_t k)
{
    size_t weights = (size_t)((n * k + 15) / 16 * 16), in = block_floats(k), out = block_floats(n);
    float *all = aligned_alloc(64, (weights + 2 * in + 2 * out) * sizeof(float));
    if (!all)
        return "no memory for its self-test";
    struct trial t = {
        n, k, all, all + weights, all + weights + in, all + weights + 2 * in, all + weights + 2 * in + out};
    uint32_t state = 7;
    for (size_t i = 0; i < weights + in; i++)
        all[i] = noise(&state);
    block_product(t.x, t.w, t.y, n, k);
    const char *why = NULL;
    if (!sums_right(&t))
        why = "its sgemm computes wrong sums on this processor";
    for (int64_t turn = 1; turn < ROWS && !why; turn++)
        if (!moves_exactly(&t, turn))
            why = "its sgemm changes a row's bits when the row moves in a block of 8";
    free(all);
    return why;
}

static once_flag tested = ONCE_FLAG_INIT;
static char refusal[200]; /* empty: admitted */

static void self_test(void)
{
    static const int64_t SHAPES[][2] = {{512, 384}, {70, 37}, {96, 1536}, {1, 65}};
    for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0] && !refusal[0]; i++) {
        const char *why = try_shape(SHAPES[i][0], SHAPES[i][1]);
        if (why)
            snprintf(refusal, sizeof refusal, "OpenBLAS (core type %s) was refused: %s",
                     openblas_get_corename(), why);
    }
}

const char *ech_openblas_available(void)
{
    call_once(&tested, self_test);
    return refusal[0] ? refusal : NULL;
}

/* openblas_get_config() begins "OpenBLAS 0.3.21 ...". */
const char *ech_openblas_numerics(void)
{
    static char name[96]; /* filled by the table's one call */
    char version[24] = "unknown";
    sscanf(openblas_get_config(), "OpenBLAS %23[0-9.]", version);
    snprintf(name, sizeof name, "openblas-f32-1-%s-%.40s", version, openblas_get_corename());
    return name;
}

const struct ech_ops ech_openblas_entries = {
    .name = "openblas",
    .numerics = {[ECH_FMT_F32] = "openblas-f32-1"},
    .available = ech_openblas_available,
    .linear_packed_bytes = packed_bytes,
    .linear_pack = pack,
    .linear_workspace = workspace,
    .linear = linear,
};
