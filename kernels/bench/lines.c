/* The set of lines: MiniLM-L6's shapes, a large matrix for one row, operations on rows (lines.h). */
#include "kernels/bench/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/blocks.h"

#define COUNT(array) (sizeof array / sizeof array[0])

struct set {
    const struct ech_kernels_bench *options;
    struct ech_lines *lines;
    int threads;
    bool lacking;
};

bool ech_lines_wanted(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == 0))
            return true;
    }
    return !list;
}

static void add(struct set *s, const struct ech_case *c, int threads, bool lanes, enum ech_rate rate)
{
    bool formats = c->op == ECH_CASE_LINEAR || c->op == ECH_CASE_ATTENTION;
    if (!ech_lines_wanted(s->options->ops, ech_case_op_name(c->op)) ||
        (formats && !ech_lines_wanted(s->options->formats, ech_ops_format_name(c->format))))
        return;
    struct ech_lines *l = s->lines;
    if (l->count == l->room) {
        struct ech_line *more = realloc(l->line, (size_t)(l->room * 2 + 64) * sizeof *more);
        if (!more) {
            s->lacking = true;
            return;
        }
        l->line = more;
        l->room = l->room * 2 + 64;
    }
    l->line[l->count++] =
        (struct ech_line){.c = *c, .threads = threads, .lanes = lanes, .rate = rate, .limit_name = ""};
}

/* By one thread and by all. */
static void add_both(struct set *s, const struct ech_case *c, bool lanes, enum ech_rate rate)
{
    add(s, c, 1, false, rate);
    if (s->threads > 1)
        add(s, c, s->threads, lanes, rate);
}

static const enum ech_format FORMATS[] = {ECH_FMT_F32,  ECH_FMT_BF16,     ECH_FMT_INT8,
                                          ECH_FMT_INT4, ECH_FMT_BF16_F32, ECH_FMT_F16};

/* 384 x 384 is (n, k): n outputs, k inputs. */
static void products(struct set *s)
{
    static const int64_t shapes[][2] = {{384, 384}, {1152, 384}, {1536, 384}, {384, 1536}};
    static const int64_t small[] = {16, 64};
    size_t shape_count = s->options->quick ? 1 : COUNT(shapes);
    for (size_t f = 0; f < COUNT(FORMATS); f++)
        for (size_t i = 0; i < shape_count; i++) {
            struct ech_case c = {.op = ECH_CASE_LINEAR,
                                 .format = FORMATS[f],
                                 .rows = 2048,
                                 .outputs = shapes[i][0],
                                 .inner = shapes[i][1],
                                 .flags = ECH_CASE_BIAS};
            add_both(s, &c, false, ECH_RATE_FLOP);
        }
    for (size_t f = 0; f < COUNT(FORMATS); f++)
        for (size_t m = 0; m < COUNT(small); m++)
            for (size_t i = 0; i < shape_count; i++) {
                struct ech_case c = {.op = ECH_CASE_LINEAR,
                                     .format = FORMATS[f],
                                     .rows = small[m],
                                     .outputs = shapes[i][0],
                                     .inner = shapes[i][1],
                                     .flags = ECH_CASE_BIAS};
                add(s, &c, s->threads, true, ECH_RATE_FLOP);
            }
}

/* One row over 4096 x 4096, the weights changing with each call so that they come from memory: 256 MiB. */
static void decoding(struct set *s)
{
    static const int64_t copies[ECH_FORMATS] = {
        [ECH_FMT_F32] = 4,   [ECH_FMT_BF16] = 8,     [ECH_FMT_INT8] = 16,
        [ECH_FMT_INT4] = 29, [ECH_FMT_BF16_F32] = 8, [ECH_FMT_F16] = 8};
    for (size_t f = 0; f < COUNT(FORMATS); f++) {
        struct ech_case c = {.op = ECH_CASE_LINEAR,
                             .format = FORMATS[f],
                             .rows = 1,
                             .outputs = 4096,
                             .inner = 4096,
                             .copies = copies[FORMATS[f]]};
        add_both(s, &c, false, ECH_RATE_BYTES);
    }
}

/* One row over a large matrix and a prompt of 512 over Gemma 3 270M's: rows of 640 have blocks of 32 alone.
 */
