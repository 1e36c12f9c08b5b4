/* Inside of an attempt: its course (attempt.c), its hosts (attempt_hosts.c), and when it is lost
 * (attempt_watch.c). */
#ifndef ECH_LAUNCHER_ATTEMPT_IMPL_H
#define ECH_LAUNCHER_ATTEMPT_IMPL_H

#include "launcher/attempt.h"
#include "launcher/hosts.h"
#include "launcher/progress.h"
#include "launcher/rundirs.h"
#include "launcher/tail.h"

/* One attempt while it runs: its pieces, what it has seen. */
struct ech_attempt {
    const struct ech_ready *ready;
    const char *run_dir;
    int number;
    struct ech_layout layout;
    struct ech_hosts hosts; /* none: mpirun's own choice */
    struct ech_str exclude; /* nodes that srun is not to use */
    char *hosts_path, *result_path, *log_path;
    int log; /* descriptor, -1: could not be made */
    struct ech_follower follower;
    struct ech_progress progress;
    struct ech_tail tail;
    struct ech_lines lines;
    int warnings;
    double coordinator_seen,
        heard_at;   /* the wall clock of rank 0's last event, and when it was seen to move */
    double started; /* monotonic */
    bool came, given_up, over;
    struct ech_str silent; /* who was silent when a phase did not end, in words */
    double missed_at;      /* since when the phase misses a host that it needs; 0: it does not */
    int lost, excused;     /* hosts that mpirun has lost; of these, while rows ran */
};

/* Layout and hosts of this attempt: who is out after what earlier ones met is left out, named, and written
 * down for mpirun. Errors  ECH_REQUEUE: no host is left, or a signal asked for the stop. */
int ech_attempt_choose_hosts(struct ech_attempt *attempt, struct ech_err *err);
/* No rank came up: because a host does not answer? */
bool ech_attempt_lost_hosts(struct ech_attempt *attempt, int64_t begun);

/* Ranks that told their start; 1 where one came as far as looking for the others. */
int64_t ech_attempt_begun(const struct ech_attempt *attempt);
/* Whether it cannot end by itself: a phase is over its time, a host that it needs is missed, no rank comes,
 * the coordinator is silent. What it is is said once. */
bool ech_attempt_is_lost(struct ech_attempt *attempt);
/* Who was silent when a phase did not end, in words; nothing where that is not known. */
void ech_attempt_ask_silent(struct ech_attempt *attempt);

#endif
