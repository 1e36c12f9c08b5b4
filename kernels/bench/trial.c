/* The life of a trial (trial.h): rows picked, memory, weights, results, the look at guard zones. */
#include "kernels/bench/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bench/plan.h"
#include "kernels/convert.h"
#include "kernels/blocks.h"

static int no_memory(char *why, size_t bytes)
{
    snprintf(why, 256, "out of memory: %zu bytes for the operands", bytes);
    return ECH_OP_MEMORY;
}

/* --- which rows take part --- */

static int64_t *starts_of(const struct ech_case *c, int64_t (*length)(const struct ech_case *, int64_t))
{
    int64_t *starts = calloc((size_t)c->sequences + 1, sizeof *starts);
    for (int64_t s = 0; starts && s < c->sequences; s++)
        starts[s + 1] = starts[s] + length(c, s);
    return starts;
}

/* The rows of the picked sequences, as numbers of the whole case's rows. */
static int64_t *rows_of_sequences(const int64_t *starts, const struct ech_trial_options *o)
{
    int64_t total = 0, n = 0;
    for (int64_t i = 0; i < o->picked; i++)
        total += starts[o->pick[i] + 1] - starts[o->pick[i]];
    int64_t *rows = calloc((size_t)total + 1, sizeof *rows);
    for (int64_t i = 0; rows && i < o->picked; i++)
        for (int64_t r = starts[o->pick[i]]; r < starts[o->pick[i] + 1]; r++)
            rows[n++] = r;
    return rows;
}

static void pick_lengths(struct ech_case *c, const struct ech_case *whole, const struct ech_trial_options *o)
{
    c->sequences = o->picked;
    for (int64_t i = 0; i < o->picked && i < ECH_CASE_SEQUENCES; i++) {
        c->lengths[i] = whole->lengths[o->pick[i]];
        c->key_lengths[i] = whole->key_lengths[o->pick[i]];
    }
}

static int pick_sequences(struct ech_trial *t, const struct ech_case *whole,
                          const struct ech_trial_options *o)
{
    for (int64_t s = 0; s < whole->sequences; s++)
        t->span = ech_case_length(whole, s) > t->span ? ech_case_length(whole, s) : t->span;
    for (int64_t s = 0; s < whole->sequences; s++)
        t->span = ech_case_keys(whole, s) > t->span ? ech_case_keys(whole, s) : t->span;
    t->span++; /* longer than it must be */
    int64_t *starts = starts_of(whole, ech_case_length), *keys = starts_of(whole, ech_case_keys);
    if (starts && keys && o->pick) {
        pick_lengths(&t->c, whole, o);
        t->queries = rows_of_sequences(starts, o);
        t->keys = rows_of_sequences(keys, o);
    }
    bool lacking = !starts || !keys || (o->pick && (!t->queries || !t->keys));
    free(starts);
    free(keys);
    t->starts = starts_of(&t->c, ech_case_length);
    t->key_starts = starts_of(&t->c, ech_case_keys);
    return lacking || !t->starts || !t->key_starts ? ECH_OP_MEMORY : ECH_OP_OK;
}

static int pick_rows(struct ech_trial *t, const struct ech_case *whole, const struct ech_trial_options *o)
{
    t->c = *whole;
    if (whole->op == ECH_CASE_ATTENTION || whole->op == ECH_CASE_POOL)
        return pick_sequences(t, whole, o);
    if (!o->pick)
        return ECH_OP_OK;
    t->c.rows = o->picked;
    t->queries = calloc((size_t)o->picked + 1, sizeof *t->queries);
    if (t->queries && o->picked)
        memcpy(t->queries, o->pick, (size_t)o->picked * sizeof *t->queries);
    return t->queries ? ECH_OP_OK : ECH_OP_MEMORY;
}

/* --- queue, memory, weights --- */

