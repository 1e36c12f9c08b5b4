/* Loops of AVX2 and FMA (limits_kernels.h). Those of arithmetic are whole loops in assembly: gcc keeps
 * accumulators in memory. */
#include <immintrin.h>

#include "kernels/bench/limits_kernels.h"

static volatile int sink; /* results are used, so loops stay */

#define LOOP(body)                                                                                           \
    __asm__ volatile("vmovd %1, %%xmm14\n\tvpbroadcastd %%xmm14, %%ymm14\n\tvmovaps %%ymm14, %%ymm15\n"      \
                     "1:\n\t" body "dec %0\n\tjnz 1b"                                                        \
                     : "+r"(turns)                                                                           \
                     : "r"(0x1f001f00)                                                                       \
                     : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")
#define FMA(n) "vfmadd231ps %%ymm15, %%ymm14, %%ymm" #n "\n\t"
#define MADD(n, other)                                                                                       \
    "vpmaddwd %%ymm15, %%ymm14, %%ymm" #other "\n\tvpaddd %%ymm" #other ", %%ymm" #n ", %%ymm" #n "\n\t"

void ech_spin_fma_256(long turns)
{
    LOOP(FMA(0) FMA(1) FMA(2) FMA(3) FMA(4) FMA(5) FMA(6) FMA(7) FMA(8) FMA(9) FMA(10) FMA(11));
}

void ech_spin_madd_256(long turns)
{
    LOOP(MADD(0, 8) MADD(1, 9) MADD(2, 10) MADD(3, 11) MADD(4, 12) MADD(5, 13) MADD(6, 8) MADD(7, 9));
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
