/* exp, erf, tanh and log of kernels/ref/mathf.h at every 257th float against libm in double: the errors that
 * mathf.h states. */
#include <math.h>

#include "kernels/ref/mathf.h"
#include "kernels/bench/math_errors.h"
#include "support.h"

void test_math(void)
{
    struct ech_math_errors w = {0};
    ech_math_errors(0, (uint64_t)1 << 32, 257, &w);
    CHECK(w.broken == 0, "%lld results are not what they must be", (long long)w.broken);
    CHECK(w.exp_relative <= ECH_EXP_ERROR, "exp: relative error %.4g", w.exp_relative);
    CHECK(w.exp_denormal <= ECH_EXP_DENORMAL, "exp: %.4g units of a denormal", w.exp_denormal);
    CHECK(w.erf_absolute <= ECH_ERF_ERROR, "erf: absolute error %.4g", w.erf_absolute);
    CHECK(w.erf_relative <= ECH_ERF_RELATIVE, "erf: relative error %.4g", w.erf_relative);
    CHECK(w.tanh_relative <= ECH_TANH_ERROR, "tanh: relative error %.4g", w.tanh_relative);
    CHECK(w.log_relative <= ECH_LOG_ERROR, "log: relative error %.4g", w.log_relative);
    CHECK(w.exp_ulp <= 1.09 && w.erf_ulp <= 3.94 && w.tanh_ulp <= 2.46 && w.log_ulp <= 0.51,
          "units in the last place: exp %.3f, erf %.3f, tanh %.3f, log %.3f", w.exp_ulp, w.erf_ulp,
          w.tanh_ulp, w.log_ulp);
    CHECK(ech_expf(-INFINITY) == 0 && isinf(ech_expf(INFINITY)) && ech_expf(0) == 1, "exp at its ends");
}
