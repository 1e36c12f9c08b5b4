/* What stands behind the layers of an encoder: rows pooled, the pooler, classes of rows or of tokens. Shapes:
 * T tokens, S sequences, d hidden, c classes. A row's numbers depend on its own states alone. */
#include "model/layer.h"

static int pool(struct ech_pass *p, const float *x, enum ech_pool kind, bool normalize, float *out)
{
    struct ech_pool_args args = {.size = sizeof args,
                                 .sequences = p->sequences,
                                 .cols = p->net->spec.hidden,
                                 .starts = p->starts,
                                 .x = x,
                                 .ldx = p->net->spec.hidden,
                                 .kind = kind,
                                 .normalize = normalize,
                                 .out = out};
    return p->net->ops->pool(p->w->queue, &args);
}

/* Rows that are vectors already: one token a sequence. */
static int normalize(struct ech_pass *p, const float *x, float *out)
{
    int status = ech_queue_sync(p->w->queue); /* the starts were read */
    for (int64_t i = 0; i <= p->sequences; i++)
        p->w->starts[i] = i;
    return status == ECH_OP_OK ? pool(p, x, ECH_POOL_CLS, true, out) : status;
}

/* to (rows, d) = norm(act(dense from)). */
static int dense(struct ech_pass *p, int64_t rows, float *from, float *to)
{
    const struct ech_net *net = p->net;
    int64_t d = net->spec.hidden;
    struct ech_product product = ech_product_of(net, ECH_P_POOL_W, 0);
    product.act = net->spec.pool_act;
    int status = ech_multiply(net, p->w, rows, product, ech_floats(from, d), ech_floats(to, d));
    if (status == ECH_OP_OK && net->spec.pool_norm)
        status = ech_norm_rows(net, p->w, rows, d, to, ECH_P_POOLNORM_W, 0, to, ech_floats(NULL, 0));
    return status;
}

/* out = host (rows, c): classes of the states at `from`, which is not the work's wide. */
static int classify(struct ech_pass *p, int64_t rows, float *from, float *out)
{
    const struct ech_net *net = p->net;
    int64_t d = net->spec.hidden, c = net->spec.classes;
    int status = ECH_OP_OK;
    if (net->spec.pool_dense) {
        status = dense(p, rows, from, p->w->wide);
        from = p->w->wide;
    }
    float *to = !net->ops->device ? out : from == p->w->y ? p->w->wide : p->w->y;
    if (status == ECH_OP_OK)
        status = ech_multiply(net, p->w, rows, ech_product_of(net, ECH_P_CLASS_W, 0), ech_floats(from, d),
                              ech_floats(to, c));
    if (status == ECH_OP_OK && net->ops->device)
        status = net->ops->get(p->w->queue, out, to, (size_t)(rows * c) * sizeof *out);
    return status;
}

/* The vectors of rows, through the model's pooler where it is asked for. */
static int vectors(struct ech_pass *p, float *out)
{
    const struct ech_net *net = p->net;
    struct ech_work *w = p->w;
    bool pooler = net->spec.head == ECH_HEAD_POOLER;
    float *at = net->ops->device || pooler ? w->y : out;
    int status = pool(p, w->x, pooler ? net->spec.pool : net->pooling, net->normalize && !pooler, at);
    if (pooler && status == ECH_OP_OK) {
        at = net->ops->device || net->normalize ? w->wide : out;
        status = dense(p, p->sequences, w->y, at);
    }
    if (pooler && status == ECH_OP_OK && net->normalize) {
        float *from = at;
        at = net->ops->device ? w->y : out;
        status = normalize(p, from, at);
    }
    if (status == ECH_OP_OK && net->ops->device)
        status = net->ops->get(w->queue, out, at, (size_t)(p->sequences * net->spec.hidden) * sizeof *out);
    return status;
}

int ech_head_run(struct ech_pass *p, float *out)
{
    const struct ech_net *net = p->net;
    int64_t d = net->spec.hidden;
    if (net->stage.tail && net->spec.head == ECH_HEAD_TOKEN_CLASSES)
        return classify(p, p->tokens, p->w->x, out);
    if (net->hidden_states || !net->stage.tail)
        return net->ops->get(p->w->queue, out, p->w->x, (size_t)(p->tokens * d) * sizeof *out);
    if (net->spec.head != ECH_HEAD_CLASSES)
        return vectors(p, out);
    int status = pool(p, p->w->x, net->spec.pool, false, p->w->y);
    return status == ECH_OP_OK ? classify(p, p->sequences, p->w->y, out) : status;
}
