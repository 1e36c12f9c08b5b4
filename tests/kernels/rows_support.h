/* What the tests of row operations share: a call that fills a result, run on every backend and judged against
 * ref (a bound), ref_exact (bits), its own rows alone (bits) and the guards. */
#ifndef ECH_TESTS_KERNELS_ROWS_SUPPORT_H
#define ECH_TESTS_KERNELS_ROWS_SUPPORT_H

#include "support.h"

/* Widths around the vector, the group of vectors and MiniLM's row. */
extern const int64_t ROW_COLS[];
extern const int ROW_COLS_COUNT;

/* Calls the backend on `in` and writes into `out`, a copy of `in`. */
typedef int (*row_call)(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode);

/* How a result is judged: normalised error, or, by_input, each element's error beside its input and result.
 * alone: a row depends on no other, so each is run alone too. */
struct row_test {
    const char *name;
    row_call call;
    double bound;
    bool by_input, alone;
};

struct buffer copy_of(const struct buffer *b);
struct buffer result_of(const struct ech_ops *ops, row_call call, const struct buffer *in, int mode,
                        const char *what);
void compare_rows(const struct row_test *t, const struct buffer *in, int mode);
/* Over all widths: 0, 1 and 5 rows, dense and strided. */
void compare_all(const struct row_test *t, int mode, float scale);

/* Floats of every exponent, both signs, NaN and infinities among them. */
float any_float(int64_t i);

#endif
