/* Rows in flight: see generator.h. All of this runs on the compute thread; nothing here takes the lock. */
#include "model/generator_impl.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

#include <math.h>
#include <string.h>

static const char no_numbers[] = "the model's logits are not numbers";

static int listed(const int32_t *list, int32_t id)
{
    for (int i = 0; i < ECH_ENDS_MOST && list[i] >= 0; i++)
        if (list[i] == id)
            return 1;
    return 0;
}

size_t ech_stop_at(const char *text, size_t bytes, const char *const *stops)
{
    size_t first = bytes;
    for (; stops && *stops; stops++) {
        const char *at = memmem(text, bytes, *stops, strlen(*stops));
        if (at && (size_t)(at - text) < first)
            first = (size_t)(at - text);
    }
    return first;
}

int ech_turn_init(struct ech_write_lane *w, struct ech_err *err)
{
    struct ech_turn_state *t = &w->turn;
    const struct ech_generator_options *o = &w->of->options;
    int64_t vocab = ech_lm_vocab(w->lm);
    t->slots = ech_calloc((size_t)o->sequences, sizeof *t->slots, err);
    t->items = ech_calloc((size_t)o->sequences, sizeof *t->items, err);
    t->batches = ech_calloc((size_t)o->sequences, sizeof(struct ech_write_batch *), err);
    t->seconds = ech_calloc((size_t)o->sequences, sizeof *t->seconds, err);
    if (!t->slots || !t->items || !t->batches || !t->seconds ||
        ech_sampler_create(vocab, &t->sampler, err) != ECH_OK)
        return ECH_UNAVAILABLE;
    if (o->rules.banned[0] >= 0 && !(t->masked = ech_calloc((size_t)vocab, sizeof *t->masked, err)))
        return ECH_UNAVAILABLE;
    for (const char *const *stop = o->stops; stop && *stop; stop++)
        t->stop_bytes = strlen(*stop) > t->stop_bytes ? strlen(*stop) : t->stop_bytes;
    return t->stop_bytes ? ech_encoder_create(&t->encoder, err) : ECH_OK;
}

void ech_turn_fini(struct ech_write_lane *w)
{
    struct ech_turn_state *t = &w->turn;
    ech_free(t->slots);
    ech_free(t->items);
    ech_free(t->batches);
    ech_free(t->seconds);
    ech_free(t->line);
    ech_free(t->masked);
    ech_sampler_destroy(t->sampler);
    ech_encoder_destroy(t->encoder);
}

void ech_turn_forget(struct ech_write_lane *w)
{
    for (int64_t i = 0; i < w->turn.active; i++)
        ech_lm_remove(w->lm, w->turn.slots[i].sequence);
    w->turn.active = 0;
}

static struct ech_request *request_of(const struct ech_slot_row *s)
{
    return &s->batch->requests[s->row];
}

static struct ech_written *written_of(const struct ech_slot_row *s)
{
    return &s->batch->written[s->row];
}

/* Logits of the words that may be written, and no others? */
static bool restricted(const struct ech_write_lane *w, const struct ech_request *r)
{
    return r->allowed && !w->of->options.log_probabilities && r->scored >= r->count;
}

/* --- rows in --- */

static int add_sequence(struct ech_write_lane *w, struct ech_request *r, struct ech_written *out,
                        int *sequence, struct ech_err *err)
{
    struct ech_sequence_options o = {.room = r->count + (r->most > 0 ? r->most - 1 : 0),
                                     .prompt = r->count,
                                     .source = r->source,
                                     .source_count = r->source_count};
    if (r->scored < r->count && !out->scores) {
        out->scores = ech_calloc((size_t)(r->count - r->scored), sizeof *out->scores, err);
        if (!out->scores)
            return ECH_UNAVAILABLE;
    }
    int code = ech_lm_add(w->lm, &o, sequence, err);
    if (code == ECH_OK && *sequence >= 0 && restricted(w, r))
        code = ech_lm_restrict(w->lm, *sequence, r->allowed, r->allowed_count, err);
    if (code != ECH_OK && *sequence >= 0)
        ech_lm_remove(w->lm, *sequence);
    return code;
}

/* A row that cannot be computed ends with its reason; what is no row's fault ends the batch. */
static void refuse(struct ech_write_lane *w, struct ech_write_batch *b, int64_t row,
                   const struct ech_err *err)
{
    struct ech_err lost = ECH_ERR_NONE;
    if (err->code == ECH_DATA && !b->requests[row].error)
        b->requests[row].error = ech_strdup(err->text, &lost);
    ech_generator_row_done(w, b, 0, err->code == ECH_DATA ? (lost.code ? &lost : NULL) : err);
}

