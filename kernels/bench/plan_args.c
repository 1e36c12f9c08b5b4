/* Each operation's arguments, and its call (plan.h). */
#include "kernels/bench/plan.h"

#include <string.h>

static const struct ech_block *find(const struct ech_trial *t, const char *name)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->blocks[i].name, name) == 0)
            return &t->blocks[i];
    return NULL;
}

static void *at(const struct ech_trial *t, const char *name)
{
    const struct ech_block *b = find(t, name);
    return b ? (unsigned char *)t->mem.at + b->offset : NULL;
}

static int64_t ld(const struct ech_trial *t, const char *name)
{
    const struct ech_block *b = find(t, name);
    return b ? b->ld : 0;
}

static const char *either(const struct ech_trial *t, const char *name, const char *other)
{
    return find(t, name) ? name : other;
}

static void args_linear(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    const char *residual = c->flags & ECH_CASE_IN_PLACE ? "y" : "residual";
    t->args.linear = (struct ech_linear_args){.size = sizeof t->args.linear,
                                              .m = c->rows,
                                              .n = c->outputs,
                                              .k = c->inner,
                                              .x = at(t, "x"),
                                              .ldx = ld(t, "x"),
                                              .packed = t->packed,
                                              .bias = at(t, "bias"),
                                              .act = c->act,
                                              .residual = at(t, residual),
                                              .ldr = ld(t, residual),
                                              .y = at(t, "y"),
                                              .ldy = ld(t, "y"),
                                              .format = c->format,
                                              .x_type = c->x_type,
                                              .y_type = c->y_type,
                                              .x_scale = at(t, "x_scale"),
                                              .y_scale = at(t, "y_scale"),
                                              .w_type = c->w_type};
}

static void args_convert(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    t->args.convert = (struct ech_convert_args){.size = sizeof t->args.convert,
                                                .rows = c->rows,
                                                .cols = c->inner,
                                                .x = at(t, "x"),
                                                .ldx = ld(t, "x"),
                                                .x_type = c->x_type,
                                                .x_scale = at(t, "x_scale"),
                                                .y = at(t, "y"),
                                                .ldy = ld(t, "y"),
                                                .y_type = c->y_type,
                                                .y_scale = at(t, "y_scale")};
}

static void args_norm(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    const char *y = either(t, "y", "x");
    t->args.norm = (struct ech_norm_args){.size = sizeof t->args.norm,
                                          .rows = c->rows,
                                          .cols = c->inner,
                                          .x = at(t, "x"),
                                          .ldx = ld(t, "x"),
                                          .gain = at(t, "gain"),
                                          .shift = at(t, "shift"),
                                          .eps = 1e-5f,
                                          .y = at(t, y),
                                          .ldy = ld(t, y),
                                          .kind = (enum ech_norm)c->kind,
                                          .gain_offset = c->kind == ECH_NORM_RMS ? 1.0f : 0.0f,
                                          .also = at(t, "also"),
                                          .ld_also = ld(t, "also"),
                                          .also_type = c->y_type,
                                          .also_scale = at(t, "y_scale")};
}

static void args_attention(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    bool own_keys = memcmp(t->starts, t->key_starts, (size_t)(c->sequences + 1) * sizeof *t->starts) != 0;
    t->args.attention =
        (struct ech_attention_args){.size = sizeof t->args.attention,
                                    .sequences = c->sequences,
                                    .heads = c->heads,
                                    .kv_heads = c->kv_heads,
                                    .head_dim = c->head_dim,
                                    .starts = t->starts,
                                    .q = at(t, "q"),
                                    .k = at(t, "k"),
                                    .v = at(t, "v"),
                                    .ldq = ld(t, "q"),
                                    .ldk = ld(t, "k"),
                                    .ldv = ld(t, "v"),
                                    .bias = at(t, "bias"),
                                    .bias_span = find(t, "bias") ? t->span : 0,
                                    .scale = 0.3f,
                                    .causal = c->flags & ECH_CASE_CAUSAL,
                                    .out = at(t, "out"),
                                    .ldo = ld(t, "out"),
                                    .key_starts = own_keys ? t->key_starts : NULL,
                                    .window = c->window,
                                    .slopes = at(t, "slopes"),
                                    .softcap = c->softcap,
                                    .compute = c->format,
                                    .q_type = c->x_type,
                                    .kv_type = c->flags & ECH_CASE_HALF_KEYS ? ECH_A_BF16 : c->x_type,
                                    .out_type = c->y_type};
}

static void args_embed(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    t->args.embed = (struct ech_embed_args){.size = sizeof t->args.embed,
                                            .count = c->rows,
                                            .cols = c->inner,
                                            .tables_count = 3,
                                            .tables = {at(t, "words"), at(t, "places"), at(t, "types")},
                                            .wtype = {ECH_W_F32, ECH_W_F16, ECH_W_BF16},
                                            .rows = {ECH_EMBED_WORDS, ECH_EMBED_PLACES, ECH_EMBED_TYPES},
                                            .ids = {at(t, "word"), at(t, "place"), at(t, "type")},
                                            .y = at(t, "y")};
}

static void args_pool(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    t->args.pool = (struct ech_pool_args){.size = sizeof t->args.pool,
                                          .sequences = c->sequences,
                                          .cols = c->inner,
                                          .starts = t->starts,
                                          .x = at(t, "x"),
                                          .ldx = ld(t, "x"),
                                          .kind = (enum ech_pool)c->kind,
                                          .normalize = c->flags & ECH_CASE_NORMALIZE,
                                          .out = at(t, "out")};
}

