/* The lines of the benchmark: which cases, by how many threads, beside what; and what was measured. */
#ifndef ECH_KERNELS_BENCH_LINES_H
#define ECH_KERNELS_BENCH_LINES_H

#include "kernels/bench/bench.h"
#include "kernels/bench/cases.h"
#include "kernels/bench/limits.h"

enum ech_rate { ECH_RATE_FLOP, ECH_RATE_BYTES, ECH_RATE_ELEMENTS };

struct ech_line {
    struct ech_case c;
    int threads;
    bool lanes; /* each thread has a queue and rows of its own; else one queue with a team */
    enum ech_rate rate;

    /* Measured; 0 where there is nothing. */
    int status;     /* of the operation */
    double seconds; /* of one call (lanes: of one call by each) */
    double value;   /* in units of `rate`, all threads together, times 10^9 a second */
    enum ech_limit limit;
    const char *limit_name; /* "" for none */
    double limit_value;     /* GFLOP/s or GB/s */
    double share;           /* of the limit */
    double peer;            /* OpenBLAS: GFLOP/s */
    double speedup;         /* over one thread */
    bool disturbed;         /* other programs took cores in every attempt at a round */
};

struct ech_lines {
    struct ech_line *line;
    int count, room;
};

/* ECH_BENCH_USAGE: an unknown name in options->ops or ->formats; ECH_BENCH_MEMORY. `threads` >= 1.
 * Owner  the caller, ech_lines_fini. */
int ech_lines_make(const struct ech_kernels_bench *options, int threads, struct ech_lines *out, char *why);
void ech_lines_fini(struct ech_lines *lines);
/* The same case by one thread. */
const struct ech_line *ech_lines_single(const struct ech_lines *lines, const struct ech_line *line);
/* Is `name` one of the names in `list` ("a,b")? NULL: yes. */
bool ech_lines_wanted(const char *list, const char *name);

#endif
