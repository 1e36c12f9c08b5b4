/* What decoders add: rows combined, the recurrence's step, norms by head, keys in a cache. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"
#include "rows_support.h"

/* mode: take + 5 * (weights) + 10 * (add). */
static int call_combine(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    const int64_t take = mode % 5, x_rows = 7;
    struct buffer x = buffer_make(x_rows, in->cols, in->cols + 1);
    int32_t index[64];
    float weight[64];
    for (int64_t r = 0; r < x_rows; r++)
        for (int64_t c = 0; c < in->cols; c++)
            buffer_row(&x, r)[c] = (float)((r * 37 + c * 11) % 64) / 32 - 1;
    for (int i = 0; i < 64; i++) {
        index[i] = i * 5 % 7;
        weight[i] = (float)(i % 9) / 8;
    }
    const struct ech_combine_args a = {.size = sizeof a,
                                       .rows = in->rows,
                                       .cols = in->cols,
                                       .take = take,
                                       .x_rows = x_rows,
                                       .x = x.x,
                                       .ldx = x.ld,
                                       .index = index,
                                       .weight = mode / 5 % 2 ? weight : NULL,
                                       .add = mode / 10,
                                       .y = out->x,
                                       .ldy = out->ld};
    const int rc = ops->combine(NULL, &a);
    buffer_free(&x);
    return rc;
}

static void combine_refused(const struct ech_ops *ops)
{
    float x[4] = {1, 2, 3, 4}, y[2] = {5, 6};
    int32_t index[1] = {2};
    struct ech_combine_args a = {.size = sizeof a,
                                 .rows = 1,
                                 .cols = 2,
                                 .take = 1,
                                 .x_rows = 2,
                                 .x = x,
                                 .ldx = 2,
                                 .index = index,
                                 .y = y,
                                 .ldy = 2};
    CHECK(ops->combine(NULL, &a) == ECH_OP_SHAPE, "%s: an index of no row", ops->name);
    index[0] = -1;
    CHECK(ops->combine(NULL, &a) == ECH_OP_SHAPE, "%s: an index below 0", ops->name);
    index[0] = 1;
    CHECK(ops->combine(NULL, &a) == ECH_OP_OK && y[0] == 3 && y[1] == 4, "%s: a row gathered", ops->name);
    a.ldy = 1;
    CHECK(ops->combine(NULL, &a) == ECH_OP_SHAPE, "%s: rows of y that overlap", ops->name);
    CHECK(ops->combine(NULL, NULL) == ECH_OP_SHAPE, "%s: no arguments", ops->name);
}

void test_combine(void)
{
    for (int mode = 0; mode < 20; mode++)
        compare_all(&(struct row_test){"combine", call_combine, 1e-12, false, false}, mode, 2);
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        if (usable(*o))
            combine_refused(*o);
}

/* mode: 0: y apart; 1: y is x; 2: y is forget; the cell is checked too. `in` is forget; x is it turned round.
 */
static int call_ssru(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    struct buffer x = buffer_make(in->rows, in->cols, in->cols + 2), cell = copy_of(in), forget = copy_of(in);
    for (int64_t r = 0; r < in->rows; r++)
        for (int64_t c = 0; c < in->cols; c++)
            buffer_row(&x, r)[c] = buffer_row(in, r)[in->cols - 1 - c];
    const struct buffer *to = mode == 1 ? &x : mode == 2 ? &forget : out;
    const struct ech_ssru_args a = {.size = sizeof a,
                                    .rows = in->rows,
                                    .cols = in->cols,
                                    .forget = forget.x,
                                    .x = x.x,
                                    .ldf = forget.ld,
                                    .ldx = x.ld,
                                    .cell = cell.x,
                                    .ldc = cell.ld,
                                    .y = to->x,
                                    .ldy = to->ld};
    const int rc = ops->ssru(NULL, &a);
    buffer_check(&x, "ssru: x"), buffer_check(&cell, "ssru: cell"), buffer_check(&forget, "ssru: forget");
    for (int64_t r = 0; r < in->rows; r++)
        for (int64_t c = 0; c < in->cols; c++) {
            const float y = buffer_row(to, r)[c], state = buffer_row(&cell, r)[c];
            CHECK(y == (state > 0 ? state : 0), "%s: y %g of the cell %g", ops->name, (double)y,
                  (double)state);
            buffer_row(out, r)[c] = state;
        }
    buffer_free(&x), buffer_free(&cell), buffer_free(&forget);
    return rc;
}

