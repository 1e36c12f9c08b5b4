/* Folders of starts on a node: see nodedir.h. */
#include "base/nodedir.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* Where such folders are made, in this order; ECH_SHM names the only one. */
static const char *const *node_roots(void)
{
    static const char *roots[] = {"/dev/shm", "/tmp", NULL};
    const char *named = getenv("ECH_SHM");
    if (named && *named) {
        roots[0] = named;
        roots[1] = NULL;
    }
    return roots;
}

#define PREFIX   "echelon-"
#define LAUNCHER "launcher" /* names of the locks */
#define RANKS    "ranks"
#define GUARDED  "guarded"   /* there: somebody waits for the ranks' end */
#define HALF     "half-made" /* names a folder */
/* Without a lock: its launcher is just making it, or MPI's daemon has filled it and no rank came. */
#define YOUNG_S 2

/* -1: it is not there, or somebody holds it. */
static int take_lock(const char *folder, const char *name, int flags, int how)
{
    char path[640];
    snprintf(path, sizeof path, "%.600s/%s", folder, name);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600), failed;
    while (fd >= 0 && flock(fd, how) != 0)
        if ((failed = errno) != EINTR) {
            close(fd);
            fd = -1;
            errno = failed;
        }
    return fd;
}

static bool has_file(const char *folder, const char *name)
{
    char path[640];
    snprintf(path, sizeof path, "%.600s/%s", folder, name);
    return access(path, F_OK) == 0;
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

int ech_nodedir_create(struct ech_nodedir *dir, struct ech_err *err)
{
    const char *const *roots = node_roots();
    for (int i = 0; roots[i]; i++) {
        if (!has_room(roots[i]))
            continue;
        snprintf(dir->path, sizeof dir->path, "%s/" PREFIX "XXXXXX", roots[i]);
        if (!mkdtemp(dir->path))
            continue;
        dir->lock = take_lock(dir->path, LAUNCHER, O_CREAT, LOCK_EX | LOCK_NB);
        if (dir->lock >= 0)
            return ECH_OK;
        ech_remove_all(dir->path, NULL);
    }
    dir->path[0] = '\0';
    return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "cannot create a folder for shared memory under %s",
                          roots[0]);
}

void ech_nodedir_unfinished(const char *path)
{
    const char *folder = getenv(ECH_NODEDIR_ENV);
    char note[640], here[4096], full[8300];
    if (!folder || !*folder || !getcwd(here, sizeof here))
        return;
    snprintf(note, sizeof note, "%.600s/" HALF, folder);
    snprintf(full, sizeof full, "%s%s%.4000s", path[0] == '/' ? "" : here, path[0] == '/' ? "" : "/", path);
    ech_write_file(note, full, strlen(full), NULL); /* without it, the folder stays */
}

static void remove_half_made(const char *folder)
{
    char note[640], *path;
    struct stat st;
    snprintf(note, sizeof note, "%.600s/" HALF, folder);
    if (access(note, F_OK) != 0 || ech_read_file(note, 8300, &path, NULL, NULL) != ECH_OK)
        return;
    if (path[0] == '/' && strstr(ech_path_base(path), ".partial-") && ech_is_own_folder(path, &st))
        ech_remove_all(path, NULL);
    ech_free(path);
}

void ech_nodedir_clear(const char *path)
{
    remove_half_made(path);
    ech_remove_all(path, NULL);
}

void ech_nodedir_remove(struct ech_nodedir *dir)
{
    if (!dir->path[0])
        return;
    ech_nodedir_clear(dir->path);
    close(dir->lock);
    dir->path[0] = '\0';
}

/* A folder of ours whose lock nobody holds: *lock is held by us then (-1: it has none). */
static bool is_stale(const char *path, int *lock)
{
    struct stat st;
    *lock = -1;
    if (!ech_is_own_folder(path, &st))
        return false;
    const char *name = has_file(path, LAUNCHER) ? LAUNCHER : has_file(path, RANKS) ? RANKS : NULL;
    if (name)
        *lock = take_lock(path, name, 0, LOCK_EX | LOCK_NB);
    return name ? *lock >= 0 : time(NULL) - st.st_mtime > YOUNG_S && ech_sweep_start(path, 0) == 0;
}

static void remove_if_stale(const char *path)
{
    int lock;
    if (is_stale(path, &lock)) {
        ech_sweep_start(path, SIGKILL);
        ech_nodedir_clear(path);
    }
    if (lock >= 0)
        close(lock);
}

void ech_nodedir_remove_stale(void)
{
    for (const char *const *root = node_roots(); *root; root++) {
        DIR *dir = opendir(*root);
        struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
            char path[640];
            if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 ||
                strlen(entry->d_name) != strlen(PREFIX) + 6)
                continue;
            snprintf(path, sizeof path, "%.300s/%.255s", *root, entry->d_name);
            remove_if_stale(path);
        }
        if (dir)
            closedir(dir);
    }
}

/* --- a rank --- */

static char held_path[640];
static int held_lock = -1;

static bool be_first(const char *path)
{
    char guarded[640];
    snprintf(guarded, sizeof guarded, "%.600s/%s", path, GUARDED);
    int fd = open(guarded, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int ech_nodedir_join(const char *path, bool *first, struct ech_err *err)
{
    struct stat st;
    int lock = -1;
    *first = false;
    for (int tries = 0; lock < 0 && tries < 5; tries++) { /* an earlier rank's death may remove it just now */
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "cannot make %s for shared memory", path);
        if (!ech_is_own_folder(path, &st))
            return ech_fail(err, ECH_UNAVAILABLE, "%s is not a folder of this user", path);
        if (has_file(path, LAUNCHER))
            return ECH_OK;
        lock = take_lock(path, RANKS, O_CREAT, LOCK_SH); /* held until this process ends */
    }
    if (lock < 0)
        return ech_fail_errno(err, ECH_UNAVAILABLE, errno, "cannot hold %s", path);
    snprintf(held_path, sizeof held_path, "%.600s", path);
    held_lock = lock;
    *first = be_first(path);
    return ECH_OK;
}

void ech_nodedir_leave(void)
{
    if (held_lock < 0)
        return;
    if (flock(held_lock, LOCK_EX | LOCK_NB) == 0) /* no other rank holds it */
        ech_remove_all(held_path, NULL);
    close(held_lock);
    held_lock = -1;
}

bool ech_nodedir_wait(const char *path, void (*meanwhile)(void *context), void *context)
{
    enum { TURN_US = 250000, TURNS = 4 };
    char name[640];
    snprintf(name, sizeof name, "%.600s/" RANKS, path);
    int fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW), got = -1; /* held open: the last rank removes it */
    for (int turn = 1; fd >= 0 && (got = flock(fd, LOCK_EX | LOCK_NB)) != 0; turn++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            break;
        ech_sleep_us(TURN_US);
        if (turn % TURNS == 0)
            meanwhile(context);
    }
    if (fd >= 0)
        close(fd);
    return got == 0;
}
