/* `doctor`: what this machine offers a rank, what is missing, and how to mend it. One table: a row a check.
 */
#include "base/io.h"
#include "base/json.h"
#include "base/num.h"
#include "base/verb.h"
#include "comm/comm.h"
#include "data/dataset.h"
#include "job/node_check.h"
#include "job/usage.h"
#include "job/verbs.h"
#include "kernels/ops.h"
#include "kernels/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum verdict { GOOD, NOTE, BAD };

struct finding {
    enum verdict verdict;
    char found[512];
    const char *mend; /* NULL where there is nothing to do */
};

static void check_mpi(struct finding *f)
{
    ech_comm_library(f->found, sizeof f->found);
}

static void check_hdf5(struct finding *f)
{
    if (!ech_data_library(f->found, sizeof f->found)) {
        f->verdict = BAD;
        f->mend = "build against the parallel HDF5 (libhdf5-openmpi-dev)";
    }
}

/* What was chosen, in which class, and the other classes it has. */
static void check_kernels(struct finding *f)
{
    static const char lead[] = "kernels: ";
    const struct ech_ops *chosen = ech_ops_find("auto", NULL);
    char line[sizeof f->found];
    ech_ops_explain(line, sizeof line);
    bool led = strncmp(line, lead, sizeof lead - 1) == 0;
    size_t used = (size_t)snprintf(f->found, sizeof f->found, "%s", line + (led ? sizeof lead - 1 : 0));
    for (int i = 1; i < ECH_FORMATS && used < sizeof f->found; i++)
        if (chosen->numerics[i])
            used += (size_t)snprintf(f->found + used, sizeof f->found - used, ", %s", chosen->numerics[i]);
}

static void check_blas(struct finding *f)
{
    char why[256] = "";
    const struct ech_ops *blas = ech_ops_find("openblas", why);
    snprintf(f->found, sizeof f->found, "%s", blas ? blas->numerics[ECH_FMT_F32] : why);
    f->verdict = blas ? GOOD : NOTE;
    f->mend = blas ? NULL : "only needed by resources.backend: openblas, and where AVX2 is missing";
}

static void check_devices(struct finding *f)
{
    char why[256] = "", line[512] = "";
    const struct ech_ops *cuda = ech_cuda_find(why);
    const char *library = ech_cuda_describe(line, sizeof line);
    if (cuda) {
        snprintf(f->found, sizeof f->found, "%s", line);
        return;
    }
    f->verdict = NOTE;
    snprintf(f->found, sizeof f->found, "%.250s%s%.200s", why, library ? "; " : "", line);
    f->mend =
        library ? "only needed by resources.backend: cuda; it wants an NVIDIA driver and a device of compute "
                  "capability 8.0 or newer"
                : "only needed by resources.backend: cuda; build where nvcc is, and keep libech-cuda.so and "
                  "cuBLASLt where the dynamic linker finds them";
}

static void check_cores(struct finding *f)
{
    snprintf(f->found, sizeof f->found, "%d usable (affinity and cgroup quota), %ld online",
             ech_usage_cores(), sysconf(_SC_NPROCESSORS_ONLN));
}

static void check_memory(struct finding *f)
{
    long long total = 0, available = 0;
    char line[128], a[32], b[32];
    FILE *in = fopen("/proc/meminfo", "re");
    while (in && fgets(line, sizeof line, in)) {
        sscanf(line, "MemTotal: %lld", &total);
        sscanf(line, "MemAvailable: %lld", &available);
    }
    if (in)
        fclose(in);
    snprintf(f->found, sizeof f->found, "%s available of %s", ech_print_bytes(available * 1024, a, sizeof a),
             ech_print_bytes(total * 1024, b, sizeof b));
    f->verdict = available > 1 << 20 ? GOOD : NOTE;
    f->mend = f->verdict == GOOD ? NULL : "less than 1 GiB is free: small models only";
}

static void check_shm(struct finding *f)
{
    struct statvfs s;
    char a[32];
    if (statvfs("/dev/shm", &s) != 0) {
        snprintf(f->found, sizeof f->found, "/dev/shm is not there");
        f->verdict = BAD;
        f->mend = "mount a tmpfs on /dev/shm: the ranks of a node share weights there";
        return;
    }
    int64_t bytes = (int64_t)s.f_bavail * (int64_t)s.f_bsize;
    snprintf(f->found, sizeof f->found, "%s free in /dev/shm", ech_print_bytes(bytes, a, sizeof a));
    if (bytes < 256 << 20) {
        f->verdict = BAD;
        f->mend = "too small for a model's weights: in a container start it with --shm-size=2g or --ipc=host";
    }
}

static void check_files(struct finding *f)
{
    struct rlimit r = {0, 0};
    getrlimit(RLIMIT_NOFILE, &r);
    snprintf(f->found, sizeof f->found, "%llu open files allowed", (unsigned long long)r.rlim_cur);
    if (r.rlim_cur < 1024) {
        f->verdict = NOTE;
        f->mend = "ulimit -n 4096, for datasets of many shards";
    }
}

