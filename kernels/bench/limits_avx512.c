/* Loops of AVX-512, its bf16 and its VNNI (limits_kernels.h). Whole loops in assembly: gcc keeps accumulators
 * in memory or copies them, which halves the rate. */
#include <immintrin.h>

#include "kernels/bench/limits_kernels.h"

static volatile int sink; /* results are used, so loops stay */

#define ONE(instruction, n) instruction " %%zmm31, %%zmm30, %%zmm" #n "\n\t"
#define FOUR(i, a, b, c, d) ONE(i, a) ONE(i, b) ONE(i, c) ONE(i, d)

/* `turns` rounds of one three-operand instruction over 16 accumulators. */
#define SPIN(function, instruction, bits)                                                                    \
    void function(long turns)                                                                                \
    {                                                                                                        \
        __asm__ volatile("vpbroadcastd %1, %%zmm30\n\tvpbroadcastd %1, %%zmm31\n"                            \
                         "1:\n\t" FOUR(instruction, 0, 1, 2, 3) FOUR(instruction, 4, 5, 6, 7)                \
                             FOUR(instruction, 8, 9, 10, 11)                                                 \
                                 FOUR(instruction, 12, 13, 14, 15) "dec %0\n\tjnz 1b"                        \
                         : "+r"(turns)                                                                       \
                         : "r"(bits)                                                                         \
                         : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",     \
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm30", "xmm31");  \
    }

SPIN(ech_spin_fma_512, "vfmadd231ps", 0x1f000000) /* a small float: sums stay normal */
SPIN(ech_spin_dpbf16, "vdpbf16ps", 0x1f001f00)
SPIN(ech_spin_vnni, "vpdpbusd", 0x01010101)

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
