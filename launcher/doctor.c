/* The verb `doctor`: first what the launcher needs, then the rank program's own part. */
#include "launcher/argv.h"
#include "launcher/child.h"
#include "launcher/doctor_cluster.h"
#include "launcher/mpirun.h"
#include "launcher/recovery.h"
#include "launcher/verbs.h"

#include "base/machine.h"
#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const struct ech_exit exits[] = {
    {0, "everything that is needed is there"},
    {ECH_USAGE, NULL},
    {ECH_NOINPUT, NULL},
    {ECH_UNAVAILABLE, "something is lacking, or a node of the cluster fails"},
    {ECH_CONFIG, NULL},
    {0, NULL}};

enum { DEADLINE = 20, DEADLINE_MOST = 60 };

static const struct ech_option options[] = {
    {"cluster", "C.yaml", false, "looks at every node of a cluster file, all at once"},
    {"deadline", "SECONDS", false, "with --cluster: time a node gets to answer (20)"},
    {"selftest", NULL, false, "kills one of three ranks: does this MPI let the others go on? Recorded"},
    {"json", NULL, false, "as JSON"},
    {"version", NULL, false, "versions of echelon-rank and its libraries alone"},
    {NULL, NULL, false, NULL}};

const struct ech_command ech_doctor_command = {
    .name = "echelon doctor",
    .usage = "[--json | --version | --selftest | --cluster C.yaml [--deadline SECONDS] [--json]]",
    .summary =
        "Says what is here and what is missing, and how to mend it: mpirun, echelon-rank, shared memory,\n"
        "limits, cores, a folder to write in; then MPI, HDF5, BLAS and instruction sets. With --cluster "
        "every\n"
        "node is asked by its launch command (as ssh: words for a shell there): does it answer, has it the\n"
        "same version and MPI, is the folder of runs really shared, clock, cores, memory, limits, numerics.",
    .options = options,
    .operands_most = 0,
    .example = "echelon doctor\nechelon doctor --cluster cluster.yaml",
    .exits = exits};

enum verdict { GOOD, WARN, LACKING };