static int open_queue(struct ech_trial *t, const struct ech_trial_options *o, char *why)
{
    const struct ech_case *c = &t->c;
    const struct ech_ops *ops = t->ops;
    struct ech_queue_options q = {
        .size = sizeof q, .threads = o->threads > 0 ? o->threads : 1, .device = o->device};
    if (c->op == ECH_CASE_LINEAR)
        q.workspace_bytes = ops->linear_workspace(c->format, c->rows, c->outputs, c->inner, q.threads);
    if (c->op == ECH_CASE_ATTENTION)
        q.workspace_bytes = ops->attention_workspace(c->format, t->span - 1, c->head_dim, q.threads);
    t->queue = ech_queue_open(ops, &q, why);
    if (!t->queue)
        return ECH_OP_MEMORY;
    if (!ops->device && q.workspace_bytes) /* NaNs: nothing may be read before it is written */
        memset(ech_queue_workspace(t->queue), 0xff, q.workspace_bytes);
    return ECH_OP_OK;
}

/* The packed weights in the process's memory; a guard behind them must stay as it is. */
static int pack(const struct ech_trial *t, unsigned char **out, char *why)
{
    const struct ech_case *c = &t->c;
    size_t floats = (size_t)(c->outputs * c->inner), room = (t->packed_bytes + 63) / 64 * 64 + 64;
    const bool in_place = ech_format_in_place(c->format);
    float *w = malloc(((in_place ? 0 : floats) + 1) * sizeof *w);
    unsigned char *packed = aligned_alloc(64, room);
    int rc = w && packed ? ECH_OP_OK : no_memory(why, room);
    if (!rc) {
        memset(packed, 0xa5, room);
        if (in_place)
            ech_fill_blocks(c->w_type, packed, c->outputs * (c->inner / ech_block_type(c->w_type)->elements));
        else
            ech_fill_weights(w, c->outputs, c->inner);
    }
    if (!rc && !in_place) {
        rc = t->ops->linear_pack(c->format, w, ECH_W_F32, c->outputs, c->inner, packed, 0, 1);
    }
    for (size_t i = t->packed_bytes; !rc && i < room; i++)
        if (packed[i] != 0xa5) {
            snprintf(why, 256, "packing wrote beyond its %zu bytes", t->packed_bytes);
            rc = ECH_OP_DEVICE;
        }
    free(w);
    if (rc)
        free(packed);
    else
        *out = packed;
    return rc;
}

static int open_weights(struct ech_trial *t, const struct ech_trial_options *o, char *why)
{
    const struct ech_case *c = &t->c;
    t->copies = c->copies > 0 ? c->copies : 1;
    if (c->op != ECH_CASE_LINEAR)
        return ECH_OP_OK;
    t->packed_bytes = ech_format_in_place(c->format)
                          ? (size_t)c->outputs * ech_block_row_bytes(c->w_type, c->inner)
                          : t->ops->linear_packed_bytes(c->format, c->outputs, c->inner);
    t->packed_stride = (t->packed_bytes + 63) / 64 * 64;
    if (o->weights_of) {
        t->packed = o->weights_of->packed;
        return ECH_OP_OK;
    }
    unsigned char *packed = NULL;
    int rc = pack(t, &packed, why);
    if (!rc && t->packed_bytes)
        rc = t->ops->mem_alloc(o->device, t->packed_stride * (size_t)t->copies, &t->weights, why);
    for (int64_t i = 0; !rc && t->packed_bytes && i < t->copies; i++)
        rc = t->ops->put(t->queue, (unsigned char *)t->weights.at + (size_t)i * t->packed_stride, packed,
                         t->packed_bytes);
    int synced = ech_queue_sync(t->queue); /* put may still read `packed` */
    free(packed);
    t->packed = t->weights.at;
    return rc ? rc : synced;
}

