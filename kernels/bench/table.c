/* The cases of the tests: shapes around the tiles of the backends, with every format and type they may have.
 * 6, 8, 12 rows and 96 are tile and block heights, 16, 48 and 64 widths, 384 a block of k, 512 one of keys.
 */
#include "kernels/bench/cases.h"

enum { BIAS = ECH_CASE_BIAS, OWN = ECH_CASE_RESIDUAL, IN_Y = ECH_CASE_IN_PLACE, SPECIAL = ECH_CASE_SPECIAL };

struct walk {
    bool (*visit)(const struct ech_case *c, void *context);
    void *context;
};

#define COUNT(array) (sizeof array / sizeof array[0])
#define VISIT(...)                                                                                           \
    do {                                                                                                     \
        const struct ech_case made = {__VA_ARGS__};                                                          \
        if (!w->visit(&made, w->context))                                                                    \
            return false;                                                                                    \
    } while (0)

/* --- products --- */

static const struct {
    int64_t m, n, k, pad;
    unsigned flags;
    enum ech_act act;
} PRODUCTS[] = {
    {0, 5, 5, 0, BIAS, ECH_ACT_NONE},
    {3, 0, 5, 0, 0, ECH_ACT_NONE},
    {3, 5, 0, 0, BIAS | OWN, ECH_ACT_GELU},
    {3, 70, 0, 1, 0, ECH_ACT_NONE},
    {1, 1, 1, 0, BIAS, ECH_ACT_NONE},
    {1, 1, 1, 3, IN_Y, ECH_ACT_RELU},
    {1, 64, 7, 0, BIAS, ECH_ACT_TANH},
    {2, 63, 16, 1, BIAS | OWN, ECH_ACT_SILU},
    {5, 65, 17, 0, IN_Y, ECH_ACT_NONE},
    {6, 15, 33, 2, BIAS | IN_Y, ECH_ACT_GELU_TANH},
    {7, 16, 31, 0, BIAS | IN_Y, ECH_ACT_GELU},
    {8, 17, 64, 5, BIAS | OWN, ECH_ACT_NONE},
    {11, 31, 12, 0, BIAS, ECH_ACT_NONE},
    {12, 32, 12, 1, BIAS, ECH_ACT_GELU},
    {13, 48, 48, 0, 0, ECH_ACT_SILU},
    {14, 47, 65, 0, BIAS, ECH_ACT_NONE},
    {16, 128, 20, 0, BIAS | IN_Y, ECH_ACT_NONE},
    {17, 129, 21, 7, BIAS | OWN, ECH_ACT_GELU},
    {24, 127, 40, 0, BIAS | OWN, ECH_ACT_RELU},
    {3, 70, 383, 0, BIAS | IN_Y, ECH_ACT_NONE},
    {4, 70, 384, 1, BIAS | IN_Y, ECH_ACT_GELU},
    {5, 70, 385, 0, BIAS | OWN, ECH_ACT_NONE},
    {2, 33, 801, 3, BIAS | IN_Y, ECH_ACT_GELU},
    {1, 200, 1056, 0, BIAS, ECH_ACT_NONE},
    {95, 20, 10, 0, BIAS, ECH_ACT_NONE},
    {96, 20, 32, 1, BIAS | IN_Y, ECH_ACT_GELU},
    {97, 20, 10, 0, OWN, ECH_ACT_NONE},
    {200, 66, 9, 0, BIAS, ECH_ACT_GELU},
    {40, 200, 500, 8, BIAS | OWN, ECH_ACT_GELU},
    {129, 257, 416, 0, BIAS, ECH_ACT_NONE},
    {14, 70, 40, 1, BIAS | SPECIAL, ECH_ACT_NONE},
    {15, 66, 64, 0, OWN | SPECIAL, ECH_ACT_GELU},
    {9, 20, 33, 0, BIAS | SPECIAL, ECH_ACT_SILU},
};

