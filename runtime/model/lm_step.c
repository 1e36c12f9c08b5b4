/* Sequences and steps: see lm.h. */
#include "model/lm_impl.h"

#include "base/mem.h"
#include "base/num.h"

#include <string.h>

/* --- sequences --- */

static int check_ids(const struct ech_lm *d, const struct ech_spec *s, const int32_t *ids, int64_t count,
                     struct ech_err *err)
{
    int32_t least = s->zero_start ? -1 : 0;
    (void)d;
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < least || ids[i] >= s->vocab)
            return ech_fail(err, ECH_DATA, "token id %d at %lld, 0 to %lld was expected", (int)ids[i],
                            (long long)i, (long long)s->vocab - 1);
    return ECH_OK;
}

static int check_room(const struct ech_lm *d, const struct ech_sequence_options *o, struct ech_err *err)
{
    int64_t most = ech_min64(d->context, d->cache_rows);
    if (o->room < 1 || o->room > most)
        return ech_fail(err, ECH_DATA, "a sequence of %lld tokens, at most %lld fit %s", (long long)o->room,
                        (long long)most, most < d->context ? "the cache" : "the context");
    if (!d->has_source)
        return ECH_OK;
    most = ech_min64(d->source_most, d->cache_rows);
    if (o->source_count < 1 || o->source_count > most)
        return ech_fail(err, ECH_DATA, "a source of %lld tokens, 1 to %lld were expected",
                        (long long)o->source_count, (long long)most);
    return check_ids(d, &d->encoder.net.spec, o->source, o->source_count, err);
}

static int free_number(const struct ech_lm *d)
{
    for (int i = 0; i < d->most; i++)
        if (!d->sequences[i].used)
            return i;
    return -1;
}

/* Rows of both caches, or neither. */
static bool take_rooms(struct ech_lm *d, const struct ech_sequence_options *o, struct ech_sequence *s)
{
    bool kept = !d->decoder.net.spec.ssru;
    s->first = ech_rooms_take(&d->rooms, kept ? o->room : 0);
    if (s->first < 0)
        return false;
    s->source_first = ech_rooms_take(&d->cross_rooms, d->has_source ? o->source_count : 0);
    if (s->source_first >= 0)
        return true;
    if (kept)
        ech_rooms_give(&d->rooms, s->first);
    return false;
}

static void give_rooms(struct ech_lm *d, const struct ech_sequence *s)
{
    if (!d->decoder.net.spec.ssru)
        ech_rooms_give(&d->rooms, s->first);
    if (d->has_source)
        ech_rooms_give(&d->cross_rooms, s->source_first);
}

static float *cells_of(const struct ech_lm *d, int sequence)
{
    const struct ech_spec *s = &d->decoder.net.spec;
    return (float *)d->cells.at + sequence * s->layers * s->hidden;
}

/* A new sequence's cells are zero: by way of the first logits, which hold nothing between steps. */
static int clear_cells(struct ech_lm *d, int sequence, struct ech_err *err)
{
    const struct ech_spec *s = &d->decoder.net.spec;
    struct ech_work *w = &d->decoder.work;
    size_t bytes = (size_t)s->hidden * sizeof(float);
    int status = ECH_OP_OK;
    float *zeros = ech_calloc((size_t)s->hidden, sizeof *zeros, err);
    if (!zeros)
        return ECH_UNAVAILABLE;
    for (int64_t layer = 0; layer < s->layers && status == ECH_OP_OK; layer++)
        status = d->ops->put(w->queue, cells_of(d, sequence) + layer * s->hidden, zeros, bytes);
    int done = ech_queue_sync(w->queue);
    ech_free(zeros);
    status = status == ECH_OP_OK ? done : status;
    return status == ECH_OP_OK ? ECH_OK : ech_forward_error(&d->decoder.net, w, 0, status, err);
}

