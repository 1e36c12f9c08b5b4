/* See absent.h. Only what no model needs to be embedded: the others a device must have. */
#include "kernels/absent.h"

static int no_convert(struct ech_queue *queue, const struct ech_convert_args *args)
{
    (void)queue, (void)args;
    return ECH_OP_UNSUPPORTED;
}

static int no_gate(struct ech_queue *queue, const struct ech_gate_args *args)
{
    (void)queue, (void)args;
    return ECH_OP_UNSUPPORTED;
}

static int no_rotary(struct ech_queue *queue, const struct ech_rotary_args *args)
{
    (void)queue, (void)args;
    return ECH_OP_UNSUPPORTED;
}

static int no_topk(struct ech_queue *queue, const struct ech_topk_args *args)
{
    (void)queue, (void)args;
    return ECH_OP_UNSUPPORTED;
}

static int no_combine(struct ech_queue *queue, const struct ech_combine_args *args)
{
    (void)queue, (void)args;
    return ECH_OP_UNSUPPORTED;
}

static int no_ssru(struct ech_queue *queue, const struct ech_ssru_args *args)
{
    (void)queue, (void)args;
    return ECH_OP_UNSUPPORTED;
}

static int no_relative(struct ech_queue *queue, const struct ech_relative_args *args)
{
    (void)queue, (void)args;
    return ECH_OP_UNSUPPORTED;
}

static int no_log_softmax(struct ech_queue *queue, float *x, int64_t rows, int64_t cols, int64_t ld)
{
    (void)queue, (void)x, (void)rows, (void)cols, (void)ld;
    return ECH_OP_UNSUPPORTED;
}

const struct ech_ops ech_absent_entries = {
    .convert = no_convert,
    .gate = no_gate,
    .rotary = no_rotary,
    .topk = no_topk,
    .combine = no_combine,
    .ssru = no_ssru,
    .relative = no_relative,
    .log_softmax = no_log_softmax,
};
