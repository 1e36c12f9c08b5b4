/* What this process uses. */
#ifndef ECH_JOB_USAGE_H
#define ECH_JOB_USAGE_H

#include <stddef.h>
#include <stdint.h>

int64_t ech_usage_rss(void);      /* bytes resident now, 0 unknown */
int64_t ech_usage_rss_peak(void); /* bytes */
double ech_usage_cpu(void);       /* seconds of user and system time */
/* Cores this process may use, as the launcher counts them (base/cores.h). */
int ech_usage_cores(void);

/* The processor's name as the kernel tells it ("" unknown). Returns out. */
const char *ech_usage_cpu_name(char *out, size_t bytes);

#endif
