/* Register-only FMA loops (peak.h). Twelve chains cover the latency of two multipliers. */
#include "peak.h"

#include <immintrin.h>
#include <stdlib.h>
#include <time.h>

enum { CHAINS = 12, TURNS = 20000, PROBES = 21 };

static volatile float sink; /* the result is used, so the loop stays */

double ech_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

__attribute__((target("avx512f"))) static void spin_512(void)
{
    __m512 sum[CHAINS], x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(0.25f);
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (int t = 0; t < TURNS; t++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], x, y);
    }
    for (int i = 1; i < CHAINS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    sink = _mm512_cvtss_f32(sum[0]);
}

__attribute__((target("avx2,fma"))) static void spin_256(void)
{
    __m256 sum[CHAINS], x = _mm256_set1_ps(0.5f), y = _mm256_set1_ps(0.25f);
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (int t = 0; t < TURNS; t++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm256_fmadd_ps(sum[i], x, y);
    }
    for (int i = 1; i < CHAINS; i++)
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    sink = _mm256_cvtss_f32(sum[0]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ech_peak_gflops(int bits)
{
    double rate[PROBES];
    for (int p = 0; p < PROBES; p++) {
        double t0 = ech_seconds();
        if (bits == 512)
            spin_512();
        else
            spin_256();
        rate[p] = 2.0 * CHAINS * TURNS * (bits / 32) / (ech_seconds() - t0) * 1e-9;
    }
    qsort(rate, PROBES, sizeof rate[0], by_value);
    return rate[PROBES / 2];
}
