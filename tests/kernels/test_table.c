/* The table itself: names, choice, refusals, queues; wrong shapes on every backend; NaN and infinity first.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

void test_table(void)
{
    char why[256] = "", line[512];
    const struct ech_ops *best = ech_ops_find("auto", why);
    CHECK(best && usable(best) && strcmp(best->name, "ref") != 0, "auto chose nothing usable");
    CHECK(ech_ops_find(NULL, why) == best, "NULL is not auto");
    CHECK(!ech_ops_find("quantum", why) && strstr(why, "'quantum'") && strstr(why, "ref_exact"),
          "an unknown name is not explained: %s", why);
    int count = 0;
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++, count++) {
        memset(why, 0, sizeof why);
        const struct ech_ops *found = ech_ops_find((*o)->name, why);
        CHECK(usable(*o) ? found == *o : !found && strstr(why, (*o)->available()), "find %s: %s", (*o)->name,
              why);
        CHECK((*o)->numerics[ECH_FMT_F32], "%s has no numerics class", (*o)->name);
    }
    CHECK(count >= 2, "the table holds %d backends", count);
    ech_ops_explain(line, sizeof line);
    CHECK(strstr(line, best->name) && strstr(line, best->numerics[ECH_FMT_F32]), "explained as: %s", line);
    char tiny[8];
    CHECK(strlen(ech_ops_explain(tiny, sizeof tiny)) < sizeof tiny, "explain overran 8 bytes");
    struct ech_queue *queue = queue_open(best, 100);
    CHECK(queue && (uintptr_t)ech_queue_workspace(queue) % 64 == 0, "the workspace is not aligned");
    CHECK(ech_queue_sync(queue) == ECH_OP_OK, "sync");
    ech_queue_close(queue);
    ech_queue_close(NULL);
    CHECK(!queue_open(best, SIZE_MAX) && !queue_open(NULL, 64), "a queue that cannot be was opened");
    CHECK(best->linear_packed_bytes(ECH_FMT_F32, -1, 4) == 0 &&
              best->linear_packed_bytes(ECH_FMT_F32, 4, 0) == 0,
          "bytes of nothing");
}

static void refused(const struct ech_ops *ops, int rc, const char *what)
{
    CHECK(rc == ECH_OP_SHAPE, "%s: %s gave status %d instead of ECH_OP_SHAPE", ops->name, what, rc);
}

static _Alignas(64) float memory[4096];
static const int32_t IDS[] = {0, 1, 2}, BAD_IDS[] = {0, 3, 1}, NEGATIVE_IDS[] = {0, -1, 1};

static void linear_shapes(const struct ech_ops *ops)
{
    const struct ech_linear_args good = {.size = sizeof good,
                                         .m = 2,
                                         .n = 3,
                                         .k = 4,
                                         .x = memory,
                                         .ldx = 4,
                                         .packed = memory + 64,
                                         .y = memory + 1024,
                                         .ldy = 3};
    struct ech_linear_args a = good;
#define WITH(change, what)                                                                                   \
    do {                                                                                                     \
        a = good;                                                                                            \
        change;                                                                                              \
        refused(ops, ops->linear(NULL, &a), "linear: " what);                                                \
    } while (0)
    WITH(a.size = 8, "a struct too small");
    WITH(a.m = -1, "m < 0");
    WITH(a.n = -1, "n < 0");
    WITH(a.k = -1, "k < 0");
    WITH(a.m = INT64_MAX, "m too large");
    WITH(a.ldx = 3, "ldx < k");
    WITH(a.ldy = 2, "ldy < n");
    WITH((a.residual = memory, a.ldr = 2), "ldr < n");
    WITH(a.x = NULL, "no x");
    WITH(a.y = NULL, "no y");
    WITH(a.packed = NULL, "no weights");
    WITH(a.act = (enum ech_act)99, "an unknown activation");
#undef WITH
    refused(ops, ops->linear(NULL, NULL), "linear: nothing");
    int rc = ops->linear(NULL, &good); /* a backend that needs scratch says so when there is none */
    size_t asked = ops->linear_workspace(ECH_FMT_F32, 2, 3, 4, 1);
    CHECK(rc == ECH_OP_OK || (asked && rc == ECH_OP_MEMORY), "%s: linear without a queue gave %d", ops->name,
          rc);
    refused(ops, ops->linear_pack(ECH_FMT_F32, memory, ECH_W_F32, 2, 2, memory, 2, 2),
            "pack: part beyond parts");
    refused(ops, ops->linear_pack(ECH_FMT_F32, memory, ECH_W_F32, 2, 2, memory, 0, 0), "pack: no parts");
    refused(ops, ops->linear_pack(ECH_FMT_F32, memory, ECH_W_F32, -2, 2, memory, 0, 1), "pack: n < 0");
    refused(ops, ops->linear_pack(ECH_FMT_F32, memory, (enum ech_wtype)7, 2, 2, memory, 0, 1),
            "pack: an unknown type");
    refused(ops, ops->linear_pack(ECH_FMT_F32, NULL, ECH_W_F32, 2, 2, memory, 0, 1), "pack: no weights");
}

