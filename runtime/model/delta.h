/* What a low-rank adapter adds to a weight: factor * B A, computed where it is read. */
#ifndef ECH_MODEL_DELTA_H
#define ECH_MODEL_DELTA_H

#include <stdbool.h>
#include <stdint.h>

struct ech_delta {
    int64_t rank, cols; /* cols: of the weight */
    float factor;
    bool swapped;       /* the weight is stored (in, out), or is an embedding: (B A) transposed is added */
    const float *a, *b; /* (rank, in), (out, rank), row-major */
    int64_t in;
};

/* Add the elements first .. first + count, in the order of the weight's own rows, to `values`.
 * Exactness  value + factor * s, s a sum over ascending rank; every product and sum rounded to f32: an
 * element does not depend on what is read with it. */
void ech_delta_add(const struct ech_delta *delta, int64_t first, int64_t count, float *values);

#endif