int ech_lm_add(struct ech_lm *d, const struct ech_sequence_options *o, int *sequence, struct ech_err *err)
{
    struct ech_sequence s = {.used = true,
                             .room = o->room,
                             .prompt = o->prompt,
                             .source_count = d->has_source ? o->source_count : 0};
    int code = check_room(d, o, err), number = free_number(d);
    if (code != ECH_OK)
        return code;
    if (number < 0 || !take_rooms(d, o, &s)) {
        *sequence = -1;
        return ECH_OK;
    }
    if (d->has_source) {
        s.source = ech_calloc((size_t)s.source_count, sizeof *s.source, err);
        code = s.source ? ECH_OK : ECH_UNAVAILABLE;
        if (s.source)
            memcpy(s.source, o->source, (size_t)s.source_count * sizeof *s.source);
    }
    if (code == ECH_OK && d->decoder.net.spec.ssru)
        code = clear_cells(d, number, err);
    if (code != ECH_OK) {
        give_rooms(d, &s);
        ech_free(s.source);
        return code;
    }
    d->sequences[number] = s;
    *sequence = number;
    return ECH_OK;
}

void ech_lm_remove(struct ech_lm *d, int sequence)
{
    struct ech_sequence *s = &d->sequences[sequence];
    if (!s->used)
        return;
    give_rooms(d, s);
    ech_free(s->source);
    d->few[sequence].count = 0;
    memset(s, 0, sizeof *s);
}

int64_t ech_lm_length(const struct ech_lm *d, int sequence)
{
    return d->sequences[sequence].length;
}

/* --- a step --- */

static int check_item(const struct ech_lm *d, const struct ech_step_item *item, struct ech_err *err)
{
    if (item->sequence < 0 || item->sequence >= d->most || !d->sequences[item->sequence].used ||
        d->sequences[item->sequence].lost)
        return ech_fail(err, ECH_BUG, "a step of the sequence %d, which is not there", item->sequence);
    const struct ech_sequence *s = &d->sequences[item->sequence];
    if (item->count < 1 || s->length + item->count > s->room)
        return ech_fail(err, ECH_BUG, "a step of %lld tokens behind %lld of a sequence of %lld",
                        (long long)item->count, (long long)s->length, (long long)s->room);
    return check_ids(d, &d->decoder.net.spec, item->ids, item->count, err);
}

static int check_step(const struct ech_lm *d, const struct ech_step_item *items, int64_t count,
                      struct ech_err *err)
{
    int64_t tokens = 0;
    int code = ECH_OK;
    if (count > d->most)
        return ech_fail(err, ECH_BUG, "a step of %lld sequences, there are %lld", (long long)count,
                        (long long)d->most);
    for (int64_t i = 0; code == ECH_OK && i < count; i++) {
        code = check_item(d, &items[i], err);
        tokens += items[i].count;
        for (int64_t j = 0; j < i && code == ECH_OK; j++)
            if (items[j].sequence == items[i].sequence)
                code = ech_fail(err, ECH_BUG, "the sequence %d twice in one step", items[i].sequence);
    }
    if (code == ECH_OK && tokens > d->decoder.capacity)
        code = ech_fail(err, ECH_BUG, "a step of %lld tokens, at most %lld are possible", (long long)tokens,
                        (long long)d->decoder.capacity);
    return code;
}

/* Items in ascending order of their rows, as attention wants its keys. */
static void put_in_order(struct ech_lm *d, const struct ech_step_item *items, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i, first = d->sequences[items[i].sequence].first;
        for (; at > 0 && d->sequences[items[d->order[at - 1]].sequence].first > first; at--)
            d->order[at] = d->order[at - 1];
        d->order[at] = (int)i;
    }
}