static const struct {
    enum ech_format format;
    enum ech_atype x, y;
} PRODUCT_TYPES[] = {
    {ECH_FMT_F32, ECH_A_F32, ECH_A_F32},     {ECH_FMT_F32, ECH_A_F32, ECH_A_BF16},
    {ECH_FMT_F32, ECH_A_F32, ECH_A_Q8},      {ECH_FMT_BF16, ECH_A_F32, ECH_A_F32},
    {ECH_FMT_BF16, ECH_A_BF16, ECH_A_F32},   {ECH_FMT_BF16, ECH_A_BF16, ECH_A_BF16},
    {ECH_FMT_BF16, ECH_A_F32, ECH_A_Q8},     {ECH_FMT_INT8, ECH_A_F32, ECH_A_F32},
    {ECH_FMT_INT8, ECH_A_Q8, ECH_A_F32},     {ECH_FMT_INT8, ECH_A_Q8, ECH_A_Q8},
    {ECH_FMT_INT8, ECH_A_F32, ECH_A_BF16},   {ECH_FMT_INT4, ECH_A_F32, ECH_A_F32},
    {ECH_FMT_INT4, ECH_A_F32, ECH_A_BF16},   {ECH_FMT_BF16_F32, ECH_A_F32, ECH_A_F32},
    {ECH_FMT_BF16_F32, ECH_A_F32, ECH_A_Q8}, {ECH_FMT_F16, ECH_A_F32, ECH_A_F32},
    {ECH_FMT_F16, ECH_A_F16, ECH_A_F32},     {ECH_FMT_F16, ECH_A_F16, ECH_A_F16},
};

static bool products(const struct walk *w)
{
    for (size_t t = 0; t < COUNT(PRODUCT_TYPES); t++)
        for (size_t i = 0; i < COUNT(PRODUCTS); i++) {
            unsigned flags = PRODUCTS[i].flags;
            if (PRODUCT_TYPES[t].y != ECH_A_F32 && (flags & IN_Y)) /* such a residual is an f32 y */
                flags = (flags & ~(unsigned)IN_Y) | OWN;
            VISIT(.op = ECH_CASE_LINEAR, .format = PRODUCT_TYPES[t].format, .x_type = PRODUCT_TYPES[t].x,
                  .y_type = PRODUCT_TYPES[t].y, .rows = PRODUCTS[i].m, .outputs = PRODUCTS[i].n,
                  .inner = PRODUCTS[i].k, .pad = PRODUCTS[i].pad, .flags = flags, .act = PRODUCTS[i].act);
        }
    return true;
}

/* On a file's own blocks: every way that x meets them (blocks of 32, of 256, groups of 16; mins). */
static bool blocks(const struct walk *w)
{
    static const enum ech_wtype types[] = {ECH_W_F16,  ECH_W_Q8_0, ECH_W_Q5_1, ECH_W_IQ4_NL,
                                           ECH_W_Q4_K, ECH_W_Q6_K, ECH_W_Q2_K, ECH_W_IQ4_XS};
    static const enum ech_format formats[] = {ECH_FMT_BLOCK, ECH_FMT_BLOCK_INT8};
    for (size_t f = 0; f < COUNT(formats); f++)
        for (size_t t = 0; t < COUNT(types); t++)
            for (size_t i = 0; i < COUNT(PRODUCTS); i++) {
                const int64_t unit = types[t] >= ECH_W_Q2_K && types[t] != ECH_W_IQ4_NL ? 256 : 32;
                unsigned flags = PRODUCTS[i].flags;
                if (i % 3 != t % 3 || (formats[f] == ECH_FMT_BLOCK_INT8 && types[t] == ECH_W_F16))
                    continue;
                VISIT(.op = ECH_CASE_LINEAR, .format = formats[f], .w_type = types[t],
                      .y_type = i % 2 && !(flags & IN_Y) ? ECH_A_BF16 : ECH_A_F32, .rows = PRODUCTS[i].m,
                      .outputs = PRODUCTS[i].n, .inner = (PRODUCTS[i].k + unit - 1) / unit * unit,
                      .pad = PRODUCTS[i].pad, .flags = flags, .act = PRODUCTS[i].act);
            }
    return true;
}

/* --- operations on rows --- */

