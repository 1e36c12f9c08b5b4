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
const char *ech_avx512_bf16_available(void);
const char *ech_openblas_available(void);

/* Of avx512, by dpbf16 (cpu/avx512_bf16.c). Checked arguments; compute ECH_FMT_BF16. */
int ech_avx512_bf16_attention(struct ech_queue *queue, const struct ech_attention_args *args);
size_t ech_avx512_bf16_attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim,
                                           int threads);

/* The numerics class carries OpenBLAS's version and core type: its bits depend on both. */
const char *ech_openblas_numerics(void);

#endif