static int open_operands(struct ech_trial *t, const struct ech_trial_options *o, char *why)
{
    int rc = ech_plan_blocks(t);
    t->image = rc ? NULL : malloc(t->bytes);
    if (!rc && !t->image)
        rc = no_memory(why, t->bytes);
    if (!rc)
        rc = ech_fill_image(t, t->image);
    if (!rc)
        rc = t->ops->mem_alloc(o->device, t->bytes, &t->mem, why);
    if (!rc)
        rc = t->ops->put(t->queue, t->mem.at, t->image, t->bytes);
    int synced = ech_queue_sync(t->queue);
    ech_plan_args(t);
    return rc ? rc : synced;
}

int ech_trial_open(const struct ech_ops *ops, const struct ech_case *c, const struct ech_trial_options *o,
                   struct ech_trial **out, char *why)
{
    struct ech_trial *t = calloc(1, sizeof *t);
    why[0] = 0;
    if (!t)
        return no_memory(why, sizeof *t);
    t->ops = ops;
    int rc = ech_plan_offered(ops, c) ? pick_rows(t, c, o) : ECH_OP_UNSUPPORTED;
    if (!rc)
        rc = open_queue(t, o, why);
    if (!rc)
        rc = open_weights(t, o, why);
    if (!rc)
        rc = open_operands(t, o, why);
    if (rc && !why[0])
        snprintf(why, 256, "%s", ech_queue_error(t->queue));
    if (rc)
        ech_trial_close(t);
    else
        *out = t;
    return rc;
}

void ech_trial_close(struct ech_trial *t)
{
    if (!t)
        return;
    ech_queue_sync(t->queue);
    if (t->mem.at)
        t->ops->mem_free(&t->mem);
    if (t->weights.at)
        t->ops->mem_free(&t->weights);
    ech_queue_close(t->queue);
    free(t->image);
    free(t->queries);
    free(t->keys);
    free(t->starts);
    free(t->key_starts);
    free(t);
}

int ech_trial_run(struct ech_trial *t)
{
    return ech_plan_call(t);
}

int ech_trial_sync(struct ech_trial *t)
{
    return ech_queue_sync(t->queue);
}

int ech_trial_reset(struct ech_trial *t)
{
    int rc = ECH_OP_OK;
    for (int i = 0; !rc && i < t->count; i++) {
        const struct ech_block *b = &t->blocks[i];
        if (b->out && b->fill != ECH_FILL_NONE)
            rc = t->ops->put(t->queue, (unsigned char *)t->mem.at + b->offset, t->image + b->offset,
                             (size_t)(b->rows * b->ld) * ech_block_element(b));
    }
    int synced = ech_queue_sync(t->queue);
    return rc ? rc : synced;
}

/* --- results --- */

/* Takes the elements of an output out of what was read, and lays the first image over them. */
static int take(const struct ech_trial *t, const struct ech_block *b, unsigned char *seen,
                struct ech_values *v, char *why)
{
    size_t element = ech_block_element(b), width = (size_t)ech_block_width(b) * element;
    *v = (struct ech_values){.name = b->name, .rows = b->rows, .cols = b->cols, .type = b->type};
    v->raw = malloc((size_t)b->rows * (size_t)b->cols * element + 1);
    v->scale = calloc((size_t)b->rows + 1, sizeof *v->scale);
    if (!v->raw || !v->scale)
        return no_memory(why, width);
    for (int64_t r = 0; r < b->rows; r++) {
        size_t from = b->offset + (size_t)(r * b->ld) * element, own = (size_t)b->cols * element;
        memcpy(v->raw + (size_t)r * own, seen + from, own);
        for (size_t i = own; i < width; i++)
            if (seen[from + i] != 128 && !why[0])
                snprintf(why, 256, "%s: byte %zu of row %lld is %d, 128 was expected", b->name, i,
                         (long long)r, seen[from + i]);
        memcpy(seen + from, t->image + from, width);
    }
    if (b->scales >= 0) {
        size_t from = t->blocks[b->scales].offset, bytes = (size_t)b->rows * sizeof *v->scale;
        memcpy(v->scale, seen + from, bytes);
        memcpy(seen + from, t->image + from, bytes);
    }
    return ECH_OP_OK;
}

