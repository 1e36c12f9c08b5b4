/* ECH_FMT_BLOCK_INT8 for one row of x, from the file's blocks to sums without a detour through memory: 16
 * outputs side by side, a superblock of 256 of k after another. Of each output four registers of bytes times
 * those of x by `vpdpbusd`; the partial sums of four outputs are added across, those of 16 turned, so that a
 * group's dots lie in one vector; then the FMAs of ops.h. In files compiled for AVX-512 with VNNI, after
 * group32.h. */
#ifndef ECH_KERNELS_CPU_BLOCK_VECTOR_H
#define ECH_KERNELS_CPU_BLOCK_VECTOR_H

#include "kernels/cpu/block_scales512.h"
#include "kernels/cpu/product_format.h"

enum { SUPER = 256, SUPER_GROUPS = 8 };

/* 256 elements of x in the order of struct bytes512; a scale for each 32; for each group of the type -offset
 * times the sum of the values, and -(scale times the sum). Zeros past k. */
struct x512 {
    int8_t bytes[SUPER];
    float scale[SUPER_GROUPS];
    int32_t start[2 * SUPER_GROUPS];
    float min[2 * SUPER_GROUPS];
    float unused[8];
};

static int64_t supers512(int64_t k)
{
    return (k + SUPER - 1) / SUPER;
}

static size_t block_vector_bytes(int64_t k)
{
    return (size_t)supers512(k) * sizeof(struct x512);
}

static void block_vector_bring(const struct ech_linear_args *a, void *to)
{
    const struct ech_block_type *type = ech_block_type(a->w_type);
    const bool halves = type->group < 32;
    struct x512 *x = to;
    memset(x, 0, block_vector_bytes(a->k));
    for (int64_t k = 0; k < a->k; k += 32) {
        struct x512 *s = &x[k / SUPER];
        const int64_t g = k % SUPER / 32;
        int8_t values[32];
        int32_t sums[2];
        const float *from = (const float *)a->x + k;
        s->scale[g] = group32_values(v16_load(from), v16_load(from + 16), values, sums);
        memcpy(s->bytes + g / 4 * 128 + g % 4 * 16, values, 16);
        memcpy(s->bytes + g / 4 * 128 + g % 4 * 16 + 64, values + 16, 16);
        sums[0] += halves ? 0 : sums[1];
        for (int64_t p = 0; p < (halves ? 2 : 1); p++) {
            const int64_t at = halves ? 2 * g + p : g;
            s->start[at] = -type->offset * sums[p];
            s->min[at] = -(s->scale[g] * (float)sums[p]);
        }
    }
}

INLINE __m512i dot512(__m512i sum, __m512i u, const int8_t *x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "m"(*(const __m512i *)(const void *)x));
    return sum;
}

/* Lane p of each of four registers holds four sums of an output: they become one. */
INLINE __m512i across512(const __m512i r[4])
{
    const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(r[0], r[1]), _mm512_unpackhi_epi32(r[0], r[1]));
    const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(r[2], r[3]), _mm512_unpackhi_epi32(r[2], r[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* Lane p of register i, outputs 4i to 4i + 3 of group p, becomes lane i of register p. */
INLINE void turn512(const __m512i z[4], __m512i to[4])
{
    const __m512i a = _mm512_shuffle_i32x4(z[0], z[1], 0x44), b = _mm512_shuffle_i32x4(z[0], z[1], 0xee);
    const __m512i c = _mm512_shuffle_i32x4(z[2], z[3], 0x44), d = _mm512_shuffle_i32x4(z[2], z[3], 0xee);
    to[0] = _mm512_shuffle_i32x4(a, c, 0x88);
    to[1] = _mm512_shuffle_i32x4(a, c, 0xdd);
    to[2] = _mm512_shuffle_i32x4(b, d, 0x88);
    to[3] = _mm512_shuffle_i32x4(b, d, 0xdd);
}

/* What of x a superblock, or half of one, is multiplied by. */
struct part512 {
    const int8_t *bytes;
    const float *scale, *min;
    const int32_t *start;
};

/* Dots of 16 outputs and a superblock of `count` halves: dots[g]. With halves (groups of 16), group 2p + s of
 * the half h is dots[8h + 2p + s]. */
INLINE void super_dots(const enum ech_wtype type, const struct rows512 *rows, const struct part512 *x,
                       const int count, const bool halves, __m512i *dots)
{
    __m512i z[4][4];
    FOR(i, 4)
    {
        __m512i sums[4][4];
        FOR(j, 4)
        {
            const struct bytes512 w = bytes512_of(type, rows->at[4 * i + j], count);
            FOR(h, count)
            {
                const __m512i first = dot512(_mm512_setzero_si512(), w.v[2 * h], x->bytes + 128 * h);
                const __m512i start = halves ? _mm512_setzero_si512() : first;
                sums[2 * h][j] = first;
                sums[2 * h + 1][j] = dot512(start, w.v[2 * h + 1], x->bytes + 128 * h + 64);
            }
        }
        FOR(s, 2 * count) if (halves || s % 2) z[s][i] = across512(sums[s]);
    }
    FOR(h, count)
    {
        if (halves) {
            __m512i even[4], odd[4];
            turn512(z[2 * h], even);
            turn512(z[2 * h + 1], odd);
            FOR(p, 4)
            {
                dots[8 * h + 2 * p] = even[p];
                dots[8 * h + 2 * p + 1] = odd[p];
            }
        } else {
            turn512(z[2 * h + 1], dots + 4 * h);
        }
    }
}

/* The chains of 16 outputs go on over `groups` of 32, no more than `count` halves hold. */
INLINE __m512 super_chain(const enum ech_wtype type, const struct ech_block_type t,
                          const struct rows512 *rows, const struct part512 *x, const int count,
                          int64_t groups, __m512 sum)
{
    const bool halves = t.group < 32;
    const int parts = halves ? 2 : 1;
    __m512i dots[2 * SUPER_GROUPS];
    struct scales512 s;
    super_dots(type, rows, x, count, halves, dots);
    scales512_of(type, rows, groups, &s);
    for (int64_t g = 0; g < groups * parts; g++) {
        const __m512i dot = t.offset ? _mm512_add_epi32(dots[g], _mm512_set1_epi32(x->start[g])) : dots[g];
        const __m512 by = _mm512_mul_ps(_mm512_set1_ps(x->scale[g / parts]), s.scale[g]);
        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), by, sum);
        if (t.mins)
            sum = _mm512_fmadd_ps(s.min[g], _mm512_set1_ps(x->min[g]), sum);
    }
    return sum;
}

