/* Layer and RMS norm with their second output: every backend against ref and ref_exact, and the narrow forms
 * of bf16, f16 and Q8 against what they mean. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/narrow.h"
#include "rows_support.h"

/* Ways to call: kind and shift, in place or not, and the second output's type. */
enum { LAYER, LAYER_PLAIN, RMS, RMS_OFFSET, KINDS, IN_PLACE = KINDS, ALSO = 2 * KINDS };
enum { MODES = ALSO * ECH_ATYPES, WIDEST = 512, MARGIN = 64 };

static float gain[WIDEST], shift[WIDEST];

static struct ech_norm_args norm_args(const struct buffer *in, struct buffer *out, int mode)
{
    const int kind = mode % KINDS;
    return (struct ech_norm_args){.size = sizeof(struct ech_norm_args),
                                  .rows = in->rows,
                                  .cols = in->cols,
                                  .x = mode / IN_PLACE % 2 ? out->x : in->x,
                                  .ldx = in->ld,
                                  .gain = gain,
                                  .shift = kind == LAYER ? shift : NULL,
                                  .eps = 1e-5f,
                                  .y = out->x,
                                  .ldy = out->ld,
                                  .kind = kind >= RMS ? ECH_NORM_RMS : ECH_NORM_LAYER,
                                  .gain_offset = kind == RMS_OFFSET ? 1 : 0};
}

static float widened(enum ech_atype type, const uint8_t *row, int64_t i, float scale)
{
    uint16_t half;
    if (type == ECH_A_Q8)
        return (float)(row[i] - 128) * scale;
    memcpy(&half, row + 2 * i, sizeof half);
    return type == ECH_A_BF16 ? ech_from_bf16(half) : ech_from_f16(half);
}

/* The second output is what narrow.h makes of y, and nothing beside it was written; then y is replaced by its
 * widened form, so that the caller's comparisons see it. */
static void check_also(const struct ech_ops *ops, const struct ech_norm_args *a, uint8_t *memory,
                       size_t bytes, struct buffer *out)
{
    const int64_t unit = (int64_t)ech_atype_bytes(a->also_type);
    const int64_t width = a->also_type == ECH_A_Q8 ? ech_q8_stride(a->cols) : a->cols * unit;
    uint8_t *want = malloc(bytes);
    float scale = 0;
    memset(want, 0xa5, bytes);
    for (int64_t r = 0; r < a->rows; r++) {
        uint8_t *row = want + MARGIN + r * a->ld_also * unit, *got = memory + MARGIN + r * a->ld_also * unit;
        if (a->cols == 0)
            continue;
        ech_narrow_row(a->also_type, buffer_row(out, r), a->cols, row, &scale);
        CHECK(a->also_type != ECH_A_Q8 || bits_equal(scale, a->also_scale[r]),
              "%s norm: the scale of row %d is %g, not %g", ops->name, (int)r, (double)a->also_scale[r],
              (double)scale);
        for (int64_t i = 0; i < a->cols && a->also_type != ECH_A_Q8; i++)
            if (isnan(widened(a->also_type, row, i, 1)) && isnan(widened(a->also_type, got, i, 1)))
                memcpy(row + 2 * i, got + 2 * i, 2); /* payloads are not promised */
        CHECK(memcmp(row, got, (size_t)width) == 0, "%s norm: row %d of type %d differs", ops->name, (int)r,
              (int)a->also_type);
        for (int64_t i = 0; i < a->cols; i++)
            buffer_row(out, r)[i] = widened(a->also_type, got, i, scale);
    }
    CHECK(memcmp(want, memory, bytes) == 0, "%s norm: wrote outside of type %d", ops->name,
          (int)a->also_type);
    free(want);
}

static int call_norm(const struct ech_ops *ops, const struct buffer *in, struct buffer *out, int mode)
{
    struct ech_norm_args a = norm_args(in, out, mode);
    if (mode < ALSO)
        return ops->norm(NULL, &a);
    float scales[8] = {0};
    a.also_type = (enum ech_atype)(mode / ALSO);
    a.also_scale = a.also_type == ECH_A_Q8 ? scales : NULL;
    a.ld_also = a.also_type == ECH_A_Q8 ? ech_q8_stride(in->cols) + 64 : in->ld;
    size_t bytes = 2 * MARGIN + (size_t)(in->rows * a.ld_also) * ech_atype_bytes(a.also_type);
    uint8_t *memory = malloc(bytes);
    memset(memory, 0xa5, bytes);
    a.also = memory + MARGIN;
    int rc = ops->norm(NULL, &a);
    if (rc == ECH_OP_OK) {
        struct buffer alone = copy_of(in);
        struct ech_norm_args plain = norm_args(in, &alone, mode % ALSO);
        CHECK(ops->norm(NULL, &plain) == ECH_OP_OK, "%s: norm", ops->name);
        same_bits(out, &alone, "norm with a second output");
        buffer_free(&alone);
        check_also(ops, &a, memory, bytes, out);
    }
    free(memory);
    return rc;
}

void test_norm(void)
{
    for (int i = 0; i < WIDEST; i++)
        gain[i] = random_float(2), shift[i] = random_float(1);
    /* x - mean cancels where a row's few columns are nearly equal: the bound is for those. A value on the
     * edge between two narrow ones may fall to either side: half a unit of theirs beside ref. */
    static const double BOUND[ECH_ATYPES] = {
        [ECH_A_F32] = 3e-10, [ECH_A_BF16] = 2e-5, [ECH_A_Q8] = 2e-4, [ECH_A_F16] = 3e-7};
    for (int mode = 0; mode < MODES; mode++)
        compare_all(&(struct row_test){"norm", call_norm, BOUND[mode / ALSO], false, true}, mode, 3);
}