/* Which block the changed byte lies in or next to. */
static void explain(const struct ech_trial *t, size_t where, char *why)
{
    const struct ech_block *b = &t->blocks[0];
    for (int i = 1; i < t->count; i++)
        if (where + ECH_GUARD >= t->blocks[i].offset)
            b = &t->blocks[i];
    long long at = (long long)where - (long long)b->offset, element = (long long)ech_block_element(b);
    long long index = at / element;
    bool inside = at >= 0 && b->ld && index < b->rows * b->ld;
    if (inside && index % b->ld < ech_block_width(b))
        snprintf(why, 256, "%s was changed, an input, at (%lld, %lld)", b->name, index / b->ld,
                 index % b->ld);
    else if (inside)
        snprintf(why, 256, "%s: wrote into the gap behind row %lld, column %lld of stride %lld", b->name,
                 index / b->ld, index % b->ld, (long long)b->ld);
    else
        snprintf(why, 256, "%s: wrote outside, at byte %lld of a (%lld, %lld) matrix of stride %lld", b->name,
                 at, (long long)b->rows, (long long)b->cols, (long long)b->ld);
}

static int read_outcome(const struct ech_trial *t, unsigned char *seen, struct ech_outcome *out, char *why)
{
    int rc = ECH_OP_OK;
    for (int i = 0; !rc && i < t->count; i++) {
        bool scales = i > 0 && t->blocks[i - 1].scales == i;
        if (t->blocks[i].out && !scales)
            rc = take(t, &t->blocks[i], seen, &out->values[out->count++], why);
    }
    for (size_t i = 0; !rc && !why[0] && i < t->bytes; i++)
        if (seen[i] != t->image[i])
            explain(t, i, why);
    return rc;
}

int ech_trial_finish(struct ech_trial *t, struct ech_outcome *out, char *why)
{
    struct ech_outcome got = {.count = 0};
    unsigned char *seen = malloc(t->bytes);
    why[0] = 0;
    if (!seen)
        return no_memory(why, t->bytes);
    int rc = ech_queue_sync(t->queue);
    if (!rc)
        rc = t->ops->get(t->queue, seen, t->mem.at, t->bytes);
    if (!rc)
        rc = ech_queue_sync(t->queue);
    if (rc)
        snprintf(why, 256, "%s", ech_queue_error(t->queue));
    else
        rc = read_outcome(t, seen, &got, why);
    free(seen);
    if (rc)
        ech_outcome_fini(&got);
    else
        *out = got;
    return rc;
}

void ech_outcome_fini(struct ech_outcome *outcome)
{
    for (int i = 0; i < outcome->count; i++) {
        free(outcome->values[i].raw);
        free(outcome->values[i].scale);
    }
    outcome->count = 0;
}

double ech_values_at(const struct ech_values *v, int64_t row, int64_t col)
{
    size_t i = (size_t)(row * v->cols + col);
    uint16_t half;
    int32_t whole;
    float x;
    switch (v->type) {
    case ECH_A_F32:
        memcpy(&x, v->raw + 4 * i, 4);
        return (double)x;
    case ECH_A_BF16:
        memcpy(&half, v->raw + 2 * i, 2);
        return (double)ech_from_bf16(half);
    case ECH_A_F16:
        memcpy(&half, v->raw + 2 * i, 2);
        return (double)ech_from_f16(half);
    case ECH_A_Q8:
        return (double)((float)(v->raw[i] - 128) * v->scale[row]);
    default:
        memcpy(&whole, v->raw + 4 * i, 4);
        return whole;
    }
}

double ech_trial_bytes(const struct ech_trial *t)
{
    double bytes = (double)t->packed_bytes;
    for (int i = 0; i < t->count; i++) {
        const struct ech_block *b = &t->blocks[i];
        double own = (double)b->rows * (double)b->cols * (double)ech_block_element(b);
        bytes += b->out && b->fill != ECH_FILL_NONE ? 2 * own : own;
    }
    return bytes;
}
