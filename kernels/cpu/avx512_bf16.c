/* ECH_FMT_BF16 by the processor's `dpbf16`: a format for avx512.c, in a file of its own instruction set.
 * Nothing here runs before ech_avx512_bf16() said yes. */
#include "kernels/cpu/v16_avx512.h"

#include "kernels/cpu/mathv.h"
#include "kernels/cpu/bf16_rows.h"
#include "kernels/cpu/tile_bf16.h"

#include "kernels/cpu/avx512_formats.h"

const struct product_format ech_avx512_bf16_format = {.unit = 2,
                                                      .lane_words = 16,
                                                      .row_words = 1,
                                                      .block = 384,
                                                      .tiles = &TILES_BF16,
                                                      .in_place = bf16_in_place,
                                                      .bring = bf16_bring};
