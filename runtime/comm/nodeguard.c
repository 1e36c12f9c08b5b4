/* See nodeguard.h. */
#include "comm/nodeguard.h"

#include "base/clock.h"
#include "base/daemon_files.h"
#include "base/io.h"
#include "base/nodedir.h"
#include "base/peers.h"
#include "base/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* MPI's daemon reports the ranks' end and cleans up after itself; one that is cut off waits for ever. */
#define DAEMON_GRACE_S 3.0

/* What a daemon that was killed has left in its temporary folder (the rank that started us was told where).
 */
static void remove_session(void)
{
    const char *session = getenv("OMPI_MCA_orte_jobfam_session_dir"),
               *top = getenv("OMPI_MCA_orte_top_session_dir");
    if (!session || !top || !strstr(top, "/ompi.") || strncmp(session, top, strlen(top)) != 0)
        return;
    ech_remove_all(session, NULL);
    rmdir(top);
}

/* MPI's daemon on this host, where one has started the ranks. */
struct daemon {
    const char *node_dir;
    pid_t pid; /* 0: none */
    unsigned long long start;
    int peers_most;
};

static struct daemon find_daemon(const char *node_dir)
{
    char path[64], name[32] = "";
    struct daemon d = {.node_dir = node_dir, .pid = getppid()};
    snprintf(path, sizeof path, "/proc/%d/comm", (int)d.pid);
    FILE *file = fopen(path, "r");
    if (file && !fgets(name, sizeof name, file))
        name[0] = '\0';
    if (file)
        fclose(file);
    d.start = ech_process_start(d.pid);
    if (strcmp(name, "orted\n") != 0 && strcmp(name, "prted\n") != 0)
        d.pid = 0;
    return d;
}

/* A daemon that mpirun does not answer any more: this host is cut off, nobody here can come to an end. (Where
 * nothing is under way the daemon finds that itself.) */
static void look_after(void *context)
{
    struct daemon *d = context;
    int peers = d->pid && ech_process_start(d->pid) == d->start ? ech_peers_of(d->pid) : -1;
    if (peers == 0 && d->peers_most > 0)
        ech_sweep_start(d->node_dir, SIGKILL);
    d->peers_most = peers > d->peers_most ? peers : d->peers_most;
}

/* The daemon, where it stays, is found by the folder's name in its command line. */
static void watch(struct daemon *daemon)
{
    const char *node_dir = daemon->node_dir;
    if (!ech_nodedir_wait(node_dir, look_after, daemon))
        return;
    double until = ech_mono_s() + DAEMON_GRACE_S;
    while (ech_sweep_start(node_dir, 0) > 0 && ech_mono_s() < until)
        ech_sleep_us(100000);
    ech_sweep_start(node_dir, SIGKILL);
    remove_session();
    ech_nodedir_clear(node_dir);
}

static void become_guard(struct daemon *daemon)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
    setsid();
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    prctl(PR_SET_NAME, "echelon-guard");
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    for (int fd = 3; fd < 256; fd++) /* among them the rank's hold on the folder, and the daemon's pipes */
        close(fd);
    watch(daemon);
    _exit(0);
}

int ech_nodeguard_start(const char *node_dir, const char *run_dir, struct ech_err *err)
{
    bool first = false;
    if (!node_dir || !*node_dir)
        return ECH_OK;
    int code = ech_nodedir_join(node_dir, &first, err);
    if (code != ECH_OK || !first)
        return code;
    if (run_dir && *run_dir && ech_sweep_older(run_dir, node_dir) > 0)
        ech_sleep_us(100000); /* what they held is free when they are gone */
    ech_nodedir_remove_stale();
    ech_daemon_files_sweep();
    struct daemon daemon = find_daemon(node_dir);
    pid_t pid = fork();
    if (pid == 0)
        become_guard(&daemon);
    return pid > 0 ? ECH_OK
                   : ech_fail_errno(err, ECH_UNAVAILABLE, errno, "starting this host's guardian process");
}
