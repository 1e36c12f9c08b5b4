/* Attention in bf16 by the processor's `dpbf16`, in a file of its own instruction set. Nothing here runs
 * before ech_avx512_bf16() said yes. */
#define PAIRS /* a unit of a chain is a pair of bf16 (attention_pack.h) */
#include "kernels/cpu/v16_avx512.h"

#include "kernels/cpu/mathv.h"
#include "kernels/cpu/attention.h"

#include "kernels/cpu/avx512_formats.h"

int ech_avx512_attention_bf16(struct ech_queue *queue, const struct ech_attention_args *args)
{
    return attention(queue, args);
}

size_t ech_avx512_attention_bf16_workspace(int64_t longest, int64_t head_dim, int threads)
{
    return attention_workspace(ECH_FMT_BF16, longest, head_dim, threads);
}