/* A tokenizer may know more tokens than the model. -1 is the zero vector of decoders that start with it. */
static int check_prompt(const struct ech_write_lane *w, const struct ech_request *r, struct ech_err *err)
{
    int64_t vocab = ech_lm_vocab(w->lm);
    int32_t least = ech_lm_has_source(w->lm) ? -1 : 0;
    for (int64_t i = 0; i < r->count; i++)
        if (r->ids[i] < least || r->ids[i] >= vocab)
            return ech_fail(err, ECH_DATA, "token %d of the prompt is not among the model's %lld",
                            (int)r->ids[i], (long long)vocab);
    return ECH_OK;
}

static void take_rows(struct ech_write_lane *w)
{
    struct ech_turn_state *t = &w->turn;
    struct ech_write_batch *b;
    int64_t row;
    bool failed;
    while (t->active < w->of->options.sequences && ech_generator_next(w, &b, &row, &failed)) {
        struct ech_request *r = &b->requests[row];
        struct ech_err err = ECH_ERR_NONE;
        int sequence = -1;
        if (r->error || failed) {
            ech_generator_row_done(w, b, 0, NULL);
            continue;
        }
        if (check_prompt(w, r, &err) != ECH_OK ||
            add_sequence(w, r, &b->written[row], &sequence, &err) != ECH_OK) {
            refuse(w, b, row, &err);
            continue;
        }
        if (sequence < 0) {
            ECH_ASSERT(t->active > 0, "no room for row %lld in an empty cache", (long long)r->row);
            ech_generator_hold(w, b, row);
            return;
        }
        t->slots[t->active++] = (struct ech_slot_row){.batch = b, .row = row, .sequence = sequence};
    }
}

/* --- a step --- */

/* Tokens that the sequence has not seen: of the prompt as many as there is room for, or the one written last.
 */
static struct ech_step_item item_of(const struct ech_slot_row *s, int64_t room)
{
    const struct ech_request *r = request_of(s);
    struct ech_step_item item = {.sequence = s->sequence, .count = 1};
    if (s->seen >= r->count) {
        item.ids = written_of(s)->ids + (s->seen - r->count);
        item.want = ECH_WANT_LAST;
        return item;
    }
    item.ids = r->ids + s->seen;
    item.count = ech_min64(r->count - s->seen, room);
    int64_t end = s->seen + item.count;
    if (r->scored < r->count && end >= r->scored && s->seen < r->count - 1)
        item.want = ECH_WANT_ALL;
    else
        item.want = end == r->count && r->most > 0 ? ECH_WANT_LAST : ECH_WANT_NONE;
    return item;
}

/* Which rows take part: those that write first, then prompts. slots_of[i]: the row of item i. */
static int64_t compose(struct ech_write_lane *w, int64_t *tokens)
{
    struct ech_turn_state *t = &w->turn;
    int64_t count = 0, room = w->of->options.step_tokens;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < t->active && room > 0; i++) {
            struct ech_slot_row *s = &t->slots[i];
            bool writes = s->seen >= request_of(s)->count;
            if (writes == (pass == 1))
                continue;
            t->items[count] = item_of(s, room);
            s->item = count;
            room -= t->items[count++].count;
        }
    *tokens = w->of->options.step_tokens - room;
    return count;
}

/* --- what a row of logits says --- */

/* Prompt and written tokens in one line, for the repetition penalty. */
static int line_up(struct ech_turn_state *t, const struct ech_request *r, const struct ech_written *out,
                   struct ech_err *err)
{
    size_t need = (size_t)(r->count + out->count);
    if (ech_grow((void **)&t->line, &t->line_capacity, need, sizeof *t->line, err) != ECH_OK)
        return ECH_UNAVAILABLE;
    memcpy(t->line, r->ids, (size_t)r->count * sizeof *t->line);
    if (out->count)
        memcpy(t->line + r->count, out->ids, (size_t)out->count * sizeof *t->line);
    return ECH_OK;
}

/* `few`: logits are of the allowed words alone. Of equals the first; what is no number is never the best. */
static int32_t best_allowed(const struct ech_generator_rules *rules, const struct ech_request *r,
                            const float *logits, bool few)
{
    int32_t best = -1;
    float most = -INFINITY;
    for (int64_t i = 0; i < r->allowed_count; i++) {
        float logit = logits[few ? i : r->allowed[i]];
        if (logit > most && !listed(rules->banned, r->allowed[i])) {
            best = r->allowed[i];
            most = logit;
        }
    }
    return best;
}

