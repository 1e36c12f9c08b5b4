/* A micro-batch through a stage: see forward.h. */
#include "model/embed.h"

/* x (T, d) = the hidden states of the stage before. */
static int resume(struct ech_pass *p)
{
    size_t bytes = (size_t)(p->tokens * p->net->spec.hidden) * sizeof *p->w->x;
    return p->net->ops->put(p->w->queue, p->w->x, p->w->states, bytes);
}

static int begin(struct ech_pass *p)
{
    ech_number_positions(p);
    int status = ech_put_input(p);
    if (status != ECH_OP_OK)
        return status;
    return p->net->stage.head ? ech_embed(p) : resume(p);
}

int ech_forward_error(const struct ech_net *net, const struct ech_work *w, int64_t tokens, int status,
                      struct ech_err *err)
{
    const char *why = ech_queue_error(w->queue);
    if (status == ECH_OP_MEMORY)
        return ech_fail(err, ECH_UNAVAILABLE, "the backend %s is out of memory at %lld tokens%s%s",
                        net->ops->name, (long long)tokens, *why ? ": " : "", why);
    if (status == ECH_OP_DEVICE)
        return ech_fail(err, ECH_UNAVAILABLE, "the backend %s failed at %lld tokens: %s", net->ops->name,
                        (long long)tokens, why);
    return ech_fail(err, ECH_BUG, "an operation of the backend %s refused a pass of %lld tokens: status %d",
                    net->ops->name, (long long)tokens, status);
}

int ech_forward_states(struct ech_pass *p)
{
    const struct ech_net *net = p->net;
    struct ech_work *w = p->w;
    int status = begin(p);
    for (int64_t layer = net->stage.first; status == ECH_OP_OK && layer < net->stage.end; layer++)
        status = ech_layer_run(p, layer);
    if (status == ECH_OP_OK && net->stage.tail && ech_has_norm(net, ECH_P_FINAL_W, 0))
        status = ech_norm_rows(net, w, p->tokens, net->spec.hidden, w->x, ECH_P_FINAL_W, 0, w->x,
                               ech_floats(NULL, 0));
    return status;
}

int ech_forward(const struct ech_net *net, struct ech_work *w, int64_t sequences, float *out,
                struct ech_err *err)
{
    struct ech_pass p = ech_pass_over(net, w, sequences);
    int status = ech_forward_states(&p);
    if (status == ECH_OP_OK)
        status = ech_head_run(&p, out);
    int done = ech_queue_sync(w->queue); /* always: what was queued still uses the buffers */
    if (status == ECH_OP_OK)
        status = done;
    return status == ECH_OP_OK ? ECH_OK : ech_forward_error(net, w, p.tokens, status, err);
}
