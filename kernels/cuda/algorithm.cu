/* Which algorithm multiplies: sought once for each (device, format, n, k, bias) by cuBLASLt's heuristic at a
 * fixed number of rows, so that the choice depends on nothing that a caller brings; without split-K, without
 * a workspace (which rules stream-K out) and without reduced precision. It must then prove itself: one row
 * alone, among others, at other places and in larger products has to give the same bits, and those of our own
 * kernel within rounding. The next one is tried where it does not, at last our own kernel.
 * Row-major y = x W^T is column-major y^T = W x^T: cuBLASLt gets W transposed as its A and x as its B. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mutex>

#include "kernels/cuda/lanes.h"
#include "kernels/cuda/product.h"

enum { CANDIDATES = 8, SEEK_ROWS = 8192, PROBE_ROWS = 1024, CASES = 4, FILL_THREADS = 256 };
static const int64_t PROBE_BYTES = (int64_t)64 << 20;

struct algorithm {
    struct algorithm *next;
    int device;
    enum ech_format format;
    int64_t n, k;
    bool bias, own;
    cublasLtMatmulAlgo_t lt;
};

static struct {
    std::mutex lock;
    struct algorithm *first;
} known;

/* cuBLASLt's objects for one product. */
struct description {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
};

struct types {
    cudaDataType_t in, out, scale;
    cublasComputeType_t compute;
};

/* PEDANTIC keeps tf32 and emulation by bf16 away, whatever the environment asks. */
static struct types types_of(enum ech_format format)
{
    static const struct types f32 = {CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC},
                              bf16 = {CUDA_R_16BF, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F},
                              f16 = {CUDA_R_16F, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F},
                              int8 = {CUDA_R_8I, CUDA_R_32I, CUDA_R_32I, CUBLAS_COMPUTE_32I};
    return format == ECH_FMT_BF16 ? bf16 : format == ECH_FMT_F16 ? f16 : format == ECH_FMT_INT8 ? int8 : f32;
}

static void destroy(struct description *d)
{
    if (d->product)
        (void)cublasLtMatmulDescDestroy(d->product);
    if (d->a)
        (void)cublasLtMatrixLayoutDestroy(d->a);
    if (d->b)
        (void)cublasLtMatrixLayoutDestroy(d->b);
    if (d->c)
        (void)cublasLtMatrixLayoutDestroy(d->c);
}

static cublasStatus_t describe_product(cublasLtMatmulDesc_t d, const struct operands *o)
{
    cublasOperation_t yes = CUBLAS_OP_T, no = CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = o->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    cublasStatus_t s = cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_TRANSA, &yes, sizeof yes);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_TRANSB, &no, sizeof no);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (s == CUBLAS_STATUS_SUCCESS && o->bias)
        s = cublasLtMatmulDescSetAttribute(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &o->bias, sizeof o->bias);
    return s;
}

static cublasStatus_t describe(struct description *d, const struct operands *o)
{
    struct types t = types_of(o->format);
    cublasStatus_t s = cublasLtMatmulDescCreate(&d->product, t.compute, t.scale);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = describe_product(d->product, o);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatrixLayoutCreate(&d->a, t.in, (uint64_t)o->k, (uint64_t)o->n, o->ldw);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatrixLayoutCreate(&d->b, t.in, (uint64_t)o->k, (uint64_t)o->m, o->ldx);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatrixLayoutCreate(&d->c, t.out, (uint64_t)o->n, (uint64_t)o->m, o->ldc);
    return s;
}

/* What cuBLASLt says where it does not do something, on every machine of a kind alike. */
static bool not_here(cublasStatus_t s)
{
    return s == CUBLAS_STATUS_NOT_SUPPORTED || s == CUBLAS_STATUS_INVALID_VALUE ||
           s == CUBLAS_STATUS_ARCH_MISMATCH;
}

