/* The entries of `ref_exact`, shared by its files and by backends that have no faster one. */
#ifndef ECH_KERNELS_REF_REF_EXACT_H
#define ECH_KERNELS_REF_REF_EXACT_H

#include "kernels/ops.h"

/* 16 virtual lanes: element i of a row belongs to lane i mod 16. */
#define ECH_LANES 16

static inline float ech_lanes_sum(const float *lane)
{
    float s[8];
    for (int i = 0; i < 8; i++)
        s[i] = lane[i] + lane[i + 8];
    for (int i = 0; i < 4; i++)
        s[i] += s[i + 4];
    for (int i = 0; i < 2; i++)
        s[i] += s[i + 2];
    return s[0] + s[1];
}

/* x (cols) becomes exp(x - max); returns the sum, 1 in place of 0 (every entry was -inf). */
float ech_exact_softmax_row(float *x, int64_t cols);

/* One row of x against the panel at `panel`: results of 64 outputs, bias included for int8, not for int4. */
void ech_exact_int8(const struct ech_linear_args *a, int64_t row, const uint32_t *panel, float *sum);
void ech_exact_int4(const struct ech_linear_args *a, int64_t row, const uint32_t *panel, float *sum);

/* A product on a file's own blocks. */
int ech_exact_block(const struct ech_linear_args *args);
/* Bias, activation and residual of element j of row `row`, after its sum. */
float ech_exact_finish(const struct ech_linear_args *args, int64_t row, int64_t j, float sum);

int ech_exact_linear(struct ech_queue *queue, const struct ech_linear_args *args);
int ech_exact_convert(struct ech_queue *queue, const struct ech_convert_args *args);
int ech_exact_norm(struct ech_queue *queue, const struct ech_norm_args *args);
int ech_exact_attention(struct ech_queue *queue, const struct ech_attention_args *args);
size_t ech_exact_attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim, int threads);
int ech_exact_embed(struct ech_queue *queue, const struct ech_embed_args *args);
int ech_exact_pool(struct ech_queue *queue, const struct ech_pool_args *args);
int ech_exact_gate(struct ech_queue *queue, const struct ech_gate_args *args);
int ech_exact_rotary(struct ech_queue *queue, const struct ech_rotary_args *args);
int ech_exact_topk(struct ech_queue *queue, const struct ech_topk_args *args);
int ech_exact_combine(struct ech_queue *queue, const struct ech_combine_args *args);
int ech_exact_ssru(struct ech_queue *queue, const struct ech_ssru_args *args);
int ech_exact_relative(struct ech_queue *queue, const struct ech_relative_args *args);
int ech_exact_activate(struct ech_queue *queue, enum ech_act act, float *x, int64_t count);
int ech_exact_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld);
int ech_exact_log_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld);

#endif
