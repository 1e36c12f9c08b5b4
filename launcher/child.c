/* Child processes: see child.h. */
#include "launcher/child.h"

#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: everything up to exec; returns only on failure (errno). */
static void become(const struct ech_child_spec *spec, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (spec->session) {
        setsid();
        int null = open("/dev/null", O_RDONLY);
        if (null >= 0)
            dup2(null, STDIN_FILENO);
    }
    if (spec->death_signal) {
        prctl(PR_SET_PDEATHSIG, spec->death_signal);
        if (getppid() != parent) /* it died before the line above */
            _exit(ECH_REQUEUE);
    }
    if (spec->output >= 0) {
        if (!spec->errors_alone)
            dup2(spec->output, STDOUT_FILENO);
        dup2(spec->output, STDERR_FILENO);
    }
    for (const char *const *e = spec->env; e && *e; e++)
        putenv((char *)(uintptr_t)*e);
    execv(spec->argv[0], spec->argv);
}

int ech_child_start(const struct ech_child_spec *spec, pid_t *pid, struct ech_err *err)
{
    int report[2]; /* closes by itself when exec succeeds; else it carries errno */
    if (pipe2(report, O_CLOEXEC) != 0)
        return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "starting %s", spec->argv[0]);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        become(spec, parent);
        int failed = errno;
        if (write(report[1], &failed, sizeof failed) < 0)
            _exit(ECH_BUG);
        _exit(ECH_UNAVAILABLE);
    }
    int failed = child < 0 ? errno : 0;
    close(report[1]);
    ssize_t got;
    do
        got = child < 0 ? 0 : read(report[0], &failed, sizeof failed);
    while (got < 0 && errno == EINTR);
    close(report[0]);
    if (failed) {
        if (child > 0)
            waitpid(child, NULL, 0);
        return ech_fail_errno(err, ECH_UNAVAILABLE, failed, "cannot start %s", spec->argv[0]);
    }
    *pid = child;
    return ECH_OK;
}

static int wait_status(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return ECH_BUG;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int ech_child_wait(const struct ech_child_spec *spec, struct ech_err *err)
{
    pid_t pid;
    int code = ech_child_start(spec, &pid, err);
    return code != ECH_OK ? code : wait_status(pid);
}

char *ech_child_output(char *const *argv, int *status)
{
    enum { MOST = 8 << 20 };
    int ends[2];
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return NULL;
    struct ech_child_spec spec = {.argv = argv, .output = ends[1], .session = true, .death_signal = SIGKILL};
    int code = ech_child_start(&spec, &pid, NULL);
    close(ends[1]);
    char *text = code == ECH_OK ? ech_calloc(MOST + 1, 1, NULL) : NULL, rest[4096];
    size_t got = 0;
    if (text && ech_read_some(ends[0], argv[0], text, MOST, &got, NULL) != ECH_OK)
        text[0] = '\0';
    while (code == ECH_OK && read(ends[0], rest, sizeof rest) > 0)
        ;
    close(ends[0]);
    if (code == ECH_OK)
        *status = wait_status(pid);
    return text;
}