static void attention_shapes(const struct ech_ops *ops)
{
    static const int64_t starts[] = {0, 2, 3}, falling[] = {0, 3, 2}, negative[] = {-1, 2, 3},
                         fewer[] = {0, 1, 2};
    const struct ech_attention_args good = {.size = sizeof good,
                                            .sequences = 2,
                                            .heads = 4,
                                            .kv_heads = 2,
                                            .head_dim = 2,
                                            .starts = starts,
                                            .q = memory,
                                            .k = memory,
                                            .v = memory,
                                            .ldq = 8,
                                            .ldk = 4,
                                            .ldv = 4,
                                            .scale = 1,
                                            .out = memory + 512,
                                            .ldo = 8,
                                            .workspace = memory + 1024};
    struct ech_attention_args a = good;
#define WITH(change, what)                                                                                   \
    do {                                                                                                     \
        a = good;                                                                                            \
        change;                                                                                              \
        refused(ops, ops->attention(NULL, &a), "attention: " what);                                          \
    } while (0)
    WITH(a.starts = falling, "falling starts");
    WITH(a.starts = negative, "negative starts");
    WITH(a.kv_heads = 3, "kv_heads does not divide heads");
    WITH(a.kv_heads = 0, "no kv_heads");
    WITH(a.head_dim = 0, "no head_dim");
    WITH(a.ldq = 7, "ldq too small");
    WITH(a.ldk = 3, "ldk too small");
    WITH(a.ldo = 7, "ldo too small");
    WITH((a.bias = memory, a.bias_span = 1), "bias_span shorter than a sequence");
    WITH((a.bias = memory, a.bias_span = 8, a.key_starts = fewer), "a bias and a position below 0");
    WITH(a.key_starts = falling, "falling key_starts");
    WITH(a.window = -1, "window < 0");
    WITH(a.softcap = -1, "softcap < 0");
    WITH(a.softcap = NAN, "softcap NaN");
    WITH(a.compute = (enum ech_format)99, "an unknown compute");
    WITH((a.compute = ECH_FMT_BF16, a.kv_type = (enum ech_atype)99), "an unknown type");
    WITH(a.sequences = -1, "sequences < 0");
    WITH(a.size = 1, "a struct too small");
#undef WITH
    static const enum ech_format elsewhere[] = {ECH_FMT_INT8, ECH_FMT_F16};
    for (int i = 0; i < 3; i++) { /* the last: bf16 queries in f32 */
        a = good;
        a.compute = i < 2 ? elsewhere[i] : ECH_FMT_F32;
        a.q_type = i < 2 ? ECH_A_F32 : ECH_A_BF16;
        int unsupported = ops->attention(NULL, &a);
        CHECK(unsupported == ECH_OP_UNSUPPORTED, "%s: attention, compute %d: status %d", ops->name,
              (int)a.compute, unsupported);
    }
    a = good;
    a.workspace = NULL;
    int rc = ops->attention(NULL, &a);
    CHECK(rc == ECH_OP_MEMORY, "%s: attention without scratch gave %d", ops->name, rc);
}

