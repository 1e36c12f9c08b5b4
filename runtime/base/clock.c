/* Time: see clock.h. */
#include "base/clock.h"

#include "base/fault.h"

#include <stdio.h>
#include <time.h>

int64_t ech_mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double ech_mono_s(void)
{
    return (double)ech_mono_ns() * 1e-9;
}

const char *ech_wall_iso(char *out, size_t bytes)
{
    struct timespec now;
    struct tm utc;
    char date[32];
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += (time_t)ech_fault_jump();
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out, bytes, "%s.%03dZ", date, (int)(now.tv_nsec / 1000000));
    return out;
}

void ech_sleep_us(int64_t us)
{
    struct timespec wait = {us / 1000000, (us % 1000000) * 1000};
    nanosleep(&wait, NULL);
}