static void line(enum verdict verdict, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void line(enum verdict verdict, const char *what, const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warn", "lacking"};
    va_list args;
    printf("%-8s %-14s ", words[verdict], what);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

static enum verdict check_mpirun(void)
{
    char *mpirun = NULL;
    struct ech_err err = ECH_ERR_NONE;
    int status = 1;
    if (ech_find_mpirun(&mpirun, &err) != ECH_OK) {
        line(LACKING, "mpirun", "%s", err.text);
        return LACKING;
    }
    char *argv[] = {mpirun, "--version", NULL}, *text = ech_child_output(argv, &status);
    enum verdict verdict = text && status == 0 ? GOOD : LACKING;
    if (verdict == GOOD && !strstr(text, "Open MPI")) {
        verdict = WARN;
        line(WARN, "mpirun", "%s is not Open MPI's; its options may not be understood", mpirun);
    } else
        line(verdict, "mpirun", "%s: %.*s", mpirun, text ? (int)strcspn(text, "\n") : 0, text ? text : "");
    ech_free(text);
    ech_free(mpirun);
    return verdict;
}

static enum verdict check_rank(void)
{
    char *rank = NULL;
    struct ech_err err = ECH_ERR_NONE;
    enum verdict verdict = ech_find_rank_program(&rank, &err) == ECH_OK ? GOOD : LACKING;
    line(verdict, "echelon-rank", "%s", verdict == GOOD ? rank : err.text);
    ech_free(rank);
    return verdict;
}

static enum verdict check_shm(void)
{
    const int64_t little = 64 << 20;
    struct statvfs fs;
    char size[32], room[32];
    if (statvfs("/dev/shm", &fs) != 0) {
        line(WARN, "/dev/shm", "%s: ranks of a node share memory in /tmp", strerror(errno));
        return WARN;
    }
    int64_t bytes = (int64_t)(fs.f_blocks * fs.f_frsize), left = (int64_t)(fs.f_bavail * fs.f_frsize);
    enum verdict verdict = left < little ? WARN : GOOD;
    line(verdict, "/dev/shm", "%s, %s free%s", ech_print_bytes(bytes, size, sizeof size),
         ech_print_bytes(left, room, sizeof room),
         verdict == GOOD ? "" : ": weights shared by the ranks of a node may not fit (docker: --shm-size)");
    return verdict;
}

static enum verdict check_limits(void)
{
    struct rlimit files, memory;
    char text[32] = "unlimited";
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_AS, &memory);
    if (memory.rlim_cur != RLIM_INFINITY)
        ech_print_bytes((int64_t)memory.rlim_cur, text, sizeof text);
    enum verdict verdict = files.rlim_cur < 256 || memory.rlim_cur != RLIM_INFINITY ? WARN : GOOD;
    line(verdict, "limits", "%llu open files, address space %s%s", (unsigned long long)files.rlim_cur, text,
         verdict == GOOD ? "" : " (ulimit -n, ulimit -v)");
    return verdict;
}

static enum verdict check_cores(void)
{
    struct ech_place place;
    ech_place_find(&place);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    const struct ech_machine *here = ech_machine_here();
    line(GOOD, "cores",
         "%lld usable of %ld (affinity and cgroup quota counted), %lld NUMA domain%s, %lld GPU%s",
         (long long)here->cores, online, (long long)here->domains, here->domains == 1 ? "" : "s",
         (long long)here->devices, here->devices == 1 ? "" : "s");
    if (place.allocation)
        line(GOOD, "slurm", "inside an allocation of %lld node%s, at least %lld cores each",
             (long long)place.nodes, place.nodes == 1 ? "" : "s", (long long)place.machine.cores);
    return GOOD;
}

static enum verdict check_folder(void)
{
    char here[4096], name[] = ".echelon-doctor-XXXXXX";
    if (!getcwd(here, sizeof here))
        snprintf(here, sizeof here, "the working folder");
    if (!mkdtemp(name)) {
        line(WARN, "folder", "%s cannot be written (%s): runs/ is made in the working folder", here,
             strerror(errno));
        return WARN;
    }
    rmdir(name);
    line(GOOD, "folder", "%s can be written", here);
    return GOOD;
}

static int selftest(struct ech_err *err)
{
    enum ech_recovery found = ECH_RECOVERY_UNKNOWN;
    char mpi[128];
    int code = ech_recovery_try(&found, mpi, sizeof mpi, err);
    if (code != ECH_OK)
        return code;
    if (found == ECH_RECOVERY_SURVIVES)
        line(GOOD, "selftest", "%s: when a rank dies the others go on", mpi);
    else
        line(WARN, "selftest", "%s ends all ranks when one dies: a death means 75 + resume", mpi);
    return ECH_OK;
}

static int check_here(struct ech_err *err)
{
    static enum verdict (*const checks[])(void) = {check_mpirun, check_rank,  check_shm,
                                                   check_limits, check_cores, check_folder};
    bool lacking = false;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        lacking = checks[i]() == LACKING || lacking;
    if (ech_recovery_recorded() == ECH_RECOVERY_DIES)
        line(WARN, "selftest", "this MPI ends all ranks when one dies: a death means 75 + resume");
    char *rank = NULL;
    int code = ECH_OK;
    if (ech_find_rank_program(&rank, NULL) == ECH_OK)
        code = ech_solo("doctor", 0, NULL, err);
    ech_free(rank);
    return lacking ? ech_fail(err, ECH_UNAVAILABLE, "something is lacking (see above)") : code;
}

static int choose(const struct ech_args *args, int argc, char **argv, struct ech_err *err)
{
    const char *cluster = ech_args_get(args, "cluster");
    bool json = ech_args_given(args, "json"), version = ech_args_given(args, "version");
    bool tries = ech_args_given(args, "selftest");
    int64_t seconds = DEADLINE;
    int code = ech_args_get_int(args, "deadline", 1, DEADLINE_MOST, &seconds, err);
    if (code != ECH_OK)
        return code;
    if ((cluster != NULL) + version + tries > 1 || (json && tries))
        return ech_fail(err, ECH_USAGE, "--cluster, --selftest and --version are asked one at a time");
    if (ech_args_given(args, "deadline") && !cluster)
        return ech_fail(err, ECH_USAGE, "--deadline belongs to --cluster");
    if (cluster)
        return ech_doctor_cluster(cluster, seconds, json, err);
    if (tries)
        return selftest(err);
    return json || version ? ech_solo("doctor", argc, argv, err) : check_here(err);
}

int ech_verb_doctor(int argc, char **argv, struct ech_err *err)
{
    struct ech_args args = {0};
    bool done = false;
    int code = ech_verb_args(&ech_doctor_command, argc, argv, &args, &done, err);
    if (code == ECH_OK && !done)
        code = choose(&args, argc, argv, err);
    ech_args_fini(&args);
    return code;
}