static const struct {
    int64_t rows, cols, pad;
    unsigned flags;
} ROWS[] = {
    {0, 5, 0, 0},    {3, 0, 0, 0},    {1, 1, 0, 0},    {2, 15, 1, 0},        {3, 16, 0, 0},
    {5, 17, 3, 0},   {7, 31, 0, 0},   {4, 32, 1, 0},   {6, 33, 0, 0},        {2, 63, 0, 0},
    {3, 64, 1, 0},   {9, 65, 0, 0},   {1, 383, 0, 0},  {13, 384, 5, 0},      {3, 385, 0, 0},
    {2, 1000, 1, 0}, {1, 2051, 0, 0}, {70, 129, 0, 0}, {14, 50, 0, SPECIAL}, {9, 17, 2, SPECIAL},
};

static bool norms(const struct walk *w)
{
    static const enum ech_atype also[] = {ECH_A_F32, ECH_A_BF16, ECH_A_Q8, ECH_A_F16};
    for (int kind = ECH_NORM_LAYER; kind <= ECH_NORM_RMS; kind++)
        for (size_t a = 0; a < COUNT(also); a++)
            for (size_t i = 0; i < COUNT(ROWS); i++)
                VISIT(.op = ECH_CASE_NORM, .kind = kind, .y_type = also[a], .rows = ROWS[i].rows,
                      .inner = ROWS[i].cols, .pad = ROWS[i].pad,
                      .flags = ROWS[i].flags | (unsigned)(also[a] ? ECH_CASE_ALSO : 0) |
                               (unsigned)(i % 2 ? ECH_CASE_IN_PLACE : 0) |
                               (unsigned)(i % 3 && kind == ECH_NORM_LAYER ? BIAS : 0));
    return true;
}

static bool converts(const struct walk *w)
{
    static const enum ech_atype pairs[][2] = {{ECH_A_F32, ECH_A_BF16}, {ECH_A_F32, ECH_A_Q8},
                                              {ECH_A_F32, ECH_A_F16},  {ECH_A_BF16, ECH_A_F32},
                                              {ECH_A_Q8, ECH_A_F32},   {ECH_A_F16, ECH_A_F32}};
    for (size_t p = 0; p < COUNT(pairs); p++)
        for (size_t i = 0; i < COUNT(ROWS); i++)
            VISIT(.op = ECH_CASE_CONVERT, .x_type = pairs[p][0], .y_type = pairs[p][1], .rows = ROWS[i].rows,
                  .inner = ROWS[i].cols, .pad = ROWS[i].pad, .flags = ROWS[i].flags);
    return true;
}

static bool elementwise(const struct walk *w)
{
    static const enum ech_case_op ops[] = {ECH_CASE_SOFTMAX, ECH_CASE_LOG_SOFTMAX};
    for (int act = ECH_ACT_NONE; act < ECH_ACTS; act++)
        for (size_t i = 0; i < COUNT(ROWS); i++) {
            VISIT(.op = ECH_CASE_ACTIVATE, .act = (enum ech_act)act, .rows = ROWS[i].rows,
                  .inner = ROWS[i].cols, .pad = ROWS[i].pad, .flags = ROWS[i].flags);
            VISIT(.op = ECH_CASE_GATE, .act = (enum ech_act)act, .rows = ROWS[i].rows, .inner = ROWS[i].cols,
                  .pad = ROWS[i].pad, .flags = ROWS[i].flags | (unsigned)(i % 2 ? ECH_CASE_IN_PLACE : 0));
        }
    for (size_t o = 0; o < COUNT(ops); o++)
        for (size_t i = 0; i < COUNT(ROWS); i++)
            VISIT(.op = ops[o], .rows = ROWS[i].rows, .inner = ROWS[i].cols, .pad = ROWS[i].pad,
                  .flags = ROWS[i].flags);
    for (size_t i = 0; i < COUNT(ROWS); i++)
        VISIT(.op = ECH_CASE_EMBED, .rows = ROWS[i].rows, .inner = ROWS[i].cols);
    return true;
}