static int multiply_lt(struct cuda_queue *q, const cublasLtMatmulAlgo_t *algo, const struct operands *o)
{
    struct description d = {};
    float one = 1, zero = 0;
    int32_t whole = 1, none = 0;
    bool ints = o->format == ECH_FMT_INT8;
    cublasStatus_t s = describe(&d, o);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmul(q->lt, d.product, ints ? (void *)&whole : (void *)&one, o->w, d.a, o->x, d.b,
                           ints ? (void *)&none : (void *)&zero, o->c, d.c, o->c, d.c, algo, NULL, 0,
                           q->stream);
    destroy(&d);
    return not_here(s) ? ECH_OP_UNSUPPORTED : cuda_lt_result(q, s, "a product");
}

int multiply(struct cuda_queue *q, const struct algorithm *a, const struct operands *o)
{
    return a->own ? multiply_tiles(q, o) : multiply_lt(q, &a->lt, o);
}

/* No split over k, no reduction of parts, no workspace. */
static bool admissible(const cublasLtMatmulHeuristicResult_t *r)
{
    uint32_t split = 0, reduction = 1;
    size_t written;
    return r->state == CUBLAS_STATUS_SUCCESS && r->workspaceSize == 0 &&
           cublasLtMatmulAlgoConfigGetAttribute(&r->algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split,
                                                sizeof split, &written) == CUBLAS_STATUS_SUCCESS &&
           cublasLtMatmulAlgoConfigGetAttribute(&r->algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &reduction,
                                                sizeof reduction, &written) == CUBLAS_STATUS_SUCCESS &&
           split <= 1 && reduction == CUBLASLT_REDUCTION_SCHEME_NONE;
}

static cublasStatus_t set_preference(cublasLtMatmulPreference_t p)
{
    static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    size_t workspace = 0;
    uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_NONE, alignment = 16;
    cublasStatus_t s = cublasLtMatmulPreferenceSetAttribute(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                            &workspace, sizeof workspace);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulPreferenceSetAttribute(p, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction,
                                                 sizeof reduction);
    for (int i = 0; i < 4 && s == CUBLAS_STATUS_SUCCESS; i++)
        s = cublasLtMatmulPreferenceSetAttribute(p, aligned[i], &alignment, sizeof alignment);
    return s;
}

/* Best first, `*count` of them. A product that cuBLASLt does not do here has none: that is no error. */
static int seek(struct cuda_queue *q, const struct operands *o, cublasLtMatmulHeuristicResult_t *out,
                int *count)
{
    cublasLtMatmulPreference_t preference = NULL;
    struct description d = {};
    *count = 0;
    cublasStatus_t s = describe(&d, o);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulPreferenceCreate(&preference);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = set_preference(preference);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulAlgoGetHeuristic(q->lt, d.product, d.a, d.b, d.c, d.c, preference, CANDIDATES, out,
                                           count);
    if (preference)
        (void)cublasLtMatmulPreferenceDestroy(preference);
    destroy(&d);
    if (s != CUBLAS_STATUS_SUCCESS)
        *count = 0;
    return not_here(s) ? ECH_OP_OK : cuda_lt_result(q, s, "seeking an algorithm");
}

/* --- the self-check --- */

/* Where the row lies, and in a product of how many rows; `full`: among others, else among zeros. */
static const struct probe {
    int64_t rows, at;
    bool full;
} PROBES[CASES] = {
    {TILE_ROWS, 0, false}, {TILE_ROWS, 127, true}, {3 * TILE_ROWS, 202, true}, {PROBE_ROWS, 901, true}};

__device__ static float noise(uint32_t a, uint32_t b)
{
    uint32_t h = a * 2654435761u ^ (b + 0x9e3779b9u) * 2246822519u;
    h ^= h >> 15, h *= 2654435761u, h ^= h >> 13;
    return (float)(h >> 8) * 1.1920929e-07f - 1.0f; /* [-1, 1) */
}

