/* What the entries ask of their arguments before anything is queued. Device memory is not read: ids and
 * positions are checked by the kernels. */
#ifndef ECH_KERNELS_CUDA_ARGUMENTS_H
#define ECH_KERNELS_CUDA_ARGUMENTS_H

#include "kernels/cuda/inside.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* a function that is called as a struct is */
extern "C" {
#include "kernels/blocks.h"
#include "kernels/check.h"
}
#pragma GCC diagnostic pop

int cuda_check_pack(enum ech_format format, const void *w, enum ech_wtype type, int64_t n, int64_t k,
                    const void *packed, int64_t part, int64_t parts);
int cuda_check_linear(const struct ech_linear_args *a);
int cuda_check_convert(const struct ech_convert_args *a);
int cuda_check_norm(const struct ech_norm_args *a);
int cuda_check_attention(const struct ech_attention_args *a);
int cuda_check_embed(const struct ech_embed_args *a);
int cuda_check_pool(const struct ech_pool_args *a);
int cuda_check_gate(const struct ech_gate_args *a);
int cuda_check_rotary(const struct ech_rotary_args *a);
int cuda_check_combine(const struct ech_combine_args *a);
int cuda_check_ssru(const struct ech_ssru_args *a);
int cuda_check_relative(const struct ech_relative_args *a);
int cuda_check_activate(enum ech_act act, const float *x, int64_t count);
int cuda_check_softmax(const float *x, int64_t rows, int64_t cols, int64_t ld);

#endif
