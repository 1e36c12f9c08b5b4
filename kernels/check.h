/* What every backend asks of its arguments, written once: lengths, strides, pointers, ids.
 * Each returns ECH_OP_OK or ECH_OP_SHAPE. Nothing is read through a pointer whose length is zero. */
#ifndef ECH_KERNELS_CHECK_H
#define ECH_KERNELS_CHECK_H

#include "kernels/ops.h"

int ech_check_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                   const void *packed, int64_t part, int64_t parts);
int ech_check_linear(const struct ech_linear_args *args);
int ech_check_convert(const struct ech_convert_args *args);
int ech_check_norm(const struct ech_norm_args *args);
int ech_check_gate(const struct ech_gate_args *args);
int ech_check_rotary(const struct ech_rotary_args *args);
int ech_check_topk(const struct ech_topk_args *args);
int ech_check_attention(const struct ech_attention_args *args);
int ech_check_embed(const struct ech_embed_args *args);
int ech_check_pool(const struct ech_pool_args *args);
int ech_check_activate(enum ech_act act, const float *x, int64_t count);
int ech_check_softmax(const float *x, int64_t rows, int64_t cols, int64_t ld);

int ech_check_combine(const struct ech_combine_args *args);
int ech_check_ssru(const struct ech_ssru_args *args);
int ech_check_relative(const struct ech_relative_args *args);

/* The longest sequence of `starts`. */
int64_t ech_longest(const int64_t *starts, int64_t sequences);
/* Sequence s's keys: how many, and the first. Checked arguments only. */
static inline int64_t ech_attention_keys(const struct ech_attention_args *a, int64_t s, int64_t *first)
{
    const int64_t *starts = a->key_starts ? a->key_starts : a->starts;
    *first = starts[s];
    return a->key_counts ? a->key_counts[s] : starts[s + 1] - starts[s];
}
/* The longest of queries and keys; 0 where no sequence has a query. Checked arguments only. */
int64_t ech_attention_longest(const struct ech_attention_args *args);

#endif
