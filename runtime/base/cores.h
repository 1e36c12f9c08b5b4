/* Usable cores: what the affinity mask and the cgroup quotas (v1 and v2) leave to this process. */
#ifndef ECH_BASE_CORES_H
#define ECH_BASE_CORES_H

#include <stdbool.h>
#include <stdint.h>

/* Whole cores a quota allows, at least 1; 0: no limit. `text`: content of cpu.max ("max 100000", v2). */
int64_t ech_cores_of_cpu_max(const char *text);
/* The same of cpu.cfs_quota_us and cpu.cfs_period_us (v1); a quota below 1 is no limit. */
int64_t ech_cores_of_quota(int64_t quota_us, int64_t period_us);
/* Folder of this process in a hierarchy, from the text of /proc/self/cgroup. controller "": version 2.
 * False where it is not listed or does not fit. */
bool ech_cgroup_path(const char *text, const char *controller, char *out, int64_t bytes);

/* At least 1. */
int64_t ech_usable_cores(void);

#endif
