/* Attention of one query a sequence in f32: a token over its cache, bound by how fast keys and values come
 * from memory. Each is read once for up to DECODE_HEADS heads that share it, some 32 rows at a time: keys are
 * turned in L1 (lanes are keys), values used where they lie. The chains are those of attention.h: all heads
 * see the same keys, so no masked key is near a sum. Included after attention_soft.h; before attention.h uses
 * it. */
#ifndef ECH_KERNELS_CPU_ATTENTION_DECODE_H
#define ECH_KERNELS_CPU_ATTENTION_DECODE_H

enum {
    DECODE_HEADS = 16,
    DECODE_TILE = 4,   /* heads in registers */
    DECODE_VECTORS = 4 /* of a row of values in registers */
};

#if TILE_VECTORS == 4
enum { DECODE_GROUPS = 2 }; /* of 16 keys in registers */
#else
enum { DECODE_GROUPS = 1 };
#endif

/* The lines of rows [j, j + rows) of a head's keys or values. */
static void decode_ask(const struct head *h, const void *p, int64_t ld, int64_t j, int64_t rows)
{
    const struct ech_attention_args *a = h->args;
    const int64_t bytes = a->head_dim * (int64_t)ech_atype_bytes(a->kv_type);
    for (int64_t i = j; i < j + rows; i++) {
        const char *row = element(p, a->kv_type, (h->key + i) * ld + h->kv_head * a->head_dim);
        for (int64_t b = 0; b < bytes; b += 64)
            __builtin_prefetch(row + b);
    }
}

/* Keys [j, j + rows), rows <= 16, as columns: [dim][16], zeros past the last. */
static void decode_turn(const struct head *h, int64_t j, int64_t rows, float *to)
{
    const struct ech_attention_args *a = h->args;
    const struct scratch *s = &h->scratch;
    const float *from = s->staged;
    int64_t at = (h->key + j) * a->ldk + h->kv_head * a->head_dim, ld = s->stride, d = 0;
    if (rows == 16 && a->kv_type == ECH_A_F32) {
        from = element(a->k, a->kv_type, at);
        ld = a->ldk;
    } else {
        for (int64_t i = 0; i < rows; i++)
            stage_row(s->staged + i * ld, element(a->k, a->kv_type, at + i * a->ldk), a->kv_type, a->head_dim,
                      false);
        memset(s->staged + rows * ld, 0, (size_t)((16 - rows) * ld) * sizeof(float));
    }
    for (; d + 4 <= a->head_dim; d += 4)
        v16_transpose4(to + 16 * d, 16, from + d, ld);
    for (; d < a->head_dim; d++)
        for (int64_t i = 0; i < 16; i++)
            to[16 * d + i] = from[i * ld + d];
}

/* Sums of q k of `heads` heads and `groups` of 16 keys; q: rows of the heads, head_dim apart; out: rows
 * `span` apart. */
INLINE void decode_dots(const float *q, int64_t dim, const float *keys, float *out, int64_t span,
                        const int heads, const int groups)
{
    struct v16 sum[DECODE_TILE][DECODE_GROUPS], key[DECODE_GROUPS];
    FOR(i, heads)
    {
        FOR(g, groups) sum[i][g] = v16_zero();
    }
    for (int64_t d = 0; d < dim; d++) {
        FOR(g, groups) key[g] = v16_load(keys + 16 * (g * dim + d));
        FOR(i, heads)
        {
            const struct v16 x = v16_set(q[i * dim + d]);
            FOR(g, groups) sum[i][g] = v16_fma(x, key[g], sum[i][g]);
        }
    }
    FOR(i, heads)
    {
        FOR(g, groups) v16_store(out + i * span + 16 * g, sum[i][g]);
    }
}

static void decode_dots_of(const float *q, int64_t dim, const float *keys, float *out, int64_t span,
                           int64_t heads, int64_t groups)
{
    for (int64_t i = 0; i < heads;) {
        const bool four = heads - i >= DECODE_TILE, two = groups == 2;
        if (four && two)
            decode_dots(q + i * dim, dim, keys, out + i * span, span, DECODE_TILE, DECODE_GROUPS);
        else if (four)
            decode_dots(q + i * dim, dim, keys, out + i * span, span, DECODE_TILE, 1);
        else if (two)
            decode_dots(q + i * dim, dim, keys, out + i * span, span, 1, DECODE_GROUPS);
        else
            decode_dots(q + i * dim, dim, keys, out + i * span, span, 1, 1);
        i += four ? DECODE_TILE : 1;
    }
}

/* Raw sums of keys [from, to) of a block, counted from its first, `from` a multiple of 16. */
static void decode_scores(const struct head *h, const struct key_block *b, int64_t heads, int64_t from,
                          int64_t to)
{
    const struct ech_attention_args *a = h->args;
    const struct scratch *s = &h->scratch;
    const float *q = (const float *)a->q + h->query * a->ldq + h->head * a->head_dim;
    for (int64_t j = from; j < to; j += 16 * DECODE_GROUPS) {
        const int64_t left = to - j, groups = left > 16 ? DECODE_GROUPS : 1,
                      next = left - 16 * groups < 16 * groups ? left - 16 * groups : 16 * groups;
        for (int64_t g = 0; g < groups; g++)
            decode_turn(h, b->first + j + 16 * g, left - 16 * g < 16 ? left - 16 * g : 16,
                        s->keys + 16 * g * a->head_dim);
        decode_ask(h, a->k, a->ldk, b->first + j + 16 * groups, next);
        decode_dots_of(q, a->head_dim, s->keys, s->scores + j, s->span, heads, groups);
    }
}

