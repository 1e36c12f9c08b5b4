/* See matrix.h. */
#include "matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 128, GUARD_BYTE = 0xfb }; /* as f32 and bf16: a huge value, so a stray read shows */

static size_t element(const struct matrix *m)
{
    return ech_atype_bytes(m->type);
}

static size_t bytes_of(const struct matrix *m)
{
    return (size_t)(m->rows * m->ld) * element(m);
}

/* Elements of a row that are its own. */
static int64_t width(const struct matrix *m)
{
    return m->type == ECH_A_Q8 ? ech_q8_stride(m->cols) : m->cols;
}

struct matrix matrix_make(enum ech_atype type, int64_t rows, int64_t cols, int64_t pad)
{
    struct matrix m = {.type = type, .rows = rows, .cols = cols};
    m.ld = width(&m) + pad;
    m.base = aligned_alloc(64, (bytes_of(&m) + 2 * GUARD + 63) / 64 * 64);
    m.scale = calloc((size_t)rows + 1, sizeof *m.scale);
    if (!m.base || !m.scale)
        abort();
    memset(m.base, GUARD_BYTE, bytes_of(&m) + 2 * GUARD);
    m.x = m.base + GUARD;
    return m;
}

void matrix_free(struct matrix *m)
{
    free(m->base);
    free(m->scale);
    m->base = NULL;
    m->scale = NULL;
}

void *matrix_row(const struct matrix *m, int64_t row)
{
    return (char *)m->x + (size_t)(row * m->ld) * element(m);
}

static float from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static float from_f16(uint16_t h)
{
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    if (exponent == 31)
        v = fraction ? (double)NAN : (double)INFINITY;
    return (float)(h & 0x8000 ? -v : v);
}

float matrix_get(const struct matrix *m, int64_t row, int64_t col)
{
    const void *p = matrix_row(m, row);
    if (m->type == ECH_A_F32)
        return ((const float *)p)[col];
    if (m->type == ECH_A_BF16)
        return from_bf16(((const uint16_t *)p)[col]);
    if (m->type == ECH_A_F16)
        return from_f16(((const uint16_t *)p)[col]);
    return (float)(((const uint8_t *)p)[col] - 128) * m->scale[row];
}

static void random_element(const struct matrix *m, int64_t row, int64_t col, float scale)
{
    void *p = matrix_row(m, row);
    float x = random_float(scale);
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (m->type == ECH_A_F32)
        ((float *)p)[col] = x;
    else if (m->type == ECH_A_BF16)
        ((uint16_t *)p)[col] = (uint16_t)(u >> 16);
    else if (m->type == ECH_A_F16) /* below 2 */
        ((uint16_t *)p)[col] = (uint16_t)(u >> 16 & 0xbfff);
    else
        ((uint8_t *)p)[col] = (uint8_t)(col < m->cols ? 1 + random_below(255) : 128);
}

void matrix_random(struct matrix *m, float scale)
{
    for (int64_t r = 0; r < m->rows; r++) {
        for (int64_t c = 0; c < width(m); c++)
            random_element(m, r, c, scale);
        m->scale[r] = scale / 127 * (float)(1 + random_below(4));
    }
}

void matrix_copy(struct matrix *to, const struct matrix *from)
{
    for (int64_t r = 0; r < to->rows; r++)
        memcpy(matrix_row(to, r), matrix_row(from, r), (size_t)width(to) * element(to));
    memcpy(to->scale, from->scale, (size_t)to->rows * sizeof *to->scale);
}

void matrix_check(const struct matrix *m, const char *what)
{
    const int64_t row = (int64_t)((size_t)m->ld * element(m)), own = (int64_t)((size_t)width(m) * element(m));
    const int64_t total = (int64_t)bytes_of(m);
    for (int64_t i = 0; i < total + 2 * GUARD; i++) {
        int64_t at = i - GUARD;
        if (at >= 0 && at < total && at % row < own)
            continue;
        if (m->base[i] != GUARD_BYTE) {
            fail("%s: wrote outside of the result, byte %lld of a (%lld, %lld) matrix of stride %lld", what,
                 (long long)at, (long long)m->rows, (long long)m->cols, (long long)m->ld);
            return;
        }
    }
}

static bool same_element(const struct matrix *a, const struct matrix *b, int64_t r, int64_t c)
{
    if (a->type == ECH_A_Q8)
        return ((const uint8_t *)matrix_row(a, r))[c] == ((const uint8_t *)matrix_row(b, r))[c];
    return bits_equal(matrix_get(a, r, c), matrix_get(b, r, c));
}

void matrix_same(const struct matrix *got, const struct matrix *want, const char *what)
{
    if (got->type != want->type || got->rows != want->rows || got->cols != want->cols) {
        fail("%s: shapes differ", what);
        return;
    }
    for (int64_t r = 0; r < got->rows; r++) {
        if (got->type == ECH_A_Q8 && !bits_equal(got->scale[r], want->scale[r])) {
            fail("%s: scale of row %lld: %.9g, expected %.9g", what, (long long)r, (double)got->scale[r],
                 (double)want->scale[r]);
            return;
        }
        for (int64_t c = 0; c < width(got); c++)
            if (!same_element(got, want, r, c)) {
                fail("%s: bits differ at (%lld, %lld): %.9g, expected %.9g", what, (long long)r, (long long)c,
                     (double)matrix_get(got, r, c), (double)matrix_get(want, r, c));
                return;
            }
    }
}

uint16_t nearest_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    const uint16_t below = (uint16_t)(u >> 16);
    if (isnan(x))
        return below | 0x40;
    if (fpclassify(x) == FP_SUBNORMAL)
        return below & 0x8000;
    if (isinf(x))
        return below;
    /* the neighbour away from zero; past the largest it stands for 2^128 */
    double low = (double)from_bf16(below), step = ldexp(1, (int)(u >> 23 & 255) - 127 - 7);
    double high = low + copysign(step, (double)x);
    double down = fabs((double)x - low), up = fabs(high - (double)x);
    return down < up || (down == up && below % 2 == 0) ? below : (uint16_t)(below + 1);
}