static bool largest(const struct walk *w)
{
    static const int64_t counts[] = {1, 2, 10, 64, 1000};
    for (size_t n = 0; n < COUNT(counts); n++)
        for (size_t i = 0; i < COUNT(ROWS); i++)
            if (counts[n] <= ROWS[i].cols)
                for (int how = 0; how < 2; how++)
                    VISIT(.op = ECH_CASE_TOPK, .outputs = counts[n], .rows = ROWS[i].rows,
                          .inner = ROWS[i].cols, .pad = ROWS[i].pad,
                          .flags = ROWS[i].flags | (unsigned)(how ? ECH_CASE_TIES | ECH_CASE_NO_VALUES : 0));
    return true;
}

static bool rotaries(const struct walk *w)
{
    static const int64_t shapes[][5] = {/* rows, heads, head_dim, turned, pad */
                                        {0, 2, 8, 8, 0},     {1, 1, 2, 2, 0},   {3, 2, 6, 4, 1},
                                        {5, 3, 32, 32, 0},   {4, 2, 33, 32, 3}, {7, 1, 64, 16, 0},
                                        {2, 4, 128, 128, 0}, {3, 1, 20, 0, 0},  {9, 2, 34, 34, 0}};
    for (int how = 0; how < 3; how++)
        for (size_t i = 0; i < COUNT(shapes); i++)
            VISIT(.op = ECH_CASE_ROTARY, .rows = shapes[i][0], .heads = shapes[i][1],
                  .head_dim = shapes[i][2], .rotary = shapes[i][3], .pad = shapes[i][4], .outputs = 19,
                  .flags = (unsigned)(how == 1   ? ECH_CASE_INTERLEAVED
                                      : how == 2 ? SPECIAL
                                                 : 0));
    return true;
}

/* --- packed sequences --- */

#define CAUSAL ECH_CASE_CAUSAL
#define SLOPES ECH_CASE_SLOPES
#define KEYS   ECH_CASE_KEYS
static const struct {
    int64_t lengths[ECH_CASE_SEQUENCES], keys[ECH_CASE_SEQUENCES], heads, kv_heads, head_dim;
    unsigned flags;
    int64_t window, pad;
    float softcap;
} ATTENTION[] = {
    {{0, 0, 0, 0}, {0}, 2, 2, 4, 0, 0, 0, 0},
    {{1, 0, 2, 3}, {0}, 1, 1, 1, 0, 0, 0, 0},
    {{5, 1, 7, 16}, {0}, 2, 2, 8, 0, 0, 0, 0},
    {{5, 1, 7, 16}, {0}, 2, 1, 10, CAUSAL, 0, 1, 0},
    {{17, 15, 0, 33}, {0}, 3, 1, 12, CAUSAL | BIAS, 0, 0, 0},
    {{23, 24, 25, 1}, {0}, 4, 2, 15, BIAS, 0, 3, 0},
    {{63, 64, 65, 2}, {0}, 2, 2, 32, 0, 0, 0, 0},
    {{63, 64, 65, 2}, {0}, 2, 1, 33, CAUSAL | BIAS, 0, 0, 0},
    {{130, 3, 0, 0}, {0}, 2, 2, 64, 0, 0, 5, 0},
    {{49, 0, 0, 0}, {0}, 1, 1, 100, CAUSAL | BIAS, 0, 0, 0},
    {{40, 0, 9, 70}, {0}, 2, 2, 32, 0, 5, 0, 0},
    {{40, 1, 9, 70}, {0}, 2, 1, 16, CAUSAL, 8, 1, 0},
    {{33, 17, 0, 4}, {0}, 4, 2, 32, SLOPES, 0, 0, 0},
    {{33, 17, 0, 4}, {0}, 3, 3, 24, SLOPES | CAUSAL, 0, 2, 0},
    {{31, 32, 5, 1}, {0}, 2, 2, 32, 0, 0, 0, 20.0f},
    {{31, 32, 5, 1}, {0}, 4, 1, 64, CAUSAL | BIAS | SLOPES, 16, 0, 3.0f},
    {{1, 1, 1, 1}, {1, 17, 64, 130}, 2, 1, 32, KEYS | CAUSAL, 0, 0, 0},
    {{4, 0, 12, 6}, {9, 3, 12, 70}, 2, 2, 16, KEYS | CAUSAL, 7, 0, 0},
    {{4, 5, 12, 6}, {9, 0, 3, 70}, 2, 2, 16, KEYS, 0, 1, 0},
    {{4, 0, 12, 6}, {9, 5, 12, 70}, 2, 2, 16, KEYS | BIAS | SLOPES, 0, 1, 0},
    {{511, 0, 0, 0}, {0}, 1, 1, 8, 0, 0, 0, 0},
    {{512, 513, 0, 0}, {0}, 1, 1, 4, CAUSAL, 0, 0, 0},
    {{2, 3, 1, 0}, {1024, 1025, 1600, 0}, 2, 1, 8, KEYS | BIAS | CAUSAL, 0, 0, 0},
    {{14, 7, 21, 8}, {0}, 2, 2, 16, SPECIAL, 0, 0, 0},
    {{21, 7, 14, 8}, {0}, 2, 1, 32, SPECIAL | CAUSAL, 0, 1, 0},
};

