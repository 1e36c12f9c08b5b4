/* Products inside of the backend: the operands as they lie on the device, who multiplies them, and how
 * weights are packed: row-major (n, k) of the format's type, rows of `packed_stride` elements with zeros past
 * k; int8 has its rows filled up to a multiple of 16 and f32 scales behind them. */
#ifndef ECH_KERNELS_CUDA_PRODUCT_H
#define ECH_KERNELS_CUDA_PRODUCT_H

#include "kernels/cuda/inside.h"

enum { TILE_ROWS = 128 }; /* every product has a multiple of these rows: cuBLASLt's tiles are full */

/* c (m, n) stride ldc = x (m, k) stride ldx times w^T (n, k) stride ldw [+ bias (n)]: f32, or int32 without a
 * bias for int8. m is a multiple of TILE_ROWS; rows start at 16-byte boundaries. */
struct operands {
    enum ech_format format;
    int64_t m, n, k;
    const void *x, *w;
    int64_t ldx, ldw;
    const float *bias;
    void *c;
    int64_t ldc;
};

static inline int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

static inline int64_t element_bytes(enum ech_format format)
{
    return format == ECH_FMT_F32 ? 4 : format == ECH_FMT_INT8 ? 1 : 2;
}

/* Elements of a packed row, and of a row of x that was staged for it. */
static inline int64_t packed_stride(enum ech_format format, int64_t k)
{
    return format == ECH_FMT_INT8 ? round_up(k, 64) : round_up(k, 16 / element_bytes(format));
}

/* Rows of packed weights, columns of c. */
static inline int64_t packed_rows(enum ech_format format, int64_t n)
{
    return format == ECH_FMT_INT8 ? round_up(n, 16) : n;
}

/* Lengths along k that are multiplied: int8 has zeros up to its stride. */
static inline int64_t product_depth(enum ech_format format, int64_t k)
{
    return format == ECH_FMT_INT8 ? packed_stride(format, k) : k;
}

static inline size_t packed_scales_at(enum ech_format format, int64_t n, int64_t k)
{
    return (size_t)(packed_rows(format, n) * packed_stride(format, k) * element_bytes(format));
}

/* algorithm.cu: who computes products of one format, n and k, with or without a bias. */
struct algorithm;
/* The one chosen for these operands; at the first call for their format, n, k it is sought and checked. NULL:
 * the queue's error says why. */
const struct algorithm *algorithm_for(struct cuda_queue *q, const struct operands *o, int *rc);
int multiply(struct cuda_queue *q, const struct algorithm *a, const struct operands *o);

/* tile.cu: our own kernel, one chain over ascending k an element; for any format, and the measure of
 * cuBLASLt's in the self-check. */
int multiply_tiles(struct cuda_queue *q, const struct operands *o);

#endif
