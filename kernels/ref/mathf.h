/* exp, erf and tanh of the f32 backends, in scalar form: the definition that every vector form repeats
 * operation by operation, so that all of them give the same bits.
 * Not for speed. Each step is one IEEE operation or one fused multiply-add; comparisons are written as the
 * SSE minimum and maximum behave (the second operand is kept when one is NaN), so a NaN stays a NaN.
 * The errors stated below (ECH_..._ERROR) are against libm in double: at every 257th float in the tests, at
 * all 2^32 when the constants were chosen. */
#ifndef ECH_KERNELS_REF_MATHF_H
#define ECH_KERNELS_REF_MATHF_H

#include <math.h>
#include <stdint.h>

#include "kernels/convert.h"
#include "kernels/ops.h"

/* e^r = 1 + r + r^2 P(r) on |r| <= ln(2)/2, minimax (highest power first). */
#define ECH_EXP_TERMS 5
#define ECH_EXP_P                                                                                            \
    {                                                                                                        \
        1.39262508e-03f, 8.36323288e-03f, 4.16665542e-02f, 1.66665767e-01f, 5.00000000e-01f                  \
    }
#define ECH_EXP_LOG2E  1.44269504f
#define ECH_EXP_MAGIC  12582912.0f /* 1.5 * 2^23: adding it rounds to an integer */
#define ECH_EXP_LN2_HI 0.693145751953125f
#define ECH_EXP_LN2_LO 1.42860682e-06f
#define ECH_EXP_LOW    (-104.0f) /* below: 0 */
#define ECH_EXP_HIGH   89.0f     /* above: inf */

/* erf(z) = z P(z^2 - c) on |z| <= top, minimax in the centred square: in z^2 itself the terms cancel. */
#define ECH_ERF_TERMS 16
#define ECH_ERF_P                                                                                            \
    {                                                                                                        \
        -4.89286807e-17f, 8.85931261e-16f, -3.95200971e-15f, 4.73880687e-14f, -1.51014599e-12f,              \
            2.08422269e-11f, -2.22472552e-10f, 2.55628854e-09f, -2.87294723e-08f, 2.95401279e-07f,           \
            -2.86482287e-06f, 2.68165673e-05f, -2.46872503e-04f, 2.31397122e-03f, -2.37087288e-02f,          \
            3.62108868e-01f                                                                                  \
    }
#define ECH_ERF_CENTRE 7.625f
#define ECH_ERF_TOP    3.9051218f /* the polynomial gives exactly 1 here */

/* log(m) = 2 atanh(t), t = (m - 1) / (m + 1), |t| < 0.172: odd terms 1/3 to 1/17 of the series, in double. */
#define ECH_LOG_TERMS 8
#define ECH_LOG_LN2   0x1.62e42fefa39efp-1

/* Bounds of the worst over all 2^32 floats: relative where the result is normal, in parentheses in units of
 * its last place. */
#define ECH_EXP_ERROR    9.2e-8  /* (1.09) */
#define ECH_EXP_DENORMAL 0.75    /* units of 2^-149 below */
#define ECH_ERF_ERROR    1.88e-7 /* absolute; exactly +-1 from ECH_ERF_TOP on */
#define ECH_ERF_RELATIVE 2.64e-7 /* (3.94) */
#define ECH_TANH_ERROR   1.80e-7 /* (2.46); exactly +-1 beyond 10 */
#define ECH_LOG_ERROR    5.97e-8 /* (0.51): rounded once from double */

#define ECH_TANH_TOP     10.0f
#define ECH_GELU_ROOT    0.707106781f /* 1 / sqrt(2) */
#define ECH_QUICK_GELU   1.702f
#define ECH_GELU_TANH_C0 0.797884561f  /* sqrt(2 / pi) */
#define ECH_GELU_TANH_C1 0.0356774081f /* 0.044715 sqrt(2 / pi) */

/* 2^n for -126 <= n <= 127; any n gives some float. */
static inline float ech_exp2i(int32_t n)
{
    return ech_from_bits((uint32_t)(n + 127) << 23);
}

