/* Origins of values through a run's job.yaml: it holds them as comments ("key: value  # job.yaml:12"), and a
 * value loaded from it would name its own line. Pure. */
#ifndef ECH_LAUNCHER_ORIGINS_H
#define ECH_LAUNCHER_ORIGINS_H

#include "base/str.h"

/* `origin` as loaded from the saved text; where it is a line of that text, the comment of that line, else
 * itself. Returns out. */
const char *ech_origin_first(const char *saved, const char *origin, char *out, size_t bytes);
/* The printed configuration with every such origin replaced. */
void ech_origins_restore(const char *saved, const char *printed, struct ech_str *out);

#endif
