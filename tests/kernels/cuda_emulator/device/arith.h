/* Device mathematics that the C library lacks or names otherwise. Rounding modes are honoured for _rn and
 * exact conversions; approximate functions (__expf, rsqrtf) are better here than on a device, so a test
 * against the emulator must allow the device's error, not its bits. */
#ifndef ECH_EMU_DEVICE_ARITH_H
#define ECH_EMU_DEVICE_ARITH_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include <cuda_runtime_api.h>

using std::max;
using std::min;

#define ECH_EMU_MIXED(a, b, c)                                                                               \
    inline c min(a x, b y)                                                                                   \
    {                                                                                                        \
        return std::min(static_cast<c>(x), static_cast<c>(y));                                               \
    }                                                                                                        \
    inline c max(a x, b y)                                                                                   \
    {                                                                                                        \
        return std::max(static_cast<c>(x), static_cast<c>(y));                                               \
    }
ECH_EMU_MIXED(int, unsigned, unsigned)
ECH_EMU_MIXED(unsigned, int, unsigned)
ECH_EMU_MIXED(long, int, long)
ECH_EMU_MIXED(int, long, long)
ECH_EMU_MIXED(long long, int, long long)
ECH_EMU_MIXED(int, long long, long long)
ECH_EMU_MIXED(long long, long, long long)
ECH_EMU_MIXED(long, long long, long long)
#undef ECH_EMU_MIXED
/* On a device these are fminf and fmaxf: a NaN loses. */
inline float min(float x, float y)
{
    return fminf(x, y);
}
inline float max(float x, float y)
{
    return fmaxf(x, y);
}

#define ECH_EMU_FN(type, name, arguments, expression)                                                        \
    inline type name arguments                                                                               \
    {                                                                                                        \
        return expression;                                                                                   \
    }
#define ECH_EMU_F1(name, expression) ECH_EMU_FN(float, name, (float x), expression)
#define ECH_EMU_F2(name, expression) ECH_EMU_FN(float, name, (float x, float y), expression)

ECH_EMU_F1(rsqrtf, static_cast<float>(1.0 / std::sqrt(static_cast<double>(x))))
ECH_EMU_F1(__frsqrt_rn, static_cast<float>(1.0 / std::sqrt(static_cast<double>(x))))
ECH_EMU_FN(double, rsqrt, (double x), 1.0 / std::sqrt(x))
ECH_EMU_F1(__expf, expf(x))
ECH_EMU_F1(__exp10f, powf(10.0F, x))
ECH_EMU_F1(__logf, logf(x))
ECH_EMU_F1(__log2f, log2f(x))
ECH_EMU_F1(__log10f, log10f(x))
ECH_EMU_F1(__sinf, sinf(x))
ECH_EMU_F1(__cosf, cosf(x))
ECH_EMU_F1(__tanf, tanf(x))
ECH_EMU_F1(__tanhf, tanhf(x))
ECH_EMU_F2(__powf, powf(x, y))
ECH_EMU_F1(__saturatef, x > 0.0F ? (x < 1.0F ? x : 1.0F) : 0.0F)
ECH_EMU_F1(normcdff, 0.5F * erfcf(-x * 0.70710678F))
ECH_EMU_F2(__fdividef, x / y)
ECH_EMU_F2(__fadd_rn, x + y)
ECH_EMU_F2(__fsub_rn, x - y)
ECH_EMU_F2(__fmul_rn, x *y)
ECH_EMU_F2(__fdiv_rn, x / y)
ECH_EMU_F1(__fsqrt_rn, sqrtf(x))
ECH_EMU_F1(__frcp_rn, 1.0F / x)
ECH_EMU_FN(float, __fmaf_rn, (float x, float y, float z), fmaf(x, y, z))
ECH_EMU_FN(double, __fma_rn, (double x, double y, double z), fma(x, y, z))
ECH_EMU_FN(double, __dadd_rn, (double x, double y), x + y)
ECH_EMU_FN(double, __dmul_rn, (double x, double y), x *y)

namespace ech_emu
{

/* Out of range the device saturates and turns a NaN into 0. */
template <class I> I saturate(double x)
{
    if (std::isnan(x))
        return 0;
    if (x <= static_cast<double>(std::numeric_limits<I>::min()))
        return std::numeric_limits<I>::min();
    if (x >= static_cast<double>(std::numeric_limits<I>::max()))
        return std::numeric_limits<I>::max();
    return static_cast<I>(x);
}

template <class To, class From> To bits(From x)
{
    static_assert(sizeof(To) == sizeof(From), "bits are kept");
    To out;
    __builtin_memcpy(&out, &x, sizeof out);
    return out;
}

} // namespace ech_emu