static void blocks(struct set *s)
{
    static const enum ech_format formats[] = {ECH_FMT_BLOCK_INT8, ECH_FMT_BLOCK};
    static const enum ech_wtype types[] = {ECH_W_Q4_K, ECH_W_Q6_K, ECH_W_Q8_0, ECH_W_Q4_0, ECH_W_Q5_0};
    static const struct {
        int64_t outputs, inner;
        enum ech_wtype type;
    } gemma[] = {{2048, 640, ECH_W_Q5_0}, {1024, 640, ECH_W_Q8_0}, {640, 2048, ECH_W_Q4_K},
                 {640, 2048, ECH_W_Q6_K}, {640, 1024, ECH_W_Q4_K}, {256, 640, ECH_W_Q8_0}};
    for (size_t f = 0; f < COUNT(formats); f++) {
        for (size_t i = 0; i < (s->options->quick ? 1 : COUNT(types)); i++) {
            struct ech_case c = {.op = ECH_CASE_LINEAR,
                                 .format = formats[f],
                                 .w_type = types[i],
                                 .rows = 1,
                                 .outputs = 4096,
                                 .inner = 4096};
            c.copies = (256 << 20) / (4096 * (int64_t)ech_block_row_bytes(types[i], 4096)) + 1;
            add_both(s, &c, false, ECH_RATE_BYTES);
        }
        for (size_t i = 0; i < (s->options->quick ? 0 : COUNT(gemma)); i++) {
            struct ech_case c = {.op = ECH_CASE_LINEAR,
                                 .format = formats[f],
                                 .w_type = gemma[i].type,
                                 .rows = 512,
                                 .outputs = gemma[i].outputs,
                                 .inner = gemma[i].inner};
            add_both(s, &c, false, ECH_RATE_FLOP);
        }
        struct ech_case head = {.op = ECH_CASE_LINEAR,
                                .format = formats[f],
                                .w_type = ECH_W_Q8_0,
                                .rows = 1,
                                .outputs = 262144,
                                .inner = 640,
                                .copies = 2};
        if (!s->options->quick)
            add_both(s, &head, false, ECH_RATE_BYTES);
    }
}

/* What a micro-batch of the engine holds of MiniLM: 12 heads of 32. */
static void attention(struct set *s)
{
    static const struct {
        int64_t length, sequences;
        unsigned flags;
    } shapes[] = {{240, 1, 0}, {16, 15, 0}, {64, 5, 0}, {512, 1, 0}, {240, 1, ECH_CASE_CAUSAL}};
    static const enum ech_format formats[] = {ECH_FMT_F32, ECH_FMT_BF16, ECH_FMT_F16};
    for (size_t f = 0; f < COUNT(formats); f++)
        for (size_t i = 0; i < (s->options->quick ? 1 : COUNT(shapes)); i++) {
            struct ech_case c = {.op = ECH_CASE_ATTENTION,
                                 .format = formats[f],
                                 .sequences = shapes[i].sequences,
                                 .lengths = {shapes[i].length},
                                 .heads = 12,
                                 .kv_heads = 12,
                                 .head_dim = 32,
                                 .flags = shapes[i].flags};
            add_both(s, &c, true, ECH_RATE_FLOP);
        }
}

/* A token over a cache: one query a sequence, heads that share keys; Gemma 3 270M's and Llama's shapes. */
static void decoding_attention(struct set *s)
{
    static const struct {
        int64_t heads, kv_heads, head_dim;
    } shapes[] = {{4, 1, 256}, {32, 8, 64}};
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (int half = 0; half < 2; half++) {
            struct ech_case c = {.op = ECH_CASE_ATTENTION,
                                 .format = ECH_FMT_F32,
                                 .sequences = 4,
                                 .lengths = {1, 1, 1, 1},
                                 .key_lengths = {4096, 4096, 4096, 4096},
                                 .heads = shapes[i].heads,
                                 .kv_heads = shapes[i].kv_heads,
                                 .head_dim = shapes[i].head_dim,
                                 .flags = ECH_CASE_CAUSAL | ECH_CASE_KEYS |
                                          (unsigned)(half ? ECH_CASE_HALF_KEYS : 0)};
            if (!s->options->quick)
                add_both(s, &c, false, ECH_RATE_BYTES);
        }
}