void test_ssru(void)
{
    for (int mode = 0; mode < 3; mode++)
        compare_all(&(struct row_test){"ssru", call_ssru, 1e-11, false, true}, mode, 4);
}

/* mode & 1: without content; 2: without position. The distances of a row fall into few columns, some twice.
 */
struct relative {
    struct buffer content, position, y;
    int32_t index[79]; /* centre 39 */
    struct ech_relative_args args;
};

static void relative_make(struct relative *r, int64_t rows, int64_t cols, int mode)
{
    r->content = buffer_make(rows, cols, cols + 1), r->position = buffer_make(rows, cols, cols + 3);
    r->y = buffer_make(rows, rows, rows + 2);
    random_seed(5);
    buffer_random(&r->content, 2), buffer_random(&r->position, 2);
    for (int i = 0; i < 79; i++)
        r->index[i] = (int32_t)(i * cols / 79);
    r->args = (struct ech_relative_args){.size = sizeof r->args,
                                         .rows = rows,
                                         .cols = cols,
                                         .content = mode & 1 ? NULL : r->content.x,
                                         .position = mode & 2 ? NULL : r->position.x,
                                         .ldc = r->content.ld,
                                         .ldp = r->position.ld,
                                         .index = r->index,
                                         .centre = 39,
                                         .scale = 0.3f,
                                         .y = r->y.x,
                                         .ldy = r->y.ld};
}

static void relative_free(struct relative *r)
{
    buffer_free(&r->content), buffer_free(&r->position), buffer_free(&r->y);
}

static void relative_case(const struct ech_ops *ops, int64_t rows, int64_t cols, int mode)
{
    struct relative r, want;
    relative_make(&r, rows, cols, mode), relative_make(&want, rows, cols, mode);
    CHECK(ops->relative(NULL, &r.args) == ECH_OP_OK, "%s: relative", ops->name);
    buffer_check(&r.y, ops->name);
    CHECK(named("ref")->relative(NULL, &want.args) == ECH_OP_OK, "ref: relative");
    close_enough(&r.y, &want.y, 1e-13, ops->name);
    CHECK(named("ref_exact")->relative(NULL, &want.args) == ECH_OP_OK, "ref_exact: relative");
    if (exact(ops))
        same_bits(&r.y, &want.y, ops->name);
    if (rows > 2) { /* one element by hand */
        const float *c = buffer_row(&r.content, 2), *p = buffer_row(&r.position, 1);
        const int32_t d = r.index[39 + 1];
        const float sum = (mode & 1 ? 0 : c[d]) + (mode & 2 ? 0 : p[d]);
        CHECK(fabsf(buffer_row(&r.y, 2)[1] - sum * 0.3f) < 1e-6f, "%s: query 2, key 1", ops->name);
    }
    relative_free(&r), relative_free(&want);
}

static void relative_refused(const struct ech_ops *ops)
{
    struct relative r;
    relative_make(&r, 4, 6, 0);
    struct ech_relative_args a = r.args;
    a.content = a.position = NULL;
    CHECK(ops->relative(NULL, &a) == ECH_OP_SHAPE, "%s: neither half", ops->name);
    a = r.args, a.centre = 2;
    CHECK(ops->relative(NULL, &a) == ECH_OP_SHAPE, "%s: too few distances", ops->name);
    a = r.args, a.ldy = 3;
    CHECK(ops->relative(NULL, &a) == ECH_OP_SHAPE, "%s: rows of y that overlap", ops->name);
    r.index[39 - 3] = 6;
    CHECK(ops->relative(NULL, &r.args) == ECH_OP_SHAPE, "%s: a distance outside", ops->name);
    r.index[39 - 3] = -1;
    CHECK(ops->relative(NULL, &r.args) == ECH_OP_SHAPE, "%s: a distance below 0", ops->name);
    CHECK(ops->relative(NULL, NULL) == ECH_OP_SHAPE, "%s: no arguments", ops->name);
    relative_free(&r);
}

