/* Time: a monotonic clock for durations and deadlines, a wall clock for people. */
#ifndef ECH_BASE_CLOCK_H
#define ECH_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t ech_mono_ns(void);
double ech_mono_s(void);
/* "2026-11-24T16:19:54.123Z" into out (>= 32 bytes). Returns out. */
const char *ech_wall_iso(char *out, size_t bytes);
void ech_sleep_us(int64_t us);

#endif