/* The chains of value sums of `heads` heads go on over `rows` rows of values; e: rows `span` apart. */
INLINE void decode_sums(const struct head *h, const void *v, int64_t rows, const float *e, float *sums,
                        int64_t dim, const int heads, const int vectors)
{
    const struct ech_attention_args *a = h->args;
    const struct scratch *s = &h->scratch;
    struct v16 sum[DECODE_TILE][DECODE_VECTORS], value[DECODE_VECTORS];
    FOR(i, heads)
    {
        FOR(n, vectors) sum[i][n] = v16_load(sums + i * s->width + 16 * n);
    }
    for (int64_t j = 0; j < rows; j++) {
        const void *row = element(v, a->kv_type, j * a->ldv);
        FOR(n, vectors) value[n] = load_lanes(row, a->kv_type, 16 * n, dim);
        FOR(i, heads)
        {
            const struct v16 x = v16_set(e[i * s->span + j]);
            FOR(n, vectors) sum[i][n] = v16_fma(x, value[n], sum[i][n]);
        }
    }
    FOR(i, heads)
    {
        FOR(n, vectors) v16_store(sums + i * s->width + 16 * n, sum[i][n]);
    }
}

/* Head i of the state, and with it three more where there are so many; `rows` values from key j of the block.
 */
static void decode_tile(const struct head *h, const void *v, int64_t rows, const float *e, int64_t i,
                        int64_t heads)
{
    const int64_t dim = h->args->head_dim, width = h->scratch.width;
    float *sums = h->scratch.sums + i * width;
    for (int64_t d = 0; d < width;) {
        const bool wide = dim - d >= 16 * DECODE_VECTORS, four = heads == DECODE_TILE;
        const void *at = element(v, h->args->kv_type, d);
        if (wide && four)
            decode_sums(h, at, rows, e, sums + d, dim - d, DECODE_TILE, DECODE_VECTORS);
        else if (wide)
            decode_sums(h, at, rows, e, sums + d, dim - d, 1, DECODE_VECTORS);
        else if (four)
            decode_sums(h, at, rows, e, sums + d, dim - d, DECODE_TILE, 1);
        else
            decode_sums(h, at, rows, e, sums + d, dim - d, 1, 1);
        d += wide ? 16 * DECODE_VECTORS : 16;
    }
}

/* All heads over the values of keys [lo, hi) of a block. */
static void decode_weigh(const struct head *h, const struct key_block *b, int64_t heads, int64_t lo,
                         int64_t hi)
{
    enum { ROWS = 32 };
    const struct ech_attention_args *a = h->args;
    const struct scratch *s = &h->scratch;
    for (int64_t j = lo; j < hi; j += ROWS) {
        const int64_t rows = hi - j < ROWS ? hi - j : ROWS,
                      next = hi - j - rows < ROWS ? hi - j - rows : ROWS;
        const void *v =
            element(a->v, a->kv_type, (h->key + b->first + j) * a->ldv + h->kv_head * a->head_dim);
        decode_ask(h, a->v, a->ldv, b->first + j + rows, next);
        for (int64_t i = 0, some; i < heads; i += some) {
            some = heads - i >= DECODE_TILE ? DECODE_TILE : 1;
            decode_tile(h, v, rows, s->scores + i * s->span + j, i, some);
        }
    }
}

/* Raw sums of head `h->head` + i become exponentials. */
static void decode_soften(const struct head *h, const struct key_block *b, int64_t i, int64_t lo, int64_t hi)
{
    struct head one = *h;
    one.head += i;
    one.scratch.scores += i * h->scratch.span;
    one.scratch.tops += 16 * i;
    struct piece p = {.head = &one, .block = b, .rows = 1, .state = i, .resume = true};
    piece_ranges(&p);
    v16_store(one.scratch.tops, v16_set(-INFINITY));
    for (int64_t j = lo / 16 * 16; j < hi; j += 16 * GROUP)
        dress(&p, j, (hi - j < 16 * GROUP ? up(hi - j, 16) : 16 * GROUP) / 16);
    soften(&p);
}

/* The heads of one group over all keys that the query sees. */
static void attend_one(struct head *h, int64_t first, int64_t heads)
{
    int64_t from, to;
    visible(h->args, h->keys - 1, h->keys, &from, &to);
    begin_rows(&h->scratch, 0, heads, true);
    h->head = first;
    for (int64_t j = from / ECH_KEY_BLOCK * ECH_KEY_BLOCK; j < to; j += ECH_KEY_BLOCK) {
        const int64_t left = h->keys - j, lo = clamp(from - j, 0, ECH_KEY_BLOCK),
                      hi = clamp(to - j, 0, ECH_KEY_BLOCK);
        const struct key_block b = {.first = j, .keys = left < ECH_KEY_BLOCK ? left : ECH_KEY_BLOCK};
        decode_scores(h, &b, heads, lo / 16 * 16, hi);
        for (int64_t i = 0; i < heads; i++)
            decode_soften(h, &b, i, lo, hi);
        decode_weigh(h, &b, heads, lo, hi);
    }
    for (int64_t i = 0; i < heads; i++) {
        h->head = first + i;
        finish_rows(h, 0, 1, i);
    }
}

static void attend_query(struct head *h)
{
    for (int64_t head = h->head_first, left; (left = h->head_end - head) > 0; head += DECODE_HEADS)
        attend_one(h, head, left < DECODE_HEADS ? left : DECODE_HEADS);
}

#endif
