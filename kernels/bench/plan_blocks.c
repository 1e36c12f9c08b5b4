/* Each operation's operands as blocks of one image (plan.h). */
#include "kernels/bench/plan.h"

int64_t ech_block_width(const struct ech_block *b)
{
    return b->type == ECH_A_Q8 ? ech_q8_stride(b->cols) : b->cols;
}

size_t ech_block_element(const struct ech_block *b)
{
    return b->type == ECH_BLOCK_I32 ? 4 : ech_atype_bytes((enum ech_atype)b->type);
}

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
    const enum ech_atype kv = c->flags & ECH_CASE_HALF_KEYS ? ECH_A_BF16 : c->x_type;
    add_x(t, "k", kv, t->keys, keys, narrow)->scale = 2;
    add_x(t, "v", kv, t->keys, keys, narrow);
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
        add_in(t, "words", ECH_A_F32, ECH_EMBED_WORDS, c->inner, 0);
        add_in(t, "places", ECH_A_F16, ECH_EMBED_PLACES, c->inner, 0);
        add_in(t, "types", ECH_A_BF16, ECH_EMBED_TYPES, c->inner, 0);
        add_ids(t, "word", ECH_EMBED_WORDS);
        add_ids(t, "place", ECH_EMBED_PLACES);
        add_ids(t, "type", ECH_EMBED_TYPES);
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
