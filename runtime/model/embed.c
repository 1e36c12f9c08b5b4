/* Embeddings: see embed.h. Shapes: T tokens, e width of the tables, d hidden. */
#include "model/embed.h"

#include "model/packing_impl.h"

#include <string.h>

struct ech_pass ech_pass_over(const struct ech_net *net, struct ech_work *w, int64_t sequences)
{
    struct ech_pass p = {
        .net = net, .w = w, .sequences = sequences, .tokens = w->starts[sequences], .starts = w->starts};
    for (int i = 0; i < ECH_ROPES_MOST; i++) {
        const struct ech_rope *rope = &net->spec.ropes[i];
        bool own = rope->dynamic > 0;
        p.turns[i] = own ? w->capacity : ech_rope_rows(rope, net->packing.span);
        p.cos[i] =
            own ? w->ropes[i]
                : ech_packing_at(&net->packing, net->packed, (enum ech_packed_piece)(ECH_P_ROPE + i), 0);
        p.sin[i] = p.cos[i] ? p.cos[i] + p.turns[i] * (rope->dim / 2) : NULL;
    }
    return p;
}

void ech_number_turns(const struct ech_net *net, struct ech_work *w, int64_t token, int64_t index,
                      int64_t length)
{
    for (int i = 0; i < ECH_ROPES_MOST; i++) {
        const struct ech_rope *rope = &net->spec.ropes[i];
        bool longer = rope->original && length > rope->original;
        int64_t half = rope->dim / 2;
        w->host_turns[i][token] = (int32_t)(index + (longer ? net->packing.span : 0));
        if (rope->dynamic > 0) {
            w->host_turns[i][token] = (int32_t)token;
            ech_rope_row(rope, index, length, w->host_ropes[i] + token * half,
                         w->host_ropes[i] + (w->capacity + token) * half);
        }
    }
}

void ech_number_positions(const struct ech_pass *p)
{
    const struct ech_spec *s = &p->net->spec;
    struct ech_work *w = p->w;
    for (int64_t q = 0; q < p->sequences; q++) {
        int64_t first = p->starts[q], length = p->starts[q + 1] - first;
        int32_t next = (int32_t)s->first;
        for (int64_t t = first; t < first + length; t++) {
            w->positions[t] = s->skip_pad && w->words[t] == s->pad ? (int32_t)s->pad : next++;
            ech_number_turns(p->net, w, t, t - first, length);
        }
    }
}

/* What word embeddings are multiplied by; a token of id -1 is the zero vector. */
static bool scales(const struct ech_spec *s)
{
    return s->embed_scale != 0 || s->zero_start;
}

static void number_gains(const struct ech_spec *s, struct ech_work *w, int64_t tokens)
{
    for (int64_t t = 0; t < tokens; t++) {
        w->host_gains[t] = w->words[t] < 0 ? 0 : s->embed_scale != 0 ? s->embed_scale : 1;
        w->words[t] = w->words[t] < 0 ? 0 : w->words[t];
    }
}

int ech_put_input(struct ech_pass *p)
{
    const struct ech_ops *ops = p->net->ops;
    struct ech_work *w = p->w;
    size_t bytes = (size_t)p->tokens * sizeof(int32_t);
    int status = ECH_OP_OK;
    if (p->net->stage.head && scales(&p->net->spec))
        number_gains(&p->net->spec, w, p->tokens);
    if (!ops->device)
        return status;
    const void *const from[] = {w->words,         w->positions,     w->types,
                                w->host_turns[0], w->host_turns[1], w->host_gains};
    void *const to[] = {w->ids[0], w->ids[1], w->ids[2], w->turns[0], w->turns[1], w->gains};
    for (size_t i = 0; i < sizeof to / sizeof *to && status == ECH_OP_OK; i++)
        status = ops->put(w->queue, to[i], from[i], bytes);
    for (int i = 0; i < ECH_ROPES_MOST && status == ECH_OP_OK; i++)
        if (p->net->spec.ropes[i].dynamic > 0)
            status = ops->put(w->queue, w->ropes[i], w->host_ropes[i],
                              (size_t)(w->capacity * p->net->spec.ropes[i].dim) * sizeof(float));
    return status;
}

