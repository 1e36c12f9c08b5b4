/* exp, erf, tanh and the activations over vectors: kernels/ref/mathf.h step by step, so the bits are its
 * bits. Included after a v16_*.h. Each works on GROUP vectors at once: a polynomial is one long chain of
 * FMAs, and several chains side by side keep the multipliers busy. */
#ifndef ECH_KERNELS_CPU_MATHV_H
#define ECH_KERNELS_CPU_MATHV_H

#include "kernels/ref/mathf.h"

enum { GROUP = 4 };

#define EACH(i) FOR(i, GROUP)

/* p[i] = c[0] t^(terms-1) + ... + c[terms-1], by Horner. */
INLINE void v16_polynomial(struct v16 p[GROUP], const struct v16 t[GROUP], const float *c, const int terms)
{
    EACH(i) p[i] = v16_set(c[0]);
    FOR(next, terms - 1)
    {
        struct v16 constant = v16_set(c[next + 1]);
        EACH(i) p[i] = v16_fma(p[i], t[i], constant);
    }
}

INLINE struct v16 v16_clamp(struct v16 x, float low, float high)
{
    return v16_maximum(v16_set(low), v16_minimum(v16_set(high), x));
}

/* x[i] = n[i] ln 2 + r; x becomes e^r - 1. */
INLINE void v16_exp_reduce(struct v16 x[GROUP], struct v16 n[GROUP])
{
    static const float c[ECH_EXP_TERMS] = ECH_EXP_P;
    const struct v16 magic = v16_set(ECH_EXP_MAGIC);
    struct v16 r[GROUP], p[GROUP];
    EACH(i)
    {
        n[i] = v16_sub(v16_fma(x[i], v16_set(ECH_EXP_LOG2E), magic), magic);
        r[i] = v16_fma(n[i], v16_set(-ECH_EXP_LN2_HI), x[i]);
        r[i] = v16_fma(n[i], v16_set(-ECH_EXP_LN2_LO), r[i]);
    }
    v16_polynomial(p, r, c, ECH_EXP_TERMS);
    EACH(i) x[i] = v16_fma(p[i], v16_mul(r[i], r[i]), r[i]);
}

/* For x below ECH_EXP_HIGH or NaN, as after subtracting a maximum: the upper clamp would change nothing. */
INLINE void v16_exp_below(struct v16 x[GROUP])
{
    struct v16 n[GROUP];
    EACH(i) x[i] = v16_maximum(v16_set(ECH_EXP_LOW), x[i]);
    v16_exp_reduce(x, n);
    EACH(i) x[i] = v16_scale2(v16_add(x[i], v16_set(1.0f)), n[i]);
}

INLINE void v16_exp(struct v16 x[GROUP])
{
    EACH(i) x[i] = v16_minimum(v16_set(ECH_EXP_HIGH), x[i]);
    v16_exp_below(x);
}

INLINE void v16_erf(struct v16 z[GROUP])
{
    static const float c[ECH_ERF_TERMS] = ECH_ERF_P;
    struct v16 t[GROUP], p[GROUP];
    EACH(i)
    {
        z[i] = v16_clamp(z[i], -ECH_ERF_TOP, ECH_ERF_TOP);
        t[i] = v16_fma(z[i], z[i], v16_set(-ECH_ERF_CENTRE));
    }
    v16_polynomial(p, t, c, ECH_ERF_TERMS);
    EACH(i) z[i] = v16_mul(z[i], p[i]);
}

INLINE void v16_tanh(struct v16 x[GROUP])
{
    struct v16 q[GROUP], n[GROUP];
    EACH(i)
    {
        struct v16 a = v16_minimum(v16_set(ECH_TANH_TOP), v16_abs(x[i]));
        q[i] = v16_add(a, a);
    }
    v16_exp_reduce(q, n);
    EACH(i)
    {
        struct v16 scale = v16_exp2(n[i]);
        struct v16 e = v16_fma(q[i], scale, v16_sub(scale, v16_set(1.0f)));
        x[i] = v16_copysign(v16_div(e, v16_add(e, v16_set(2.0f))), x[i]);
    }
}

INLINE void v16_gelu(struct v16 x[GROUP])
{
    struct v16 z[GROUP];
    EACH(i) z[i] = v16_mul(x[i], v16_set(ECH_GELU_ROOT));
    v16_erf(z);
    EACH(i)
    {
        struct v16 h = v16_mul(v16_set(0.5f), x[i]);
        x[i] = v16_fma(h, z[i], h);
    }
}

INLINE void v16_gelu_tanh(struct v16 x[GROUP])
{
    struct v16 t[GROUP];
    EACH(i)
    {
        struct v16 u = v16_mul(x[i], x[i]);
        t[i] = v16_mul(x[i], v16_fma(v16_set(ECH_GELU_TANH_C1), u, v16_set(ECH_GELU_TANH_C0)));
    }
    v16_tanh(t);
    EACH(i)
    {
        struct v16 h = v16_mul(v16_set(0.5f), x[i]);
        x[i] = v16_fma(h, t[i], h);
    }
}

/* x becomes 1 + e^(-by x). */
INLINE void v16_exp_minus(struct v16 x[GROUP], float by)
{
    EACH(i) x[i] = v16_mul(v16_set(-by), x[i]);
    v16_exp(x);
    EACH(i) x[i] = v16_add(v16_set(1.0f), x[i]);
}

INLINE void v16_sigmoid(struct v16 x[GROUP])
{
    v16_exp_minus(x, 1.0f);
    EACH(i) x[i] = v16_div(v16_set(1.0f), x[i]);
}

/* x sigmoid(by x): SiLU where `by` is 1. */
INLINE void v16_gated(struct v16 x[GROUP], float by)
{
    struct v16 e[GROUP];
    EACH(i) e[i] = x[i];
    v16_exp_minus(e, by);
    EACH(i) x[i] = v16_div(x[i], e[i]);
}

/* `act` is a constant wherever this is inlined. */
INLINE void v16_act(const enum ech_act act, struct v16 x[GROUP])
{
    switch (act) {
    case ECH_ACT_GELU:
        v16_gelu(x);
        break;
    case ECH_ACT_GELU_TANH:
        v16_gelu_tanh(x);
        break;
    case ECH_ACT_RELU:
        EACH(i) x[i] = v16_maximum(v16_zero(), x[i]);
        break;
    case ECH_ACT_SILU:
        v16_gated(x, 1.0f);
        break;
    case ECH_ACT_TANH:
        v16_tanh(x);
        break;
    case ECH_ACT_QUICK_GELU:
        v16_gated(x, ECH_QUICK_GELU);
        break;
    case ECH_ACT_RELU2:
        EACH(i) x[i] = v16_maximum(v16_zero(), x[i]);
        EACH(i) x[i] = v16_mul(x[i], x[i]);
        break;
    case ECH_ACT_SIGMOID:
        v16_sigmoid(x);
        break;
    case ECH_ACT_NONE:
    case ECH_ACTS:
        break;
    }
}

#endif