static int draw(struct ech_write_lane *w, const struct ech_slot_row *s, const float *logits, int32_t *id,
                struct ech_err *err)
{
    const struct ech_generator_options *o = &w->of->options;
    const struct ech_request *r = request_of(s);
    const struct ech_written *out = written_of(s);
    struct ech_turn_state *t = &w->turn;
    int64_t vocab = ech_lm_vocab(w->lm);
    if (out->count == 0 && o->rules.forced_first >= 0) {
        *id = o->rules.forced_first;
        return ECH_OK;
    }
    if (out->count == r->most - 1 && o->rules.forced_last >= 0) {
        *id = o->rules.forced_last;
        return ECH_OK;
    }
    if (r->allowed) {
        *id = best_allowed(&o->rules, r, logits, restricted(w, r));
        return ECH_OK;
    }
    if (t->masked) {
        memcpy(t->masked, logits, (size_t)vocab * sizeof *logits);
        for (int i = 0; i < ECH_ENDS_MOST && o->rules.banned[i] >= 0; i++)
            if (o->rules.banned[i] < vocab) /* files name words that the model lacks */
                t->masked[o->rules.banned[i]] = -INFINITY;
        logits = t->masked;
    }
    bool penalised = o->sampling.repetition_penalty != 1;
    if (penalised && line_up(t, r, out, err) != ECH_OK)
        return ECH_UNAVAILABLE;
    *id = ech_sampler_draw(t->sampler, logits, &o->sampling, t->line, penalised ? r->count + out->count : 0,
                           r->row, (uint64_t)out->count);
    return ECH_OK;
}

/* Does a stop string end with the token written last? Looked for in the text of the tokens that can hold it.
 */
static int stopped(struct ech_write_lane *w, const struct ech_written *out, bool *yes, struct ech_err *err)
{
    const struct ech_generator_options *o = &w->of->options;
    *yes = false;
    if (!w->turn.stop_bytes)
        return ECH_OK;
    struct ech_decoded text;
    int64_t tail = ech_min64(out->count, (int64_t)w->turn.stop_bytes + 8);
    int code = ech_tokenizer_decode(o->tokenizer, w->turn.encoder, out->ids + out->count - tail, tail, true,
                                    &text, err);
    *yes = code == ECH_OK && ech_stop_at(text.text, text.bytes, o->stops) < text.bytes;
    return code;
}

static int append(struct ech_write_lane *w, struct ech_slot_row *s, int32_t id, const float *logits,
                  struct ech_err *err)
{
    struct ech_written *out = written_of(s);
    size_t need = (size_t)out->count + 1;
    int code = ech_grow((void **)&out->ids, &s->capacity[0], need, sizeof *out->ids, err);
    if (code == ECH_OK && w->of->options.log_probabilities) {
        code = ech_grow((void **)&out->log_probabilities, &s->capacity[1], need, sizeof(double), err);
        if (code == ECH_OK)
            out->log_probabilities[out->count] = ech_log_probability(logits, ech_lm_vocab(w->lm), id);
    }
    if (code == ECH_OK)
        out->ids[out->count++] = id;
    return code;
}

static int write_one(struct ech_write_lane *w, struct ech_slot_row *s, const float *logits,
                     struct ech_err *err)
{
    struct ech_written *out = written_of(s);
    int32_t id;
    bool stop;
    int code = draw(w, s, logits, &id, err);
    if (code != ECH_OK)
        return code;
    if (id < 0) {
        request_of(s)->error = ech_strdup(no_numbers, err);
        out->finish = ECH_FINISH_STOP;
        return request_of(s)->error ? ECH_OK : ECH_UNAVAILABLE;
    }
    if (listed(w->of->options.rules.ends, id)) {
        out->finish = ECH_FINISH_END;
        return ECH_OK;
    }
    code = append(w, s, id, logits, err);
    if (code == ECH_OK)
        code = stopped(w, out, &stop, err);
    if (code == ECH_OK && stop)
        out->finish = ECH_FINISH_STOP;
    else if (code == ECH_OK && out->count == request_of(s)->most)
        out->finish = ECH_FINISH_LENGTH;
    return code;
}