static bool attentions(const struct walk *w)
{
    static const struct {
        enum ech_format format;
        enum ech_atype in, out;
        unsigned flags;
    } types[] = {
        {ECH_FMT_F32, ECH_A_F32, ECH_A_F32, 0},  {ECH_FMT_F32, ECH_A_F32, ECH_A_F32, ECH_CASE_HALF_KEYS},
        {ECH_FMT_BF16, ECH_A_F32, ECH_A_F32, 0}, {ECH_FMT_BF16, ECH_A_BF16, ECH_A_BF16, 0},
        {ECH_FMT_F16, ECH_A_F32, ECH_A_F32, 0},  {ECH_FMT_F16, ECH_A_F16, ECH_A_F16, 0},
    };
    for (size_t t = 0; t < COUNT(types); t++)
        for (size_t i = 0; i < COUNT(ATTENTION); i++) {
            const int64_t *n = ATTENTION[i].lengths, *k = ATTENTION[i].keys;
            VISIT(.op = ECH_CASE_ATTENTION, .format = types[t].format, .x_type = types[t].in,
                  .y_type = types[t].out, .sequences = 4, .lengths = {n[0], n[1], n[2], n[3]},
                  .key_lengths = {k[0], k[1], k[2], k[3]}, .heads = ATTENTION[i].heads,
                  .kv_heads = ATTENTION[i].kv_heads, .head_dim = ATTENTION[i].head_dim,
                  .flags = ATTENTION[i].flags | types[t].flags, .window = ATTENTION[i].window,
                  .pad = ATTENTION[i].pad, .softcap = ATTENTION[i].softcap);
        }
    return true;
}

static bool pools(const struct walk *w)
{
    static const int64_t lengths[][4] = {{0, 0, 0, 0}, {1, 0, 2, 3}, {17, 5, 1, 40}, {7, 8, 9, 20}};
    static const int64_t cols[] = {1, 15, 16, 17, 64, 384, 385};
    for (int kind = ECH_POOL_MEAN; kind <= ECH_POOL_MAX; kind++)
        for (size_t l = 0; l < COUNT(lengths); l++)
            for (size_t i = 0; i < COUNT(cols); i++)
                VISIT(.op = ECH_CASE_POOL, .kind = kind, .sequences = 4, .inner = cols[i],
                      .lengths = {lengths[l][0], lengths[l][1], lengths[l][2], lengths[l][3]},
                      .pad = (int64_t)(i % 2),
                      .flags = (unsigned)(i % 2 ? ECH_CASE_NORMALIZE : 0) |
                               (unsigned)(l == 3 && i == 3 ? SPECIAL : 0));
    return true;
}

void ech_cases_each(bool (*visit)(const struct ech_case *c, void *context), void *context)
{
    static bool (*const parts[])(const struct walk *) = {products, blocks,      converts, norms,   attentions,
                                                         pools,    elementwise, largest,  rotaries};
    const struct walk w = {visit, context};
    for (size_t i = 0; i < COUNT(parts); i++)
        if (!parts[i](&w))
            return;
}
