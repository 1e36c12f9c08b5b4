/* `precision:` how weights are kept and what products compute in. One word sets both; a part that is left out
 * follows from the other. */
#ifndef ECH_CONFIG_PRECISION_H
#define ECH_CONFIG_PRECISION_H

#include <stdbool.h>
#include <stddef.h>

/* In the order of both keys' choices (schema.c). */
enum ech_precision {
    ECH_PRECISION_AUTO,
    ECH_PRECISION_F32,
    ECH_PRECISION_BF16,
    ECH_PRECISION_F16,
    ECH_PRECISION_INT8,
    ECH_PRECISION_INT4 /* weights only */
};

/* Replaces what is auto: both auto are f32; weights alone compute in f32 where that is possible; compute
 * alone keeps the weights in the same type. false: no kernel has this pair. */
bool ech_precision_resolve(int *weights, int *compute);
const char *ech_precision_name(int precision);
/* "f32 with f32, bf16 with f32, ..." for messages. */
void ech_precision_list(char *out, size_t bytes);
/* What one word stands for; NULL: not a word of precision. */
const char *ech_precision_compute_of(const char *word);

#endif
