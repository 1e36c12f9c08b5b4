/* bench kernels: the options of kernels/bench/bench.h as a verb; what it prints is its own. */
#include "job/bench.h"
#include "kernels/bench/bench.h"

static int code_of(int status)
{
    switch (status) {
    case ECH_BENCH_USAGE:
        return ECH_USAGE;
    case ECH_BENCH_FAILED:
        return ECH_BUG;
    case ECH_BENCH_WRITE:
        return ECH_IO;
    default:
        return ECH_UNAVAILABLE;
    }
}

int ech_bench_kernels(const struct ech_args *args, struct ech_comm *comm, FILE *out, struct ech_err *err)
{
    int64_t threads = 0;
    char why[256] = "";
    int code = ech_args_get_int(args, "threads", 1, ECH_BENCH_THREADS, &threads, err);
    if (!code && ech_comm_size(comm) > 1)
        code = ech_fail(err, ECH_USAGE, "echelon bench kernels runs in one process: it takes no --ranks");
    if (code)
        return code;
    struct ech_kernels_bench options = {.ops = ech_args_get(args, "ops"),
                                        .formats = ech_args_get(args, "formats"),
                                        .backend = ech_args_get(args, "backend"),
                                        .threads = (int)threads,
                                        .quick = ech_args_given(args, "quick"),
                                        .json = ech_args_given(args, "json"),
                                        .support = ech_args_given(args, "support"),
                                        .out = out,
                                        .notice = stderr};
    int status = ech_kernels_bench(&options, why);
    return status ? ech_fail(err, code_of(status), "echelon bench kernels: %s", why) : ECH_OK;
}
