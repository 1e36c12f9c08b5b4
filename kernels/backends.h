/* How a backend joins the table: a name, a test whether this machine can run it, and a function that
 * overwrites entries of a table already filled with ref_exact's (or, for `ref`, with its own). */
#ifndef ECH_KERNELS_BACKENDS_H
#define ECH_KERNELS_BACKENDS_H

#include "kernels/ops.h"

void ech_ref_fill(struct ech_ops *ops);
void ech_ref_exact_fill(struct ech_ops *ops);
void ech_avx2_fill(struct ech_ops *ops);
void ech_avx512_fill(struct ech_ops *ops);
void ech_openblas_fill(struct ech_ops *ops);

/* NULL: yes; else why not. */
const char *ech_avx2_available(void);
const char *ech_avx512_available(void);
const char *ech_openblas_available(void);

#endif
