/* The avx512 backend: the kernels of this folder over its vectors. Compiled with its own instruction set;
 * nothing here runs before ech_avx512_available() said yes. */
#include "kernels/cpu/v16_avx512.h"

#include "kernels/cpu/narrow_avx512.h"
#include "kernels/cpu/w16_avx512.h"
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
#include "kernels/cpu/avx512_formats.h"

static const struct product_format *product_format_of(enum ech_format format)
{
    switch (format) {
    case ECH_FMT_F32:
        return &FORMAT_F32;
    case ECH_FMT_BF16:
        return ech_avx512_bf16() ? &ech_avx512_bf16_format : &FORMAT_BF16_FMA;
    case ECH_FMT_BF16_F32:
        return &FORMAT_BF16_F32;
    case ECH_FMT_INT8:
        return ech_avx512_vnni() ? &ech_avx512_int8_format : &FORMAT_INT8_MADD;
    case ECH_FMT_INT4:
        return ech_avx512_vnni() ? &ech_avx512_int4_format : &FORMAT_INT4_MADD;
    default:
        return NULL;
    }
}

static const struct product_format *block_format_of(const struct ech_block_type *type)
{
    return ech_avx512_vnni() ? ech_avx512_block_format(type) : block_format(type);
}

static const struct block_vector *block_vector_of(enum ech_wtype type)
{
    return ech_avx512_vnni() ? &ech_avx512_block_vectors[type] : NULL;
}

/* Attention in bf16 by dpbf16 where the processor has it. */
static bool native(enum ech_format compute)
{
    return compute == ECH_FMT_BF16 && ech_avx512_bf16();
}

static int attention_either(struct ech_queue *queue, const struct ech_attention_args *a)
{
    int rc = ech_check_attention(a);
    if (rc)
        return rc;
    return native(a->compute) ? ech_avx512_attention_bf16(queue, a) : attention(queue, a);
}

static size_t workspace_either(enum ech_format compute, int64_t longest, int64_t head_dim, int threads)
{
    return native(compute) ? ech_avx512_attention_bf16_workspace(longest, head_dim, threads)
                           : attention_workspace(compute, longest, head_dim, threads);
}

const struct ech_ops ech_avx512_entries = {
    .name = "avx512",
    .numerics = {[ECH_FMT_F32] = "cpu-f32-2",
                 [ECH_FMT_BF16] = "cpu-bf16-1",
                 [ECH_FMT_BF16_F32] = "cpu-bf16-f32-1",
                 [ECH_FMT_INT8] = "cpu-int8-1",
                 [ECH_FMT_INT4] = "cpu-int4-1",
                 [ECH_FMT_BLOCK] = "cpu-block-1",
                 [ECH_FMT_BLOCK_INT8] = "cpu-block-int8-1"},
    .available = ech_avx512_available,
    .linear_packed_bytes = ech_panels_bytes,
    .linear_pack = ech_panels_pack,
    .linear_workspace = linear_workspace,
    .attention_workspace = workspace_either,
    .linear = linear,
    .convert = convert,
    .norm = norm,
    .attention = attention_either,
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
