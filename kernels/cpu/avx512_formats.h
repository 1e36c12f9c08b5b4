/* Formats of the avx512 backend that need more than it asks for: each in a file compiled for that; detect.c
 * says whether this processor has it. */
#ifndef ECH_KERNELS_CPU_AVX512_FORMATS_H
#define ECH_KERNELS_CPU_AVX512_FORMATS_H

#include "kernels/cpu/product_format.h"

extern const struct product_format ech_avx512_bf16_format;
extern const struct product_format ech_avx512_int8_format;
extern const struct product_format ech_avx512_int4_format;
struct ech_block_type;
extern const struct block_vector ech_avx512_block_vectors[ECH_WTYPES];
const struct product_format *ech_avx512_block_format(const struct ech_block_type *type);

/* Checked arguments, compute ECH_FMT_BF16. */
int ech_avx512_attention_bf16(struct ech_queue *queue, const struct ech_attention_args *args);
size_t ech_avx512_attention_bf16_workspace(int64_t longest, int64_t head_dim, int threads);

#endif
