/* See daemon_files.h. */
#include "base/daemon_files.h"

#include "base/io.h"
#include "base/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A daemon makes the folder that names it within this. */
#define NAMELESS_S 60
/* Clocks of files and of processes are compared with this much doubt. */
#define DOUBT_S 5

/* The process that the folder belongs to, by the name of what PMIx keeps in it ("pmix_dstor_ds21_<pid>"); 0:
 * none. */
static pid_t owner_of(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    long pid = 0;
    while (dir && pid == 0 && (entry = readdir(dir))) {
        const char *last = strrchr(entry->d_name, '_');
        if (strncmp(entry->d_name, "pmix_dstor_", strlen("pmix_dstor_")) == 0 &&
            last[strspn(last + 1, "0123456789") + 1] == 0)
            pid = strtol(last + 1, NULL, 10);
    }
    if (dir)
        closedir(dir);
    return (pid_t)pid;
}

/* Seconds ago that a process was started; false: there is none. */
static bool started_ago(pid_t pid, double *ago)
{
    struct timespec now;
    unsigned long long ticks = ech_process_start(pid);
    clock_gettime(CLOCK_BOOTTIME, &now);
    *ago = (double)now.tv_sec - (double)ticks / (double)sysconf(_SC_CLK_TCK);
    return ticks != 0;
}

static bool is_left(const char *folder)
{
    struct stat st;
    if (!ech_is_own_folder(folder, &st))
        return false;
    double made_ago = difftime(time(NULL), st.st_mtime);
    pid_t owner = owner_of(folder);
    if (owner <= 0)
        return made_ago > NAMELESS_S;
    double ago;
    if (started_ago(owner, &ago))
        return ago < made_ago - DOUBT_S;
    return kill(owner, 0) != 0 && errno == ESRCH;
}

/* `top`: ompi.<host>.<uid>. */
static int sweep_host(const char *top)
{
    struct stat st;
    struct dirent *entry;
    int removed = 0;
    DIR *dir = ech_is_own_folder(top, &st) ? opendir(top) : NULL;
    while (dir && (entry = readdir(dir))) {
        char path[1200];
        snprintf(path, sizeof path, "%.800s/%.255s", top, entry->d_name);
        if (strncmp(entry->d_name, "jf.", 3) == 0 && is_left(path))
            removed += ech_remove_all(path, NULL) == 0;
    }
    if (dir)
        closedir(dir);
    if (removed)
        rmdir(top);
    return removed;
}

int ech_daemon_files_sweep_in(const char *tmp)
{
    char host[64] = "", top[800];
    int removed = 0;
    gethostname(host, sizeof host - 1);
    for (char *end = host + strlen(host); end; end = strchr(host, '.')) { /* MPI may use the short name */
        *end = '\0';
        snprintf(top, sizeof top, "%.600s/ompi.%s.%u", tmp, host, (unsigned)geteuid());
        removed += sweep_host(top);
    }
    return removed;
}

void ech_daemon_files_sweep(void)
{
    const char *named = getenv("TMPDIR");
    ech_daemon_files_sweep_in("/tmp");
    ech_daemon_files_sweep_in("/var/tmp");
    if (named && named[0] == '/')
        ech_daemon_files_sweep_in(named);
}
