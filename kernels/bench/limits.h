/* What the machine can do at most, measured: arithmetic on registers alone, memory read and copied.
 * A probe is the median of five short loops. Probes dip (a neighbour, a clock that drops), and so do the
 * calls beside them: a caller takes several between its rounds, in the same seconds, and counts their median,
 * as it counts the rounds' (measure.c). Memory is read by 1 to 4 streams a thread, not a power of two apart,
 * with and without prefetch, and copied with ordinary and with streaming stores: the best way is found once
 * for each number of threads, then kept. */
#ifndef ECH_KERNELS_BENCH_LIMITS_H
#define ECH_KERNELS_BENCH_LIMITS_H

#include "kernels/bench/crew.h"
#include "kernels/ops.h"

enum ech_limit {
    ECH_LIMIT_NONE,
    ECH_LIMIT_FMA_256, /* f32 FMA, GFLOP/s */
    ECH_LIMIT_FMA_512,
    ECH_LIMIT_DPBF16,   /* GFLOP/s */
    ECH_LIMIT_VNNI,     /* u8 s8 dpbusd, Gop/s */
    ECH_LIMIT_MADD_256, /* 16-bit pairs and an addition: int8 without VNNI, Gop/s */
    ECH_LIMIT_L2_READ,  /* GB/s */
    ECH_LIMIT_L3_READ,
    ECH_LIMIT_DRAM_READ,
    ECH_LIMIT_L2_COPY, /* GB/s, bytes read and written */
    ECH_LIMIT_L3_COPY,
    ECH_LIMIT_DRAM_COPY,
    ECH_LIMITS
};

struct ech_limits;

const char *ech_limit_name(enum ech_limit limit);
const char *ech_limit_unit(enum ech_limit limit);
/* This processor has the instructions. */
bool ech_limit_here(enum ech_limit limit);
/* What a backend's arithmetic in a format is to be compared with; ECH_LIMIT_NONE: nothing honest. */
enum ech_limit ech_limit_of_format(const struct ech_ops *ops, enum ech_format format);
/* Where a working set of `bytes` a thread lies, read and written. */
enum ech_limit ech_limit_of_bytes(double bytes, int threads);

/* `crew` is borrowed. NULL: out of memory. */
struct ech_limits *ech_limits_open(struct ech_crew *crew, int threads);
void ech_limits_close(struct ech_limits *limits);
/* One probe by `threads` threads, in the limit's unit; 0 where it is not here. */
double ech_limits_probe(struct ech_limits *limits, enum ech_limit limit, int threads);

#endif
