/* Matrices of any activation type between guard bytes; the gaps of the stride are guards too. */
#ifndef ECH_TESTS_KERNELS_MATRIX_H
#define ECH_TESTS_KERNELS_MATRIX_H

#include "support.h"

struct matrix {
    unsigned char *base;
    void *x;
    float *scale; /* (rows), Q8 */
    enum ech_atype type;
    int64_t rows, cols, ld; /* elements */
};

/* pad: elements of gap between rows; a Q8 row has its own padding, which belongs to it. */
struct matrix matrix_make(enum ech_atype type, int64_t rows, int64_t cols, int64_t pad);
void matrix_free(struct matrix *m);
/* Uniform in (-scale, scale), in the matrix's own type. */
void matrix_random(struct matrix *m, float scale);
void matrix_copy(struct matrix *to, const struct matrix *from);
/* Fails, naming `what`, where a byte outside of the matrix was changed. */
void matrix_check(const struct matrix *m, const char *what);
/* The same type, shape and bits (any NaN equals any NaN); fails, naming `what` and the first difference. */
void matrix_same(const struct matrix *got, const struct matrix *want, const char *what);
float matrix_get(const struct matrix *m, int64_t row, int64_t col);
void *matrix_row(const struct matrix *m, int64_t row);
/* bf16 nearest to x, ties to even, denormals to zero: found by trying both neighbours. */
uint16_t nearest_bf16(float x);

#endif
