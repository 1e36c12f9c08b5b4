/* Entries of `ref` that have a file of their own. */
#ifndef ECH_KERNELS_REF_REF_H
#define ECH_KERNELS_REF_REF_H

#include "kernels/ops.h"

size_t ech_ref_attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads);
int ech_ref_attention(struct ech_queue *queue, const struct ech_attention_args *args);

#endif
