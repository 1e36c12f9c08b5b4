/* echelon-rank: what mpirun starts. Reads its command line, sets the process up (environment, signals, death
 * of the parent), opens the communicator, calls one verb, and ends with its code. Beside the watchdog the one
 * place that ends the process. */
#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/nodedir.h"
#include "base/num.h"
#include "base/place.h"
#include "base/rundir.h"
#include "base/sweep.h"
#include "base/words.h"
#include "comm/nodeguard.h"
#include "comm/watchdog.h"
#include "data/verbs.h"
#include "job/run.h"
#include "job/verbs.h"
#include "model/show.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void take_signals(void)
{
    const int asks[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++)
        sigaction(asks[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* mpirun gone: nobody could tell this rank anything any more; its spool is safe up to the last sync. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* OpenBLAS and OpenMP read these in their constructors, so a program that lacks them starts itself once more.
 * Threads of a team sleep while they wait, and spin for nobody. */
static void set_environment(char **argv)
{
    static const char *const wanted[][2] = {
        {"OPENBLAS_NUM_THREADS", "1"}, {"OMP_NUM_THREADS", "1"}, {"OMP_WAIT_POLICY", "passive"}};
    bool missing = false;
    /* Open MPI's mpirun hands it on to the ranks beside orte_tmpdir_base, and its library refuses both at
     * once. */
    unsetenv("OMPI_MCA_orte_local_tmpdir_base");
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!getenv(wanted[i][0])) {
            setenv(wanted[i][0], wanted[i][1], 1);
            missing = true;
        }
    if (missing && !getenv("ECH_STARTED_AGAIN")) {
        setenv("ECH_STARTED_AGAIN", "1", 1);
        execv("/proc/self/exe", argv);
    }
}

static void say(const struct ech_err *err)
{
    char text[2304];
    fprintf(stderr, "echelon: %s\n", ech_err_print(err, text, sizeof text));
}

/* run RUNDIR --attempt N */
static int run(int argc, char **argv, struct ech_comm *comm, bool *leave, struct ech_err *err)
{
    int64_t attempt = 1;
    if (argc != 3 || strcmp(argv[1], "--attempt") != 0 || !ech_parse_int(argv[2], &attempt) || attempt < 1 ||
        attempt > 1000000)
        return ech_fail(err, ECH_USAGE, "usage: echelon-rank run RUNDIR --attempt N");
    struct ech_run_options options = {
        .comm = comm, .run_dir = argv[0], .attempt = (int)attempt, .stop = &stop, .version = ECH_VERSION};
    struct ech_run_end end;
    int code = ech_run_attempt(&options, &end, err);
    *leave = end.leave;
    return code;
}

static int call_verb(int argc, char **argv, struct ech_comm *comm, bool *leave, struct ech_err *err)
{
    const char *verb = argc > 0 ? argv[0] : "";
    argc--;
    argv++;
    if (strcmp(verb, "run") == 0)
        return run(argc, argv, comm, leave, err);
    if (strcmp(verb, "data") == 0)
        return ech_data_verb(argc, argv, comm, stdout, err);
    if (strcmp(verb, "bench") == 0)
        return ech_bench_verb(argc, argv, comm, stdout, err);
    if (strcmp(verb, "model") == 0)
        return ech_model_verb(argc, argv, stdout, err);
    if (strcmp(verb, "eval") == 0)
        return ech_eval_verb(argc, argv, stdout, err);
    if (strcmp(verb, "plan") == 0)
        return ech_plan_verb(argc, argv, stdout, err);
    if (strcmp(verb, "doctor") == 0)
        return ech_doctor_verb(argc, argv, ECH_VERSION, stdout, err);
    if (strcmp(verb, "selftest") == 0)
        return ech_selftest_verb(comm, leave, stdout, err);
    return ech_fail(err, ECH_USAGE,
                    "echelon-rank: no verb \"%s\" (run, data, model, eval, plan, doctor, bench)", verb);
}

/* So that the launcher can tell a rank that died early from a program that cannot start. */
static void leave_trace(int argc, char **argv)
{
    char *path = NULL;
    int64_t attempt;
    int fd;
    if (argc == 5 && ech_parse_int(argv[4], &attempt))
        path = ech_run_path(NULL, argv[2], ECH_RUN_STARTED, (int)attempt);
    if (path && ech_open(path, O_WRONLY | O_CREAT, &fd, NULL) == ECH_OK)
        close(fd);
    ech_free(path);
}

static struct ech_comm_options comm_options(void)
{
    const char *text = getenv("ECH_RANKS_A_NODE"); /* tests: so many ranks count as a node of their own */
    int64_t ranks = 0;
    bool given = text && ech_parse_int(text, &ranks) && ranks > 0 && ranks <= 1000000;
    return (struct ech_comm_options){.ranks_a_node = given ? (int)ranks : 0};
}

/* A number that MPI's launcher (or Slurm's) gives before MPI_Init; -1: none. */
static int given(const char *const *names)
{
    int64_t number;
    for (; *names; names++)
        if (getenv(*names) && ech_parse_int(getenv(*names), &number) && number >= 0 && number <= 1000000)
            return (int)number;
    return -1;
}

static const char *const rank_names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID",
                                         NULL};

static void tell_begun(void)
{
    if (getenv(ECH_TELL_BEGUN_ENV) && given(rank_names) == 0)
        fputs(ECH_BEGUN_LINE "\n", stderr);
}

/* Until MPI has told them, rank and size are what the environment says. */
static void word_place(int argc, char **argv)
{
    static const char *const size_names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS", NULL};
    int rank = given(rank_names), size = given(size_names);
    int64_t attempt;
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    if (argc == 5 && ech_parse_int(argv[4], &attempt) && rank >= 0 && size > rank) {
        ech_watchdog_rank(rank);
        ech_watchdog_words(argv[2], (int)attempt, host, size);
    }
}

/* How long the ranks may take to find each other; the launcher says limits.phase. */
static double start_seconds(void)
{
    const char *text = getenv("ECH_START_SECONDS");
    double seconds = 0;
    return text && ech_parse_time(text, &seconds) && seconds > 0 ? seconds : 120;
}

/* Who falls silent is told in the run directory; other verbs, whose ranks share no folder, tell it where all
 * run on one host. They may take as long as their work goes on. */
static void watch_verb(bool runs, int argc, char **argv, const struct ech_comm *comm)
{
    const char *node_dir = getenv(ECH_NODEDIR_ENV);
    int ranks = ech_comm_size(comm);
    if (runs && argc == 5)
        ech_watchdog_words(argv[2], atoi(argv[4]), ech_comm_host(comm), ranks);
    else if (ech_comm_nodes(comm) == 1 && node_dir)
        ech_watchdog_words(node_dir, 1, ech_comm_host(comm), ranks);
    if (!runs && ranks > 1) {
        ech_watchdog_phase(argv[1], start_seconds());
        ech_watchdog_patient();
    } else if (!runs)
        ech_watchdog_clear();
}

int main(int argc, char **argv)
{
    struct ech_err err = ECH_ERR_NONE;
    struct ech_comm *comm = NULL;
    set_environment(argv);
    prctl(PR_SET_NAME, "echelon-rank"); /* re-executed, the name would be "exe" */
    bool solo = argc > 1 && strcmp(argv[1], "--solo") == 0, leave = false;
    bool runs = argc > 1 && strcmp(argv[1], "run") == 0;
    int skip = solo ? 2 : 1;
    ech_log_init(-1);
    if (runs) {
        take_signals();
        leave_trace(argc, argv);
    }
    if (runs)
        ech_place_apply(0);
    else
        tell_begun();
    int code = ech_fault_arm_from_env();
    if (code)
        ech_fail(&err, ECH_USAGE, "ECH_FAULT cannot be read");
    if (!code && !solo)
        code = ech_nodeguard_start(getenv(ECH_NODEDIR_ENV), getenv(ECH_RUN_ENV), &err);
    if (!code)
        code = ech_watchdog_start(0, NULL, &err);
    if (runs)
        word_place(argc, argv);
    ech_watchdog_phase("start", start_seconds());
    if (!code) {
        struct ech_comm_options options = comm_options();
        code = solo ? ech_comm_open_self(&comm, &err) : ech_comm_open_mpi(&options, &comm, &err);
    }
    if (code) {
        say(&err);
        return code;
    }
    signal(SIGXFSZ, SIG_IGN); /* not while MPI starts: it would wait for ever for what it could not write */
    int rank = ech_comm_rank(comm);
    ech_log_init(rank);
    ech_watchdog_rank(rank);
    ech_fault_place(rank, runs && argc == 5 ? atoi(argv[4]) : 0);
    watch_verb(runs, argc, argv, comm);
    code = call_verb(argc - skip, argv + skip, comm, &leave, &err);
    if (code && (rank == 0 || leave))
        say(&err);
    fflush(stdout);
    if (leave) {
        ech_nodedir_leave();
        _exit(code ? code : 0);
    }
    ech_watchdog_phase("finalise", 30);
    ech_comm_close(comm);
    ech_nodedir_leave();
    ech_watchdog_stop();
    return code;
}