void test_relative(void)
{
    static const int64_t ROWS[] = {0, 1, 5, 16, 17, 40};
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        if (usable(*o)) {
            for (int i = 0; i < 18; i++)
                relative_case(*o, ROWS[i % 6], i % 2 ? 8 : 33, i / 6);
            relative_refused(*o);
        }
}

/* Norms by head are the norms of each head's rows. */
static void parts_case(const struct ech_ops *ops, int64_t rows, int64_t parts, int64_t cols, bool rms)
{
    struct buffer x = buffer_make(rows, parts * cols, parts * cols + 3), y = copy_of(&x), want = copy_of(&x);
    struct buffer gain = buffer_make(1, cols, cols);
    buffer_random(&x, 2), buffer_random(&gain, 1);
    struct ech_norm_args a = {.size = sizeof a,
                              .rows = rows,
                              .cols = cols,
                              .x = x.x,
                              .ldx = x.ld,
                              .gain = gain.x,
                              .eps = 1e-6f,
                              .y = y.x,
                              .ldy = y.ld,
                              .kind = rms ? ECH_NORM_RMS : ECH_NORM_LAYER,
                              .parts = parts};
    CHECK(ops->norm(NULL, &a) == ECH_OP_OK, "%s: norm by parts", ops->name);
    buffer_check(&y, ops->name);
    a.parts = 0;
    for (int64_t p = 0; p < parts; p++) {
        a.x = x.x + p * cols, a.y = want.x + p * cols;
        CHECK(ops->norm(NULL, &a) == ECH_OP_OK, "%s: norm of a part", ops->name);
    }
    same_bits(&y, &want, ops->name);
    uint16_t half[4];
    a.also = half, a.also_type = ECH_A_BF16, a.ld_also = 4, a.parts = 2;
    CHECK(ops->norm(NULL, &a) == ECH_OP_SHAPE, "%s: parts and a second form", ops->name);
    a.also = NULL, a.parts = -1;
    CHECK(ops->norm(NULL, &a) == ECH_OP_SHAPE, "%s: parts below 0", ops->name);
    buffer_free(&x), buffer_free(&y), buffer_free(&want), buffer_free(&gain);
}

void test_norm_parts(void)
{
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (int rms = 0; usable(*o) && rms < 2; rms++) {
            parts_case(*o, 1, 4, 256, rms);
            parts_case(*o, 7, 2, 20, rms);
            parts_case(*o, 2, 9, 33, rms);
            parts_case(*o, 5, 5, 1, rms);
        }
}

/* Sequences whose keys lie in a cache: in any order, with room behind each that must not be read. */
enum { SEQUENCES = 4, ROOM = 40 };

struct cache_case {
    int64_t queries[SEQUENCES], keys[SEQUENCES], heads, kv_heads, head_dim, window;
    enum ech_atype kv_type;
};

