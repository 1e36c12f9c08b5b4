/* Loops of AVX2 and FMA (limits_kernels.h). Inline assembly where the compiler would copy registers. */
#include <immintrin.h>

#include "kernels/bench/limits_kernels.h"

static volatile int sink; /* results are used, so loops stay */

void ech_spin_fma_256(long turns)
{
    __m256 sum[ECH_CHAINS - 4], x = _mm256_set1_ps(0.5f), y = _mm256_set1_ps(0.25f);
    for (int i = 0; i < ECH_CHAINS - 4; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (long t = 0; t < turns; t++) {
#pragma GCC unroll 16
        for (int i = 0; i < ECH_CHAINS - 4; i++)
            __asm__("vfmadd213ps %2, %1, %0" : "+x"(sum[i]) : "x"(x), "x"(y));
    }
    for (int i = 1; i < ECH_CHAINS - 4; i++)
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    sink = (int)_mm256_cvtss_f32(sum[0]);
}

void ech_spin_madd_256(long turns)
{
    enum { SUMS = 8 };
    __m256i sum[SUMS], x = _mm256_set1_epi16(3), y = _mm256_set1_epi16(5);
    for (int i = 0; i < SUMS; i++)
        sum[i] = _mm256_set1_epi32(i);
    for (long t = 0; t < turns; t++) {
#pragma GCC unroll 16
        for (int i = 0; i < SUMS; i++) {
            __m256i product;
            __asm__ volatile("vpmaddwd %1, %2, %0" : "=x"(product) : "x"(x), "x"(y));
            sum[i] = _mm256_add_epi32(sum[i], product);
        }
    }
    for (int i = 1; i < SUMS; i++)
        sum[0] = _mm256_add_epi32(sum[0], sum[i]);
    sink = _mm256_extract_epi32(sum[0], 0);
}

static inline __attribute__((always_inline)) __m256i read_streams(const char *base, size_t each, int streams,
                                                                  bool prefetch)
{
    __m256i seen[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                       _mm256_setzero_si256()};
    for (size_t i = 0; i < each; i += 128)
#pragma GCC unroll 4
        for (int s = 0; s < streams; s++) {
            const char *at = base + (size_t)s * each + i;
            if (prefetch) {
                _mm_prefetch(at + 2048, _MM_HINT_T0);
                _mm_prefetch(at + 2112, _MM_HINT_T0);
            }
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++)
                seen[v] = _mm256_or_si256(seen[v], _mm256_load_si256((const __m256i *)(at + 32 * v)));
        }
    return _mm256_or_si256(_mm256_or_si256(seen[0], seen[1]), _mm256_or_si256(seen[2], seen[3]));
}

void ech_read_256(const char *base, size_t each, int streams, bool prefetch)
{
    __m256i seen = streams == 1   ? read_streams(base, each, 1, prefetch)
                   : streams == 2 ? read_streams(base, each, 2, prefetch)
                   : streams == 3 ? read_streams(base, each, 3, prefetch)
                                  : read_streams(base, each, 4, prefetch);
    sink = _mm256_extract_epi32(seen, 0);
}

void ech_copy_256(char *to, const char *from, size_t bytes, bool streaming)
{
    for (size_t i = 0; i < bytes; i += 32) {
        __m256i v = _mm256_load_si256((const __m256i *)(from + i));
        if (streaming)
            _mm256_stream_si256((__m256i *)(to + i), v);
        else
            _mm256_store_si256((__m256i *)(to + i), v);
    }
    _mm_sfence();
}
