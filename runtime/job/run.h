/* One attempt of a run, from the run directory to the sealed dataset: the order of the phases, the agreement
 * of all ranks after each, the round of verify and run until no row is missing. */
#ifndef ECH_JOB_RUN_H
#define ECH_JOB_RUN_H

#include "base/rundir.h"
#include "comm/comm.h"

#include <signal.h>

struct ech_run_options {
    struct ech_comm *comm; /* borrowed */
    const char *run_dir;
    int attempt;
    const volatile sig_atomic_t *stop; /* a signal asks to stop */
    const char *version;
};

struct ech_run_end {
    bool leave; /* declared dead, or others are: leave by _exit(code), finalise nothing */
};

/* Calls   Collective. Returns the agreed code; rank 0 has written result-<attempt>.json (unless `leave`). */
int ech_run_attempt(const struct ech_run_options *options, struct ech_run_end *end, struct ech_err *err);

#endif
