/* The avx512 backend: the kernels of this folder over its vectors. Compiled with its own instruction set;
 * nothing here runs before ech_avx512_available() said yes. */
#include "kernels/cpu/v16_avx512.h"
#include "kernels/cpu/narrow_avx512.h"

#include "kernels/cpu/mathv.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/rows_types.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/rows_norm.h"
#include "kernels/cpu/rows_move.h"
#include "kernels/cpu/rows_select.h"
#include "kernels/cpu/attention.h"

#include "kernels/backends.h"

const struct ech_ops ech_avx512_entries = {
    .name = "avx512",
    .numerics = {[ECH_FMT_F32] = "cpu-f32-2"},
    .available = ech_avx512_available,
    .linear_packed_bytes = ech_panels_bytes,
    .linear_pack = ech_panels_pack,
    .attention_workspace = attention_workspace,
    .linear = linear,
    .norm = norm,
    .attention = attention,
    .embed = embed,
    .pool = pool,
    .gate = gate,
    .rotary = rotary,
    .topk = topk,
    .activate = activate,
    .softmax = softmax,
    .log_softmax = log_softmax,
};
