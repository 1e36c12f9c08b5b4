/* Which instruction sets this processor and its system offer. Compiled for the plain architecture. */
#include <cpuid.h>

#include "kernels/backends.h"

static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
}

const char *ech_avx2_available(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2"))
        return "this processor has no AVX2";
    if (!__builtin_cpu_supports("fma"))
        return "this processor has no FMA";
    if (!has_f16c())
        return "this processor has no F16C";
    return NULL;
}

const char *ech_avx512_available(void)
{
    const char *below = ech_avx2_available();
    if (below)
        return below;
    if (!__builtin_cpu_supports("avx512f"))
        return "this processor has no AVX-512 (avx512f)";
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
        return "this processor's AVX-512 lacks avx512bw, avx512dq or avx512vl";
    return NULL;
}

bool ech_avx512_bf16(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16");
}

bool ech_avx512_vnni(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512vnni");
}