static void row_shapes(const struct ech_ops *ops)
{
    static const int64_t starts[] = {0, 2}, falling[] = {2, 0};
    struct ech_norm_args n = {.size = sizeof n,
                              .rows = 2,
                              .cols = 4,
                              .x = memory,
                              .ldx = 3,
                              .gain = memory,
                              .shift = memory,
                              .eps = 1e-5f,
                              .y = memory,
                              .ldy = 4};
    refused(ops, ops->norm(NULL, &n), "norm: ldx < cols");
    n.ldx = 4, n.gain = NULL;
    refused(ops, ops->norm(NULL, &n), "norm: no gain");
    refused(ops, ops->softmax(NULL, memory, 2, 4, 3), "softmax: ld < cols");
    refused(ops, ops->softmax(NULL, NULL, 2, 4, 4), "softmax: no x");
    refused(ops, ops->activate(NULL, ECH_ACT_GELU, memory, -1), "activate: count < 0");
    refused(ops, ops->activate(NULL, (enum ech_act) - 1, memory, 1), "activate: an unknown activation");
    struct ech_embed_args e = {.size = sizeof e,
                               .count = 3,
                               .cols = 2,
                               .tables_count = 1,
                               .tables = {memory},
                               .rows = {3},
                               .ids = {BAD_IDS},
                               .y = memory + 100};
    refused(ops, ops->embed(NULL, &e), "embed: an id past its table");
    e.ids[0] = NEGATIVE_IDS;
    refused(ops, ops->embed(NULL, &e), "embed: an id below 0");
    e.ids[0] = IDS, e.tables_count = 5;
    refused(ops, ops->embed(NULL, &e), "embed: five tables");
    e.tables_count = 0;
    refused(ops, ops->embed(NULL, &e), "embed: no table");
    struct ech_pool_args p = {.size = sizeof p,
                              .sequences = 1,
                              .cols = 4,
                              .starts = falling,
                              .x = memory,
                              .ldx = 4,
                              .out = memory + 100};
    refused(ops, ops->pool(NULL, &p), "pool: falling starts");
    p.starts = starts, p.kind = (enum ech_pool)9;
    refused(ops, ops->pool(NULL, &p), "pool: an unknown kind");
}

static void norm_shapes(const struct ech_ops *ops)
{
    const struct ech_norm_args good = {.size = sizeof good,
                                       .rows = 2,
                                       .cols = 4,
                                       .x = memory,
                                       .ldx = 4,
                                       .gain = memory,
                                       .eps = 1e-5f,
                                       .y = memory + 100,
                                       .ldy = 4,
                                       .also = memory + 200,
                                       .ld_also = 64,
                                       .also_type = ECH_A_Q8,
                                       .also_scale = memory + 400};
    struct ech_norm_args a = good;
    CHECK(ops->norm(NULL, &a) == ECH_OP_OK, "%s: norm", ops->name);
#define WITH(change, what)                                                                                   \
    do {                                                                                                     \
        a = good;                                                                                            \
        change;                                                                                              \
        refused(ops, ops->norm(NULL, &a), "norm: " what);                                                    \
    } while (0)
    WITH(a.ld_also = 63, "a row of Q8 that is no multiple of 64");
    WITH(a.also_scale = NULL, "Q8 without scales");
    WITH((a.also_type = ECH_A_BF16, a.ld_also = 3), "ld_also < cols");
    WITH(a.also_type = ECH_A_F32, "a second output in f32");
    WITH(a.also_type = (enum ech_atype)9, "an unknown type");
    WITH(a.kind = (enum ech_norm)2, "an unknown kind");
    WITH((a.kind = ECH_NORM_RMS, a.shift = memory), "RMS with a shift");
    WITH(a.gain_offset = 1, "LAYER with a gain offset");
#undef WITH
}

static void gate_and_topk_shapes(const struct ech_ops *ops)
{
    struct ech_gate_args g = {.size = sizeof g,
                              .rows = 2,
                              .cols = 4,
                              .gate = memory,
                              .up = memory,
                              .ldg = 4,
                              .ldu = 3,
                              .y = memory + 100,
                              .ldy = 4};
    refused(ops, ops->gate(NULL, &g), "gate: ldu < cols");
    g.ldu = 4, g.act = (enum ech_act)77;
    refused(ops, ops->gate(NULL, &g), "gate: an unknown activation");
    g.act = ECH_ACT_SILU, g.up = NULL;
    refused(ops, ops->gate(NULL, &g), "gate: no up");
    refused(ops, ops->gate(NULL, NULL), "gate: nothing");
    static int32_t indices[16];
    struct ech_topk_args t = {
        .size = sizeof t, .rows = 2, .cols = 4, .count = 5, .x = memory, .ldx = 4, .indices = indices};
    refused(ops, ops->topk(NULL, &t), "topk: count > cols");
    t.count = -1;
    refused(ops, ops->topk(NULL, &t), "topk: count < 0");
    t.count = 2, t.indices = NULL;
    refused(ops, ops->topk(NULL, &t), "topk: no indices");
    t.count = 0;
    CHECK(ops->topk(NULL, &t) == ECH_OP_OK, "%s: topk of nothing", ops->name);
    refused(ops, ops->log_softmax(NULL, memory, 2, 4, 3), "log_softmax: ld < cols");
}