/* Working sets of 240 rows, what a chunk of the engine holds. */
static void rows(struct set *s)
{
    static const struct ech_case cases[] = {
        {.op = ECH_CASE_NORM, .rows = 240, .inner = 384, .flags = ECH_CASE_BIAS | ECH_CASE_IN_PLACE},
        {.op = ECH_CASE_NORM,
         .rows = 240,
         .inner = 384,
         .y_type = ECH_A_Q8,
         .flags = ECH_CASE_BIAS | ECH_CASE_IN_PLACE | ECH_CASE_ALSO},
        {.op = ECH_CASE_NORM, .kind = ECH_NORM_RMS, .rows = 240, .inner = 384, .flags = ECH_CASE_IN_PLACE},
        {.op = ECH_CASE_ACTIVATE, .act = ECH_ACT_GELU, .rows = 128, .inner = 1536},
        {.op = ECH_CASE_ACTIVATE, .act = ECH_ACT_GELU_TANH, .rows = 128, .inner = 1536},
        {.op = ECH_CASE_ACTIVATE, .act = ECH_ACT_SILU, .rows = 128, .inner = 1536},
        {.op = ECH_CASE_ACTIVATE, .act = ECH_ACT_TANH, .rows = 128, .inner = 1536},
        {.op = ECH_CASE_SOFTMAX, .rows = 240, .inner = 240},
        {.op = ECH_CASE_LOG_SOFTMAX, .rows = 4, .inner = 32000},
        {.op = ECH_CASE_GATE, .act = ECH_ACT_SILU, .rows = 64, .inner = 1024},
        {.op = ECH_CASE_ROTARY, .rows = 240, .outputs = 512, .heads = 12, .head_dim = 32, .rotary = 32},
        {.op = ECH_CASE_TOPK, .rows = 4, .outputs = 1, .inner = 32000},
        {.op = ECH_CASE_TOPK, .rows = 4, .outputs = 50, .inner = 32000},
        {.op = ECH_CASE_LOG_SOFTMAX, .rows = 1, .inner = 262144},
        {.op = ECH_CASE_TOPK, .rows = 1, .outputs = 1, .inner = 262144},
        {.op = ECH_CASE_TOPK, .rows = 1, .outputs = 64, .inner = 262144},
        {.op = ECH_CASE_CONVERT, .y_type = ECH_A_BF16, .rows = 240, .inner = 384},
        {.op = ECH_CASE_CONVERT, .y_type = ECH_A_Q8, .rows = 240, .inner = 384},
        {.op = ECH_CASE_CONVERT, .x_type = ECH_A_BF16, .rows = 240, .inner = 384},
        {.op = ECH_CASE_EMBED, .rows = 240, .inner = 384},
        {.op = ECH_CASE_POOL, .sequences = 8, .lengths = {60}, .inner = 384, .flags = ECH_CASE_NORMALIZE},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        add_both(s, &cases[i], true, ECH_RATE_ELEMENTS);
}

static bool is_op(const char *name)
{
    enum ech_case_op op;
    return strcmp(name, "math") == 0 || ech_case_op_of(name, &op);
}

static bool is_format(const char *name)
{
    for (int f = 0; f < ECH_FORMATS; f++)
        if (strcmp(name, ech_ops_format_name((enum ech_format)f)) == 0)
            return true;
    return false;
}

static int check_list(const char *list, const char *what, bool (*known)(const char *), char *why)
{
    for (const char *at = list; at; at = strchr(at, ',')) {
        char name[64];
        at += *at == ',' && at > list;
        size_t n = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < 63 ? n : 63), at);
        if (!known(name)) {
            snprintf(why, 256, "\"%s\" is no %s", name, what);
            return ECH_BENCH_USAGE;
        }
    }
    return ECH_BENCH_OK;
}

int ech_lines_make(const struct ech_kernels_bench *options, int threads, struct ech_lines *out, char *why)
{
    int rc = check_list(options->ops,
                        "operation (linear, attention, convert, norm, embed, pool, gate, rotary, "
                        "topk, activate, softmax, log_softmax, math)",
                        is_op, why);
    if (!rc)
        rc = check_list(options->formats, "format (f32, bf16, int8, int4, bf16-f32, f16, block, block-int8)",
                        is_format, why);
    if (rc)
        return rc;
    *out = (struct ech_lines){0};
    struct set s = {options, out, threads, false};
    products(&s);
    decoding(&s);
    blocks(&s);
    attention(&s);
    decoding_attention(&s);
    rows(&s);
    if (!s.lacking)
        return ECH_BENCH_OK;
    ech_lines_fini(out);
    snprintf(why, 256, "out of memory");
    return ECH_BENCH_MEMORY;
}

void ech_lines_fini(struct ech_lines *lines)
{
    free(lines->line);
    *lines = (struct ech_lines){0};
}

const struct ech_line *ech_lines_single(const struct ech_lines *lines, const struct ech_line *line)
{
    for (int i = 0; i < lines->count; i++)
        if (lines->line[i].threads == 1 && memcmp(&lines->line[i].c, &line->c, sizeof line->c) == 0)
            return &lines->line[i];
    return NULL;
}
