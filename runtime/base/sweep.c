/* Sweep: see sweep.h. */
#include "base/sweep.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/nodedir.h"

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

/* Is NAME=value among the strings of an environment? */
static bool has_entry(const char *text, size_t bytes, const char *name, const char *value)
{
    const char *at = text, *end = text + bytes, *entry;
    size_t length = strlen(name);
    while ((entry = next_string(&at, end)))
        if (strncmp(entry, name, length) == 0 && entry[length] == '=' &&
            strcmp(entry + length + 1, value) == 0)
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
    return has_entry(environ_text, environ_bytes, ECH_RUN_ENV, run_dir) ||
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

/* What /proc says of a process. */
struct process {
    const char *name; /* number */
    char *env, *cmd;
    size_t env_bytes, cmd_bytes;
};

static bool of_run(const struct process *p, const char *run_dir)
{
    return ech_sweep_matches(p->env ? p->env : "", p->env_bytes, p->cmd ? p->cmd : "", p->cmd_bytes, run_dir);
}

static bool has_node_dir(const struct process *p, const char *node_dir)
{
    return p->env && has_entry(p->env, p->env_bytes, ECH_NODEDIR_ENV, node_dir);
}

/* MPI's own programs are given the folder as a parameter. */
static bool is_daemon_of(const struct process *p, const char *node_dir)
{
    static const char *const daemons[] = {"orted", "mpirun", "prted", "prterun"};
    const char *at = p->cmd, *end = at ? at + p->cmd_bytes : NULL, *word = at ? next_string(&at, end) : NULL;
    bool named = false, daemon = false;
    for (size_t i = 0; word && i < sizeof daemons / sizeof daemons[0]; i++)
        daemon = daemon || strcmp(ech_path_base(word), daemons[i]) == 0;
    while (daemon && !named && (word = next_string(&at, end)))
        named = strstr(word, node_dir) != NULL;
    return named;
}

static bool of_start(const struct process *p, const char *node_dir)
{
    return has_node_dir(p, node_dir) || is_daemon_of(p, node_dir);
}

/* Signal (0: only count) each process but ourselves that `matches`; zombies do not count. `but`: not those of
 * this start, where it is given. */
static int sweep(bool (*matches)(const struct process *, const char *), const char *what, const char *but,
                 int signal_number)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    int found = 0;
    struct dirent *entry;
    while ((entry = readdir(proc))) {
        struct process p = {.name = entry->d_name};
        int pid = p.name[strspn(p.name, "0123456789")] ? 0 : atoi(p.name);
        if (pid <= 1 || pid == getpid())
            continue;
        p.env = proc_file(p.name, "environ", &p.env_bytes);
        p.cmd = proc_file(p.name, "cmdline", &p.cmd_bytes);
        if (matches(&p, what) && !(but && has_node_dir(&p, but)) && !is_zombie(p.name)) {
            found++;
            if (signal_number)
                kill(pid, signal_number);
        }
        ech_free(p.env);
        ech_free(p.cmd);
    }
    closedir(proc);
    return found;
}

int ech_sweep_signal(const char *run_dir, int signal_number)
{
    return sweep(of_run, run_dir, NULL, signal_number);
}

int ech_sweep_start(const char *node_dir, int signal_number)
{
    return sweep(of_start, node_dir, NULL, signal_number);
}

int ech_sweep_older(const char *run_dir, const char *node_dir)
{
    return sweep(of_run, run_dir, node_dir, SIGKILL);
}

static void reap(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

/* Two looks: a process of which /proc could not be read once is not gone. */
static bool none_is_left(const char *run_dir, int signal_number)
{
    return ech_sweep_signal(run_dir, signal_number) == 0 && ech_sweep_signal(run_dir, signal_number) == 0;
}

bool ech_sweep_end(const char *run_dir, double grace_s)
{
    double start = ech_mono_s();
    if (none_is_left(run_dir, SIGTERM))
        return true;
    for (;;) {
        double passed = ech_mono_s() - start;
        reap();
        if (none_is_left(run_dir, passed < grace_s ? 0 : SIGKILL))
            return true;
        if (passed > grace_s + 5)
            return false;
        ech_sleep_us(20000);
    }
}
