/* Measured lines and the support matrix as Markdown and as JSON (lines.h). */
#ifndef ECH_KERNELS_BENCH_PRINT_H
#define ECH_KERNELS_BENCH_PRINT_H

#include "kernels/bench/lines.h"

/* What is said once, above the lines. */
struct ech_bench_head {
    const char *processor, *backend, *peer; /* peer: NULL for none */
    const char *const *numerics;
    int threads, rounds;
    bool device;
};

void ech_print_lines(const struct ech_bench_head *head, const struct ech_lines *lines, bool json, FILE *out);

/* Each operation and format on each backend, tried with a small case. */
void ech_print_support(bool json, FILE *out);

/* Errors of exp, erf, tanh and log at every float (minutes), or every 257th (quick). ECH_BENCH_FAILED: a
 * bound of kernels/ref/mathf.h does not hold; ECH_BENCH_MEMORY. `why` (256 bytes). */
int ech_print_math(int threads, bool quick, bool json, FILE *out, FILE *notice, char *why);

#endif
