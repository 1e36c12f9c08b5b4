/* Products on a file's own blocks: every type, both formats, against ref and, bit by bit, ref_exact; rows
 * alone and in a batch, teams, hostile blocks and rows, refusals. The weights end where memory ends: a read
 * beyond them dies. What blocks mean is held against another's implementation where its answers are at hand.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/blocks.h"
#include "matrix.h"
#include "support.h"

/* n rows of k elements of a type, `shift` bytes from any alignment, with nothing behind the last. */
struct weights {
    enum ech_wtype type;
    int64_t n, k;
    unsigned char *map, *w;
    size_t bytes, mapped;
};

static struct weights weights_make(enum ech_wtype type, int64_t n, int64_t k)
{
    struct weights w = {.type = type, .n = n, .k = k};
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    w.bytes = (size_t)n * ech_block_row_bytes(type, k);
    w.mapped = (w.bytes + page - 1) / page * page + page;
    w.map = mmap(NULL, w.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w.map == MAP_FAILED || mprotect(w.map + w.mapped - page, page, PROT_NONE) != 0)
        abort();
    w.w = w.map + w.mapped - page - w.bytes;
    return w;
}

static void weights_free(struct weights *w)
{
    munmap(w->map, w->mapped);
}

/* An f16 of a sensible size. */
static void put_half(unsigned char *at)
{
    const int64_t half = 0x1c00 + random_below(0x800) + 0x8000 * random_below(2);
    at[0] = (unsigned char)half;
    at[1] = (unsigned char)(half >> 8);
}

/* Any bytes; the floats in them tame unless `wild`. */
static void weights_random(struct weights *w, bool wild)
{
    /* Where the f16s of a block lie; -1: none. MXFP4 has an exponent instead. */
    static const int halves[ECH_WTYPES][2] = {
        [ECH_W_F16] = {0, -1},    [ECH_W_Q8_0] = {0, -1},   [ECH_W_Q4_0] = {0, -1},
        [ECH_W_Q4_1] = {0, 2},    [ECH_W_Q5_0] = {0, -1},   [ECH_W_Q5_1] = {0, 2},
        [ECH_W_Q2_K] = {80, 82},  [ECH_W_Q3_K] = {108, -1}, [ECH_W_Q4_K] = {0, 2},
        [ECH_W_Q5_K] = {0, 2},    [ECH_W_Q6_K] = {208, -1}, [ECH_W_IQ4_NL] = {0, -1},
        [ECH_W_IQ4_XS] = {0, -1}, [ECH_W_TQ1_0] = {52, -1}, [ECH_W_TQ2_0] = {64, -1}};
    const struct ech_block_type *t = ech_block_type(w->type);
    for (size_t i = 0; i < w->bytes; i++)
        w->w[i] = (unsigned char)random_below(256);
    for (size_t b = 0; b < w->bytes && !wild; b += (size_t)t->bytes) {
        if (w->type == ECH_W_F32 || w->type == ECH_W_BF16) {
            const float x = random_float(1);
            memcpy(w->w + b, (const char *)&x + 4 - t->bytes, (size_t)t->bytes);
            continue;
        }
        if (w->type == ECH_W_MXFP4)
            w->w[b] = (unsigned char)(120 + random_below(8));
        for (int i = 0; i < 2 && w->type != ECH_W_MXFP4; i++)
            if (halves[w->type][i] >= 0)
                put_half(w->w + b + halves[w->type][i]);
    }
}

struct call {
    const struct ech_ops *ops;
    enum ech_format format;
    int threads;
    const float *bias, *residual;
    enum ech_act act;
    enum ech_atype y_type;
};