static struct matrix attend(const struct ech_ops *ops, const struct cache_case *c, const struct matrix *q,
                            const struct matrix *k, const struct matrix *v, const int64_t *starts,
                            const int64_t *key_starts, const int64_t *counts, int threads)
{
    struct matrix out = matrix_make(ECH_A_F32, q->rows, c->heads * c->head_dim, 1);
    const size_t bytes = ops->attention_workspace(ECH_FMT_F32, 2000, c->head_dim, threads);
    struct ech_queue *queue = queue_open_team(ops, bytes, threads);
    const struct ech_attention_args a = {.size = sizeof a,
                                         .sequences = SEQUENCES,
                                         .heads = c->heads,
                                         .kv_heads = c->kv_heads,
                                         .head_dim = c->head_dim,
                                         .starts = starts,
                                         .q = q->x,
                                         .k = k->x,
                                         .v = v->x,
                                         .ldq = q->ld,
                                         .ldk = k->ld,
                                         .ldv = v->ld,
                                         .scale = 0.3f,
                                         .causal = true,
                                         .window = c->window,
                                         .out = out.x,
                                         .ldo = out.ld,
                                         .key_starts = key_starts,
                                         .kv_type = c->kv_type,
                                         .key_counts = counts};
    CHECK(ops->attention(queue, &a) == ECH_OP_OK, "%s: attention", ops->name);
    matrix_check(&out, ops->name);
    ech_queue_close(queue);
    return out;
}

static void cache_case(const struct ech_ops *ops, const struct cache_case *c)
{
    static const int order[SEQUENCES] = {2, 0, 3, 1};
    int64_t starts[SEQUENCES + 1] = {0}, packed[SEQUENCES + 1] = {0}, places[SEQUENCES], all = 0;
    for (int s = 0; s < SEQUENCES; s++) {
        starts[s + 1] = starts[s] + c->queries[s];
        packed[s + 1] = packed[s] + c->keys[s];
    }
    for (int s = 0; s < SEQUENCES; s++) {
        places[order[s]] = all;
        all += c->keys[order[s]] + ROOM;
    }
    const int64_t narrow = c->kv_heads * c->head_dim;
    struct matrix q = matrix_make(ECH_A_F32, starts[SEQUENCES], c->heads * c->head_dim, 0);
    struct matrix kv[2], cache[2];
    matrix_random(&q, 2);
    for (int i = 0; i < 2; i++) {
        kv[i] = matrix_make(c->kv_type, packed[SEQUENCES], narrow, 0);
        cache[i] = matrix_make(c->kv_type, all, narrow, 2);
        matrix_random(&kv[i], 1);
        for (int64_t r = 0; r < all; r++) /* NaNs in both types */
            memset(matrix_row(&cache[i], r), 0xff, (size_t)narrow * ech_atype_bytes(c->kv_type));
        for (int s = 0; s < SEQUENCES; s++)
            for (int64_t j = 0; j < c->keys[s]; j++)
                memcpy(matrix_row(&cache[i], places[s] + j), matrix_row(&kv[i], packed[s] + j),
                       (size_t)narrow * ech_atype_bytes(c->kv_type));
    }
    struct matrix want = attend(ops, c, &q, &kv[0], &kv[1], starts, packed, NULL, 1);
    for (int threads = 1; threads <= 3; threads++) {
        struct matrix got = attend(ops, c, &q, &cache[0], &cache[1], starts, places, c->keys, threads);
        matrix_same(&got, &want, ops->name);
        matrix_free(&got);
    }
    matrix_free(&q), matrix_free(&want);
    for (int i = 0; i < 2; i++)
        matrix_free(&kv[i]), matrix_free(&cache[i]);
}

void test_attention_cache(void)
{
    static const struct cache_case CASES[] = {
        {{1, 1, 1, 1}, {5, 700, 1, 1100}, 8, 2, 20, 0, ECH_A_F32},
        {{1, 1, 0, 1}, {513, 9, 0, 1024}, 4, 1, 256, 0, ECH_A_BF16},
        {{3, 1, 20, 2}, {40, 1, 600, 2}, 2, 2, 33, 0, ECH_A_BF16},
        {{1, 5, 1, 1}, {900, 900, 3, 514}, 4, 1, 64, 300, ECH_A_F32},
        {{1, 1, 1, 1}, {31, 32, 33, 1500}, 12, 3, 16, 40, ECH_A_BF16},
    };
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (size_t i = 0; usable(*o) && i < sizeof CASES / sizeof CASES[0]; i++)
            cache_case(*o, &CASES[i]);
}
