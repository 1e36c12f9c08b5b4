/* doctor --cluster: one check process a node, all at once; what they say is compared. */
#ifndef ECH_LAUNCHER_DOCTOR_CLUSTER_H
#define ECH_LAUNCHER_DOCTOR_CLUSTER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Asks every node that the cluster file names and does not leave out, by its class's launch command, which
 * must run its words in a shell there as ssh does; each has `seconds` to answer. Prints a table (or JSON) on
 * stdout. The folder of runs gets a folder for the time of the check.
 * Errors  those of the cluster file; ECH_UNAVAILABLE: a node fails (they are named). */
int ech_doctor_cluster(const char *path, int64_t seconds, bool json, struct ech_err *err);

#endif
