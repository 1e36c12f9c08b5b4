/* One line measured: probes of its limit between rounds of its calls (lines.h, limits.h). */
#ifndef ECH_KERNELS_BENCH_MEASURE_H
#define ECH_KERNELS_BENCH_MEASURE_H

#include "kernels/bench/lines.h"

struct ech_bench_run {
    const struct ech_ops *ops;
    struct ech_crew *crew;
    struct ech_limits *limits;
    int rounds;           /* medians of so many */
    double round_seconds; /* of calls in a round */
    /* A device's limits: what its own largest product and a pass over much memory reach. */
    double device_product[ECH_FORMATS], device_memory;
};

/* Fills the measured fields. line->status says whether the operation is there.
 * Errors  ECH_BENCH_FAILED, ECH_BENCH_MEMORY; `why`. */
int ech_measure(struct ech_bench_run *run, struct ech_line *line, char *why);

/* OpenBLAS, where it was built in: "OpenBLAS 0.3.21 (SkylakeX)"; else NULL. */
const char *ech_peer_name(void);
/* Prepares for `threads` of one product. */
void ech_peer_threads(int threads);
/* y = x w^T: x (m, k), w (n, k), y (m, n). */
void ech_peer_product(int64_t m, int64_t n, int64_t k, const float *x, const float *w, float *y);

#endif
