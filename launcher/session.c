/* A start of mpirun: see session.h. */
#include "launcher/session.h"

#include "launcher/child.h"
#include "launcher/ending.h"
#include "launcher/guard.h"

#include "base/clock.h"
#include "base/daemon_files.h"
#include "base/fault.h"
#include "base/peers.h"
#include "base/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK_MS = 200, ENDING_MS = 10 }; /* mpirun has closed its output: it is about to end */
/* What mpirun and the ranks get once the end is decided and nothing is to be saved any more. */
#define SWEEP_GRACE_S 1.0
/* Slurm sends TERM to each process of a job: to us, and to the script that passes it on. */
#define ONE_WISH_S 1.0
/* The pipe is read this long after mpirun has gone (a lost rank may still hold its other end). */
#define DRAIN_S 0.3
#define LOOK_S  1.0

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

static sigset_t taken_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof stop_signals / sizeof stop_signals[0]; i++)
        sigaddset(&set, stop_signals[i]);
    return set;
}

static void leave_early(int number)
{
    (void)number;
    _exit(ECH_REQUEUE);
}

void ech_session_early_signals(void)
{
    for (size_t i = 0; i < sizeof stop_signals / sizeof stop_signals[0]; i++)
        signal(stop_signals[i], leave_early);
}

void ech_session_block_signals(void)
{
    sigset_t set = taken_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool ech_session_is_signalled(void)
{
    sigset_t there;
    bool any = false;
    sigpending(&there);
    for (size_t i = 0; i < sizeof stop_signals / sizeof stop_signals[0]; i++)
        any = any || sigismember(&there, stop_signals[i]) == 1;
    return any;
}

int ech_session_pending_signal(void)
{
    sigset_t set = taken_signals();
    struct timespec none = {0, 0};
    int number = sigtimedwait(&set, NULL, &none);
    return number > 0 ? number : 0;
}

void ech_session_command(const struct ech_session *session, const char *shm_dir, struct ech_argv *out)
{
    struct ech_mpirun m = {.mpirun = session->mpirun,
                           .program = session->program,
                           .layout = session->layout,
                           .shm_dir = shm_dir,
                           .hosts_file = session->hosts_file,
                           .exclude = session->exclude,
                           .settings = session->settings,
                           .launch = session->launch,
                           .mpi_prefix = session->mpi_prefix,
                           .allocation = session->allocation,
                           .recovery = session->recovery,
                           .heartbeat_s = session->heartbeat_s,
                           .arguments = session->arguments};
    if (session->srun)
        ech_srun_command(&m, session->srun, out);
    else
        ech_mpirun_command(&m, out);
}

/* Everything that lives while mpirun runs. */
struct live {
    const struct ech_session *session;
    const char *marker;
    struct ech_nodedir shm;
    struct ech_guard guard;
    pid_t pid;
    int signals, log; /* descriptors, -1 closed */
    struct ech_ending ending;
    enum ech_step done; /* the last step taken */
    struct ech_session_end end;
    int peers_most; /* hosts that mpirun was connected to */
    double looked_at, ticked_at;
};

static int start_mpirun(struct live *l, struct ech_err *err)
{
    struct ech_argv argv, env;
    char run_env[4200], node_env[400], threads_env[64], start_env[64];
    int ends[2] = {-1, -1};
    snprintf(run_env, sizeof run_env, ECH_RUN_ENV "=%s", l->marker);
    snprintf(node_env, sizeof node_env, ECH_NODEDIR_ENV "=%s", l->shm.path);
    snprintf(threads_env, sizeof threads_env, "OMP_NUM_THREADS=%lld", (long long)l->session->layout->threads);
    snprintf(start_env, sizeof start_env, "ECH_START_SECONDS=%.0f", l->session->start_s);
    ech_argv_init(&env);
    ech_argv_add(&env, run_env);
    ech_argv_add(&env, node_env);
    ech_argv_add(&env, threads_env);
    if (l->session->start_s > 0 || !getenv("ECH_START_SECONDS"))
        ech_argv_add(&env, start_env);
    ech_argv_add(&env, "OMP_WAIT_POLICY=passive");
    ech_argv_add(&env, "OPENBLAS_NUM_THREADS=1"); /* as the ranks want it: else each starts itself again */
    if (geteuid() == 0) {
        ech_argv_add(&env, "OMPI_ALLOW_RUN_AS_ROOT=1");
        ech_argv_add(&env, "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1");
    }
    ech_argv_add_all(&env, l->session->settings);
    if (l->session->srun)
        ech_srun_settings(l->shm.path, l->session->hosts_file, &env);
    ech_argv_init(&argv);
    ech_session_command(l->session, l->shm.path, &argv);
    int code = ech_argv_check(&argv, err);
    if (code == ECH_OK)
        code = ech_argv_check(&env, err);
    if (code == ECH_OK && l->session->output && pipe2(ends, O_CLOEXEC) != 0)
        code = ech_fail_errno(err, ECH_UNAVAILABLE, errno, "a pipe for the output of mpirun");
    struct ech_child_spec spec = {.argv = argv.items,
                                  .env = (const char *const *)env.items,
                                  .output = ends[1],
                                  .errors_alone = l->session->errors_alone,
                                  .session = true,
                                  .death_signal = SIGTERM};
    if (code == ECH_OK)
        code = ech_child_start(&spec, &l->pid, err);
    if (ends[1] >= 0)
        close(ends[1]);
    l->log = ends[0];
    if (l->log >= 0)
        fcntl(l->log, F_SETFL, O_NONBLOCK);
    ech_argv_fini(&argv);
    ech_argv_fini(&env);
    return code;
}

/* True while the pipe is open. */
static bool pump(struct live *l)
{
    char data[16384];
    ssize_t got;
    while (l->log >= 0 && (got = read(l->log, data, sizeof data)) != 0) {
        if (got < 0)
            return errno == EAGAIN || errno == EINTR;
        l->session->output(l->session->context, data, (size_t)got);
    }
    if (l->log >= 0)
        close(l->log);
    l->log = -1;
    return false;
}

static void take_signals(struct live *l, double now)
{
    struct signalfd_siginfo info;
    while (read(l->signals, &info, sizeof info) == sizeof info) {
        bool again = l->ending.stop_at > 0;
        bool haste =
            info.ssi_signo == SIGINT || (info.ssi_signo == SIGTERM && now - l->ending.stop_at > ONE_WISH_S);
        if (again && !haste)
            continue;
        if (again)
            l->ending.stop_again = l->ending.stop_again > 0 ? l->ending.stop_again : now;
        else {
            l->ending.stop_at = now;
            l->end.stop_signal = (int)info.ssi_signo;
            l->ending.asks = l->session->begun && l->session->begun(l->session->context);
        }
        if (l->session->stopping)
            l->session->stopping(l->session->context, (int)info.ssi_signo, again);
    }
}

/* Take the step that is due, once. */
static void take_step(struct live *l, double now)
{
    enum ech_step step = ech_ending_step(&l->ending, now);
    if (step <= l->done)
        return;
    l->done = step;
    if (step == ECH_STEP_ASK)
        kill(l->pid, SIGUSR1); /* mpirun passes it on to every rank */
    else if (step == ECH_STEP_TERM)
        kill(l->pid, SIGTERM);
    else
        ech_sweep_signal(l->marker, SIGKILL);
}

static bool mpirun_ended(struct live *l)
{
    int status;
    pid_t got = waitpid(l->pid, &status, WNOHANG);
    if (got == l->pid) {
        l->end.ended = true;
        l->end.status = status;
    }
    return got == l->pid || (got < 0 && errno == ECHILD);
}

/* mpirun's connections to other hosts become fewer while it runs: hosts that were lost. */
static void look_for_hosts(struct live *l, double now)
{
    if (!l->session->hosts_lost || now - l->looked_at < LOOK_S)
        return;
    l->looked_at = now;
    int peers = ech_peers_of(l->pid);
    l->peers_most = peers > l->peers_most ? peers : l->peers_most;
    if (peers >= 0 && l->ending.result_at <= 0 && l->ending.lost_at <= 0 && l->ending.stop_at <= 0)
        l->session->hosts_lost(l->session->context, l->peers_most - peers);
}

/* What became of the ranks. */
static void look_around(struct live *l, double now)
{
    const struct ech_session *s = l->session;
    l->ticked_at = now;
    look_for_hosts(l, now);
    if (l->ending.result_at <= 0 && s->finished && s->finished(s->context))
        l->ending.result_at = now;
    if (l->ending.result_at <= 0 && l->ending.lost_at <= 0 && s->lost && s->lost(s->context))
        l->ending.lost_at = now;
    if (s->tick)
        s->tick(s->context, now);
}

static void follow(struct live *l)
{
    const struct ech_session *s = l->session;
    while (!mpirun_ended(l)) {
        struct pollfd wait[2] = {{.fd = l->signals, .events = POLLIN}, {.fd = l->log, .events = POLLIN}};
        bool ends = s->output && l->log < 0;
        poll(wait, 2, ends ? ENDING_MS : TICK_MS);
        double now = ech_mono_s();
        if (s->output)
            pump(l);
        take_signals(l, now);
        if (!ends || now - l->ticked_at > TICK_MS * 1e-3)
            look_around(l, now);
        take_step(l, now);
        if (ech_fault(ECH_FAULT_TURN))
            kill(l->pid, SIGKILL);
    }
}

static void finish(struct live *l)
{
    l->end.leftovers = !ech_sweep_end(l->marker, SWEEP_GRACE_S);
    double until = ech_mono_s() + DRAIN_S;
    while (l->session->output && l->log >= 0 && pump(l) && ech_mono_s() < until)
        ech_sleep_us(10000);
    if (l->log >= 0)
        close(l->log);
}

int ech_session_run(const struct ech_session *session, struct ech_session_end *out, struct ech_err *err)
{
    sigset_t set = taken_signals();
    struct live l = {.session = session, .log = -1, .ending.grace_s = session->grace_s};
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* ranks whose mpirun was killed become ours to wait for */
    ech_nodedir_remove_stale();
    ech_daemon_files_sweep();
    int code = ech_nodedir_create(&l.shm, err);
    if (code != ECH_OK)
        return code;
    l.marker = session->marker ? session->marker : l.shm.path;
    l.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l.signals < 0)
        code = ech_fail_errno(err, ECH_UNAVAILABLE, errno, "a descriptor for signals");
    if (code == ECH_OK)
        code = ech_guard_start(l.marker, &l.shm, &l.guard, err);
    if (code == ECH_OK)
        code = start_mpirun(&l, err);
    if (code == ECH_OK) {
        follow(&l);
        finish(&l);
        *out = l.end;
    }
    if (l.signals >= 0)
        close(l.signals);
    ech_nodedir_remove(&l.shm);
    ech_guard_leave(&l.guard);
    return code;
}
