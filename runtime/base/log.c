/* Log: see log.h. One write a line, so that lines of several threads and ranks do not mix. */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static int log_rank = -1, log_file = -1;
static char log_spec[256] = "warn";

void ech_log_init(int rank)
{
    const char *spec = getenv("ECH_LOG");
    if (spec && *spec)
        snprintf(log_spec, sizeof log_spec, "%s", spec);
    log_rank = rank;
}

void ech_log_to(int fd)
{
    log_file = fd;
}

static int level_of(const char *name, size_t length)
{
    for (int i = 0; i < 4; i++)
        if (strlen(level_names[i]) == length && memcmp(level_names[i], name, length) == 0)
            return i;
    return -1;
}

static int threshold(const char *subsystem)
{
    int general = ECH_LOG_WARN, special = -1;
    for (const char *p = log_spec; *p;) {
        size_t length = strcspn(p, ",");
        const char *colon = memchr(p, ':', length);
        if (!colon) {
            int level = level_of(p, length);
            general = level >= 0 ? level : general;
        } else if (strlen(subsystem) == (size_t)(colon - p) && memcmp(p, subsystem, (size_t)(colon - p)) == 0)
            special = level_of(colon + 1, length - (size_t)(colon - p) - 1);
        p += length + (p[length] == ',');
    }
    return special >= 0 ? special : general;
}

bool ech_log_on(enum ech_level level, const char *subsystem)
{
    return (int)level <= threshold(subsystem) && (level <= ECH_LOG_WARN || log_rank <= 0);
}

void ech_log(enum ech_level level, const char *subsystem, const char *fmt, ...)
{
    bool to_stderr = ech_log_on(level, subsystem);
    bool to_file = log_file >= 0 && level <= ECH_LOG_INFO;
    if (!to_stderr && !to_file)
        return;
    char line[2048], text[1800], wall[32], rank[24] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (log_rank >= 0)
        snprintf(rank, sizeof rank, "[%d] ", log_rank);
    int length =
        snprintf(line, sizeof line, "echelon: %s%s: %s: %s\n", rank, level_names[level], subsystem, text);
    if (to_stderr && write(STDERR_FILENO, line, (size_t)length) < 0)
        to_stderr = false;
    if (to_file) {
        length = snprintf(line, sizeof line, "%s %s%s: %s: %s\n", ech_wall_iso(wall, sizeof wall), rank,
                          level_names[level], subsystem, text);
        if (write(log_file, line, (size_t)length) < 0)
            log_file = -1;
    }
}
