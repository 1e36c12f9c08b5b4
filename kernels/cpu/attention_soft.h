/* The softmax of attention: scores become exponentials, in place, and the state of their rows goes on.
 * A piece is a few query rows against one block of keys. Included after attention_pack.h and mathv.h. */
#ifndef ECH_KERNELS_CPU_ATTENTION_SOFT_H
#define ECH_KERNELS_CPU_ATTENTION_SOFT_H

struct piece {
    const struct head *head;
    const struct key_block *block;
    int64_t query, rows; /* of the sequence's queries */
    int64_t state;       /* first row of the state */
    bool resume;         /* the state holds earlier blocks */
    /* Of each row, the keys it sees, counted from the block's first: [lo, hi), empty: both 0. All rows
     * together see keys within [from, to), each of them sees [shared_from, shared_to). */
    int64_t lo[BLOCK_QUERIES], hi[BLOCK_QUERIES], from, to, shared_from, shared_to;
};

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* The keys that the query at `position` sees: [*lo, *hi). */
static void visible(const struct ech_attention_args *a, int64_t position, int64_t keys, int64_t *lo,
                    int64_t *hi)
{
    int64_t last = a->causal ? position + 1 : a->window > 0 ? position + a->window : keys;
    *lo = a->window > 0 ? clamp(position - a->window + 1, 0, keys) : 0;
    *hi = clamp(last, 0, keys);
}

/* The union of what rows [r, r + rows) see: [*from, *to). */
static void piece_union(const struct piece *p, int64_t r, int64_t rows, int64_t *from, int64_t *to)
{
    *from = p->block->keys;
    *to = 0;
    for (int64_t i = r; i < r + rows; i++)
        if (p->hi[i] > p->lo[i]) {
            *from = p->lo[i] < *from ? p->lo[i] : *from;
            *to = p->hi[i] > *to ? p->hi[i] : *to;
        }
    *from = *from < *to ? *from : *to;
}

static void piece_ranges(struct piece *p)
{
    const struct head *h = p->head;
    p->shared_from = p->from = 0;
    p->shared_to = p->to = p->block->keys;
    if (!h->args->causal && h->args->window == 0) {
        for (int64_t r = 0; r < p->rows; r++) {
            p->lo[r] = 0;
            p->hi[r] = p->block->keys;
        }
        return;
    }
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t lo, hi;
        visible(h->args, p->query + r + h->keys - h->queries, h->keys, &lo, &hi);
        lo = clamp(lo - p->block->first, 0, p->block->keys);
        hi = clamp(hi - p->block->first, 0, p->block->keys);
        p->lo[r] = lo < hi ? lo : 0;
        p->hi[r] = lo < hi ? hi : 0;
        p->shared_from = p->lo[r] > p->shared_from ? p->lo[r] : p->shared_from;
        p->shared_to = p->hi[r] < p->shared_to ? p->hi[r] : p->shared_to;
    }
    piece_union(p, 0, p->rows, &p->from, &p->to);
}

/* What a score becomes, beyond its scale, and where the row stands. */
struct dress {
    float scale, softcap, slope;
    const float *bias; /* at the block's first key, or NULL */
    int64_t position;  /* of the query, from the block's first key */
    int64_t lo, hi, keys;
};

/* x: sums of q k of 16 keys from j on. */
INLINE void dress_group(const struct dress *d, int64_t j, struct v16 x[GROUP])
{
    static const float LANES[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    EACH(i) x[i] = v16_mul(x[i], v16_set(d->scale));
    if (d->softcap > 0) {
        EACH(i) x[i] = v16_div(x[i], v16_set(d->softcap));
        v16_tanh(x);
        EACH(i) x[i] = v16_mul(v16_set(d->softcap), x[i]);
    }
    EACH(i)
    {
        int64_t at = j + 16 * i, left = d->keys - at;
        if (d->bias && left > 0)
            x[i] = v16_add(x[i], left >= 16 ? v16_load(d->bias + at) : v16_load_part(d->bias + at, left));
        if (d->slope != 0) {
            struct v16 far = v16_abs(v16_sub(v16_set((float)(d->position - at)), v16_load(LANES)));
            x[i] = v16_sub(x[i], v16_mul(v16_set(d->slope), far));
        }
        x[i] = v16_keep(x[i], clamp(d->hi - at, 0, 16), v16_set(-INFINITY));
        x[i] = v16_keep(v16_set(-INFINITY), clamp(d->lo - at, 0, 16), x[i]);
    }
}

/* Raw sums of all rows, keys [j, j + 16 vectors), become scores; each row's lanes of `tops` are raised. */
static void dress(const struct piece *p, int64_t j, int64_t vectors)
{
    const struct head *h = p->head;
    const struct ech_attention_args *a = h->args;
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t position = p->query + r + h->keys - h->queries;
        struct dress d = {.scale = a->scale,
                          .softcap = a->softcap,
                          .slope = a->slopes ? a->slopes[h->head] : 0,
                          .position = position - p->block->first,
                          .lo = p->lo[r],
                          .hi = p->hi[r],
                          .keys = p->block->keys};
        if (a->bias)
            d.bias = a->bias + (h->head * a->bias_span + position) * a->bias_span + p->block->first;
        float *x = h->scratch.scores + r * h->scratch.span + j, *top = h->scratch.tops + 16 * r;
        struct v16 s[GROUP], most = v16_load(top);
        EACH(i) s[i] = i < vectors ? v16_load(x + 16 * i) : v16_zero();
        dress_group(&d, j, s);
        EACH(i)
        if (i < vectors) {
            v16_store(x + 16 * i, s[i]);
            most = v16_maximum(s[i], most);
        }
        v16_store(top, most);
    }
}

