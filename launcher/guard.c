/* The guardian: see guard.h. */
#include "launcher/guard.h"

#include "base/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* mpirun is told to end by the kernel when the launcher dies; its ranks get this long. */
#define GUARD_GRACE_S 1.5

static void watch(int line, const char *marker, const struct ech_nodedir *shm)
{
    char word;
    ssize_t got;
    do
        got = read(line, &word, 1);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return;
    struct ech_nodedir own = *shm;
    ech_sweep_end(marker, GUARD_GRACE_S);
    ech_nodedir_remove(&own);
}

static void become_guard(int line, const char *marker, const struct ech_nodedir *shm)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGTSTP};
    setsid(); /* out of reach of the terminal */
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC); /* no reader of our output waits for this process */
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    prctl(PR_SET_NAME, "echelon-guard");
    watch(line, marker, shm);
    _exit(0);
}

int ech_guard_start(const char *marker, const struct ech_nodedir *shm, struct ech_guard *out,
                    struct ech_err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "starting the guardian process");
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        become_guard(ends[0], marker, shm);
    }
    int failed = errno;
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        return ech_fail_errno(err, ECH_UNAVAILABLE, failed, "starting the guardian process");
    }
    *out = (struct ech_guard){pid, ends[1]};
    return ECH_OK;
}

void ech_guard_leave(struct ech_guard *guard)
{
    char word = 'q';
    if (guard->pid <= 0)
        return;
    if (write(guard->line, &word, 1) < 0)
        guard->pid = -1; /* it is gone already */
    close(guard->line);
    while (guard->pid > 0 && waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    guard->pid = 0;
}
