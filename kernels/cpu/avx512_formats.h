/* Formats of the avx512 backend that need more than it asks for: each in a file compiled for that; detect.c
 * says whether this processor has it. */
#ifndef ECH_KERNELS_CPU_AVX512_FORMATS_H
#define ECH_KERNELS_CPU_AVX512_FORMATS_H

#include "kernels/cpu/product_format.h"

extern const struct product_format ech_avx512_bf16_format;
extern const struct product_format ech_avx512_int8_format;
extern const struct product_format ech_avx512_int4_format;

#endif
