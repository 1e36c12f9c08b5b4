/* How far exp, erf, tanh and log of kernels/ref/mathf.h are from libm's in double: over every 257th float in
 * the tests, over all of them where someone has some minutes (`stride` 1). */
#ifndef ECH_KERNELS_BENCH_MATH_ERRORS_H
#define ECH_KERNELS_BENCH_MATH_ERRORS_H

#include <stdint.h>

/* The worst seen: as a share of the result, in units of its last place, absolutely. */
struct ech_math_errors {
    double exp_relative, exp_ulp; /* of normal results */
    double exp_denormal;          /* of others, in units of 2^-149 */
    double erf_absolute, erf_ulp, erf_relative;
    double tanh_ulp, tanh_relative;
    double log_ulp, log_relative; /* x > 0 */
    int64_t broken;               /* a NaN lost, a result beyond 1, no infinity or 1 where it must be */
};

/* The floats whose bits are first, first + stride, ... below last (at most 2^32); the worst of those already
 * in `worst` is kept. */
void ech_math_errors(uint64_t first, uint64_t last, uint64_t stride, struct ech_math_errors *worst);

#endif
