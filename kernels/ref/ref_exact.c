/* `ref_exact`: plain C that gives exactly the bits of the contract on any machine. Slow; the base that
 * every faster f32 backend is laid over and compared with. */
#include "kernels/ref/ref_exact.h"

#include "kernels/backends.h"
#include "kernels/host.h"
#include "kernels/panels.h"

static size_t no_workspace(enum ech_format format, int64_t m, int64_t n, int64_t k, int threads)
{
    (void)format, (void)m, (void)n, (void)k, (void)threads;
    return 0;
}

static const char *always(void)
{
    return NULL;
}

const struct ech_ops ech_ref_exact_entries = {
    .name = "ref_exact",
    .numerics = {[ECH_FMT_F32] = "cpu-f32-2",
                 [ECH_FMT_BF16] = "cpu-bf16-1",
                 [ECH_FMT_BF16_F32] = "cpu-bf16-f32-1",
                 [ECH_FMT_INT8] = "cpu-int8-1",
                 [ECH_FMT_INT4] = "cpu-int4-1",
                 [ECH_FMT_BLOCK] = "cpu-block-1",
                 [ECH_FMT_BLOCK_INT8] = "cpu-block-int8-1"},
    .available = always,
    .linear_packed_bytes = ech_panels_bytes,
    .linear_pack = ech_panels_pack,
    .linear_workspace = no_workspace,
    .attention_workspace = ech_exact_attention_workspace,
    .linear = ech_exact_linear,
    .convert = ech_exact_convert,
    .norm = ech_exact_norm,
    .attention = ech_exact_attention,
    .embed = ech_exact_embed,
    .pool = ech_exact_pool,
    .gate = ech_exact_gate,
    .rotary = ech_exact_rotary,
    .topk = ech_exact_topk,
    .combine = ech_exact_combine,
    .ssru = ech_exact_ssru,
    .relative = ech_exact_relative,
    .activate = ech_exact_activate,
    .softmax = ech_exact_softmax,
    .log_softmax = ech_exact_log_softmax,
    .devices = ech_host_devices,
    .mem_alloc = ech_host_mem_alloc,
    .mem_free = ech_host_mem_free,
    .put = ech_host_copy,
    .get = ech_host_copy,
    .queue_open = ech_host_queue_open,
    .queue_close = ech_host_queue_close,
    .queue_sync = ech_host_queue_sync,
};
