#include "job/usage.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int64_t ech_usage_rss(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    fclose(f);
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

int64_t ech_usage_rss_peak(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)u.ru_maxrss * 1024;
}

double ech_usage_cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/* Quota over period from one file or two; 0: no limit. */
static double quota(const char *path_v2, const char *quota_v1, const char *period_v1)
{
    double q = 0, p = 0;
    FILE *f = fopen(path_v2, "re");
    if (f) {
        int n = fscanf(f, "%lf %lf", &q, &p); /* "max 100000": no number */
        fclose(f);
        return n == 2 && p > 0 ? q / p : 0;
    }
    FILE *a = fopen(quota_v1, "re"), *b = fopen(period_v1, "re");
    bool good = a && b && fscanf(a, "%lf", &q) == 1 && fscanf(b, "%lf", &p) == 1;
    if (a)
        fclose(a);
    if (b)
        fclose(b);
    return good && q > 0 && p > 0 ? q / p : 0;
}

int ech_usage_cores(void)
{
    cpu_set_t set;
    int cores = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cores = CPU_COUNT(&set);
    double q = quota("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
                     "/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (q > 0 && q < cores)
        cores = (int)(q + 0.999);
    return cores < 1 ? 1 : cores;
}

const char *ech_usage_cpu_name(char *out, size_t bytes)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "re");
    out[0] = 0;
    while (f && !out[0] && fgets(line, sizeof line, f)) {
        char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (colon)
            snprintf(out, bytes, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (f)
        fclose(f);
    return out;
}
