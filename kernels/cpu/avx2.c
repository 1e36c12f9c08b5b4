/* The avx2 backend: the kernels of this folder over its vectors. Compiled with its own instruction set;
 * nothing here runs before ech_avx2_available() said yes. */
#include "kernels/cpu/v16_avx2.h"

#include "kernels/cpu/narrow_avx2.h"
#include "kernels/cpu/w16_avx2.h"
#include "kernels/cpu/mathv.h"
#include "kernels/cpu/rows_types.h"
#include "kernels/cpu/bf16_rows.h"
#include "kernels/cpu/tile_f32.h"
#include "kernels/cpu/tile_bf16_fma.h"
#include "kernels/cpu/tile_bf16_f32.h"
#include "kernels/cpu/int8_madd.h"
#include "kernels/cpu/int4_madd.h"
#include "kernels/cpu/block_madd.h"
#include "kernels/cpu/block_panel.h"
#include "kernels/cpu/block_row.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/block_product.h"
#include "kernels/cpu/rows_convert.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/rows_norm.h"
#include "kernels/cpu/rows_move.h"
#include "kernels/cpu/rows_select.h"
#include "kernels/cpu/attention.h"

#include "kernels/backends.h"

static const struct product_format *product_format_of(enum ech_format format)
{
    switch (format) {
    case ECH_FMT_F32:
        return &FORMAT_F32;
    case ECH_FMT_BF16:
        return &FORMAT_BF16_FMA;
    case ECH_FMT_BF16_F32:
        return &FORMAT_BF16_F32;
    case ECH_FMT_INT8:
        return &FORMAT_INT8_MADD;
    case ECH_FMT_INT4:
        return &FORMAT_INT4_MADD;
    default:
        return NULL;
    }
}

static const struct product_format *block_format_of(const struct ech_block_type *type)
{
    return block_format(type);
}

static const struct block_vector *block_vector_of(enum ech_wtype type)
{
    (void)type;
    return NULL;
}

static int checked_attention(struct ech_queue *queue, const struct ech_attention_args *a)
{
    int rc = ech_check_attention(a);
    return rc ? rc : attention(queue, a);
}

const struct ech_ops ech_avx2_entries = {
    .name = "avx2",
    .numerics = {[ECH_FMT_F32] = "cpu-f32-2",
                 [ECH_FMT_BF16] = "cpu-bf16-1",
                 [ECH_FMT_BF16_F32] = "cpu-bf16-f32-1",
                 [ECH_FMT_INT8] = "cpu-int8-1",
                 [ECH_FMT_INT4] = "cpu-int4-1",
                 [ECH_FMT_BLOCK] = "cpu-block-1",
                 [ECH_FMT_BLOCK_INT8] = "cpu-block-int8-1"},
    .available = ech_avx2_available,
    .linear_packed_bytes = ech_panels_bytes,
    .linear_pack = ech_panels_pack,
    .linear_workspace = linear_workspace,
    .attention_workspace = attention_workspace,
    .linear = linear,
    .convert = convert,
    .norm = norm,
    .attention = checked_attention,
    .embed = embed,
    .pool = pool,
    .gate = gate,
    .rotary = rotary,
    .topk = topk,
    .combine = combine,
    .ssru = ssru,
    .activate = activate,
    .softmax = softmax,
    .log_softmax = log_softmax,
};