static void check_cache(struct finding *f)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char path[400];
    snprintf(path, sizeof path, "%s%s/echelon", cache ? cache : home ? home : "", cache ? "" : "/.cache");
    bool good = (cache || home) && ech_mkdir_all(path, NULL) == ECH_OK && access(path, W_OK) == 0;
    snprintf(f->found, sizeof f->found, "%s %s", path, good ? "is writable" : "cannot be written");
    f->verdict = good ? GOOD : NOTE;
    f->mend =
        good
            ? NULL
            : "model hashes and speeds are found anew at each start; set XDG_CACHE_HOME to a writable folder";
}

static const struct {
    const char *name;
    void (*check)(struct finding *);
} checks[] = {
    {"MPI", check_mpi},          {"HDF5", check_hdf5},         {"kernels", check_kernels},
    {"OpenBLAS", check_blas},    {"devices", check_devices},   {"cores", check_cores},
    {"memory", check_memory},    {"shared memory", check_shm}, {"files", check_files},
    {"hash cache", check_cache},
};

static const struct ech_option options[] = {
    {"version", NULL, false, "the libraries' versions alone"},
    {"json", NULL, false, "as JSON"},
    {"machine", NULL, false, "cores, NUMA domains and GPUs alone, as a line of JSON"},
    {"node-check", "FOLDER", false, "what a launcher elsewhere asks: one line of JSON"},
    {"token", "TEXT", false, "content of FOLDER/token"},
    {"seen", "NAME", false, "file to write in FOLDER"},
    {0}};
static const struct ech_exit exits[] = {{ECH_OK, "jobs can run here"},
                                        {ECH_USAGE, NULL},
                                        {ECH_UNAVAILABLE, "something is missing: see the lines marked BAD"},
                                        {0}};

static void print_json(const char *name, const struct finding *f, struct ech_str *out)
{
    static const char *const words[] = {"ok", "note", "bad"};
    ech_json_add_str(out, "check", name);
    ech_json_add_str(out, "verdict", words[f->verdict]);
    ech_json_add_str(out, "found", f->found);
    if (f->mend)
        ech_json_add_str(out, "mend", f->mend);
    ech_str_addc(out, '}');
}

static int run_checks(bool json, struct ech_str *out, struct ech_err *err)
{
    static const char *const words[] = {"ok  ", "note", "BAD "};
    int bad = 0;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        struct finding f = {GOOD, "", NULL};
        checks[i].check(&f);
        bad += f.verdict == BAD;
        if (json) {
            ech_str_addc(out, i ? ',' : '[');
            print_json(checks[i].name, &f, out);
            continue;
        }
        ech_str_addf(out, "%s  %-13s  %s\n", words[f.verdict], checks[i].name, f.found);
        if (f.mend)
            ech_str_addf(out, "      %-13s  -> %s\n", "", f.mend);
    }
    if (json)
        ech_str_adds(out, "]\n");
    return bad ? ech_fail(err, ECH_UNAVAILABLE, "%d of the checks found something that jobs need missing",
                          bad)
               : ECH_OK;
}

static void print_versions(const char *version, struct ech_str *out)
{
    struct finding mpi = {0}, hdf5 = {0}, blas = {0};
    check_mpi(&mpi);
    check_hdf5(&hdf5);
    check_blas(&blas);
    ech_str_addf(out, "echelon-rank %s\n%s\n%s\n%s\n", version, mpi.found, hdf5.found, blas.found);
}

static int doctor(const struct ech_args *args, struct ech_verb_call *call, struct ech_err *err)
{
    const char *const *version = call->context;
    struct ech_node_check check = {.folder = ech_args_get(args, "node-check"),
                                   .token = ech_args_get(args, "token"),
                                   .seen = ech_args_get(args, "seen")};
    if (check.folder && check.token && check.seen)
        return ech_node_check_print(&check, *version, &call->text, err);
    if (check.folder || check.token || check.seen)
        return ech_fail(err, ECH_USAGE, "--node-check, --token and --seen come together");
    if (ech_args_given(args, "machine"))
        return ech_node_machine_print(&call->text, err);
    if (!ech_args_given(args, "version"))
        return run_checks(ech_args_given(args, "json"), &call->text, err);
    print_versions(*version, &call->text);
    return ECH_OK;
}

static const struct ech_verb_spec verb = {
    .name = "doctor",
    .run = doctor,
    .command = {.name = "echelon doctor",
                .usage = "[options]",
                .summary = "What this machine offers, what is missing, and how to mend it.",
                .options = options,
                .example = "echelon doctor",
                .exits = exits}};

int ech_doctor_verb(int argc, char **argv, const char *version, FILE *out, struct ech_err *err)
{
    return ech_verb_spec_run(&verb, argc, argv, &version, out, err);
}