/* Row r's new maximum, in the state; where it grew, what was summed before is scaled to it. Returns what is
 * subtracted: 0 where all scores are -inf, since -inf - -inf would be NaN. */
static float raise(const struct piece *p, int64_t r)
{
    const struct scratch *s = &p->head->scratch;
    float *most = &s->most[p->state + r], top = v16_largest(v16_load(s->tops + 16 * r));
    if (top > *most) {
        if (p->resume) {
            struct v16 x[GROUP];
            EACH(i) x[i] = v16_set(*most - top);
            v16_exp_below(x);
            float *lanes = s->lanes + 16 * (p->state + r), *sums = s->sums + s->width * (p->state + r);
            v16_store(lanes, v16_mul(v16_load(lanes), x[0]));
            for (int64_t d = 0; d < s->width; d += 16)
                v16_store(sums + d, v16_mul(v16_load(sums + d), x[0]));
        }
        *most = top;
    }
    return *most == -INFINITY ? 0.0f : *most;
}

/* The exponential of keys [j, j + 16) of a row of scores, where the product with the values takes it. */
INLINE void store_exponential(float *row, int64_t j, struct v16 e, bool rounded)
{
    if (rounded)
        store_rounded(row, j, e);
    else
        v16_store(row + j, e);
}

/* GROUP rows from r on, keys [from, to) of whole vectors. */
INLINE void soften_rows_as(const struct piece *p, int64_t r, int64_t from, int64_t to, const bool rounded)
{
    const struct scratch *s = &p->head->scratch;
    float *rows[GROUP], *lanes = s->lanes + 16 * (p->state + r);
    struct v16 most[GROUP], total[GROUP], e[GROUP];
    EACH(i)
    {
        rows[i] = s->scores + (r + i) * s->span;
        most[i] = v16_set(raise(p, r + i));
        total[i] = v16_load(lanes + 16 * i);
    }
    for (int64_t j = from; j < to; j += 16) {
        EACH(i) e[i] = v16_sub(v16_load(rows[i] + j), most[i]);
        v16_exp_below(e);
        EACH(i)
        {
            store_exponential(rows[i], j, e[i], rounded);
            total[i] = v16_add(total[i], e[i]);
        }
    }
    EACH(i) v16_store(lanes + 16 * i, total[i]);
}

static void soften_rows(const struct piece *p, int64_t r, int64_t from, int64_t to)
{
    if (is_rounded(p->head))
        soften_rows_as(p, r, from, to, true);
    else
        soften_rows_as(p, r, from, to, false);
}

/* One row, GROUP vectors at a time. */
static void soften_row(const struct piece *p, int64_t r, int64_t from, int64_t to)
{
    const struct scratch *s = &p->head->scratch;
    float *row = s->scores + r * s->span, *lanes = s->lanes + 16 * (p->state + r);
    struct v16 most = v16_set(raise(p, r)), total = v16_load(lanes), e[GROUP];
    for (int64_t j = from; j < to; j += 16 * GROUP) {
        EACH(i) e[i] = j + 16 * i < to ? v16_load(row + j + 16 * i) : v16_set(-INFINITY);
        EACH(i) e[i] = v16_sub(e[i], most);
        v16_exp_below(e);
        EACH(i)
        if (j + 16 * i < to) {
            store_exponential(row, j + 16 * i, e[i], is_rounded(p->head));
            total = v16_add(total, e[i]);
        }
    }
    v16_store(lanes, total);
}

/* Keys [from, to) of whole vectors of rows [r, r + rows) weigh nothing. */
static void clear(const struct piece *p, int64_t r, int64_t rows, int64_t from, int64_t to)
{
    const struct scratch *s = &p->head->scratch;
    for (int64_t i = r; i < r + rows && from < to; i++)
        for (int64_t j = from; j < to; j += 16)
            store_exponential(s->scores + i * s->span, j, v16_zero(), is_rounded(p->head));
}

/* Scores of all rows become exponentials, 0 where a row does not see the key, over whole vectors. */
static void soften(const struct piece *p)
{
    int64_t from = p->from / 16 * 16, to = up(p->to, 16);
    for (int64_t r = 0; r < p->rows;) {
        int64_t rows = p->rows - r < GROUP ? 1 : GROUP, first, last;
        piece_union(p, r, rows, &first, &last);
        first = first < last ? first / 16 * 16 : from;
        last = last ? up(last, 16) : from;
        if (rows == 1)
            soften_row(p, r, first, last);
        else
            soften_rows(p, r, first, last);
        clear(p, r, rows, from, first);
        clear(p, r, rows, last, to);
        r += rows;
    }
}

#endif
