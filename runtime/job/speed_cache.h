/* Speeds of earlier starts: one small file a host, $XDG_CACHE_HOME/echelon/speeds/HOST.jsonl or
 * ~/.cache/echelon/speeds/HOST.jsonl. One JSON object a line; of one key the last line counts:
 *   {"v": 1, "key": TEXT, "tokens_per_s": N, "few_tokens_per_s": N, "weights_bytes_per_s": N, "measured":
 * TIME}
 *   {"v": 1, "key": TEXT, "forgotten": WHY}
 * The ranks of the host append, each line by one write. Lines that are none of these are ignored, with a
 * reason; what is not a plain file, or longer than 1 MiB, as a whole. A file above 256 KiB is begun anew by
 * the next that is added. Nothing here can fail a job. */
#ifndef ECH_JOB_SPEED_CACHE_H
#define ECH_JOB_SPEED_CACHE_H

#include "job/kind.h"

enum { ECH_SPEED_WHY = 512 };

/* False: no speeds are known for the key. `why`: what was ignored, "" where nothing was. */
bool ech_speed_cache_get(const char *host, const char *key, struct ech_probe *out, char why[ECH_SPEED_WHY]);
/* False: not kept, `why` says so. `forgotten`: NULL, or why the key's speeds no longer count (then `probe` is
 * not read). */
bool ech_speed_cache_put(const char *host, const char *key, const struct ech_probe *probe,
                         const char *forgotten, char why[ECH_SPEED_WHY]);

#endif
