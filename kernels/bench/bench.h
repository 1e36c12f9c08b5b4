/* `bench kernels`: every operation timed beside a limit of the machine measured in the same run, and the
 * matrix of what each backend supports. Both programs that offer it (bench_kernels, the runtime's verb) hand
 * over these options and print what comes back. */
#ifndef ECH_KERNELS_BENCH_BENCH_H
#define ECH_KERNELS_BENCH_BENCH_H

#include <stdbool.h>
#include <stdio.h>

struct ech_kernels_bench {
    const char *ops, *formats; /* names with commas between them; NULL: all */
    const char *backend;       /* NULL: auto */
    int threads;               /* 0: all this process may use */
    bool quick, json, support;
    FILE *out;    /* Markdown or JSON */
    FILE *notice; /* one line now and then; NULL: silent */
};

enum ech_kernels_bench_status {
    ECH_BENCH_OK,
    ECH_BENCH_USAGE,   /* a name that there is not */
    ECH_BENCH_MISSING, /* the backend cannot be used here */
    ECH_BENCH_MEMORY,
    ECH_BENCH_FAILED, /* an operation answered with an error, or a check of mathematics failed */
    ECH_BENCH_WRITE   /* `out` does not take it */
};

enum { ECH_BENCH_THREADS = 1024 };

/* `why` (256 bytes) is set unless ECH_BENCH_OK. */
int ech_kernels_bench(const struct ech_kernels_bench *options, char *why);

#endif
