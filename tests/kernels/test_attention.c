/* Attention over packed sequences: every backend against ref and ref_exact over shapes, types, masks and what
 * is added to scores; hostile numbers; a sequence moved; a team of threads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"

enum { SEQUENCES = 4 };

struct attention_case {
    int64_t queries[SEQUENCES], keys[SEQUENCES]; /* of the sequences; keys[0] = -1: as many as queries */
    int64_t heads, kv_heads, head_dim;
    bool causal;
    int64_t window;
    const char *scores; /* b: bias, a: ALiBi, c: softcap */
    int64_t pad;
};

#define SAME                                                                                                 \
    {                                                                                                        \
        -1                                                                                                   \
    }

/* 512 keys are a block, 64 a panel, 16 a vector; 24 queries a step, 6 to 12 a tile, 192 a state. */
static const struct attention_case CASES[] = {
    {{0, 0, 0, 0}, SAME, 2, 2, 4, false, 0, "", 0},
    {{1, 0, 2, 3}, SAME, 1, 1, 1, false, 0, "", 0},
    {{5, 1, 7, 16}, SAME, 2, 2, 8, false, 0, "c", 0},
    {{5, 1, 7, 16}, SAME, 2, 1, 10, true, 0, "", 1},
    {{17, 15, 0, 33}, SAME, 3, 1, 12, true, 0, "bac", 0},
    {{23, 24, 25, 1}, SAME, 4, 2, 15, false, 0, "b", 3},
    {{23, 24, 25, 1}, SAME, 4, 2, 16, false, 3, "a", 0},
    {{63, 64, 65, 2}, SAME, 2, 2, 32, false, 0, "", 0},
    {{63, 64, 65, 2}, SAME, 2, 1, 33, true, 0, "b", 0},
    {{63, 64, 65, 2}, SAME, 2, 1, 32, true, 7, "", 2},
    {{130, 3, 0, 0}, SAME, 2, 2, 64, false, 20, "", 5},
    {{100, 12, 6, 13}, SAME, 2, 2, 20, true, 1, "a", 0},
    {{49, 0, 0, 0}, SAME, 1, 1, 100, true, 0, "b", 0},
    {{50, 9, 0, 31}, SAME, 1, 1, 80, false, 0, "c", 0},
    {{70, 9, 0, 0}, SAME, 1, 1, 128, true, 0, "", 1},
    {{511, 512, 0, 1}, SAME, 1, 1, 8, true, 0, "", 0},
    {{513, 3, 0, 0}, SAME, 1, 1, 4, false, 0, "ba", 0},
    {{1025, 0, 0, 0}, SAME, 1, 1, 2, true, 0, "", 0},
    {{1025, 0, 0, 0}, SAME, 2, 1, 3, false, 70, "", 0},
    {{1025, 0, 0, 0}, SAME, 1, 1, 4, true, 600, "ac", 0},
    /* keys of their own: none, fewer, many; a decoder's step */
    {{1, 3, 2, 5}, {1, 700, 4, 0}, 2, 2, 20, false, 0, "", 1},
    {{5, 40, 1, 2}, {3, 20, 0, 9}, 2, 1, 32, true, 0, "a", 0},
    {{5, 40, 1, 2}, {3, 20, 0, 9}, 2, 1, 8, true, 4, "", 0},
    {{1, 1, 1, 1}, {513, 1024, 7, 1100}, 8, 2, 20, true, 0, "b", 0},
    {{3, 1, 26, 2}, {1030, 600, 530, 5}, 10, 1, 8, false, 0, "c", 3},
    {{30, 1, 0, 3}, {900, 513, 2, 514}, 3, 3, 16, true, 300, "a", 0},
};
enum { CASE_COUNT = sizeof CASES / sizeof CASES[0] };

struct kinds {
    enum ech_format compute;
    enum ech_atype q, kv, out;
};

