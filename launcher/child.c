/* Child processes: see child.h. */
#include "launcher/child.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
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
    enum { MOST = 65536 };
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

/* ---- the folder under /dev/shm ---- */

/* Where such folders are made, in this order; ECH_SHM names the only one. */
static const char *const *shm_roots(void)
{
    static const char *roots[] = {"/dev/shm", "/tmp", NULL};
    const char *named = getenv("ECH_SHM");
    if (named && *named) {
        roots[0] = named;
        roots[1] = NULL;
    }
    return roots;
}
#define SHM_PREFIX "echelon-"
#define SHM_LOCK   "launcher"

static int take_lock(const char *folder, int flags)
{
    char path[640];
    snprintf(path, sizeof path, "%.600s/%s", folder, SHM_LOCK);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* With less than this, mpirun itself waits for ever for what it could not write. */
static bool has_room(const char *root)
{
    const uint64_t least = 8 << 20;
    struct statvfs fs;
    if (statvfs(root, &fs) != 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= least)
        return true; /* what is wrong otherwise, mkdtemp tells */
    errno = ENOSPC;
    return false;
}

int ech_shm_create(struct ech_shm *shm, struct ech_err *err)
{
    const char *const *roots = shm_roots();
    for (int i = 0; roots[i]; i++) {
        if (!has_room(roots[i]))
            continue;
        snprintf(shm->path, sizeof shm->path, "%s/" SHM_PREFIX "XXXXXX", roots[i]);
        if (!mkdtemp(shm->path))
            continue;
        shm->lock = take_lock(shm->path, O_CREAT);
        if (shm->lock >= 0)
            return ECH_OK;
        ech_remove_all(shm->path, NULL);
    }
    shm->path[0] = '\0';
    return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "cannot create a folder for shared memory under %s",
                          roots[0]);
}

void ech_shm_remove(struct ech_shm *shm)
{
    if (!shm->path[0])
        return;
    ech_remove_all(shm->path, NULL);
    close(shm->lock);
    shm->path[0] = '\0';
}

/* A folder of ours whose lock nobody holds. One without the lock file is never touched. */
static bool is_stale(const char *path, int *lock)
{
    struct stat st;
    *lock = -1;
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return false;
    *lock = take_lock(path, 0);
    return *lock >= 0;
}

void ech_shm_remove_stale(void)
{
    const char *const *roots = shm_roots();
    for (int i = 0; roots[i]; i++) {
        DIR *dir = opendir(roots[i]);
        struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
            char path[640];
            int lock;
            if (strncmp(entry->d_name, SHM_PREFIX, strlen(SHM_PREFIX)) != 0 ||
                strlen(entry->d_name) != strlen(SHM_PREFIX) + 6)
                continue;
            snprintf(path, sizeof path, "%.300s/%.255s", roots[i], entry->d_name);
            if (is_stale(path, &lock))
                ech_remove_all(path, NULL);
            if (lock >= 0)
                close(lock);
        }
        if (dir)
            closedir(dir);
    }
}
