/* How a backend joins the table: a test whether this machine can run it, and a table with the entries it has
 * of its own (the others NULL: ops.c takes them from below, at last from ref_exact, which is whole).
 * The tables are constant data: no code of a file compiled for AVX runs before its test was passed. */
#ifndef ECH_KERNELS_BACKENDS_H
#define ECH_KERNELS_BACKENDS_H

#include "kernels/ops.h"

extern const struct ech_ops ech_ref_entries;
extern const struct ech_ops ech_ref_exact_entries;
extern const struct ech_ops ech_avx2_entries;
extern const struct ech_ops ech_avx512_entries;
extern const struct ech_ops ech_openblas_entries;

/* NULL: yes; else why not. */
const char *ech_avx2_available(void);
const char *ech_avx512_available(void);
const char *ech_openblas_available(void);
/* Instructions that avx512 uses for a format where they are there. */
bool ech_avx512_bf16(void);
bool ech_avx512_vnni(void);

/* The numerics class carries OpenBLAS's version and core type: its bits depend on both. */
const char *ech_openblas_numerics(void);

#endif
