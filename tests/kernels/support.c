/* See support.h. */
#include "support.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 32 };
static const uint32_t GUARD_WORD = 0x7fa5c3e1; /* a NaN: a stray read shows too */
static int failed;
static uint32_t state = 1;

static bool provoked;
static int provoked_count;

int failures_provoked(bool on)
{
    provoked_count = on ? 0 : provoked_count;
    provoked = on;
    return provoked_count;
}

void fail(const char *fmt, ...)
{
    if (provoked) {
        provoked_count++;
        return;
    }
    va_list args;
    va_start(args, fmt);
    if (failed++ < 1000) {
        fputs("FAIL ", stderr);
        vfprintf(stderr, fmt, args);
        fputc('\n', stderr);
    }
    va_end(args);
}

int failures(void)
{
    return failed;
}

static size_t buffer_words(const struct buffer *b)
{
    return (size_t)(2 * GUARD + b->rows * b->ld);
}

struct buffer buffer_make(int64_t rows, int64_t cols, int64_t ld)
{
    struct buffer b = {NULL, NULL, rows, cols, ld};
    b.base = malloc(buffer_words(&b) * sizeof(float));
    if (!b.base)
        abort();
    for (size_t i = 0; i < buffer_words(&b); i++)
        memcpy(b.base + i, &GUARD_WORD, sizeof GUARD_WORD);
    b.x = b.base + GUARD;
    return b;
}

void buffer_free(struct buffer *b)
{
    free(b->base);
    b->base = NULL;
}

float *buffer_row(const struct buffer *b, int64_t row)
{
    return b->x + row * b->ld;
}

void buffer_random(struct buffer *b, float scale)
{
    for (int64_t r = 0; r < b->rows; r++)
        for (int64_t c = 0; c < b->cols; c++)
            buffer_row(b, r)[c] = random_float(scale);
}

void buffer_check(const struct buffer *b, const char *what)
{
    int64_t words = (int64_t)buffer_words(b);
    for (int64_t i = 0; i < words; i++) {
        int64_t at = i - GUARD;
        if (at >= 0 && at < b->rows * b->ld && at % b->ld < b->cols)
            continue;
        if (memcmp(b->base + i, &GUARD_WORD, sizeof GUARD_WORD) != 0) {
            fail("%s: wrote outside of the result, word %lld of a (%lld, %lld) matrix of stride %lld", what,
                 (long long)at, (long long)b->rows, (long long)b->cols, (long long)b->ld);
            return;
        }
    }
}

void random_seed(uint32_t seed)
{
    state = seed * 2654435761u + 1;
}

static uint32_t random_word(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

float random_float(float scale)
{
    return ((float)(random_word() >> 8) * 0x1p-23f - 1.0f) * scale;
}

int64_t random_below(int64_t n)
{
    return (int64_t)(random_word() % (uint32_t)n);
}

bool bits_equal(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

void same_bits(const struct buffer *got, const struct buffer *want, const char *what)
{
    if (got->rows != want->rows || got->cols != want->cols) {
        fail("%s: shapes differ", what);
        return;
    }
    for (int64_t r = 0; r < got->rows; r++)
        for (int64_t c = 0; c < got->cols; c++)
            if (!bits_equal(buffer_row(got, r)[c], buffer_row(want, r)[c])) {
                fail("%s: bits differ at (%lld, %lld): %.9g, expected %.9g", what, (long long)r, (long long)c,
                     (double)buffer_row(got, r)[c], (double)buffer_row(want, r)[c]);
                return;
            }
}

void close_enough(const struct buffer *got, const struct buffer *want, double bound, const char *what)
{
    double error = 0, norm = 0;
    for (int64_t r = 0; r < got->rows; r++)
        for (int64_t c = 0; c < got->cols; c++) {
            double x = (double)buffer_row(got, r)[c], y = (double)buffer_row(want, r)[c];
            if (!isfinite(x) || !isfinite(y)) {
                if (!(isnan(x) && isnan(y)) && !(isinf(x) && isinf(y) && x == y)) {
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

struct ech_queue *queue_open_team(const struct ech_ops *ops, size_t workspace_bytes, int threads)
{
    struct ech_queue_options options = {
        .size = sizeof options, .workspace_bytes = workspace_bytes, .threads = threads};
    return ech_queue_open(ops, &options, NULL);
}

struct ech_queue *queue_open(const struct ech_ops *ops, size_t workspace_bytes)
{
    return queue_open_team(ops, workspace_bytes, 1);
}

void *pack_as(const struct ech_ops *ops, enum ech_format format, const float *w, int64_t n, int64_t k)
{
    void *packed = aligned_alloc(64, (ops->linear_packed_bytes(format, n, k) + 64) / 64 * 64);
    if (!packed)
        abort();
    int rc = ops->linear_pack(format, w, ECH_W_F32, n, k, packed, 0, 1);
    CHECK(rc == ECH_OP_OK, "%s: packing (%lld, %lld) as %s gave %d", ops->name, (long long)n, (long long)k,
          ech_ops_format_name(format), rc);
    return packed;
}

void *pack_whole(const struct ech_ops *ops, const float *w, int64_t n, int64_t k)
{
    return pack_as(ops, ECH_FMT_F32, w, n, k);
}

bool same_class(const struct ech_ops *ops, enum ech_format format)
{
    const char *mine = ops->numerics[format], *exact_class = named("ref_exact")->numerics[format];
    return mine && exact_class && strcmp(mine, exact_class) == 0;
}

bool packs(const struct ech_ops *ops, enum ech_format format)
{
    return ops->numerics[format] && !ech_format_in_place(format);
}

bool usable(const struct ech_ops *ops)
{
    return !ops->available();
}

bool exact(const struct ech_ops *ops)
{
    return usable(ops) && strcmp(ops->numerics[ECH_FMT_F32], "cpu-f32-2") == 0;
}

const struct ech_ops *named(const char *name)
{
    char why[256] = "";
    const struct ech_ops *ops = ech_ops_find(name, why);
    if (!ops) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    return ops;
}
