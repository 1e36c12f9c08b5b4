/* What this node says to a launcher on another host (doctor --cluster). */
#ifndef ECH_JOB_NODE_CHECK_H
#define ECH_JOB_NODE_CHECK_H

#include "base/str.h"

struct ech_node_check {
    const char *folder; /* of the launcher, in the folder of the runs; has a file `token` */
    const char *token;  /* its content */
    const char *seen;   /* name of the file to write there, for the launcher to see */
};

/* One line of JSON. A folder that is not shared is told in it and is no error.
 * Errors  ECH_USAGE, ECH_UNAVAILABLE (memory).  Calls   Local; the process ends itself after 60 s. */
int ech_node_check_print(const struct ech_node_check *check, const char *version, struct ech_str *out,
                         struct ech_err *err);

/* One line of JSON for whoever decides how many ranks this node gets: its cores, NUMA domains and GPUs, and
 * which machine it is, whatever it is called (launcher/survey.h reads it). */
int ech_node_machine_print(struct ech_str *out, struct ech_err *err);

#endif
