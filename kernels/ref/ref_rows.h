/* The row operations of `ref`, and what its attention takes from them. */
#ifndef ECH_KERNELS_REF_REF_ROWS_H
#define ECH_KERNELS_REF_REF_ROWS_H

#include "kernels/ops.h"

/* x (cols) becomes exp(x - max); returns the sum, 1 in place of 0. */
double ech_ref_soften(double *x, int64_t cols);

int ech_ref_norm(struct ech_queue *queue, const struct ech_norm_args *args);
int ech_ref_embed(struct ech_queue *queue, const struct ech_embed_args *args);
int ech_ref_pool(struct ech_queue *queue, const struct ech_pool_args *args);
int ech_ref_gate(struct ech_queue *queue, const struct ech_gate_args *args);
int ech_ref_rotary(struct ech_queue *queue, const struct ech_rotary_args *args);
int ech_ref_topk(struct ech_queue *queue, const struct ech_topk_args *args);
int ech_ref_combine(struct ech_queue *queue, const struct ech_combine_args *args);
int ech_ref_ssru(struct ech_queue *queue, const struct ech_ssru_args *args);
int ech_ref_relative(struct ech_queue *queue, const struct ech_relative_args *args);
int ech_ref_activate(struct ech_queue *queue, enum ech_act kind, float *x, int64_t count);
int ech_ref_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld);
int ech_ref_log_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld);

#endif