/* y (T, cols) = the sum of those tables that the model has. Their number is *count; none: y is untouched. */
static int gather(struct ech_pass *p, const enum ech_packed_piece *tables, int most, float *y, int64_t *count)
{
    struct ech_embed_args args = {.size = sizeof args, .count = p->tokens, .y = y};
    for (int i = 0; i < most; i++) {
        const struct ech_matrix *m = ech_packing_matrix(&p->net->packing, tables[i], 0);
        if (!m->parts)
            continue;
        int64_t t = args.tables_count++;
        args.cols = m->k;
        args.tables[t] = ech_matrix_at(&m->part[0], p->net->packed);
        args.wtype[t] = m->part[0].type;
        args.rows[t] = m->n;
        args.ids[t] = p->w->ids[tables[i] == ECH_P_WORD ? 0 : tables[i] == ECH_P_POSITION ? 1 : 2];
    }
    *count = args.tables_count;
    return *count ? p->net->ops->embed(p->w->queue, &args) : ECH_OP_OK;
}

/* y (T, e) = [y +] gain x word. */
static int scaled_words(struct ech_pass *p, bool add, float *words, float *y)
{
    int64_t count, e = p->net->spec.embed;
    const enum ech_packed_piece word = ECH_P_WORD;
    int status = gather(p, &word, 1, words, &count);
    struct ech_combine_args args = {.size = sizeof args,
                                    .rows = p->tokens,
                                    .cols = e,
                                    .take = 1,
                                    .x_rows = p->tokens,
                                    .x = words,
                                    .ldx = e,
                                    .index = p->w->same,
                                    .weight = p->w->gains,
                                    .add = add,
                                    .y = y,
                                    .ldy = e};
    return status == ECH_OP_OK ? p->net->ops->combine(p->w->queue, &args) : status;
}

/* y (T, e) = word + type + position; words scaled where the model does so (by way of `spare`). */
static int sum_tables(struct ech_pass *p, float *spare, float *y)
{
    static const enum ech_packed_piece order[] = {ECH_P_WORD, ECH_P_TYPE, ECH_P_POSITION};
    const struct ech_spec *s = &p->net->spec;
    int most = s->positions_after ? 2 : 3;
    int64_t count;
    if (!scales(s))
        return gather(p, order, most, y, &count);
    int status = gather(p, order + 1, most - 1, y, &count);
    return status == ECH_OP_OK ? scaled_words(p, count > 0, spare, y) : status;
}

static int add_positions(struct ech_pass *p)
{
    const enum ech_packed_piece position = ECH_P_POSITION;
    int64_t count;
    int status = gather(p, &position, 1, p->w->y, &count);
    return status == ECH_OP_OK && count
               ? ech_add_rows(p->net, p->w, p->tokens, p->net->spec.hidden, p->w->x, p->w->y)
               : status;
}

int ech_embed(struct ech_pass *p)
{
    const struct ech_net *net = p->net;
    struct ech_work *w = p->w;
    const struct ech_spec *s = &net->spec;
    bool project = s->embed != s->hidden, normed = ech_has_norm(net, ECH_P_NORM_W, 0);
    float *to = project ? (float *)w->wide : w->x;
    struct ech_rows also = project ? ech_floats(NULL, 0) : ech_feed(net, w);
    int status = sum_tables(p, w->y, to);
    if (status == ECH_OP_OK && normed)
        status = ech_norm_rows(net, w, p->tokens, s->embed, to, ECH_P_NORM_W, 0, to, also);
    p->fed = normed && !project;
    if (status == ECH_OP_OK && project)
        status = ech_multiply(net, w, p->tokens, ech_product_of(net, ECH_P_PROJECT_W, 0),
                              ech_floats(to, s->embed), ech_floats(w->x, s->hidden));
    return status == ECH_OP_OK && s->positions_after ? add_positions(p) : status;
}
