/* exp, erf and tanh of kernels/ref/mathf.h at every 257th float against libm in double: the stated errors. */
#include <float.h>
#include <math.h>

#include "kernels/ref/mathf.h"
#include "support.h"

static double worst_exp, worst_exp_low, worst_erf, worst_erf_relative, worst_tanh;

static void most(double *worst, double error)
{
    if (!(error <= *worst))
        *worst = error;
}

static void check_exp(float x)
{
    float got = ech_expf(x);
    double want = exp((double)x);
    if (want > (double)FLT_MAX * (1 + 0x1p-24))
        CHECK(isinf(got), "exp(%g) = %g, expected inf", (double)x, (double)got);
    else if (want >= (double)FLT_MIN)
        most(&worst_exp, isinf(got) && want > 3.4028e38 ? 0 : fabs((double)got - want) / want);
    else
        most(&worst_exp_low, fabs((double)got - want) / 0x1p-149);
}

static void check_odd(float x)
{
    double want = erf((double)x), error = fabs((double)ech_erff(x) - want);
    most(&worst_erf, error);
    if (fabs(want) >= 0x1p-120)
        most(&worst_erf_relative, error / fabs(want));
    CHECK(fabsf(ech_erff(x)) <= 1, "erf(%g) is beyond 1", (double)x);
    CHECK(fabsf(x) <= 4 || fabsf(ech_erff(x)) == 1, "erf(%g) is not 1", (double)x);
    want = tanh((double)x);
    if (fabs(want) >= 0x1p-120)
        most(&worst_tanh, fabs((double)ech_tanhf(x) - want) / fabs(want));
    CHECK(fabsf(ech_tanhf(x)) <= 1, "tanh(%g) is beyond 1", (double)x);
}

void test_math(void)
{
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += 257) {
        float x = ech_from_bits((uint32_t)bits);
        if (isnan(x)) {
            CHECK(isnan(ech_expf(x)) && isnan(ech_erff(x)) && isnan(ech_tanhf(x)), "a NaN was lost");
            continue;
        }
        check_exp(x);
        check_odd(x);
    }
    CHECK(worst_exp <= 1.3e-7, "exp: relative error %.3g", worst_exp);
    CHECK(worst_exp_low <= 1.0, "exp: %.3g units of a denormal", worst_exp_low);
    CHECK(worst_erf <= 2.0e-7, "erf: absolute error %.3g", worst_erf);
    CHECK(worst_erf_relative <= 3.0e-7, "erf: relative error %.3g", worst_erf_relative);
    CHECK(worst_tanh <= 3.5e-7, "tanh: relative error %.3g", worst_tanh);
    CHECK(ech_expf(-INFINITY) == 0 && isinf(ech_expf(INFINITY)) && ech_expf(0) == 1, "exp at its ends");
}
