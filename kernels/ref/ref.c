/* `ref`: the oracle. Everything in double with libm's functions, rounded to f32 once at the end; formats
 * round or quantise weights and rows as they say, then double again. Shares no arithmetic with the other
 * backends, so an error of theirs shows. Here is the table; the families are ref_*.c. */
#include "kernels/backends.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_rows.h"

const struct ech_ops ech_ref_entries = {
    .name = "ref",
    .numerics = {[ECH_FMT_F32] = "ref-f64-1",
                 [ECH_FMT_BF16] = "ref-f64-bf16-1",
                 [ECH_FMT_INT8] = "ref-f64-int8-1",
                 [ECH_FMT_INT4] = "ref-f64-int4-1",
                 [ECH_FMT_BF16_F32] = "ref-f64-bf16-f32-1",
                 [ECH_FMT_BLOCK] = "ref-f64-block-1",
                 [ECH_FMT_BLOCK_INT8] = "ref-f64-block-int8-1"},
    .linear_packed_bytes = ech_ref_packed_bytes,
    .linear_pack = ech_ref_pack,
    .attention_workspace = ech_ref_attention_workspace,
    .linear = ech_ref_linear,
    .convert = ech_ref_convert,
    .norm = ech_ref_norm,
    .attention = ech_ref_attention,
    .embed = ech_ref_embed,
    .pool = ech_ref_pool,
    .gate = ech_ref_gate,
    .rotary = ech_ref_rotary,
    .topk = ech_ref_topk,
    .combine = ech_ref_combine,
    .ssru = ech_ref_ssru,
    .relative = ech_ref_relative,
    .activate = ech_ref_activate,
    .softmax = ech_ref_softmax,
    .log_softmax = ech_ref_log_softmax,
};
