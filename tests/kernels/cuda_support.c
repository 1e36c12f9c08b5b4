/* See cuda_support.h. */
#include "cuda_support.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/convert.h"

enum { GUARD = 256 };

struct slab slab_make(int64_t rows, int64_t cols, int64_t ld, enum ech_atype type, size_t shift)
{
    size_t each = ech_atype_bytes(type);
    struct slab s = {.rows = rows, .width = (size_t)cols * each, .stride = (size_t)ld * each, .shift = shift};
    if (type == ECH_A_Q8)
        s.width = (size_t)ech_q8_stride(cols);
    s.bytes = 2 * GUARD + shift + (size_t)rows * s.stride;
    s.host = malloc(s.bytes);
    char why[256] = "";
    if (!s.host || cuda->mem_alloc(0, s.bytes, &s.mem, why) != ECH_OP_OK) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    memset(s.host, 0xff, s.bytes);
    return s;
}

void slab_free(struct slab *s)
{
    sync_ok("freeing");
    cuda->mem_free(&s->mem);
    free(s->host);
}

void *slab_row(const struct slab *s, int64_t row)
{
    return s->host + GUARD + s->shift + (size_t)row * s->stride;
}

void *slab_at(const struct slab *s)
{
    return (char *)s->mem.at + GUARD + s->shift;
}

void slab_random(struct slab *s, float scale)
{
    for (int64_t r = 0; r < s->rows; r++)
        for (size_t c = 0; c < s->width / sizeof(float); c++)
            ((float *)slab_row(s, r))[c] = random_float(scale);
}

void slab_put(struct slab *s)
{
    CHECK(cuda->put(queue, s->mem.at, s->host, s->bytes) == ECH_OP_OK, "put: %s", ech_queue_error(queue));
}

static bool guard_at(const struct slab *s, size_t i)
{
    size_t first = GUARD + s->shift;
    if (i < first || i >= s->bytes - GUARD)
        return true;
    return (i - first) % s->stride >= s->width;
}

void slab_get(struct slab *s, const char *what)
{
    CHECK(cuda->get(queue, s->host, s->mem.at, s->bytes) == ECH_OP_OK, "%s: get: %s", what,
          ech_queue_error(queue));
    sync_ok(what);
    for (size_t i = 0; i < s->bytes; i++)
        if (guard_at(s, i) && s->host[i] != (char)0xff) {
            fail("%s: wrote outside of the result, byte %lld of rows of %zu every %zu", what,
                 (long long)i - (long long)(GUARD + s->shift), s->width, s->stride);
            return;
        }
}

struct buffer slab_view(const struct slab *s)
{
    return (struct buffer){NULL, slab_row(s, 0), s->rows, (int64_t)(s->width / 4), (int64_t)(s->stride / 4)};
}

float slab_value(const struct slab *s, int64_t row, int64_t c, enum ech_atype type, const float *scale)
{
    const void *r = slab_row(s, row);
    switch (type) {
    case ECH_A_BF16:
        return ech_from_bf16(((const uint16_t *)r)[c]);
    case ECH_A_F16:
        return ech_from_f16(((const uint16_t *)r)[c]);
    case ECH_A_Q8:
        return (float)(((const uint8_t *)r)[c] - 128) * scale[row];
    default:
        return ((const float *)r)[c];
    }
}

void slab_same(const struct slab *got, const struct slab *want, const char *what)
{
    for (int64_t r = 0; r < want->rows; r++)
        if (memcmp(slab_row(got, r), slab_row(want, r), want->width) != 0) {
            fail("%s: row %lld has other bytes", what, (long long)r);
            return;
        }
}

struct ech_mem upload(const void *host, size_t bytes)
{
    struct ech_mem mem = {0};
    char why[256] = "";
    if (cuda->mem_alloc(0, bytes, &mem, why) != ECH_OP_OK) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    CHECK(cuda->put(queue, mem.at, host, bytes) == ECH_OP_OK, "put: %s", ech_queue_error(queue));
    return mem;
}

void *pack_here(enum ech_format format, const float *w, int64_t n, int64_t k, size_t *bytes)
{
    *bytes = cuda->linear_packed_bytes(format, n, k);
    void *packed = aligned_alloc(64, (*bytes + 64) / 64 * 64);
    if (!packed)
        abort();
    memset(packed, 0xff, *bytes);
    for (int64_t part = 0; part < 3; part++)
        CHECK(cuda->linear_pack(format, w, ECH_W_F32, n, k, packed, part, 3) == ECH_OP_OK, "packing");
    return packed;
}

void sync_ok(const char *what)
{
    int rc = ech_queue_sync(queue);
    CHECK(rc == ECH_OP_OK, "%s: sync gave %d: %s", what, rc, ech_queue_error(queue));
}

float round_f16(float x)
{
    if (!isfinite(x) || x == 0)
        return x;
    int exponent;
    (void)frexp((double)x, &exponent);
    exponent = exponent < -13 ? -13 : exponent; /* below: steps of 2^-24 */
    double y = ldexp(nearbyint(ldexp((double)x, 11 - exponent)), exponent - 11);
    return fabs(y) > 65504 ? copysignf(INFINITY, x) : (float)y;
}

static float most_of(const float *x, int64_t cols)
{
    float most = 0;
    for (int64_t c = 0; c < cols; c++)
        most = fabsf(x[c]) > most ? fabsf(x[c]) : most;
    return most;
}

static float q8_of(float x, float most)
{
    return most < 0x1p-100f ? 0 : nearbyintf(x * (127.0f / most));
}

void round_rows(float *x, int64_t rows, int64_t cols, int64_t ld, enum ech_format format)
{
    for (int64_t r = 0; r < rows; r++, x += ld) {
        float most = most_of(x, cols);
        for (int64_t c = 0; c < cols; c++)
            x[c] = format == ECH_FMT_BF16   ? ech_from_bf16(ech_to_bf16(x[c]))
                   : format == ECH_FMT_F16  ? round_f16(x[c])
                   : format == ECH_FMT_INT8 ? q8_of(x[c], most) * (most / 127.0f)
                                            : x[c];
    }
}

static uint16_t bits_f16(float x)
{
    float y = round_f16(x);
    for (uint32_t h = 0; h < 65536; h++) /* slow and sure */
        if (bits_equal(ech_from_f16((uint16_t)h), y))
            return (uint16_t)h;
    return 0;
}

void expect_rows(const struct slab *x, int64_t cols, struct slab *out, float *scale, enum ech_atype type)
{
    for (int64_t r = 0; r < x->rows; r++) {
        const float *from = slab_row(x, r);
        void *to = slab_row(out, r);
        float most = most_of(from, cols);
        if (type == ECH_A_Q8) {
            memset(to, 128, out->width);
            scale[r] = most < 0x1p-100f ? 0 : most / 127.0f;
        }
        for (int64_t c = 0; c < cols; c++)
            switch (type) {
            case ECH_A_BF16:
                ((uint16_t *)to)[c] = ech_to_bf16(from[c]);
                break;
            case ECH_A_F16:
                ((uint16_t *)to)[c] = bits_f16(from[c]);
                break;
            case ECH_A_Q8:
                ((uint8_t *)to)[c] = (uint8_t)(q8_of(from[c], most) + 128);
                break;
            default:
                ((float *)to)[c] = from[c];
            }
    }
}

void *emulator(const char *symbol)
{
    const char *path = getenv("ECH_CUDA_LIBRARY");
    void *object = path ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : NULL;
    void *at = object ? dlsym(object, symbol) : NULL;
    if (object)
        dlclose(object);
    return at;
}