static const struct kinds KINDS[] = {
    {ECH_FMT_F32, ECH_A_F32, ECH_A_F32, ECH_A_F32},    {ECH_FMT_F32, ECH_A_F32, ECH_A_BF16, ECH_A_F32},
    {ECH_FMT_BF16, ECH_A_F32, ECH_A_F32, ECH_A_F32},   {ECH_FMT_BF16, ECH_A_BF16, ECH_A_BF16, ECH_A_F32},
    {ECH_FMT_BF16, ECH_A_F32, ECH_A_BF16, ECH_A_BF16}, {ECH_FMT_BF16, ECH_A_BF16, ECH_A_F32, ECH_A_BF16},
};
enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

/* bf16: an exponential and an output are each off by up to 2^-9, whose square is 3.8e-6. Twice that for both,
 * and twice again for sums that cancel; a handful of results may all cancel far more. */
static double bound_of(const struct kinds *k, const struct attention_case *c)
{
    int64_t results = 0;
    for (int s = 0; s < SEQUENCES; s++)
        results += c->queries[s] * c->heads * c->head_dim;
    return k->compute == ECH_FMT_F32 ? 1e-11 : results < 64 ? 1e-4 : 1.6e-5;
}

struct attention_data {
    struct matrix q, k, v, bias;
    int64_t starts[SEQUENCES + 1], key_starts[SEQUENCES + 1], longest;
    float slopes[16];
};

static int64_t keys_of(const struct attention_case *c, int s)
{
    return c->keys[0] < 0 ? c->queries[s] : c->keys[s];
}

static struct attention_data make_data(const struct attention_case *c, const struct kinds *k)
{
    struct attention_data d = {.longest = 0};
    for (int s = 0; s < SEQUENCES; s++) {
        int64_t keys = keys_of(c, s), most = keys > c->queries[s] ? keys : c->queries[s];
        d.starts[s + 1] = d.starts[s] + c->queries[s];
        d.key_starts[s + 1] = d.key_starts[s] + keys;
        d.longest = most > d.longest ? most : d.longest;
    }
    int64_t wide = c->heads * c->head_dim, narrow = c->kv_heads * c->head_dim;
    d.q = matrix_make(k->q, d.starts[SEQUENCES], wide, c->pad);
    d.k = matrix_make(k->kv, d.key_starts[SEQUENCES], narrow, 2 * c->pad);
    d.v = matrix_make(k->kv, d.key_starts[SEQUENCES], narrow, c->pad);
    d.bias =
        matrix_make(ECH_A_F32, strchr(c->scores, 'b') ? c->heads * (d.longest + 1) : 0, d.longest + 1, 0);
    matrix_random(&d.q, 2), matrix_random(&d.k, 2), matrix_random(&d.v, 1), matrix_random(&d.bias, 1);
    for (int h = 0; h < 16; h++)
        d.slopes[h] = 0.05f / (float)(h + 1);
    return d;
}

static void free_data(struct attention_data *d)
{
    matrix_free(&d->q), matrix_free(&d->k), matrix_free(&d->v), matrix_free(&d->bias);
}

static struct ech_attention_args args_of(const struct attention_case *c, const struct kinds *k,
                                         const struct attention_data *d, const struct matrix *out)
{
    return (struct ech_attention_args){.size = sizeof(struct ech_attention_args),
                                       .sequences = SEQUENCES,
                                       .heads = c->heads,
                                       .kv_heads = c->kv_heads,
                                       .head_dim = c->head_dim,
                                       .starts = d->starts,
                                       .key_starts = c->keys[0] < 0 ? NULL : d->key_starts,
                                       .q = d->q.x,
                                       .k = d->k.x,
                                       .v = d->v.x,
                                       .ldq = d->q.ld,
                                       .ldk = d->k.ld,
                                       .ldv = d->v.ld,
                                       .bias = strchr(c->scores, 'b') ? d->bias.x : NULL,
                                       .bias_span = d->longest + 1,
                                       .slopes = strchr(c->scores, 'a') ? d->slopes : NULL,
                                       .softcap = strchr(c->scores, 'c') ? 3.0f : 0.0f,
                                       .scale = 0.3f,
                                       .causal = c->causal,
                                       .window = c->window,
                                       .out = out->x,
                                       .ldo = out->ld,
                                       .compute = k->compute,
                                       .q_type = k->q,
                                       .kv_type = k->kv,
                                       .out_type = k->out};
}