/* x = n ln 2 + r; returns e^r - 1 and n. */
static inline float ech_exp_reduce(float x, int32_t *n)
{
    static const float c[ECH_EXP_TERMS] = ECH_EXP_P;
    float t = fmaf(x, ECH_EXP_LOG2E, ECH_EXP_MAGIC);
    float whole = t - ECH_EXP_MAGIC;
    float r = fmaf(whole, -ECH_EXP_LN2_HI, x);
    r = fmaf(whole, -ECH_EXP_LN2_LO, r);
    float p = c[0];
    for (int i = 1; i < ECH_EXP_TERMS; i++)
        p = fmaf(p, r, c[i]);
    *n = x == x ? (int32_t)whole : 0;
    return fmaf(p, r * r, r);
}

static inline float ech_expf(float x)
{
    x = ECH_EXP_HIGH < x ? ECH_EXP_HIGH : x;
    x = ECH_EXP_LOW > x ? ECH_EXP_LOW : x;
    int32_t n;
    float e = ech_exp_reduce(x, &n) + 1.0f;
    /* In two exact-then-rounded steps, so that denormal results are rounded once. */
    int32_t half = n >> 1;
    return e * ech_exp2i(half) * ech_exp2i(n - half);
}

static inline float ech_erff(float z)
{
    static const float c[ECH_ERF_TERMS] = ECH_ERF_P;
    z = ECH_ERF_TOP < z ? ECH_ERF_TOP : z;
    z = -ECH_ERF_TOP > z ? -ECH_ERF_TOP : z;
    float t = fmaf(z, z, -ECH_ERF_CENTRE);
    float p = c[0];
    for (int i = 1; i < ECH_ERF_TERMS; i++)
        p = fmaf(p, t, c[i]);
    return z * p;
}

/* (e^2a - 1) / (e^2a - 1 + 2) with a = |x|, sign of x. */
static inline float ech_tanhf(float x)
{
    float a = fabsf(x);
    a = ECH_TANH_TOP < a ? ECH_TANH_TOP : a;
    int32_t n;
    float q = ech_exp_reduce(a + a, &n);
    float scale = ech_exp2i(n);
    float e = fmaf(q, scale, scale - 1.0f);
    return copysignf(e / (e + 2.0f), x);
}

/* Once a row (log-softmax), so in double by +, -, *, / alone: no library's log gives the same bits
 * everywhere. For x > 0; infinities and NaN stay. */
static inline float ech_logf(float x)
{
    if (!(x <= 0x1.fffffep127f))
        return x;
    int e;
    double m = frexp((double)x, &e); /* exact */
    if (m < 0x1.6a09e667f3bcdp-1) {
        m += m;
        e--;
    }
    double t = (m - 1) / (m + 1), u = t * t, sum = 0;
    for (int i = ECH_LOG_TERMS; i > 0; i--)
        sum = (sum + 1.0 / (2 * i + 1)) * u;
    return (float)(e * ECH_LOG_LN2 + 2 * t * (1 + sum));
}

static inline float ech_sigmoidf(float x)
{
    return 1.0f / (1.0f + ech_expf(-x));
}

static inline float ech_actf(enum ech_act act, float x)
{
    float h = 0.5f * x;
    switch (act) {
    case ECH_ACT_GELU:
        return fmaf(h, ech_erff(x * ECH_GELU_ROOT), h);
    case ECH_ACT_GELU_TANH:
        return fmaf(h, ech_tanhf(x * fmaf(ECH_GELU_TANH_C1, x * x, ECH_GELU_TANH_C0)), h);
    case ECH_ACT_RELU:
        return 0.0f > x ? 0.0f : x;
    case ECH_ACT_SILU:
        return x / (1.0f + ech_expf(-x));
    case ECH_ACT_TANH:
        return ech_tanhf(x);
    case ECH_ACT_QUICK_GELU:
        return x / (1.0f + ech_expf(ECH_QUICK_GELU * -x));
    case ECH_ACT_RELU2:
        h = 0.0f > x ? 0.0f : x;
        return h * h;
    case ECH_ACT_SIGMOID:
        return ech_sigmoidf(x);
    case ECH_ACT_NONE:
    case ECH_ACTS:
        break;
    }
    return x;
}

#endif