/* Words, positions, turns of one item from token `t` of the pass on. */
static void put_tokens(struct ech_lm *d, const struct ech_step_item *item, int64_t t)
{
    struct ech_half *h = &d->decoder;
    const struct ech_sequence *s = &d->sequences[item->sequence];
    for (int64_t i = 0; i < item->count; i++) {
        int64_t index = s->length + i;
        h->work.words[t + i] = item->ids[i];
        h->work.types[t + i] = 0;
        h->work.positions[t + i] = (int32_t)(h->net.spec.first + index);
        ech_number_turns(&h->net, &h->work, t + i, index, ech_max64(s->prompt, index + 1));
    }
}

/* The pass's rows whose logits are wanted, in the order of items. */
static void list_wanted(struct ech_lm *d, const struct ech_step_item *items, int64_t count)
{
    d->wanted = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = 0;
        while (d->order[at] != i)
            at++;
        int64_t first = d->decoder.work.starts[at];
        for (int64_t t = 0; t < items[i].count; t++)
            if (items[i].want == ECH_WANT_ALL || (items[i].want == ECH_WANT_LAST && t == items[i].count - 1))
                d->host_wanted[d->wanted++] = (int32_t)(first + t);
    }
}

static struct ech_pass arrange(struct ech_lm *d, const struct ech_step_item *items, int64_t count)
{
    struct ech_work *w = &d->decoder.work;
    w->starts[0] = 0;
    put_in_order(d, items, count);
    for (int64_t i = 0; i < count; i++) {
        const struct ech_step_item *item = &items[d->order[i]];
        const struct ech_sequence *s = &d->sequences[item->sequence];
        put_tokens(d, item, w->starts[i]);
        w->starts[i + 1] = w->starts[i] + item->count;
        d->key_starts[i] = s->first;
        d->key_starts[i + 1] = s->first + s->room;
        d->key_counts[i] = s->length + item->count;
        d->cross_starts[i] = s->source_first;
        d->cross_starts[i + 1] = s->source_first + s->source_count;
        d->cross_counts[i] = s->source_count;
        d->cell_of[i] = d->cells.at ? cells_of(d, item->sequence) : NULL;
    }
    list_wanted(d, items, count);
    struct ech_pass pass = ech_pass_over(&d->decoder.net, w, count);
    if (d->keys.mem.at)
        pass.keys = (struct ech_keys){&d->keys, d->key_starts, d->key_counts};
    if (d->has_source)
        pass.cross = (struct ech_keys){&d->cross, d->cross_starts, d->cross_counts};
    pass.cells = d->cell_of;
    return pass;
}

/* The last norm and what stands before the head, of the wanted rows alone. */
static int finish(struct ech_lm *d, struct ech_pass *p)
{
    const struct ech_net *net = p->net;
    const struct ech_spec *s = &net->spec;
    struct ech_work *w = p->w;
    float scale = (s->head_scale != 0 ? s->head_scale : 1) / (s->head_softcap != 0 ? s->head_softcap : 1);
    struct ech_combine_args args = {.size = sizeof args,
                                    .rows = d->wanted,
                                    .cols = s->hidden,
                                    .take = 1,
                                    .x_rows = p->tokens,
                                    .x = w->x,
                                    .ldx = s->hidden,
                                    .index = d->index,
                                    .y = d->states,
                                    .ldy = s->hidden};
    int status = net->ops->put(w->queue, d->index, d->host_wanted, (size_t)d->wanted * sizeof *d->index);
    if (status == ECH_OP_OK)
        status = net->ops->combine(w->queue, &args);
    if (status == ECH_OP_OK && ech_has_norm(net, ECH_P_FINAL_W, 0))
        status = ech_norm_rows(net, w, d->wanted, s->hidden, d->states, ECH_P_FINAL_W, 0, d->states,
                               ech_floats(NULL, 0));
    if (status != ECH_OP_OK || (scale == 1 && s->embed == s->hidden))
        return status;
    if (s->embed != s->hidden)
        return ech_multiply(net, w, d->wanted, ech_product_of(net, ECH_P_UNPROJECT_W, 0),
                            ech_floats(d->states, s->hidden), ech_floats(d->narrow, s->embed));
    for (int64_t i = 0; i < d->wanted; i++)
        w->host_gains[i] = scale;
    args.x = d->states;
    args.index = w->same;
    args.weight = w->gains;
    args.x_rows = d->wanted;
    args.y = d->narrow;
    status = net->ops->put(w->queue, w->gains, w->host_gains, (size_t)d->wanted * sizeof *w->gains);
    return status == ECH_OP_OK ? net->ops->combine(w->queue, &args) : status;
}