static struct matrix run_case(const struct ech_ops *ops, const struct attention_case *c,
                              const struct kinds *k, const struct attention_data *d, const char *what)
{
    struct matrix out = matrix_make(k->out, d->starts[SEQUENCES], c->heads * c->head_dim, c->pad);
    size_t bytes = (ops->attention_workspace(k->compute, d->longest, c->head_dim, 1) + 63) / 64 * 64;
    char *work = aligned_alloc(64, bytes + 64);
    memset(work, 0xff, bytes + 64); /* NaNs: nothing may be read before it is written */
    struct ech_attention_args a = args_of(c, k, d, &out);
    a.workspace = work;
    int rc = ops->attention(NULL, &a);
    CHECK(rc == ECH_OP_OK, "%s: status %d", what, rc);
    matrix_check(&out, what);
    for (size_t i = bytes; i < bytes + 64; i++)
        CHECK(work[i] == (char)0xff, "%s: wrote past its workspace", what);
    free(work);
    return out;
}

static void matrix_close(const struct matrix *got, const struct matrix *want, double bound, const char *what)
{
    double error = 0, norm = 0;
    for (int64_t r = 0; r < got->rows; r++)
        for (int64_t c = 0; c < got->cols; c++) {
            double x = (double)matrix_get(got, r, c), y = (double)matrix_get(want, r, c);
            if (!isfinite(x) || !isfinite(y)) {
                if (!(isnan(x) && isnan(y)) && x != y) {
                    fail("%s: %g at (%lld, %lld), expected %g", what, x, (long long)r, (long long)c, y);
                    return;
                }
                continue;
            }
            error += (x - y) * (x - y);
            norm += y * y;
        }
    if (!(error <= bound * norm))
        fail("%s: normalised error %.3g, bound %.3g", what, norm > 0 ? error / norm : error, bound);
}

static void name_case(char *what, size_t bytes, const struct ech_ops *ops, const struct attention_case *c,
                      const struct kinds *k)
{
    snprintf(what, bytes, "%s attention %s q %d kv %d out %d, case %d: heads %d/%d dim %d%s window %d '%s'",
             ops->name, ech_ops_format_name(k->compute), (int)k->q, (int)k->kv, (int)k->out, (int)(c - CASES),
             (int)c->heads, (int)c->kv_heads, (int)c->head_dim, c->causal ? " causal" : "", (int)c->window,
             c->scores);
}

/* bound 0: bits alone. */
static void compare_case(const struct attention_case *c, const struct kinds *k,
                         const struct attention_data *d, double bound)
{
    struct matrix want = {.base = NULL};
    if (bound > 0)
        want = run_case(named("ref"), c, k, d, "ref attention");
    struct matrix bits = run_case(named("ref_exact"), c, k, d, "ref_exact attention");
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o) || *o == named("ref"))
            continue;
        char what[200];
        name_case(what, sizeof what, *o, c, k);
        struct matrix out = *o == named("ref_exact") ? bits : run_case(*o, c, k, d, what);
        if (bound > 0)
            matrix_close(&out, &want, bound, what);
        if (same_class(*o, k->compute))
            matrix_same(&out, &bits, what);
        if (out.base != bits.base)
            matrix_free(&out);
    }
    matrix_free(&want), matrix_free(&bits);
}

static bool small(const struct attention_case *c)
{
    for (int s = 0; s < SEQUENCES; s++)
        if (c->queries[s] > 200)
            return false;
    return true;
}