static void args_gate(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    const char *y = either(t, "y", "gate");
    t->args.gate = (struct ech_gate_args){.size = sizeof t->args.gate,
                                          .rows = c->rows,
                                          .cols = c->inner,
                                          .act = c->act,
                                          .gate = at(t, "gate"),
                                          .up = at(t, "up"),
                                          .ldg = ld(t, "gate"),
                                          .ldu = ld(t, "up"),
                                          .y = at(t, y),
                                          .ldy = ld(t, y)};
}

static void args_rotary(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    t->args.rotary = (struct ech_rotary_args){.size = sizeof t->args.rotary,
                                              .rows = c->rows,
                                              .heads = c->heads,
                                              .head_dim = c->head_dim,
                                              .rotary = c->rotary,
                                              .table_rows = c->outputs,
                                              .x = at(t, "x"),
                                              .ldx = ld(t, "x"),
                                              .cos = at(t, "cos"),
                                              .sin = at(t, "sin"),
                                              .positions = at(t, "positions"),
                                              .interleaved = c->flags & ECH_CASE_INTERLEAVED};
}

static void args_topk(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    t->args.topk = (struct ech_topk_args){.size = sizeof t->args.topk,
                                          .rows = c->rows,
                                          .cols = c->inner,
                                          .count = c->outputs,
                                          .x = at(t, "x"),
                                          .ldx = ld(t, "x"),
                                          .values = at(t, "values"),
                                          .indices = at(t, "indices")};
}

void ech_plan_args(struct ech_trial *t)
{
    static void (*const fill[ECH_CASE_OPS])(struct ech_trial *) = {
        [ECH_CASE_LINEAR] = args_linear,       [ECH_CASE_CONVERT] = args_convert, [ECH_CASE_NORM] = args_norm,
        [ECH_CASE_ATTENTION] = args_attention, [ECH_CASE_EMBED] = args_embed,     [ECH_CASE_POOL] = args_pool,
        [ECH_CASE_GATE] = args_gate,           [ECH_CASE_ROTARY] = args_rotary,   [ECH_CASE_TOPK] = args_topk,
    };
    if (fill[t->c.op])
        fill[t->c.op](t);
    else
        t->in_place = at(t, "x");
}

/* Element-wise over a matrix whose rows have gaps: a call for each row. */
static int activate(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    if (ld(t, "x") == c->inner)
        return t->ops->activate(t->queue, c->act, t->in_place, c->rows * c->inner);
    int rc = ECH_OP_OK;
    for (int64_t r = 0; !rc && r < c->rows; r++)
        rc = t->ops->activate(t->queue, c->act, t->in_place + r * ld(t, "x"), c->inner);
    return rc;
}

bool ech_plan_offered(const struct ech_ops *ops, const struct ech_case *c)
{
    switch (c->op) {
    case ECH_CASE_LINEAR:
        return ops->linear && ops->numerics[c->format];
    case ECH_CASE_CONVERT:
        return ops->convert;
    case ECH_CASE_NORM:
        return ops->norm;
    case ECH_CASE_ATTENTION:
        return ops->attention;
    case ECH_CASE_EMBED:
        return ops->embed;
    case ECH_CASE_POOL:
        return ops->pool;
    case ECH_CASE_GATE:
        return ops->gate;
    case ECH_CASE_ROTARY:
        return ops->rotary;
    case ECH_CASE_TOPK:
        return ops->topk;
    case ECH_CASE_ACTIVATE:
        return ops->activate;
    case ECH_CASE_SOFTMAX:
        return ops->softmax;
    case ECH_CASE_LOG_SOFTMAX:
        return ops->log_softmax;
    default:
        return false;
    }
}

int ech_plan_call(struct ech_trial *t)
{
    const struct ech_ops *ops = t->ops;
    const struct ech_case *c = &t->c;
#define CALL(entry) ops->entry(t->queue, &t->args.entry)
    switch (c->op) {
    case ECH_CASE_LINEAR:
        t->args.linear.packed =
            t->packed ? (const char *)t->packed + (size_t)(t->turn++ % t->copies) * t->packed_stride : NULL;
        return CALL(linear);
    case ECH_CASE_CONVERT:
        return CALL(convert);
    case ECH_CASE_NORM:
        return CALL(norm);
    case ECH_CASE_ATTENTION:
        return CALL(attention);
    case ECH_CASE_EMBED:
        return CALL(embed);
    case ECH_CASE_POOL:
        return CALL(pool);
    case ECH_CASE_GATE:
        return CALL(gate);
    case ECH_CASE_ROTARY:
        return CALL(rotary);
    case ECH_CASE_TOPK:
        return CALL(topk);
    case ECH_CASE_ACTIVATE:
        return activate(t);
    case ECH_CASE_SOFTMAX:
        return ops->softmax(t->queue, t->in_place, c->rows, c->inner, ld(t, "x"));
    case ECH_CASE_LOG_SOFTMAX:
        return ops->log_softmax(t->queue, t->in_place, c->rows, c->inner, ld(t, "x"));
    default:
        return ECH_OP_UNSUPPORTED;
    }
#undef CALL
}