#define ECH_EMU_ROUND(suffix, function)                                                                      \
    ECH_EMU_FN(int, __float2int_##suffix, (float x), ech_emu::saturate<int>(function(x)))                    \
    ECH_EMU_FN(unsigned, __float2uint_##suffix, (float x), ech_emu::saturate<unsigned>(function(x)))         \
    ECH_EMU_FN(long long, __float2ll_##suffix, (float x), ech_emu::saturate<long long>(function(x)))         \
    ECH_EMU_FN(int, __double2int_##suffix, (double x), ech_emu::saturate<int>(function(x)))
ECH_EMU_ROUND(rn, std::nearbyint)
ECH_EMU_ROUND(rz, std::trunc)
ECH_EMU_ROUND(ru, std::ceil)
ECH_EMU_ROUND(rd, std::floor)
#undef ECH_EMU_ROUND
ECH_EMU_FN(float, __int2float_rn, (int x), static_cast<float>(x))
ECH_EMU_FN(float, __uint2float_rn, (unsigned x), static_cast<float>(x))
ECH_EMU_FN(float, __ll2float_rn, (long long x), static_cast<float>(x))
ECH_EMU_FN(float, __double2float_rn, (double x), static_cast<float>(x))
ECH_EMU_FN(int, __float_as_int, (float x), ech_emu::bits<int>(x))
ECH_EMU_FN(unsigned, __float_as_uint, (float x), ech_emu::bits<unsigned>(x))
ECH_EMU_FN(float, __int_as_float, (int x), ech_emu::bits<float>(x))
ECH_EMU_FN(float, __uint_as_float, (unsigned x), ech_emu::bits<float>(x))
ECH_EMU_FN(long long, __double_as_longlong, (double x), ech_emu::bits<long long>(x))
ECH_EMU_FN(double, __longlong_as_double, (long long x), ech_emu::bits<double>(x))

ECH_EMU_FN(int, __popc, (unsigned x), __builtin_popcount(x))
ECH_EMU_FN(int, __popcll, (unsigned long long x), __builtin_popcountll(x))
ECH_EMU_FN(int, __clz, (int x), x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)))
ECH_EMU_FN(int, __clzll, (long long x), x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)))
ECH_EMU_FN(int, __ffs, (int x), __builtin_ffs(x))
ECH_EMU_FN(int, __ffsll, (long long x), __builtin_ffsll(x))
ECH_EMU_FN(int, __mulhi, (int x, int y),
           static_cast<int>((static_cast<int64_t>(x) * static_cast<int64_t>(y)) >> 32))
ECH_EMU_FN(unsigned, __umulhi, (unsigned x, unsigned y),
           static_cast<unsigned>((static_cast<uint64_t>(x) * static_cast<uint64_t>(y)) >> 32))
ECH_EMU_FN(unsigned, __funnelshift_l, (unsigned low, unsigned high, unsigned by),
           static_cast<unsigned>((((static_cast<uint64_t>(high) << 32) | low) << (by & 31)) >> 32))
ECH_EMU_FN(unsigned, __funnelshift_r, (unsigned low, unsigned high, unsigned by),
           static_cast<unsigned>(((static_cast<uint64_t>(high) << 32) | low) >> (by & 31)))

inline unsigned __brev(unsigned x)
{
    unsigned out = 0;
    for (int i = 0; i < 32; i++)
        out |= ((x >> i) & 1U) << (31 - i);
    return out;
}

inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector)
{
    uint64_t both = (static_cast<uint64_t>(y) << 32) | x;
    unsigned out = 0;
    for (int i = 0; i < 4; i++) {
        unsigned pick = (selector >> (4 * i)) & 0xfU;
        unsigned byte = static_cast<unsigned>(both >> (8 * (pick & 7U))) & 0xffU;
        if (pick & 8U)
            byte = byte & 0x80U ? 0xffU : 0;
        out |= byte << (8 * i);
    }
    return out;
}

inline int __dp4a(int x, int y, int sum)
{
    for (int i = 0; i < 4; i++)
        sum += static_cast<int8_t>(x >> (8 * i)) * static_cast<int8_t>(y >> (8 * i));
    return sum;
}

inline unsigned __dp4a(unsigned x, unsigned y, unsigned sum)
{
    for (int i = 0; i < 4; i++)
        sum += ((x >> (8 * i)) & 0xffU) * ((y >> (8 * i)) & 0xffU);
    return sum;
}

#undef ECH_EMU_F1
#undef ECH_EMU_F2
#undef ECH_EMU_FN

#endif
