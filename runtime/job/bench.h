/* What the benches share: a line of a table, and their parts. */
#ifndef ECH_JOB_BENCH_H
#define ECH_JOB_BENCH_H

#include "base/args.h"
#include "comm/comm.h"

#include <stdio.h>

struct ech_bench {
    struct ech_comm *comm;
    const char *folder; /* for files; removed by the caller */
    const char *model;  /* or NULL */
    const char *backend, *precision;
    const char *dataset, *column; /* embed: rows to measure with; NULL: made-up ones */
    int64_t mib, rows, threads;
    double seconds;
    struct ech_str *table; /* Markdown rows, rank 0 prints them */
};

/* Each appends rows "| what | value | limit | ratio |". Calls   Collective. */
int ech_bench_dispatch(struct ech_bench *bench, struct ech_err *err);
int ech_bench_io(struct ech_bench *bench, struct ech_err *err);
int ech_bench_embed(struct ech_bench *bench, struct ech_err *err);

/* The coordinator of 1,000 nodes x 64 ranks, fed with reports. Calls   Local. */
int ech_bench_coord(struct ech_bench *bench, struct ech_err *err);

/* Prints its own table to out. Calls   Local; one rank alone. Errors  ECH_USAGE, ECH_UNAVAILABLE (backend or
 * memory), ECH_BUG (an operation failed), ECH_IO. */
int ech_bench_kernels(const struct ech_args *args, struct ech_comm *comm, FILE *out, struct ech_err *err);

void ech_bench_row(struct ech_bench *bench, const char *what, double value, const char *unit, double limit,
                   const char *limit_name);

#endif