static struct matrix multiply(const struct call *c, const struct matrix *x, const struct weights *w)
{
    struct matrix y = matrix_make(c->y_type, x->rows, w->n, 3);
    struct ech_queue *queue = queue_open_team(
        c->ops, c->ops->linear_workspace(c->format, x->rows, w->n, w->k, c->threads), c->threads);
    struct ech_linear_args a = {.size = sizeof a,
                                .m = x->rows,
                                .n = w->n,
                                .k = w->k,
                                .x = x->x,
                                .ldx = x->ld,
                                .packed = w->w,
                                .bias = c->bias,
                                .act = c->act,
                                .residual = c->residual,
                                .ldr = w->n,
                                .y = y.x,
                                .ldy = y.ld,
                                .format = c->format,
                                .y_type = c->y_type,
                                .w_type = w->type};
    const int rc = c->ops->linear(queue, &a);
    CHECK(rc == ECH_OP_OK, "%s %s %s: linear gave %d", c->ops->name, ech_ops_format_name(c->format),
          ech_block_type(w->type)->name, rc);
    matrix_check(&y, c->ops->name);
    ech_queue_close(queue);
    return y;
}

static bool taken(enum ech_format format, int type)
{
    return format == ECH_FMT_BLOCK || ech_block_type((enum ech_wtype)type)->group > 0;
}

static const enum ech_format FORMATS[] = {ECH_FMT_BLOCK, ECH_FMT_BLOCK_INT8};

/* One call on every backend; `bound`: of the error beside ref, below 0: bits alone. */
static void compare(struct call c, const struct matrix *x, const struct weights *w, double bound)
{
    char what[160];
    c.ops = named("ref_exact");
    struct matrix want = multiply(&c, x, w);
    c.ops = named("ref");
    struct matrix oracle = multiply(&c, x, w);
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o) || !same_class(*o, c.format))
            continue;
        c.ops = *o;
        snprintf(what, sizeof what, "%s %s %s (%d, %d, %d)", c.ops->name, ech_ops_format_name(c.format),
                 ech_block_type(w->type)->name, (int)x->rows, (int)w->n, (int)w->k);
        struct matrix y = multiply(&c, x, w);
        matrix_same(&y, &want, what);
        if (c.y_type == ECH_A_F32 && bound >= 0) {
            struct buffer got = {NULL, y.x, y.rows, y.cols, y.ld},
                          expected = {NULL, oracle.x, y.rows, y.cols, oracle.ld};
            close_enough(&got, &expected, bound, what);
        }
        matrix_free(&y);
    }
    matrix_free(&want), matrix_free(&oracle);
}

static void shape(enum ech_wtype type, int64_t m, int64_t n, int64_t k, int turn)
{
    struct weights w = weights_make(type, n, k);
    struct matrix x = matrix_make(ECH_A_F32, m, k, turn % 3);
    struct buffer bias = buffer_make(1, n, n), residual = buffer_make(m, n, n);
    weights_random(&w, false);
    matrix_random(&x, 2);
    buffer_random(&bias, 1), buffer_random(&residual, 1);
    for (int f = 0; f < 2; f++) {
        struct call c = {.format = FORMATS[f],
                         .threads = 1,
                         .bias = turn % 2 ? bias.x : NULL,
                         .residual = turn % 3 == 1 ? residual.x : NULL,
                         .act = turn % 4 == 3 ? ECH_ACT_SILU : ECH_ACT_NONE,
                         .y_type = turn % 5 == 4 ? ECH_A_BF16 : ECH_A_F32};
        if (taken(FORMATS[f], type))
            compare(c, &x, &w, 1e-10);
    }
    matrix_free(&x);
    buffer_free(&bias), buffer_free(&residual);
    weights_free(&w);
}

void test_blocks(void)
{
    /* k in units of 32, or 256 where the type has such blocks, or as it is. */
    static const int64_t SHAPES[][3] = {{0, 5, 1},   {3, 0, 1},   {2, 70, 0},  {1, 1, 1},   {1, 16, 1},
                                        {1, 17, 2},  {1, 70, 3},  {1, 130, 9}, {2, 63, 1},  {3, 65, 2},
                                        {7, 20, 8},  {8, 33, 1},  {9, 15, 3},  {13, 64, 1}, {17, 129, 2},
                                        {97, 66, 1}, {130, 17, 2}};
    for (int type = 0; type < ECH_WTYPES; type++)
        for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0]; i++) {
            const int64_t block = ech_block_type((enum ech_wtype)type)->elements, units = SHAPES[i][2];
            const int64_t k = block == 256 ? (units + 1) / 2 * 256 : block == 32 ? 32 * units : 19 * units;
            shape((enum ech_wtype)type, SHAPES[i][0], SHAPES[i][1], k, (int)i);
        }
}

