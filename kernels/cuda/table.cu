/* The table `cuda` and the one symbol that the shared object exports. */
#include "kernels/cuda/inside.h"

static const char *always(void)
{
    return NULL; /* cuda_open refuses; a table that was handed out can be used */
}

void cuda_fill(struct ech_ops *out)
{
    struct ech_ops t = {};
    t.name = "cuda";
    t.available = always;
    t.device = true;
    t.linear_packed_bytes = cuda_packed_bytes;
    t.linear_pack = cuda_pack;
    t.linear_workspace = cuda_linear_workspace;
    t.attention_workspace = cuda_attention_workspace;
    t.linear = cuda_linear;
    t.convert = cuda_convert;
    t.norm = cuda_norm;
    t.attention = cuda_attention;
    t.embed = cuda_embed;
    t.pool = cuda_pool;
    t.gate = cuda_gate;
    t.rotary = cuda_rotary;
    t.combine = cuda_combine;
    t.ssru = cuda_ssru;
    t.relative = cuda_relative;
    t.activate = cuda_activate;
    t.softmax = cuda_softmax;
    t.log_softmax = cuda_log_softmax;
    t.devices = cuda_devices;
    t.mem_alloc = cuda_mem_alloc;
    t.mem_free = cuda_mem_free;
    t.put = cuda_put;
    t.get = cuda_get;
    t.queue_open = cuda_queue_open;
    t.queue_close = cuda_queue_close;
    t.queue_sync = cuda_queue_sync;
    *out = t;
}

extern "C" __attribute__((visibility("default"))) const struct ech_plugin ECH_PLUGIN_SYMBOL = {
    ECH_PLUGIN_ABI, sizeof(struct ech_ops), cuda_open, cuda_describe};
