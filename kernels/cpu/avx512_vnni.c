/* ECH_FMT_INT8 and ECH_FMT_INT4 by the processor's `vpdpbusd`: formats for avx512.c, in a file of their own
 * instruction set. Nothing here runs before ech_avx512_vnni() said yes. */
#include "kernels/cpu/v16_avx512.h"

#include "kernels/cpu/narrow_avx512.h"
#include "kernels/cpu/w16_avx512.h"
#include "kernels/cpu/mathv.h"
#include "kernels/cpu/rows_types.h"
#include "kernels/cpu/int8_vnni.h"
#include "kernels/cpu/int4_vnni.h"
#include "kernels/cpu/block_vnni.h"

#include "kernels/cpu/avx512_formats.h"
#include "kernels/cpu/block_vector.h"

const struct product_format ech_avx512_int8_format = {.unit = 4,
                                                      .lane_words = 16,
                                                      .row_words = 1,
                                                      .block = 384,
                                                      .tail = 2,
                                                      .tiles = &TILES_INT8,
                                                      .in_place = int8_in_place,
                                                      .bring = int8_bring};
const struct product_format ech_avx512_int4_format = INT4_FORMAT;

const struct product_format *ech_avx512_block_format(const struct ech_block_type *type)
{
    return block_format(type);
}