/* With a gain of 0, y is the shift, whatever that is: every kind of number goes through every narrow form. */
void test_norm_special(void)
{
    struct buffer in = buffer_make(1, WIDEST, WIDEST);
    memset(gain, 0, sizeof gain);
    for (int turn = 0; turn < 40; turn++) {
        buffer_random(&in, 1);
        for (int i = 0; i < WIDEST; i++) {
            shift[i] = any_float(turn * WIDEST + i);
            if (turn % 4 == 1 && !isfinite(shift[i])) /* rows of numbers alone, for Q8 */
                shift[i] = -0.0f;
            if (turn % 4 == 2) /* denormals, the edge of Q8's zero rows */
                shift[i] *= i % 2 ? 0x1p-100f : 0x1p-130f;
            if (turn % 4 == 3)
                shift[i] = (float)(i - WIDEST / 2) * 0.5f; /* ties */
        }
        for (int also = 0; also < ECH_ATYPES; also++) {
            struct buffer bits = result_of(named("ref_exact"), call_norm, &in, ALSO * also, "special norm");
            for (const struct ech_ops *const *o = ech_ops_all(); *o; o++)
                if (exact(*o)) {
                    struct buffer out = result_of(*o, call_norm, &in, ALSO * also, "special norm");
                    same_bits(&out, &bits, (*o)->name);
                    buffer_free(&out);
                }
            buffer_free(&bits);
        }
    }
    /* A NaN or an infinity in x spoils its row, and no other of the four that go together. */
    struct buffer x = buffer_make(6, 70, 70);
    for (int i = 0; i < WIDEST; i++)
        gain[i] = random_float(2), shift[i] = random_float(1);
    for (int kind = 0; kind < KINDS; kind++)
        for (int bad = 0; bad < 2; bad++) {
            buffer_random(&x, 1);
            buffer_row(&x, 2)[69] = bad ? NAN : INFINITY;
            for (const struct ech_ops *const *o = ech_ops_all(); *o; o++) {
                if (!usable(*o))
                    continue;
                struct buffer out = result_of(*o, call_norm, &x, kind, "norm of a NaN");
                for (int r = 0; r < 6; r++)
                    for (int c = 0; c < 70; c++) {
                        float y = buffer_row(&out, r)[c];
                        bool nan = r == 2 && (bad || kind < RMS || c == 69); /* x / inf is 0 */
                        CHECK(isnan(y) == nan, "%s: norm kind %d: %g at (%d, %d)", (*o)->name, kind,
                              (double)y, r, c);
                    }
                buffer_free(&out);
            }
        }
    buffer_free(&x), buffer_free(&in);
}

/* No neighbour of `half` is nearer to x; between two as near, the even one. */
static bool nearest(float x, uint16_t half, float (*widen)(uint16_t))
{
    double mine = fabs((double)widen(half) - (double)x);
    for (int step = -1; step <= 1; step += 2) {
        uint16_t other = (uint16_t)(half + step);
        float y = widen(other);
        if ((other & 0x8000) != (half & 0x8000) || !isfinite(y))
            continue;
        double its = fabs((double)y - (double)x);
        if (its < mine || (its == mine && half % 2 != 0))
            return false;
    }
    return true;
}

#if defined(__x86_64__)
#include <immintrin.h>

/* The processor's own conversion, where it has one. */
__attribute__((target("avx512f,avx512vl,avx512bf16"))) static uint16_t chip_bf16(float x)
{
    return (uint16_t)_mm_extract_epi16((__m128i)_mm_cvtneps_pbh(_mm_set1_ps(x)), 0);
}

static bool chip_agrees(float x)
{
    return !__builtin_cpu_supports("avx512bf16") || chip_bf16(x) == ech_to_bf16(x);
}
#else
static bool chip_agrees(float x)
{
    (void)x;
    return true;
}
#endif

void test_narrow(void)
{
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += 1009) {
        float x = ech_from_bits((uint32_t)bits), magnitude = fabsf(x);
        uint16_t b = ech_to_bf16(x), h = ech_to_f16(x);
        if (isnan(x)) {
            CHECK(isnan(ech_from_bf16(b)) && isnan(ech_from_f16(h)), "a NaN was lost");
            continue;
        }
        CHECK(chip_agrees(x), "%.9g in bf16 is not what the processor gives", (double)x);
        if (magnitude < 0x1p-126f)
            CHECK((b & 0x7fff) == 0 && b >> 15 == bits >> 31, "the denormal %.9g in bf16 is %x", (double)x,
                  b);
        else if (isfinite(ech_from_bf16(b)))
            CHECK(nearest(x, b, ech_from_bf16), "%.9g in bf16 is %x", (double)x, b);
        else
            CHECK(magnitude >= 0x1.ffp127f, "%.9g in bf16 is infinite", (double)x);
        if (isfinite(ech_from_f16(h)))
            CHECK(nearest(x, h, ech_from_f16), "%.9g in f16 is %x", (double)x, h);
        CHECK(isfinite(ech_from_f16(h)) == (magnitude < 65520), "%.9g in f16 is %x", (double)x, h);
    }
    float x[130];
    uint8_t q[192];
    for (int i = 0; i < 130; i++)
        x[i] = random_float(3);
    x[77] = -3;
    float scale = ech_to_q8(x, 130, q);
    CHECK(scale == 3.0f / 127 && q[77] == 1, "Q8: scale %g, the largest is %d", (double)scale, q[77]);
    for (int i = 0; i < 192; i++) {
        double want = i < 130 ? (double)x[i] / (double)scale : 0;
        CHECK(fabs(q[i] - 128 - want) <= 0.5001, "Q8: %d for %g", q[i] - 128, want);
    }
}