static void rotary_shapes(const struct ech_ops *ops)
{
    const struct ech_rotary_args good = {.size = sizeof good,
                                         .rows = 3,
                                         .heads = 2,
                                         .head_dim = 4,
                                         .rotary = 4,
                                         .table_rows = 3,
                                         .x = memory,
                                         .ldx = 8,
                                         .cos = memory + 100,
                                         .sin = memory + 200,
                                         .positions = IDS};
    struct ech_rotary_args a = good;
    CHECK(ops->rotary(NULL, &a) == ECH_OP_OK, "%s: rotary", ops->name);
#define WITH(change, what)                                                                                   \
    do {                                                                                                     \
        a = good;                                                                                            \
        change;                                                                                              \
        refused(ops, ops->rotary(NULL, &a), "rotary: " what);                                                \
    } while (0)
    WITH(a.positions = BAD_IDS, "a position past the table");
    WITH(a.positions = NEGATIVE_IDS, "a position below 0");
    WITH(a.positions = NULL, "no positions");
    WITH(a.rotary = 3, "an odd width");
    WITH(a.rotary = 6, "wider than a head");
    WITH(a.ldx = 7, "ldx < heads * head_dim");
    WITH(a.sin = NULL, "no sines");
    WITH(a.heads = -1, "heads < 0");
#undef WITH
}

void test_shapes(void)
{
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        if (usable(*o)) {
            linear_shapes(*o);
            attention_shapes(*o);
            row_shapes(*o);
            norm_shapes(*o);
            gate_and_topk_shapes(*o);
            rotary_shapes(*o);
        }
}

/* A NaN or an infinity of one row spoils that row as it must, and no other. */
static void special_linear(const struct ech_ops *ops, float bad, enum ech_act act)
{
    enum { M = 9, N = 70, K = 40, ROW = 4 };
    struct buffer x = buffer_make(M, K, K), w = buffer_make(N, K, K);
    struct buffer clean = buffer_make(M, N, N), y = buffer_make(M, N, N);
    buffer_random(&x, 1), buffer_random(&w, 1);
    for (int j = 0; j < N; j++)
        buffer_row(&w, j)[7] = 1; /* the sign of an infinity is then its own */
    void *packed = pack_whole(ops, w.x, N, K);
    struct ech_queue *queue = queue_open(ops, ops->linear_workspace(ECH_FMT_F32, M, N, K, 1));
    struct ech_linear_args a = {.size = sizeof a,
                                .m = M,
                                .n = N,
                                .k = K,
                                .x = x.x,
                                .ldx = K,
                                .packed = packed,
                                .act = act,
                                .y = clean.x,
                                .ldy = N};
    CHECK(ops->linear(queue, &a) == ECH_OP_OK, "%s: linear", ops->name);
    buffer_row(&x, ROW)[7] = bad;
    a.y = y.x;
    CHECK(ops->linear(queue, &a) == ECH_OP_OK, "%s: linear", ops->name);
    for (int r = 0; r < M; r++)
        for (int j = 0; j < N; j++) {
            float got = buffer_row(&y, r)[j];
            bool right = r != ROW     ? bits_equal(got, buffer_row(&clean, r)[j])
                         : isnan(bad) ? isnan(got)
                                      : isinf(got) && got > 0;
            CHECK(right, "%s: %g in row %d, activation %d: (%d, %d) is %g", ops->name, (double)bad, ROW, act,
                  r, j, (double)got);
        }
    ech_queue_close(queue);
    free(packed);
    buffer_free(&x), buffer_free(&w), buffer_free(&clean), buffer_free(&y);
}

void test_special(void)
{
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (int act = ECH_ACT_NONE; usable(*o) && act < ECH_ACTS; act++) {
            special_linear(*o, NAN, (enum ech_act)act);
            if (act != ECH_ACT_TANH && act != ECH_ACT_SIGMOID)
                special_linear(*o, INFINITY, (enum ech_act)act);
        }
}
