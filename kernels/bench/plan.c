/* Each operation's operands and arguments (plan.h). */
#include "kernels/bench/plan.h"

#include <string.h>

int64_t ech_block_width(const struct ech_block *b)
{
    return b->type == ECH_A_Q8 ? ech_q8_stride(b->cols) : b->cols;
}

size_t ech_block_element(const struct ech_block *b)
{
    return b->type == ECH_BLOCK_I32 ? 4 : ech_atype_bytes((enum ech_atype)b->type);
}

/* --- blocks --- */

static size_t align64(size_t n)
{
    return (n + 63) / 64 * 64;
}

static struct ech_block *add(struct ech_trial *t, const char *name, int type, int64_t rows, int64_t cols,
                             int64_t pad)
{
    struct ech_block *b = &t->blocks[t->count++];
    *b = (struct ech_block){.name = name, .type = type, .rows = rows, .cols = cols, .scale = 1, .scales = -1};
    b->ld = ech_block_width(b) + pad;
    b->offset = t->bytes + ECH_GUARD;
    t->bytes = align64(b->offset + (size_t)(rows * b->ld) * ech_block_element(b)) + ECH_GUARD;
    return b;
}

static struct ech_block *add_in(struct ech_trial *t, const char *name, int type, int64_t rows, int64_t cols,
                                int64_t pad)
{
    struct ech_block *b = add(t, name, type, rows, cols, pad);
    b->fill = ECH_FILL_RANDOM;
    return b;
}

/* The operand whose rows are the case's, with its scales where it is Q8. */
static struct ech_block *add_x(struct ech_trial *t, const char *name, int type, const int64_t *source,
                               int64_t rows, int64_t cols)
{
    struct ech_block *b = add_in(t, name, type, rows, cols, t->c.pad);
    b->source = source;
    b->special = t->c.flags & ECH_CASE_SPECIAL;
    if (type == ECH_A_Q8) {
        b->scales = t->count;
        add(t, "x_scale", ECH_A_F32, 1, rows, 0)->fill = ECH_FILL_WITH_X;
    }
    return b;
}

static struct ech_block *add_out(struct ech_trial *t, const char *name, int type, int64_t rows, int64_t cols)
{
    struct ech_block *b = add(t, name, type, rows, cols, t->c.pad);
    b->out = true;
    if (type == ECH_A_Q8) {
        b->scales = t->count;
        add(t, "y_scale", ECH_A_F32, 1, rows, 0)->out = true;
    }
    return b;
}

static void add_table(struct ech_trial *t, const char *name, enum ech_fill fill, int64_t cols)
{
    add_in(t, name, ECH_A_F32, t->c.outputs, cols, 0)->fill = fill;
}

static void add_ids(struct ech_trial *t, const char *name, int64_t limit)
{
    struct ech_block *b = add_in(t, name, ECH_BLOCK_I32, t->c.rows, 1, 0);
    b->fill = ECH_FILL_IDS;
    b->limit = limit;
    b->source = t->queries;
}

enum { EMBED_WORDS = 50, EMBED_PLACES = 17, EMBED_TYPES = 2 };

static void blocks_linear(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    add_x(t, "x", c->x_type, t->queries, c->rows, c->inner);
    if (c->flags & ECH_CASE_BIAS)
        add_in(t, "bias", ECH_A_F32, 1, c->outputs, 0);
    if (c->flags & ECH_CASE_RESIDUAL)
        add_in(t, "residual", ECH_A_F32, c->rows, c->outputs, 2 * c->pad)->source = t->queries;
    struct ech_block *y = add_out(t, "y", c->y_type, c->rows, c->outputs);
    if (c->flags & ECH_CASE_IN_PLACE) {
        y->fill = ECH_FILL_RANDOM;
        y->source = t->queries;
    }
}

static void blocks_norm(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    struct ech_block *x = add_x(t, "x", ECH_A_F32, t->queries, c->rows, c->inner);
    if (c->flags & ECH_CASE_IN_PLACE)
        x->out = true;
    else
        add_out(t, "y", ECH_A_F32, c->rows, c->inner);
    if (c->flags & ECH_CASE_ALSO)
        add_out(t, "also", c->y_type, c->rows, c->inner);
    add_in(t, "gain", ECH_A_F32, 1, c->inner, 0);
    if (c->flags & ECH_CASE_BIAS)
        add_in(t, "shift", ECH_A_F32, 1, c->inner, 0);
}

static void blocks_attention(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    int64_t wide = c->heads * c->head_dim, narrow = c->kv_heads * c->head_dim;
    int64_t queries = t->starts[c->sequences], keys = t->key_starts[c->sequences];
    add_x(t, "q", c->x_type, t->queries, queries, wide)->scale = 2;
    add_x(t, "k", c->x_type, t->keys, keys, narrow)->scale = 2;
    add_x(t, "v", c->x_type, t->keys, keys, narrow);
    add_out(t, "out", c->y_type, queries, wide);
    if (c->flags & ECH_CASE_BIAS)
        add_in(t, "bias", ECH_A_F32, c->heads * t->span, t->span, 0);
    if (c->flags & ECH_CASE_SLOPES)
        add_in(t, "slopes", ECH_A_F32, 1, c->heads, 0)->scale = 0.25f;
}