/* Logits behind the token at `position`. */
static int take_logits(struct ech_write_lane *w, struct ech_slot_row *s, int64_t position,
                       const float *logits, struct ech_err *err)
{
    struct ech_request *r = request_of(s);
    struct ech_written *out = written_of(s);
    int64_t next = position + 1;
    if (next >= r->scored && next < r->count) {
        double *score = &out->scores[next - r->scored];
        *score = ech_log_probability(logits, ech_lm_vocab(w->lm), r->ids[next]);
        if (isnan(*score) && !r->error && !(r->error = ech_strdup(no_numbers, err)))
            return ECH_UNAVAILABLE;
    }
    return r->most > 0 && next == r->count + out->count ? write_one(w, s, logits, err) : ECH_OK;
}

static struct ech_slot_row *slot_of_item(struct ech_turn_state *t, int64_t item)
{
    for (int64_t i = 0; i < t->active; i++)
        if (t->slots[i].item == item)
            return &t->slots[i];
    return NULL;
}

/* The row's own few words. */
static int take_few(struct ech_write_lane *w, struct ech_slot_row *s, int64_t row, struct ech_err *err)
{
    const float *logits;
    int code = ech_lm_restricted(w->lm, s->sequence, row, &logits, err);
    return code == ECH_OK ? write_one(w, s, logits, err) : code;
}

static int read_logits(struct ech_write_lane *w, int64_t items, int64_t rows, struct ech_err *err)
{
    struct ech_turn_state *t = &w->turn;
    int64_t row = 0, group = 0, group_end = 0, vocab = ech_lm_vocab(w->lm);
    const float *logits = NULL;
    for (int64_t i = 0; i < items; i++) {
        const struct ech_step_item *item = &t->items[i];
        struct ech_slot_row *s = slot_of_item(t, i);
        int64_t mine = item->want == ECH_WANT_ALL ? item->count : item->want == ECH_WANT_LAST;
        for (int64_t k = 0; k < mine; k++, row++) {
            int code = ECH_OK;
            if (restricted(w, request_of(s))) {
                if ((code = take_few(w, s, row, err)) != ECH_OK)
                    return code;
                continue;
            }
            if (row >= group_end) {
                group = row;
                group_end = ech_min64(rows, row + w->of->options.logits_rows);
                code = ech_lm_logits(w->lm, group, group_end - group, &logits, err);
            }
            if (code == ECH_OK)
                code =
                    take_logits(w, s, s->seen + item->count - mine + k, logits + (row - group) * vocab, err);
            if (code != ECH_OK)
                return code;
        }
        s->seen += item->count;
    }
    return ECH_OK;
}

/* --- rows out --- */

static bool ended(const struct ech_slot_row *s)
{
    const struct ech_request *r = request_of(s);
    return r->most > 0 ? written_of(s)->finish != ECH_FINISH_NONE : s->seen == r->count;
}

static void give_rows(struct ech_write_lane *w, const struct ech_err *failed)
{
    struct ech_turn_state *t = &w->turn;
    int64_t kept = 0;
    for (int64_t i = 0; i < t->active; i++) {
        struct ech_slot_row *s = &t->slots[i];
        s->item = -1;
        if (!failed && !ended(s)) {
            t->slots[kept++] = *s;
            continue;
        }
        ech_lm_remove(w->lm, s->sequence);
        const struct ech_request *r = request_of(s);
        ech_generator_row_done(w, s->batch, r->count + r->source_count + written_of(s)->count, failed);
    }
    t->active = kept;
}

/* The step's time, to its batches by their tokens. */
static void account(struct ech_write_lane *w, int64_t items, int64_t tokens, double seconds)
{
    struct ech_turn_state *t = &w->turn;
    for (int64_t i = 0; i < items; i++) {
        t->batches[i] = slot_of_item(t, i)->batch;
        t->seconds[i] = seconds * w->of->options.threads * (double)t->items[i].count / (double)tokens;
    }
    ech_generator_account(w, t->batches, t->seconds, items);
}

void ech_turn(struct ech_write_lane *w)
{
    struct ech_err err = ECH_ERR_NONE;
    int64_t rows, tokens;
    take_rows(w);
    if (w->turn.active == 0)
        return;
    for (int64_t i = 0; i < w->turn.active; i++)
        w->turn.slots[i].item = -1;
    int64_t items = compose(w, &tokens);
    double begun = ech_mono_s();
    int code = ech_lm_step(w->lm, w->turn.items, items, &rows, &err);
    if (code == ECH_OK)
        code = read_logits(w, items, rows, &err);
    account(w, items, tokens, ech_mono_s() - begun);
    give_rows(w, code == ECH_OK ? NULL : &err);
}
