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

static const char *always(void)
{
    return NULL;
}

const struct ech_ops ech_ref_exact_entries = {
    .name = "ref_exact",
    .numerics = "cpu-f32-1",
    .available = always,
    .linear_packed_bytes = ech_panels_bytes,
    .linear_pack = ech_panels_pack,
    .linear_workspace = no_workspace,
    .attention_workspace = ech_exact_attention_workspace,
    .linear = ech_exact_linear,
    .layer_norm = ech_exact_layer_norm,
    .attention = ech_exact_attention,
    .embed = ech_exact_embed,
    .pool = ech_exact_pool,
    .activate = ech_exact_activate,
    .softmax = ech_exact_softmax,
};
