/* Usable cores: see cores.h. A quota anywhere between the process's own cgroup and the root counts. */
#include "base/cores.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SMALL_FILE = 1 << 20, PATH_BYTES = 4096 };

static int64_t whole_cores(double cores)
{
    return cores < 1 ? 1 : (int64_t)floor(cores + 0.01);
}

int64_t ech_cores_of_quota(int64_t quota_us, int64_t period_us)
{
    if (quota_us < 1 || period_us < 1)
        return 0;
    return whole_cores((double)quota_us / (double)period_us);
}

int64_t ech_cores_of_cpu_max(const char *text)
{
    long long quota, period;
    if (sscanf(text, "%lld %lld", &quota, &period) != 2)
        return 0;
    return ech_cores_of_quota(quota, period);
}

/* Does the comma-separated list hold the word? */
static bool lists(const char *list, size_t length, const char *word)
{
    size_t size = strlen(word);
    if (size == 0)
        return length == 0;
    for (size_t i = 0; i + size <= length; i++) {
        bool starts = i == 0 || list[i - 1] == ',';
        bool ends = i + size == length || list[i + size] == ',';
        if (starts && ends && memcmp(list + i, word, size) == 0)
            return true;
    }
    return false;
}

bool ech_cgroup_path(const char *text, const char *controller, char *out, int64_t bytes)
{
    while (*text) {
        size_t line = strcspn(text, "\n");
        const char *names = memchr(text, ':', line);
        const char *path = names ? memchr(names + 1, ':', line - (size_t)(names + 1 - text)) : NULL;
        if (path && lists(names + 1, (size_t)(path - names - 1), controller)) {
            size_t length = line - (size_t)(path + 1 - text);
            if ((int64_t)length >= bytes)
                return false;
            memcpy(out, path + 1, length);
            out[length] = '\0';
            return true;
        }
        text += line + (text[line] == '\n');
    }
    return false;
}

static char *small_file(const char *folder, const char *name)
{
    char path[PATH_BYTES * 2], *text = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return ech_read_file(path, SMALL_FILE, &text, NULL, NULL) == ECH_OK ? text : NULL;
}

static int64_t limit_v2(const char *folder)
{
    char *text = small_file(folder, "cpu.max");
    int64_t cores = text ? ech_cores_of_cpu_max(text) : 0;
    ech_free(text);
    return cores;
}

static int64_t limit_v1(const char *folder)
{
    char *quota = small_file(folder, "cpu.cfs_quota_us"), *period = small_file(folder, "cpu.cfs_period_us");
    int64_t cores = quota && period ? ech_cores_of_quota(atoll(quota), atoll(period)) : 0;
    ech_free(quota);
    ech_free(period);
    return cores;
}

/* Least limit from `path` up to the root of the hierarchy; 0: none. */
static int64_t least_limit(const char *root, char *path, int64_t (*limit)(const char *folder))
{
    int64_t least = 0;
    for (;;) {
        char folder[PATH_BYTES + 64];
        snprintf(folder, sizeof folder, "%s%s", root, path);
        int64_t cores = limit(folder);
        if (cores > 0 && (least == 0 || cores < least))
            least = cores;
        char *slash = strrchr(path, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

int64_t ech_usable_cores(void)
{
    static const struct {
        const char *controller, *root;
        int64_t (*limit)(const char *folder);
    } hierarchies[] = {{"", "/sys/fs/cgroup", limit_v2},
                       {"", "/sys/fs/cgroup/unified", limit_v2},
                       {"cpu", "/sys/fs/cgroup/cpu", limit_v1},
                       {"cpu", "/sys/fs/cgroup/cpu,cpuacct", limit_v1}};
    cpu_set_t set;
    int64_t cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                                : (int64_t)sysconf(_SC_NPROCESSORS_ONLN);
    char *groups = small_file("/proc/self", "cgroup"), path[PATH_BYTES];
    for (size_t i = 0; groups && i < sizeof hierarchies / sizeof hierarchies[0]; i++) {
        if (!ech_cgroup_path(groups, hierarchies[i].controller, path, sizeof path))
            continue;
        int64_t most = least_limit(hierarchies[i].root, path, hierarchies[i].limit);
        if (most > 0)
            cores = ech_min64(cores, most);
    }
    ech_free(groups);
    return ech_max64(cores, 1);
}