/* Less than half a superblock of blocks of 32, with zeros behind them. */
INLINE __m512 rest_chain(const enum ech_wtype type, const struct ech_block_type t, const struct rows512 *rows,
                         const struct part512 *x, int64_t groups, __m512 sum)
{
    uint8_t room[16][SUPER_GROUPS / 2 * 34];
    struct rows512 copies;
    FOR(j, 16)
    {
        memset(room[j], 0, sizeof room[j]);
        memcpy(room[j], rows->at[j], (size_t)(groups * t.bytes));
        copies.at[j] = room[j];
    }
    return super_chain(type, t, &copies, x, 1, groups, sum);
}

/* Types of 32 whose rows end within a superblock. */
INLINE __m512 tail_chain(const enum ech_wtype type, const struct ech_block_type t, struct rows512 *rows,
                         const struct x512 *x, int64_t groups, __m512 sum)
{
    struct part512 part = {x->bytes, x->scale, x->min, x->start};
    if (groups >= SUPER_GROUPS / 2) {
        sum = super_chain(type, t, rows, &part, 1, SUPER_GROUPS / 2, sum);
        FOR(j, 16) rows->at[j] += SUPER_GROUPS / 2 * t.bytes;
        part = (struct part512){x->bytes + SUPER / 2, x->scale + SUPER_GROUPS / 2, x->min + SUPER_GROUPS / 2,
                                x->start + SUPER_GROUPS / 2};
        groups -= SUPER_GROUPS / 2;
    }
    return groups ? rest_chain(type, t, rows, &part, groups, sum) : sum;
}

/* Outputs [first, first + 16), or as many as there are: their sums. The lines that the next 16 outputs will
 * want are asked for on the way. */
INLINE void block_vector(const struct ech_linear_args *a, const struct x512 *x, int64_t first, float *sums,
                         const enum ech_wtype type, const struct ech_block_type t)
{
    const int64_t bytes = a->k / t.elements * t.bytes, last = a->n - 1, supers = a->k / SUPER,
                  step = SUPER / t.elements * t.bytes;
    const uint8_t *w = (const uint8_t *)a->packed, *ahead = w + (first + 16) * bytes;
    struct rows512 rows;
    __m512 sum = _mm512_setzero_ps();
    FOR(j, 16) rows.at[j] = w + (first + j < last ? first + j : last) * bytes;
    for (int64_t s = 0; s < supers; s++) {
        const struct part512 part = {x[s].bytes, x[s].scale, x[s].min, x[s].start};
        for (int64_t i = 0; i < 16 * step; i += 64)
            __builtin_prefetch(ahead + i, 0, 3);
        ahead += 16 * step;
        sum = super_chain(type, t, &rows, &part, 2, SUPER_GROUPS, sum);
        FOR(j, 16) rows.at[j] += step;
    }
    for (int64_t i = 0, left = 16 * (bytes - supers * step); i < left; i += 64)
        __builtin_prefetch(ahead + i, 0, 3);
    if (t.elements == 32 && a->k % SUPER)
        sum = tail_chain(type, t, &rows, &x[supers], a->k % SUPER / 32, sum);
    _mm512_storeu_ps(sums, sum);
}

#define BLOCK_VECTORS(name, ...)                                                                             \
    static void block_vector_##name(const struct ech_linear_args *a, const void *x, int64_t first,           \
                                    float *sums)                                                             \
    {                                                                                                        \
        for (int64_t j = 0; j < ECH_PANEL && first + j < a->n; j += 16)                                      \
            block_vector(a, x, first + j, sums + j, ECH_W_##name,                                            \
                         (struct ech_block_type){#name, __VA_ARGS__});                                       \
    }
ECH_BLOCK_TYPES(BLOCK_VECTORS)

/* By type: those without groups have none. */
#define BLOCK_VECTOR_NAME(name, ...) {block_vector_bytes, block_vector_bring, block_vector_##name},
const struct block_vector ech_avx512_block_vectors[ECH_WTYPES] = {
    {NULL}, {NULL}, {NULL}, ECH_BLOCK_TYPES(BLOCK_VECTOR_NAME)};

#endif
