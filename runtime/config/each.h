/* `resources.each`: how single ranks compute where numerics is mixed. An entry is "WHO=BACKEND[/PRECISION]":
 * WHO is a host name (with * and ?), "rank N" or "rank N-M". The first entry that fits a rank decides. Pure.
 */
#ifndef ECH_CONFIG_EACH_H
#define ECH_CONFIG_EACH_H

#include "config/job.h"

#include <stdbool.h>

/* What is wrong with an entry; NULL: nothing. */
const char *ech_each_wrong(const char *entry);
/* Backend and precision of this rank into the job; entries must be good. Returns whether one fitted. */
bool ech_each_apply(const struct ech_list *each, const char *host, int64_t rank, struct ech_job *job);

/* Does one of its ranks compute on a GPU? */
bool ech_job_on_gpus(const struct ech_job *job);

#endif