/* By columns, from 2^-8 to 2^7: short mantissas of one size would add up exactly, whatever the order. */
__device__ static float spread(uint32_t column)
{
    uint32_t h = (column + 0x165667b1u) * 2654435761u;
    return __uint_as_float((127 - 8 + (h >> 28)) << 23);
}

/* x of a probe, in the operands' type. The row depends on the column alone; the others are larger. */
__global__ void probe_fill(struct operands o, int64_t at, bool full)
{
    int64_t i = (int64_t)blockIdx.x * FILL_THREADS + threadIdx.x;
    if (i >= o.m * o.ldx)
        return;
    int64_t r = i / o.ldx, c = i % o.ldx;
    float v = r == at ? noise(1, (uint32_t)c) : full ? 3.0f * noise((uint32_t)r + 7, (uint32_t)c) : 0.0f;
    v = c >= o.k ? 0.0f : o.format == ECH_FMT_INT8 ? v : v * spread((uint32_t)c);
    if (o.format == ECH_FMT_F32)
        ((float *)o.x)[i] = v;
    else if (o.format == ECH_FMT_INT8)
        ((int8_t *)o.x)[i] = (int8_t)(v * 42.0f);
    else
        ((uint16_t *)o.x)[i] = o.format == ECH_FMT_BF16 ? to_bf16(v) : to_f16(v);
}

/* What a check works with: operands over memory of its own, and rows of c here. */
struct trial {
    struct operands o;
    int64_t rows_max;
    void *first, *row, *own;
};

static int run_probe(struct cuda_queue *q, struct trial *t, const struct algorithm *a, const struct probe *p,
                     void *row)
{
    t->o.m = p->rows;
    int64_t count = t->o.m * t->o.ldx;
    ECH_LAUNCH(probe_fill, dim3((unsigned)cuda_blocks(count, FILL_THREADS)), dim3(FILL_THREADS), 0, q->stream,
               t->o, p->at, p->full);
    int rc = cuda_launched(q, "filling a self-check");
    if (!rc)
        rc = multiply(q, a, &t->o);
    if (!rc)
        rc = cuda_result(q,
                         cudaMemcpyAsync(row, (char *)t->o.c + p->at * t->o.ldc * 4, (size_t)t->o.n * 4,
                                         cudaMemcpyDeviceToHost, q->stream),
                         "reading a self-check");
    return rc ? rc : cuda_result(q, cudaStreamSynchronize(q->stream), "a self-check");
}

/* Our own kernel's sums, within the rounding of f32 chains in another order; int8: exactly. */
static bool near(const struct trial *t)
{
    if (t->o.format == ECH_FMT_INT8)
        return memcmp(t->first, t->own, (size_t)t->o.n * 4) == 0;
    double error = 0, norm = 0;
    for (int64_t j = 0; j < t->o.n; j++) {
        double x = (double)((float *)t->first)[j], y = (double)((float *)t->own)[j];
        error += (x - y) * (x - y);
        norm += y * y;
    }
    return error <= 1e-9 * norm;
}

/* Does `a` give a row the same bits wherever it lies? `*good` only where rc is 0. */
static int prove(struct cuda_queue *q, struct trial *t, const struct algorithm *a, bool *good)
{
    struct algorithm own = {};
    own.own = true;
    int rc = run_probe(q, t, &own, &PROBES[0], t->own);
    for (int i = 0; !rc && i < CASES; i++) {
        if (PROBES[i].rows > t->rows_max)
            continue;
        rc = run_probe(q, t, a, &PROBES[i], i ? t->row : t->first);
        if (!rc && i && memcmp(t->row, t->first, (size_t)t->o.n * 4) != 0) {
            *good = false;
            return rc;
        }
    }
    if (!rc)
        *good = near(t);
    return rc;
}

/* One that does not run here is passed over, as one that moves bits. Any other failure ends the search: ranks
 * must not choose differently because one of them was short of something for a moment. */
