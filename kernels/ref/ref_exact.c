/* `ref_exact`: plain C that gives exactly the bits of the contract on any machine. Slow; the base that
 * every faster f32 backend is laid over and compared with. */
#include "kernels/ref/ref_exact.h"

#include "kernels/backends.h"
#include "kernels/panels.h"

static size_t no_workspace(int64_t m, int64_t n, int64_t k)
{
    (void)m, (void)n, (void)k;
    return 0;
}

void ech_ref_exact_fill(struct ech_ops *ops)
{
    ops->linear_packed_bytes = ech_panels_bytes;
    ops->linear_pack = ech_panels_pack;
    ops->linear_workspace = no_workspace;
    ops->attention_workspace = ech_exact_attention_workspace;
    ops->linear = ech_exact_linear;
    ops->layer_norm = ech_exact_layer_norm;
    ops->attention = ech_exact_attention;
    ops->embed = ech_exact_embed;
    ops->pool = ech_exact_pool;
    ops->activate = ech_exact_activate;
    ops->softmax = ech_exact_softmax;
}
