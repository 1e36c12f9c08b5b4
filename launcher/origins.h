/* Origins of values through a run's job.yaml: it holds them as comments ("key: value  # job.yaml:12"), and a
 * value loaded from it would name its own line. Pure. */
#ifndef ECH_LAUNCHER_ORIGINS_H
#define ECH_LAUNCHER_ORIGINS_H

#include "base/str.h"

#include <stdbool.h>

/* `origin` as loaded from the saved text; where it is a line of that text, the comment of that line, else
 * itself. Returns out. */
const char *ech_origin_first(const char *saved, const char *origin, char *out, size_t bytes);
/* Was it nobody's word? False where the saved text has no such key. */
bool ech_origin_is_default(const char *saved, const char *section, const char *key);
/* The printed configuration with every such origin replaced. */
void ech_origins_restore(const char *saved, const char *printed, struct ech_str *out);

#endif
