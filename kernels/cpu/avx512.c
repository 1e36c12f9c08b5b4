/* The avx512 backend: the kernels of this folder over its vectors. Compiled with its own instruction set;
 * nothing here runs before ech_avx512_available() said yes. */
#include "kernels/cpu/v16_avx512.h"

#include "kernels/cpu/mathv.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/bf16.h"
#include "kernels/cpu/attention.h"

#include "kernels/backends.h"

/* bf16 by dpbf16 where the processor has it. */
static bool native(enum ech_format compute)
{
    return compute == ECH_FMT_BF16 && !ech_avx512_bf16_available();
}

static int attention_either(struct ech_queue *queue, const struct ech_attention_args *a)
{
    int rc = ech_check_attention(a);
    if (rc)
        return rc;
    return native(a->compute) ? ech_avx512_bf16_attention(queue, a) : attention(queue, a);
}

static size_t workspace_either(enum ech_format compute, int64_t longest, int64_t head_dim, int threads)
{
    return native(compute) ? ech_avx512_bf16_attention_workspace(compute, longest, head_dim, threads)
                           : attention_workspace(compute, longest, head_dim, threads);
}

const struct ech_ops ech_avx512_entries = {
    .name = "avx512",
    .numerics = {[ECH_FMT_F32] = "cpu-f32-2"},
    .available = ech_avx512_available,
    .linear_packed_bytes = ech_panels_bytes,
    .linear_pack = ech_panels_pack,
    .attention_workspace = workspace_either,
    .linear = linear,
    .norm = norm,
    .attention = attention_either,
    .embed = embed,
    .pool = pool,
    .activate = activate,
    .softmax = softmax,
};
