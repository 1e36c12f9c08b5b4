/* Sweep: see sweep.h. */
#include "launcher/sweep.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROC_FILE = 8 << 20 };

/* The next string of a NUL-separated text, and its length; NULL at the end. */
static const char *next_string(const char **at, const char *end)
{
    if (*at >= end)
        return NULL;
    const char *text = *at, *zero = memchr(text, '\0', (size_t)(end - text));
    if (!zero) /* cut by the kernel: not a whole string */
        return NULL;
    *at = zero + 1;
    return text;
}

static bool in_environment(const char *text, size_t bytes, const char *run_dir)
{
    const char *at = text, *end = text + bytes, *entry;
    size_t name = strlen(ECH_RUN_ENV);
    while ((entry = next_string(&at, end)))
        if (strncmp(entry, ECH_RUN_ENV, name) == 0 && entry[name] == '=' &&
            strcmp(entry + name + 1, run_dir) == 0)
            return true;
    return false;
}

static bool in_command(const char *text, size_t bytes, const char *run_dir)
{
    const char *at = text, *end = text + bytes;
    const char *program = next_string(&at, end), *verb = next_string(&at, end), *dir = next_string(&at, end);
    return dir && strcmp(ech_path_base(program), "echelon-rank") == 0 && strcmp(verb, "run") == 0 &&
           strcmp(dir, run_dir) == 0;
}

bool ech_sweep_matches(const char *environ_text, size_t environ_bytes, const char *cmdline,
                       size_t cmdline_bytes, const char *run_dir)
{
    return in_environment(environ_text, environ_bytes, run_dir) ||
           in_command(cmdline, cmdline_bytes, run_dir);
}

static char *proc_file(const char *pid, const char *name, size_t *bytes)
{
    char path[64], *text;
    snprintf(path, sizeof path, "/proc/%.16s/%s", pid, name);
    *bytes = 0;
    return ech_read_file(path, PROC_FILE, &text, bytes, NULL) == ECH_OK ? text : NULL;
}

/* The part of /proc/PID/stat behind the program's name (which may hold anything): "S 1 ...". */
static const char *after_name(const char *stat)
{
    const char *close = strrchr(stat, ')');
    return close && close[1] == ' ' ? close + 2 : NULL;
}

static bool is_zombie(const char *pid)
{
    size_t bytes;
    char *stat = proc_file(pid, "stat", &bytes);
    const char *state = stat ? after_name(stat) : NULL;
    bool zombie = !state || *state == 'Z' || *state == 'X';
    ech_free(stat);
    return zombie;
}

unsigned long long ech_process_start(pid_t pid)
{
    char name[24];
    size_t bytes;
    snprintf(name, sizeof name, "%d", (int)pid);
    char *stat = proc_file(name, "stat", &bytes);
    const char *at = stat ? after_name(stat) : NULL;
    if (at && (*at == 'Z' || *at == 'X'))
        at = NULL;
    for (int field = 3; at && field < 22; field++) { /* starttime is field 22, the state field 3 */
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    unsigned long long start = at ? strtoull(at, NULL, 10) : 0;
    ech_free(stat);
    return start;
}

static bool belongs(const char *pid, const char *run_dir)
{
    size_t environ_bytes, cmdline_bytes;
    char *env = proc_file(pid, "environ", &environ_bytes), *cmd = proc_file(pid, "cmdline", &cmdline_bytes);
    bool matches = ech_sweep_matches(env ? env : "", environ_bytes, cmd ? cmd : "", cmdline_bytes, run_dir);
    ech_free(env);
    ech_free(cmd);
    return matches && !is_zombie(pid);
}

int ech_sweep_signal(const char *run_dir, int signal_number)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    int found = 0;
    struct dirent *entry;
    while ((entry = readdir(proc))) {
        const char *name = entry->d_name;
        int pid = name[strspn(name, "0123456789")] ? 0 : atoi(name);
        if (pid <= 1 || pid == getpid() || !belongs(name, run_dir))
            continue;
        found++;
        if (signal_number)
            kill(pid, signal_number);
    }
    closedir(proc);
    return found;
}

static void reap(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

bool ech_sweep_end(const char *run_dir, double grace_s)
{
    double start = ech_mono_s();
    if (ech_sweep_signal(run_dir, SIGTERM) == 0)
        return true;
    for (;;) {
        double passed = ech_mono_s() - start;
        reap();
        if (ech_sweep_signal(run_dir, passed < grace_s ? 0 : SIGKILL) == 0)
            return true;
        if (passed > grace_s + 5)
            return false;
        ech_sleep_us(20000);
    }
}