static void blocks_gate(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    struct ech_block *gate = add_x(t, "gate", ECH_A_F32, t->queries, c->rows, c->inner);
    gate->scale = 4;
    add_in(t, "up", ECH_A_F32, c->rows, c->inner, 2 * c->pad)->source = t->queries;
    if (c->flags & ECH_CASE_IN_PLACE)
        gate->out = true;
    else
        add_out(t, "y", ECH_A_F32, c->rows, c->inner);
}

static void blocks_topk(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    struct ech_block *x = add_x(t, "x", ECH_A_F32, t->queries, c->rows, c->inner);
    if (c->flags & ECH_CASE_TIES)
        x->fill = ECH_FILL_FEW;
    if (!(c->flags & ECH_CASE_NO_VALUES))
        add(t, "values", ECH_A_F32, c->rows, c->outputs, 0)->out = true;
    add(t, "indices", ECH_BLOCK_I32, c->rows, c->outputs, 0)->out = true;
}

static void blocks_in_place(struct ech_trial *t, int64_t cols, float scale)
{
    struct ech_block *x = add_x(t, "x", ECH_A_F32, t->queries, t->c.rows, cols);
    x->out = true;
    x->scale = scale;
}

int ech_plan_blocks(struct ech_trial *t)
{
    const struct ech_case *c = &t->c;
    switch (c->op) {
    case ECH_CASE_LINEAR:
        blocks_linear(t);
        break;
    case ECH_CASE_CONVERT:
        add_x(t, "x", c->x_type, t->queries, c->rows, c->inner);
        add_out(t, "y", c->y_type, c->rows, c->inner);
        break;
    case ECH_CASE_NORM:
        blocks_norm(t);
        break;
    case ECH_CASE_ATTENTION:
        blocks_attention(t);
        break;
    case ECH_CASE_EMBED:
        add_in(t, "words", ECH_A_F32, EMBED_WORDS, c->inner, 0);
        add_in(t, "places", ECH_A_F16, EMBED_PLACES, c->inner, 0);
        add_in(t, "types", ECH_A_BF16, EMBED_TYPES, c->inner, 0);
        add_ids(t, "word", EMBED_WORDS);
        add_ids(t, "place", EMBED_PLACES);
        add_ids(t, "type", EMBED_TYPES);
        add(t, "y", ECH_A_F32, c->rows, c->inner, 0)->out = true;
        break;
    case ECH_CASE_POOL:
        add_x(t, "x", ECH_A_F32, t->queries, t->starts[c->sequences], c->inner);
        add(t, "out", ECH_A_F32, c->sequences, c->inner, 0)->out = true;
        break;
    case ECH_CASE_GATE:
        blocks_gate(t);
        break;
    case ECH_CASE_ROTARY:
        blocks_in_place(t, c->heads * c->head_dim, 1);
        add_table(t, "cos", ECH_FILL_COS, c->rotary / 2);
        add_table(t, "sin", ECH_FILL_SIN, c->rotary / 2);
        add_ids(t, "positions", c->outputs);
        break;
    case ECH_CASE_TOPK:
        blocks_topk(t);
        break;
    case ECH_CASE_ACTIVATE:
    case ECH_CASE_SOFTMAX:
    case ECH_CASE_LOG_SOFTMAX:
        blocks_in_place(t, c->inner, 4);
        break;
    default:
        return ECH_OP_SHAPE;
    }
    return ECH_OP_OK;
}

/* --- arguments --- */

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
                                              .y_scale = at(t, "y_scale")};
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
    t->args.attention = (struct ech_attention_args){.size = sizeof t->args.attention,
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
                                                    .kv_type = c->x_type,
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
                                            .rows = {EMBED_WORDS, EMBED_PLACES, EMBED_TYPES},
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

int ech_plan_call(struct ech_trial *t)
{
    const struct ech_ops *ops = t->ops;
    const struct ech_case *c = &t->c;
#define CALL(entry) ops->entry ? ops->entry(t->queue, &t->args.entry) : ECH_OP_UNSUPPORTED
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
        return ops->activate ? activate(t) : ECH_OP_UNSUPPORTED;
    case ECH_CASE_SOFTMAX:
        return ops->softmax ? ops->softmax(t->queue, t->in_place, c->rows, c->inner, ld(t, "x"))
                            : ECH_OP_UNSUPPORTED;
    case ECH_CASE_LOG_SOFTMAX:
        return ops->log_softmax ? ops->log_softmax(t->queue, t->in_place, c->rows, c->inner, ld(t, "x"))
                                : ECH_OP_UNSUPPORTED;
    default:
        return ECH_OP_UNSUPPORTED;
    }
#undef CALL
}
