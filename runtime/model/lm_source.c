/* Sources: through the encoder, packed together, and as keys and values of every layer into the second cache.
 */
#include "model/lm_impl.h"

#include "base/mem.h"
#include "base/num.h"

#include <string.h>

/* x of the encoder's work: states of the sequences that its input holds. */
static int run_encoder(struct ech_lm *d, int64_t sequences, struct ech_pass *pass, struct ech_err *err)
{
    struct ech_half *e = &d->encoder;
    memset(e->work.types, 0, (size_t)e->work.starts[sequences] * sizeof *e->work.types);
    *pass = ech_pass_over(&e->net, &e->work, sequences);
    int status = ech_forward_states(pass), done = ech_queue_sync(e->work.queue);
    status = status == ECH_OP_OK ? done : status;
    return status == ECH_OP_OK ? ECH_OK : ech_forward_error(&e->net, &e->work, pass->tokens, status, err);
}

/* Keys and values of one layer for states first .. first + count, into the rooms of those that they are of.
 */
static int fill_layer(struct ech_lm *d, const int *of, const struct ech_pass *states, int64_t layer,
                      int64_t first, int64_t count)
{
    const struct ech_net *net = &d->decoder.net;
    struct ech_work *w = &d->decoder.work;
    int64_t hidden = net->spec.hidden, width = d->cross.width;
    struct ech_product kv = ech_product_of(net, ECH_P_XKV_W, ech_spec_group(&net->spec, layer));
    float *to = w->wide;
    int status = ech_multiply(net, w, count, kv, ech_floats(d->encoder.work.x + first * hidden, hidden),
                              ech_floats(to, 2 * width));
    for (int64_t i = 0; status == ECH_OP_OK && i < states->sequences; i++) {
        int64_t from = ech_max64(states->starts[i], first),
                end = ech_min64(states->starts[i + 1], first + count);
        if (from >= end)
            continue;
        const float *keys = to + (from - first) * 2 * width;
        status = ech_cache_store(&d->cross, w->queue, layer,
                                 d->sequences[of[i]].source_first + from - states->starts[i], end - from,
                                 keys, keys + width, 2 * width);
    }
    return status;
}

static int fill_cache(struct ech_lm *d, const int *of, const struct ech_pass *states, struct ech_err *err)
{
    int status = ECH_OP_OK;
    for (int64_t layer = 0; layer < d->decoder.net.spec.layers; layer++)
        for (int64_t at = 0; at < states->tokens && status == ECH_OP_OK; at += d->decoder.capacity)
            status =
                fill_layer(d, of, states, layer, at, ech_min64(states->tokens - at, d->decoder.capacity));
    int done = ech_queue_sync(d->decoder.work.queue);
    status = status == ECH_OP_OK ? done : status;
    return status == ECH_OP_OK
               ? ECH_OK
               : ech_forward_error(&d->decoder.net, &d->decoder.work, states->tokens, status, err);
}

static int encode_some(struct ech_lm *d, const int *of, int64_t sequences, struct ech_err *err)
{
    struct ech_pass pass;
    int code = run_encoder(d, sequences, &pass, err);
    if (code == ECH_OK)
        code = fill_cache(d, of, &pass, err);
    for (int64_t i = 0; code == ECH_OK && i < sequences; i++) {
        ech_free(d->sequences[of[i]].source);
        d->sequences[of[i]].source = NULL;
    }
    return code;
}

int ech_lm_encode_sources(struct ech_lm *d, const struct ech_step_item *items, int64_t count,
                          struct ech_err *err)
{
    struct ech_work *w = &d->encoder.work;
    int *of = d->order; /* not in use yet */
    int64_t held = 0;
    int code = ECH_OK;
    for (int64_t i = 0; code == ECH_OK && i < count; i++) {
        const struct ech_sequence *s = &d->sequences[items[i].sequence];
        if (!s->source)
            continue;
        w->starts[0] = 0;
        if (held && w->starts[held] + s->source_count > d->encoder.capacity) {
            code = encode_some(d, of, held, err);
            held = 0;
        }
        memcpy(w->words + w->starts[held], s->source, (size_t)s->source_count * sizeof *w->words);
        w->starts[held + 1] = w->starts[held] + s->source_count;
        of[held++] = items[i].sequence;
    }
    return code == ECH_OK && held ? encode_some(d, of, held, err) : code;
}

int ech_lm_encode(struct ech_lm *d, const int32_t *source, int64_t count, float *states, struct ech_err *err)
{
    struct ech_work *w = &d->encoder.work;
    struct ech_pass pass;
    if (!d->has_source || count < 1 || count > d->source_most)
        return ech_fail(err, ECH_BUG, "a source of %lld tokens, at most %lld are possible", (long long)count,
                        (long long)d->source_most);
    w->starts[0] = 0;
    w->starts[1] = count;
    memcpy(w->words, source, (size_t)count * sizeof *source);
    int code = run_encoder(d, 1, &pass, err);
    if (code != ECH_OK)
        return code;
    int status =
        d->ops->get(w->queue, states, w->x, (size_t)(count * d->encoder.net.spec.hidden) * sizeof *states);
    int done = ech_queue_sync(w->queue);
    status = status == ECH_OP_OK ? done : status;
    return status == ECH_OP_OK ? ECH_OK : ech_forward_error(&d->encoder.net, w, count, status, err);
}