void test_attention(void)
{
    for (int i = 0; i < CASE_COUNT; i++)
        for (int k = 0; k < KIND_COUNT; k++) {
            if (!small(&CASES[i]) && k > 1 && k != 2 + i % 3)
                continue;
            struct attention_data d = make_data(&CASES[i], &KINDS[k]);
            compare_case(&CASES[i], &KINDS[k], &d, bound_of(&KINDS[k], &CASES[i]));
            free_data(&d);
        }
}

static void put(struct matrix *m, int64_t row, int64_t col, float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (row < 0 || row >= m->rows)
        return;
    if (m->type == ECH_A_F32)
        ((float *)matrix_row(m, row))[col] = x;
    else
        ((uint16_t *)matrix_row(m, row))[col] = (uint16_t)(u >> 16);
}

/* A NaN, infinities, a query whose scores are all -inf: where a row must not look, and where it must. */
static void spoil(const struct attention_case *c, struct attention_data *d, int turn)
{
    int64_t last = d->key_starts[1] - 1, middle = last / 2, dim = c->head_dim - 1;
    if (turn == 0) {
        put(&d->v, last, 0, INFINITY);
        put(&d->k, last, dim, NAN);
        put(&d->v, last - 1, dim, NAN);
    } else if (turn == 1) {
        put(&d->v, 0, 0, -INFINITY);
        put(&d->v, middle, dim, INFINITY);
        put(&d->v, middle + 1, dim, INFINITY);
    } else {
        put(&d->k, middle, 0, INFINITY);
        put(&d->q, d->starts[1] - 1, 0, NAN);
        put(&d->q, 1, dim, INFINITY);
    }
    for (int64_t j = 0; j < d->bias.cols && d->bias.rows > 1; j++)
        put(&d->bias, 1, j, -INFINITY); /* position 1 of head 0 sees nothing */
}

void test_attention_special(void)
{
    for (int i = 0; i < CASE_COUNT; i++)
        for (int turn = 0; turn < 3; turn++) {
            const struct kinds *k = &KINDS[(i + turn) % KIND_COUNT];
            struct attention_data d = make_data(&CASES[i], k);
            spoil(&CASES[i], &d, turn);
            compare_case(&CASES[i], k, &d, bound_of(k, &CASES[i]));
            free_data(&d);
        }
}

/* Values whose products are denormal, scores far apart, growing maxima over blocks: the same bits still. */
void test_attention_hostile(void)
{
    static const float VALUES[] = {1e-38f, 1e-37f, 1e30f}, KEYS[] = {2, 60, 1e-20f};
    for (int i = 0; i < CASE_COUNT; i++)
        for (int turn = 0; turn < 3; turn++) {
            if (!small(&CASES[i]) && turn != i % 3)
                continue;
            const struct kinds *k = &KINDS[(i + turn) % KIND_COUNT];
            struct attention_data d = make_data(&CASES[i], k);
            matrix_random(&d.v, VALUES[turn]);
            matrix_random(&d.k, KEYS[turn]);
            compare_case(&CASES[i], k, &d, 0);
            free_data(&d);
        }
}