/* Row r of x as a matrix. */
static struct matrix row_of(const struct matrix *m, int64_t row)
{
    struct matrix one = *m;
    one.x = matrix_row(m, row);
    one.rows = 1;
    return one;
}

/* Rows alone, and a team of any size, give the bits of the batch. */
static void moved(const struct call *as, enum ech_wtype type, int64_t m, int64_t n, int64_t k)
{
    struct call c = *as;
    struct weights w = weights_make(type, n, k);
    struct matrix x = matrix_make(ECH_A_F32, m, k, 1);
    weights_random(&w, false);
    matrix_random(&x, 2);
    struct matrix y = multiply(&c, &x, &w);
    for (int64_t r = 0; r < m; r += 1 + m / 5) {
        struct matrix one = row_of(&x, r), want = row_of(&y, r);
        for (c.threads = 1; c.threads <= 3; c.threads += 2) {
            struct matrix got = multiply(&c, &one, &w);
            matrix_same(&got, &want, "a row alone");
            matrix_free(&got);
        }
    }
    for (c.threads = 2; c.threads <= 5; c.threads++) {
        struct matrix got = multiply(&c, &x, &w);
        matrix_same(&got, &y, "a team");
        matrix_free(&got);
    }
    matrix_free(&x), matrix_free(&y);
    weights_free(&w);
}

void test_blocks_moved(void)
{
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
        for (int f = 0; f < 2; f++)
            for (int type = 0; type < ECH_WTYPES; type++) {
                const struct call c = {.ops = *o, .format = FORMATS[f], .threads = 1};
                if (!usable(*o) || !(*o)->numerics[FORMATS[f]] || strcmp((*o)->name, "ref") == 0 ||
                    strcmp((*o)->name, "ref_exact") == 0 || !taken(FORMATS[f], type))
                    continue;
                moved(&c, (enum ech_wtype)type, 19, 70, 512);
                if (type % 5 == 3) { /* large enough for teams; more rows than a chunk */
                    moved(&c, (enum ech_wtype)type, 1, 9000, 2048);
                    moved(&c, (enum ech_wtype)type, 600, 200, 256);
                }
            }
}

static float hostile(int64_t kind)
{
    static const float BORDER[] = {0.0f,      -0.0f,     INFINITY,  -INFINITY, NAN,
                                   0x1p-100f, 0x1p-149f, 0x1p-126f, 0x1p127f,  -0x1.fffffep127f};
    if (kind == 0)
        return BORDER[random_below(sizeof BORDER / sizeof BORDER[0])];
    if (kind == 1)
        return (float)(random_below(255) - 127) * 0.5f;
    return kind == 2 ? ldexpf(random_float(1), -98 - (int)random_below(5)) : random_float(1);
}

/* Blocks of any bytes, scales that are infinite or NaN among them, and rows of any kind. */
void test_blocks_hostile(void)
{
    for (int turn = 0; turn < 6; turn++)
        for (int type = 0; type < ECH_WTYPES; type++)
            for (int f = 0; f < 2; f++) {
                const int64_t m = turn % 2 ? 1 : 5, k = 256 * (1 + turn % 3);
                struct weights w = weights_make((enum ech_wtype)type, 37, k);
                struct matrix x = matrix_make(ECH_A_F32, m, k, 0);
                weights_random(&w, true);
                for (int64_t r = 0; r < m; r++)
                    for (int64_t i = 0, kind = 0; i < k; i++) {
                        kind = i % 32 == 0 ? random_below(6) : kind;
                        ((float *)matrix_row(&x, r))[i] = hostile(kind);
                    }
                if (taken(FORMATS[f], type))
                    compare((struct call){.format = FORMATS[f], .threads = 1}, &x, &w, -1);
                matrix_free(&x);
                weights_free(&w);
            }
}

