/* bf16 products of hostile numbers: denormals, borders of the normal range, infinities, NaN, cancellation.
 * The processor's instruction, its emulation by FMAs and plain C must agree on each bit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"

static uint32_t word(void)
{
    return (uint32_t)random_below(65536) << 16 | (uint32_t)random_below(65536);
}

static float from_word(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Of the kinds a sum can go wrong with; kind 0 to 7. */
static float hostile(int64_t kind)
{
    static const float BORDER[] = {0x1p-126f,   -0x1p-126f, 0x1.fcp-127f, 0x1p-133f, 0x1p-63f, -0x1p-63f,
                                   0x1.fep127f, 0x1p64f,    0.0f,         -0.0f,     0x1p-75f, 0x1.02p-76f};
    switch (kind) {
    case 0: /* any bits at all: NaN, infinities, denormals */
        return from_word(word());
    case 1: /* products about 2^-126 */
        return from_word((word() & 0x807fffff) | (uint32_t)(56 + random_below(16)) << 23);
    case 2: /* denormals */
        return from_word(word() & 0x807fffff);
    case 3:
        return BORDER[random_below(sizeof BORDER / sizeof BORDER[0])];
    case 4: /* far below the others */
        return from_word((word() & 0x807fffff) | (uint32_t)(20 + random_below(40)) << 23);
    case 5: /* products about the largest */
        return from_word((word() & 0x807fffff) | (uint32_t)(186 + random_below(10)) << 23);
    default: /* small whole numbers: sums cancel */
        return (float)(random_below(9) - 4) * (random_below(2) ? 1.0f : 0x1p-63f);
    }
}

enum { M = 24, N = 64, TURNS = 400 };

static void fill(struct matrix *x, struct buffer *w)
{
    const int64_t kind = random_below(9);
    for (int64_t r = 0; r < M; r++)
        for (int64_t i = 0; i < x->cols; i++)
            ((float *)matrix_row(x, r))[i] = hostile(kind < 8 ? kind : random_below(8));
    for (int64_t j = 0; j < N; j++)
        for (int64_t i = 0; i < x->cols; i++)
            buffer_row(w, j)[i] = hostile(kind < 8 && random_below(4) ? kind : random_below(8));
}

static struct matrix multiply(const struct ech_ops *ops, enum ech_format format, const struct matrix *x,
                              const struct buffer *w, enum ech_atype y_type)
{
    struct matrix y = matrix_make(y_type, M, N, 0);
    void *packed = pack_as(ops, format, w->x, N, x->cols);
    struct ech_queue *queue = queue_open(ops, ops->linear_workspace(format, M, N, x->cols, 1));
    struct ech_linear_args a = {.size = sizeof a,
                                .m = M,
                                .n = N,
                                .k = x->cols,
                                .x = x->x,
                                .ldx = x->ld,
                                .packed = packed,
                                .y = y.x,
                                .ldy = y.ld,
                                .format = format,
                                .x_type = x->type,
                                .y_type = y_type};
    CHECK(ops->linear(queue, &a) == ECH_OP_OK, "%s: linear", ops->name);
    ech_queue_close(queue);
    free(packed);
    return y;
}

static void compare(enum ech_format format, const struct matrix *x, const struct buffer *w)
{
    for (int t = ECH_A_F32; t <= ECH_A_BF16; t++) {
        struct matrix want = multiply(named("ref_exact"), format, x, w, (enum ech_atype)t);
        for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
            if (usable(*o) && same_class(*o, format)) {
                struct matrix y = multiply(*o, format, x, w, (enum ech_atype)t);
                matrix_same(&y, &want, (*o)->name);
                matrix_free(&y);
            }
        matrix_free(&want);
    }
}

/* About 24 * 64 * 400 sums of one to six terms a format. */
void test_hostile(void)
{
    static const enum ech_format FORMATS[] = {ECH_FMT_F32, ECH_FMT_BF16, ECH_FMT_BF16_F32};
    for (int turn = 0; turn < TURNS; turn++) {
        int64_t k = 1 + random_below(6);
        struct matrix x = matrix_make(ECH_A_F32, M, k, 0);
        struct buffer w = buffer_make(N, k, k);
        fill(&x, &w);
        for (size_t f = 0; f < sizeof FORMATS / sizeof FORMATS[0]; f++)
            compare(FORMATS[f], &x, &w);
        matrix_free(&x);
        buffer_free(&w);
    }
}