/* A sequence alone, and between others: the same bits. Its queue's scratch serves where none is given. */
static void moved_case(const struct ech_ops *ops, const struct kinds *k, int64_t length, bool causal)
{
    enum { HEADS = 2, DIM = 20, WIDE = HEADS * DIM, BEFORE = 19, AFTER = 70 };
    int64_t tokens = BEFORE + length + AFTER, starts[] = {0, BEFORE, BEFORE + length, tokens},
            own[] = {0, length};
    struct matrix q = matrix_make(k->q, tokens, WIDE, 0), kv = matrix_make(k->kv, tokens, 2 * WIDE, 0);
    struct matrix out = matrix_make(k->out, tokens, WIDE, 0), alone = matrix_make(k->out, length, WIDE, 0);
    matrix_random(&q, 2), matrix_random(&kv, 2);
    struct ech_queue *queue =
        queue_open(ops, ops->attention_workspace(k->compute, length > AFTER ? length : AFTER, DIM, 1));
    struct ech_attention_args a = {.size = sizeof a,
                                   .sequences = 3,
                                   .heads = HEADS,
                                   .kv_heads = HEADS,
                                   .head_dim = DIM,
                                   .starts = starts,
                                   .q = q.x,
                                   .k = kv.x,
                                   .v = (char *)kv.x + WIDE * ech_atype_bytes(k->kv),
                                   .ldq = q.ld,
                                   .ldk = kv.ld,
                                   .ldv = kv.ld,
                                   .scale = 0.2f,
                                   .causal = causal,
                                   .out = out.x,
                                   .ldo = WIDE,
                                   .compute = k->compute,
                                   .q_type = k->q,
                                   .kv_type = k->kv,
                                   .out_type = k->out};
    CHECK(ops->attention(queue, &a) == ECH_OP_OK, "%s: attention", ops->name);
    a.sequences = 1, a.starts = own, a.out = alone.x;
    a.q = matrix_row(&q, BEFORE), a.k = matrix_row(&kv, BEFORE);
    a.v = (const char *)a.k + WIDE * ech_atype_bytes(k->kv);
    CHECK(ops->attention(queue, &a) == ECH_OP_OK, "%s: attention", ops->name);
    struct matrix moved = out;
    moved.rows = length, moved.x = matrix_row(&out, BEFORE);
    char what[100];
    snprintf(what, sizeof what, "%s: a sequence of %d rows moved", ops->name, (int)length);
    matrix_same(&moved, &alone, what);
    ech_queue_close(queue);
    matrix_free(&q), matrix_free(&kv), matrix_free(&out), matrix_free(&alone);
}

void test_attention_moved(void)
{
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (int64_t length = 1; usable(*o) && length < 100; length += length < 4 ? 1 : 31)
            for (int k = 0; k < KIND_COUNT; k++)
                moved_case(*o, &KINDS[k], length, (k + length) % 2);
}

/* A team gives the bits of one thread, and asks for no more than its workspace says. */
static void team_case(const struct ech_ops *ops, const struct attention_case *c, const struct kinds *k,
                      int threads)
{
    struct attention_data d = make_data(c, k);
    struct matrix one = run_case(ops, c, k, &d, "one thread");
    struct matrix all = matrix_make(k->out, d.starts[SEQUENCES], c->heads * c->head_dim, c->pad);
    struct ech_attention_args a = args_of(c, k, &d, &all);
    size_t bytes = ops->attention_workspace(k->compute, d.longest, c->head_dim, threads);
    struct ech_queue *queue = queue_open_team(ops, bytes, threads);
    char what[200];
    name_case(what, sizeof what, ops, c, k);
    CHECK(ops->attention(queue, &a) == ECH_OP_OK, "team: %s", what);
    matrix_same(&all, &one, what);
    matrix_check(&all, what);
    ech_queue_close(queue);
    matrix_free(&one), matrix_free(&all);
    free_data(&d);
}

/* Fewer heads of keys than threads: the heads that share them are divided, then the queries. */
static const struct attention_case SHARED[] = {
    {{150, 0, 0, 0}, SAME, 4, 1, 33, true, 0, "", 0},
    {{140, 30, 0, 1}, SAME, 3, 1, 32, true, 40, "a", 1},
    {{530, 0, 0, 0}, SAME, 2, 1, 8, true, 0, "", 0},
    {{60, 0, 0, 0}, {700, 0, 0, 0}, 5, 1, 16, true, 300, "c", 0},
    {{1, 0, 0, 0}, {1100, 0, 0, 0}, 8, 2, 64, true, 0, "", 0},
};

void test_attention_team(void)
{
    static const int threads[] = {2, 5, 16};
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        for (int i = 0; usable(*o) && i < CASE_COUNT; i += 3)
            team_case(*o, &CASES[i], &KINDS[i % KIND_COUNT], 3);
        for (size_t i = 0; usable(*o) && i < sizeof SHARED / sizeof SHARED[0]; i++)
            for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++)
                team_case(*o, &SHARED[i], &KINDS[i % KIND_COUNT], threads[t]);
    }
}