/* One call with a field changed. */
static void refused(const struct ech_ops *ops, const struct ech_linear_args *a, int want, const char *what)
{
    struct ech_queue *queue = queue_open(ops, 1 << 20);
    const int rc = ops->linear(queue, a);
    CHECK(rc == want, "%s: %s gave %d, expected %d", ops->name, what, rc, want);
    ech_queue_close(queue);
}

void test_blocks_refused(void)
{
    float x[512] = {0}, y[64];
    unsigned char w[8192] = {0};
    for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
        if (!usable(*o) || !(*o)->numerics[ECH_FMT_BLOCK_INT8])
            continue;
        const struct ech_linear_args good = {.size = sizeof good,
                                             .m = 1,
                                             .n = 4,
                                             .k = 256,
                                             .x = x,
                                             .ldx = 256,
                                             .packed = w,
                                             .y = y,
                                             .ldy = 4,
                                             .format = ECH_FMT_BLOCK_INT8,
                                             .w_type = ECH_W_Q4_K};
        struct ech_linear_args a = good;
        refused(*o, &a, ECH_OP_OK, "a good call");
        a.k = a.ldx = 224;
        refused(*o, &a, ECH_OP_SHAPE, "k of no whole blocks");
        a.w_type = ECH_W_Q4_0;
        refused(*o, &a, ECH_OP_OK, "k of whole blocks of 32");
        a = good, a.w_type = ECH_WTYPES;
        refused(*o, &a, ECH_OP_SHAPE, "no such type");
        a.w_type = (enum ech_wtype) - 1;
        refused(*o, &a, ECH_OP_SHAPE, "no such type");
        a = good, a.w_type = ECH_W_BF16;
        refused(*o, &a, ECH_OP_UNSUPPORTED, "integers of bf16");
        a.format = ECH_FMT_BLOCK;
        refused(*o, &a, ECH_OP_OK, "bf16 in place");
        a = good, a.packed = NULL;
        refused(*o, &a, ECH_OP_SHAPE, "no weights");
        float scale;
        a = good, a.y_type = ECH_A_Q8, a.ldy = 64, a.y_scale = &scale;
        refused(*o, &a, ECH_OP_UNSUPPORTED, "Q8 results");
        CHECK((*o)->linear_packed_bytes(ECH_FMT_BLOCK, 4, 256) == 0, "%s: blocks are packed", (*o)->name);
        CHECK((*o)->linear_pack(ECH_FMT_BLOCK, x, ECH_W_F32, 1, 4, y, 0, 1) == ECH_OP_UNSUPPORTED,
              "%s: packs blocks", (*o)->name);
        const bool scratch = (*o)->linear_workspace(ECH_FMT_BLOCK_INT8, 1, 4, 256, 1) > 0;
        CHECK((*o)->linear(NULL, &good) == (scratch ? ECH_OP_MEMORY : ECH_OP_OK), "%s: no queue", (*o)->name);
    }
}

/* --- what blocks mean --- */

