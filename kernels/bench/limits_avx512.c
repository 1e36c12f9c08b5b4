/* Loops of AVX-512, its bf16 and its VNNI (limits_kernels.h). Inline assembly: gcc copies the accumulators of
 * dpbusd, which halves the rate. */
#include <immintrin.h>

#include "kernels/bench/limits_kernels.h"

static volatile int sink; /* results are used, so loops stay */

/* `turns` rounds of one three-operand instruction over 16 accumulators. */
#define SPIN(function, instruction, start)                                                                   \
    void function(long turns)                                                                                \
    {                                                                                                        \
        __m512i sum[ECH_CHAINS], x = start, y = start;                                                       \
        for (int i = 0; i < ECH_CHAINS; i++)                                                                 \
            sum[i] = _mm512_setzero_si512();                                                                 \
        for (long t = 0; t < turns; t++) {                                                                   \
            _Pragma("GCC unroll 16") for (int i = 0; i < ECH_CHAINS; i++) __asm__(                           \
                instruction " %2, %1, %0" : "+v"(sum[i]) : "v"(x), "v"(y));                                  \
        }                                                                                                    \
        for (int i = 1; i < ECH_CHAINS; i++)                                                                 \
            sum[0] = _mm512_add_epi32(sum[0], sum[i]);                                                       \
        sink = _mm_cvtsi128_si32(_mm512_castsi512_si128(sum[0]));                                            \
    }

SPIN(ech_spin_fma_512, "vfmadd231ps", _mm512_castps_si512(_mm512_set1_ps(0.5f)))
SPIN(ech_spin_dpbf16, "vdpbf16ps", _mm512_set1_epi16(0x3f00)) /* 0.5 */
SPIN(ech_spin_vnni, "vpdpbusd", _mm512_set1_epi8(1))

static inline __attribute__((always_inline)) __m512i read_streams(const char *base, size_t each, int streams,
                                                                  bool prefetch)
{
    __m512i seen[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                       _mm512_setzero_si512()};
    for (size_t i = 0; i < each; i += 256)
#pragma GCC unroll 4
        for (int s = 0; s < streams; s++) {
            const char *at = base + (size_t)s * each + i;
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                if (prefetch)
                    _mm_prefetch(at + 2048 + 64 * v, _MM_HINT_T0);
                seen[v] = _mm512_or_si512(seen[v], _mm512_load_si512(at + 64 * v));
            }
        }
    return _mm512_or_si512(_mm512_or_si512(seen[0], seen[1]), _mm512_or_si512(seen[2], seen[3]));
}

void ech_read_512(const char *base, size_t each, int streams, bool prefetch)
{
    __m512i seen = streams == 1   ? read_streams(base, each, 1, prefetch)
                   : streams == 2 ? read_streams(base, each, 2, prefetch)
                   : streams == 3 ? read_streams(base, each, 3, prefetch)
                                  : read_streams(base, each, 4, prefetch);
    sink = _mm_cvtsi128_si32(_mm512_castsi512_si128(seen));
}

void ech_copy_512(char *to, const char *from, size_t bytes, bool streaming)
{
    for (size_t i = 0; i < bytes; i += 64) {
        __m512i v = _mm512_load_si512(from + i);
        if (streaming)
            _mm512_stream_si512((__m512i *)(void *)(to + i), v);
        else
            _mm512_store_si512(to + i, v);
    }
    _mm_sfence();
}
