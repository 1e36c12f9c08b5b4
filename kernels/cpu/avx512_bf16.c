/* What the avx512 backend does by dpbf16, where the processor has it. Compiled with that instruction set. */
#define PAIRS /* a unit of a chain is a pair of bf16 (attention_pack.h) */
#include "kernels/cpu/v16_avx512.h"

#include "kernels/cpu/mathv.h"
#include "kernels/cpu/bf16.h"
#include "kernels/cpu/attention.h"

#include "kernels/backends.h"

int ech_avx512_bf16_attention(struct ech_queue *queue, const struct ech_attention_args *args)
{
    return attention(queue, args);
}

size_t ech_avx512_bf16_attention_workspace(enum ech_format compute, int64_t longest, int64_t head_dim,
                                           int threads)
{
    return attention_workspace(compute, longest, head_dim, threads);
}
