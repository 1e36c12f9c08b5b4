/* A mixture of experts: a router scores all experts for each token, the best few compute. Rows are gathered
 * by expert, so that each expert's matrices are read once a pass; a token's sum runs over its experts in
 * ascending order, whatever else is in the pass. */
#include "model/layer.h"

/* The best of a token's scores, the lower expert first where two are equal; then in ascending order. */
static void choose(const struct ech_spec *s, const float *scores, int32_t *experts, float *weights)
{
    float sum = 0;
    int used = (int)s->experts_used;
    for (int i = 0; i < used; i++) {
        experts[i] = -1;
        for (int32_t e = 0; e < (int32_t)s->experts; e++) {
            bool taken = false;
            for (int j = 0; j < i; j++)
                taken = taken || experts[j] == e;
            if (!taken && (experts[i] < 0 || scores[e] > scores[experts[i]]))
                experts[i] = e;
        }
        sum += scores[experts[i]];
    }
    for (int i = 1; i < used; i++)
        for (int j = i; j > 0 && experts[j] < experts[j - 1]; j--) {
            int32_t other = experts[j];
            experts[j] = experts[j - 1];
            experts[j - 1] = other;
        }
    for (int i = 0; i < used; i++)
        weights[i] = s->experts_normed ? scores[experts[i]] / sum : scores[experts[i]];
}

/* From each token's experts (in host_places) to the rows of each expert: host_index says which token a row
 * is, host_places which row a token's i-th expert has, host_first where an expert's rows begin. */
static void arrange(const struct ech_spec *s, struct ech_mixing *m, int64_t tokens)
{
    int64_t used = s->experts_used, all = tokens * used;
    for (int64_t e = 0; e <= s->experts; e++)
        m->host_first[e] = 0;
    for (int64_t i = 0; i < all; i++)
        m->host_first[m->host_places[i] + 1]++;
    for (int64_t e = 0; e < s->experts; e++)
        m->host_first[e + 1] += m->host_first[e];
    for (int64_t i = 0; i < all; i++) {
        int64_t expert = m->host_places[i], row = m->host_first[expert]++;
        m->host_index[row] = (int32_t)(i / used);
        m->host_places[i] = (int32_t)row;
    }
    for (int64_t e = s->experts; e > 0; e--)
        m->host_first[e] = m->host_first[e - 1];
    m->host_first[0] = 0;
}

/* Scores of all experts, then who computes what; a device's copies of the lists. */
static int route(struct ech_pass *p, int64_t set, struct ech_rows in)
{
    const struct ech_net *net = p->net;
    const struct ech_spec *s = &net->spec;
    struct ech_mixing *m = &p->w->mix;
    struct ech_queue *queue = p->w->queue;
    int64_t count = p->tokens * s->experts_used;
    int status = ech_multiply(net, p->w, p->tokens, ech_product_of(net, ECH_P_ROUTER_W, set), in,
                              ech_floats(m->scores, s->experts));
    if (status == ECH_OP_OK)
        status = net->ops->softmax(queue, m->scores, p->tokens, s->experts, s->experts);
    if (status == ECH_OP_OK && net->ops->device) {
        status = net->ops->get(queue, m->host_scores, m->scores,
                               (size_t)(p->tokens * s->experts) * sizeof *m->scores);
        if (status == ECH_OP_OK)
            status = ech_queue_sync(queue);
    }
    if (status != ECH_OP_OK)
        return status;
    for (int64_t t = 0; t < p->tokens; t++)
        choose(s, m->host_scores + t * s->experts, m->host_places + t * s->experts_used,
               m->host_weights + t * s->experts_used);
    arrange(s, m, p->tokens);
    if (!net->ops->device)
        return ECH_OP_OK;
    status = net->ops->put(queue, m->index, m->host_index, (size_t)count * sizeof *m->index);
    if (status == ECH_OP_OK)
        status = net->ops->put(queue, m->places, m->host_places, (size_t)count * sizeof *m->places);
    if (status == ECH_OP_OK)
        status = net->ops->put(queue, m->weights, m->host_weights, (size_t)count * sizeof *m->weights);
    return status;
}

static int run_expert(struct ech_pass *p, int64_t set, int64_t expert, int64_t first, int64_t rows)
{
    const struct ech_net *net = p->net;
    const struct ech_spec *s = &net->spec;
    struct ech_mixing *m = &p->w->mix;
    int64_t d = s->hidden, f = s->expert_inner;
    struct ech_product up = {.matrix = ech_packing_expert(&net->packing, ECH_P_XUP_W, set, expert)};
    struct ech_product down = {.matrix = ech_packing_expert(&net->packing, ECH_P_XDOWN_W, set, expert)};
    struct ech_gate_args gate = {.size = sizeof gate,
                                 .rows = rows,
                                 .cols = f,
                                 .act = s->act,
                                 .gate = m->wide,
                                 .up = m->wide + f,
                                 .ldg = 2 * f,
                                 .ldu = 2 * f,
                                 .y = m->wide,
                                 .ldy = 2 * f};
    int status =
        ech_multiply(net, p->w, rows, up, ech_floats(m->in + first * d, d), ech_floats(m->wide, 2 * f));
    if (status == ECH_OP_OK)
        status = net->ops->gate(p->w->queue, &gate);
    if (status == ECH_OP_OK)
        status = ech_multiply(net, p->w, rows, down, ech_floats(m->wide, 2 * f),
                              ech_floats(m->out + first * d, d));
    return status;
}

int ech_experts_run(struct ech_pass *p, int64_t layer, struct ech_rows in)
{
    const struct ech_net *net = p->net;
    const struct ech_spec *s = &net->spec;
    struct ech_mixing *m = &p->w->mix;
    int64_t set = ech_spec_group(s, layer), d = s->hidden, all = p->tokens * s->experts_used;
    struct ech_combine_args gather = {.size = sizeof gather,
                                      .rows = all,
                                      .cols = d,
                                      .take = 1,
                                      .x_rows = p->tokens,
                                      .x = in.at,
                                      .ldx = in.ld,
                                      .index = m->index,
                                      .y = m->in,
                                      .ldy = d};
    struct ech_combine_args sum = {.size = sizeof sum,
                                   .rows = p->tokens,
                                   .cols = d,
                                   .take = s->experts_used,
                                   .x_rows = all,
                                   .x = m->out,
                                   .ldx = d,
                                   .index = m->places,
                                   .weight = m->weights,
                                   .add = true,
                                   .y = p->w->x,
                                   .ldy = d};
    int status = route(p, set, in);
    if (status == ECH_OP_OK)
        status = net->ops->combine(p->w->queue, &gather);
    for (int64_t e = 0; status == ECH_OP_OK && e < s->experts; e++)
        if (m->host_first[e + 1] > m->host_first[e])
            status = run_expert(p, set, e, m->host_first[e], m->host_first[e + 1] - m->host_first[e]);
    return status == ECH_OP_OK ? net->ops->combine(p->w->queue, &sum) : status;
}