static int try_one(struct cuda_queue *q, struct trial *t, const struct algorithm *a, bool *good)
{
    *good = false;
    int rc = prove(q, t, a, good);
    return rc == ECH_OP_UNSUPPORTED ? ECH_OP_OK : rc;
}

static int choose(struct cuda_queue *q, struct trial *t, struct algorithm *a, bool *good)
{
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    int count, rc;
    t->o.m = SEEK_ROWS;
    *good = false;
    rc = seek(q, &t->o, found, &count);
    for (int i = 0; !rc && !*good && i < count; i++) {
        if (!admissible(&found[i]))
            continue;
        a->lt = found[i].algo;
        rc = try_one(q, t, a, good);
    }
    if (rc || *good)
        return rc;
    a->own = true;
    return try_one(q, t, a, good);
}

static const char *format_word(enum ech_format format)
{
    return format == ECH_FMT_BF16   ? "bf16"
           : format == ECH_FMT_F16  ? "f16"
           : format == ECH_FMT_INT8 ? "int8"
                                    : "f32";
}

static int search(struct cuda_queue *q, const struct operands *o, struct algorithm *a)
{
    struct trial t = {};
    t.o = *o;
    t.o.ldx = packed_stride(o->format, o->k);
    t.o.ldc = round_up(o->n, 4);
    int64_t fit = PROBE_BYTES / (t.o.ldc * 4) / TILE_ROWS * TILE_ROWS;
    t.rows_max = smaller(fit < TILE_ROWS ? (int64_t)TILE_ROWS : fit, PROBE_ROWS);
    void *x = NULL, *c = NULL;
    char *rows = (char *)malloc((size_t)o->n * 12);
    cudaError_t e = cudaMalloc(&x, (size_t)(t.rows_max * t.o.ldx * element_bytes(o->format)));
    if (e == cudaSuccess)
        e = cudaMalloc(&c, (size_t)(t.rows_max * t.o.ldc) * 4);
    int rc = cuda_result(q, e, "memory for the self-check of a product");
    if (!rc && !rows)
        rc = ECH_OP_MEMORY;
    t.o.x = x, t.o.c = c;
    t.first = rows, t.row = rows + o->n * 4, t.own = rows + o->n * 8;
    bool good = false;
    if (!rc)
        rc = choose(q, &t, a, &good);
    if (!rc && !good) {
        snprintf(q->base.error, sizeof q->base.error,
                 "no algorithm gives a row of a %s product (n %lld, k %lld) the same bits wherever it lies",
                 format_word(o->format), (long long)o->n, (long long)o->k);
        rc = ECH_OP_DEVICE;
    }
    free(rows);
    cudaError_t freed = cudaFree(x), also = cudaFree(c);
    return rc ? rc : cuda_result(q, freed != cudaSuccess ? freed : also, "freeing a self-check's memory");
}

const struct algorithm *algorithm_for(struct cuda_queue *q, const struct operands *o, int *rc)
{
    std::lock_guard<std::mutex> hold(known.lock);
    for (struct algorithm *a = known.first; a; a = a->next)
        if (a->device == q->base.device && a->format == o->format && a->n == o->n && a->k == o->k &&
            a->bias == (o->bias != NULL))
            return a;
    struct algorithm *a = (struct algorithm *)calloc(1, sizeof *a);
    if (!a) {
        *rc = ECH_OP_MEMORY;
        return NULL;
    }
    a->device = q->base.device;
    a->format = o->format;
    a->n = o->n, a->k = o->k;
    a->bias = o->bias != NULL;
    *rc = search(q, o, a);
    if (*rc) {
        free(a);
        return NULL;
    }
    a->next = known.first;
    known.first = a;
    return a;
}

void cuda_algorithms(int *theirs, int *own)
{
    std::lock_guard<std::mutex> hold(known.lock);
    *theirs = *own = 0;
    for (const struct algorithm *a = known.first; a; a = a->next)
        ++*(a->own ? own : theirs);
}