static int run(struct ech_lm *d, struct ech_pass *p, struct ech_err *err)
{
    int status = ech_put_input(p);
    if (status == ECH_OP_OK)
        status = ech_embed(p);
    for (int64_t layer = 0; status == ECH_OP_OK && layer < p->net->spec.layers; layer++)
        status = ech_layer_run(p, layer);
    if (status == ECH_OP_OK && d->wanted)
        status = finish(d, p);
    int done = ech_queue_sync(p->w->queue);
    status = status == ECH_OP_OK ? done : status;
    return status == ECH_OP_OK ? ECH_OK : ech_forward_error(p->net, p->w, p->tokens, status, err);
}

int ech_lm_step(struct ech_lm *d, const struct ech_step_item *items, int64_t count, int64_t *rows,
                struct ech_err *err)
{
    d->wanted = *rows = 0;
    if (count == 0)
        return ECH_OK;
    int code = check_step(d, items, count, err);
    if (code != ECH_OK)
        return code;
    if (d->has_source)
        code = ech_lm_encode_sources(d, items, count, err);
    if (code == ECH_OK) {
        struct ech_pass pass = arrange(d, items, count);
        code = run(d, &pass, err);
    }
    for (int64_t i = 0; i < count; i++) {
        struct ech_sequence *s = &d->sequences[items[i].sequence];
        s->lost = code != ECH_OK;
        s->length += code == ECH_OK ? items[i].count : 0;
    }
    *rows = code == ECH_OK ? d->wanted : 0;
    return code;
}

/* --- logits --- */

const float *ech_lm_head_input(const struct ech_lm *d, int64_t row)
{
    const struct ech_spec *s = &d->decoder.net.spec;
    bool narrow = s->embed != s->hidden || s->head_scale != 0 || s->head_softcap != 0;
    return (narrow ? d->narrow : d->states) + row * s->embed;
}

int ech_lm_logits(struct ech_lm *d, int64_t first, int64_t count, const float **logits, struct ech_err *err)
{
    const struct ech_net *net = &d->decoder.net;
    const struct ech_spec *s = &net->spec;
    struct ech_work *w = &d->decoder.work;
    struct ech_product head = ech_product_of(net, ECH_P_HEAD_W, 0);
    if (first < 0 || count < 1 || count > d->logits_rows || first + count > d->wanted)
        return ech_fail(err, ECH_BUG, "logits of rows %lld to %lld, the step has %lld (%lld at a time)",
                        (long long)first, (long long)(first + count), (long long)d->wanted,
                        (long long)d->logits_rows);
    head.act = s->head_softcap != 0 ? ECH_ACT_TANH : ECH_ACT_NONE;
    int status = ech_multiply(net, w, count, head,
                              ech_floats((float *)(uintptr_t)ech_lm_head_input(d, first), s->embed),
                              ech_floats(d->logits, s->vocab));
    if (status == ECH_OP_OK && d->ops->device)
        status =
            d->ops->get(w->queue, d->host_logits, d->logits, (size_t)(count * s->vocab) * sizeof **logits);
    int done = ech_queue_sync(w->queue);
    status = status == ECH_OP_OK ? done : status;
    if (status != ECH_OP_OK)
        return ech_forward_error(net, w, count, status, err);
    for (int64_t i = 0; s->head_softcap != 0 && i < count * s->vocab; i++)
        d->host_logits[i] *= s->head_softcap;
    *logits = d->host_logits;
    return ECH_OK;
}
