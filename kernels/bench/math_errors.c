/* See math_errors.h. */
#include "kernels/bench/math_errors.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "kernels/ref/mathf.h"

static void most(double *worst, double error)
{
    if (!(error <= *worst))
        *worst = error;
}

/* One unit in the last place of the float nearest to a normal `want`. */
static double ulp_of(double want)
{
    return ldexp(1, ilogb(want) - 23);
}

static void compare(float got, double want, double *relative, double *ulp)
{
    double error = fabs((double)got - want);
    most(relative, error / fabs(want));
    most(ulp, error / ulp_of(want));
}

static void check_exp(float x, struct ech_math_errors *w)
{
    const float got = ech_expf(x);
    const double want = exp((double)x), end = (double)FLT_MAX * (1 + 0x1p-25);
    if (want > end * (1 + 1.3e-7))
        w->broken += !isinf(got);
    else if (want > end * (1 - 1.3e-7)) /* either side of the end is as near */
        w->broken += !(got >= 0x1.fffff0p127f);
    else if (want >= (double)FLT_MIN)
        compare(got, want, &w->exp_relative, &w->exp_ulp);
    else
        most(&w->exp_denormal, fabs((double)got - want) / 0x1p-149);
}

static void check_odd(float x, struct ech_math_errors *w)
{
    const float e = ech_erff(x), t = ech_tanhf(x);
    double want = erf((double)x);
    most(&w->erf_absolute, fabs((double)e - want));
    if (fabs(want) >= (double)FLT_MIN)
        compare(e, want, &w->erf_relative, &w->erf_ulp);
    want = tanh((double)x);
    if (fabs(want) >= (double)FLT_MIN)
        compare(t, want, &w->tanh_relative, &w->tanh_ulp);
    w->broken += !(fabsf(e) <= 1) + !(fabsf(t) <= 1);
    w->broken += (fabsf(x) > 4 && fabsf(e) != 1) + (fabsf(x) > 10 && fabsf(t) != 1);
}

static void check_log(float x, struct ech_math_errors *w)
{
    const float got = ech_logf(x);
    if (isinf(x) || x == 1)
        w->broken += !(got == (isinf(x) ? x : 0));
    else
        compare(got, log((double)x), &w->log_relative, &w->log_ulp);
}

void ech_math_errors(uint64_t first, uint64_t last, uint64_t stride, struct ech_math_errors *worst)
{
    for (uint64_t bits = first; bits < last; bits += stride) {
        const float x = ech_from_bits((uint32_t)bits);
        if (isnan(x)) {
            const float e = ech_expf(x), t = ech_tanhf(x);
            worst->broken += !(isnan(e) && isnan(t) && isnan(ech_erff(x)) && isnan(ech_logf(x)));
            continue;
        }
        check_exp(x, worst);
        check_odd(x, worst);
        if (x > 0)
            check_log(x, worst);
    }
}