static unsigned char *file_read(const char *folder, const char *name, size_t *bytes)
{
    char path[600];
    snprintf(path, sizeof path, "%s/goldens/tiny/gguf/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    unsigned char *all = malloc(1 << 20);
    *bytes = all ? fread(all, 1, 1 << 20, f) : 0;
    fclose(f);
    return all;
}

/* Where the blocks of the tensor `name` lie: the file has its tensors' names as strings with a length before,
 * then dimensions, type and offset; data begins at a multiple of 32 behind the last of `count`. */
static const unsigned char *tensor_of(const unsigned char *file, size_t bytes, const char *name,
                                      uint64_t *offset)
{
    const uint64_t length = strlen(name);
    for (size_t i = 24; i + 8 + length + 32 < bytes; i++) {
        uint64_t here;
        uint32_t dims;
        memcpy(&here, file + i, 8);
        if (here != length || memcmp(file + i + 8, name, length) != 0)
            continue;
        memcpy(&dims, file + i + 8 + length, 4);
        memcpy(offset, file + i + 8 + length + 4 + 8 * dims + 4, 8);
        return file + i + 8 + length + 4 + 8 * dims + 12;
    }
    return NULL;
}

static void golden_type(const char *folder, enum ech_wtype type, const unsigned char *data)
{
    char name[64];
    float got[3 * 256], want[3 * 256];
    size_t bytes;
    snprintf(name, sizeof name, "expected_%s.npy", ech_block_type(type)->name);
    for (char *c = name + 9; *c && *c != '.'; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    unsigned char *npy = file_read(folder, name, &bytes);
    CHECK(npy && bytes == 128 + sizeof want, "%s/%s cannot be read", folder, name);
    if (npy && bytes == 128 + sizeof want) {
        memcpy(want, npy + 128, sizeof want);
        ech_block_decode(type, data, 0, 3 * 256, got);
        for (int i = 0; i < 3 * 256; i++)
            if (!bits_equal(got[i], want[i])) {
                fail("%s: element %d is %.9g, expected %.9g", ech_block_type(type)->name, i, (double)got[i],
                     (double)want[i]);
                break;
            }
    }
    free(npy);
}

void test_blocks_golden(void)
{
    const char *folder = getenv("ECH_TEST_DATA") ? getenv("ECH_TEST_DATA") : "../shared";
    size_t bytes = 0;
    unsigned char *file = file_read(folder, "types.gguf", &bytes);
    if (!file) {
        printf("blocks_golden: nothing at %s/goldens/tiny/gguf, passed over\n", folder);
        return;
    }
    uint64_t first = UINT64_MAX, offset[ECH_WTYPES];
    const unsigned char *end = file, *at;
    for (int t = ECH_W_F16; t < ECH_WTYPES; t++) {
        char name[32];
        snprintf(name, sizeof name, "%s.weight", ech_block_type((enum ech_wtype)t)->name);
        for (char *c = name; *c; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        at = tensor_of(file, bytes, name, &offset[t]);
        CHECK(at, "types.gguf has no tensor '%s'", name);
        end = at && at > end ? at : end;
        first = at && offset[t] < first ? offset[t] : first;
    }
    const unsigned char *data = file + (size_t)(end - file + 31) / 32 * 32;
    for (int t = ECH_W_F16; t < ECH_WTYPES && failures() == 0; t++)
        golden_type(folder, (enum ech_wtype)t, data + offset[t]);
    free(file);
}

/* Any range of a row is the row's; a type taken apart by groups is what it decodes to. */
void test_blocks_decode(void)
{
    for (int type = 0; type < ECH_WTYPES; type++) {
        struct weights w = weights_make((enum ech_wtype)type, 1, 768);
        const struct ech_block_type *t = ech_block_type((enum ech_wtype)type);
        float whole[768], part[768];
        struct ech_block_values v;
        weights_random(&w, false);
        ech_block_decode(w.type, w.w, 0, 768, whole);
        for (int64_t first = 0; first < 768; first += 1 + random_below(90)) {
            const int64_t count = random_below(769 - first);
            ech_block_decode(w.type, w.w, first, count, part);
            CHECK(memcmp(part, whole + first, (size_t)count * sizeof *part) == 0, "%s: elements %d to %d",
                  t->name, (int)first, (int)(first + count));
        }
        for (int64_t i = 0; t->group && i < 768; i++) {
            ech_block_values(w.type, w.w + i / t->elements * t->bytes, &v);
            const int64_t at = i % t->elements, g = at / t->group;
            const float x = v.scale[g] * (float)(v.bytes[at] - t->offset) - v.min[g];
            CHECK(bits_equal(x + 0.0f, whole[i] + 0.0f), "%s: element %d is %g, by groups %g", t->name,
                  (int)i, (double)whole[i], (double)x);
        }
        weights_free(&w);
    }
    CHECK(!ech_block_type(ECH_WTYPES) && !ech_block_type((enum ech_wtype) - 1), "a type that is none");
    CHECK(ech_block_row_bytes(ECH_W_Q4_K, 255) == 0 && ech_block_row_bytes(ECH_W_Q4_K, -256) == 0 &&
              ech_block_row_bytes(ECH_W_Q4_K, INT64_MAX) == 0 && ech_block_row_bytes(ECH_W_Q4_K, 512) == 288,
          "bytes of a row");
}
