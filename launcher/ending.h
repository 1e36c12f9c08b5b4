/* How a start of mpirun is brought to its end: which step is due now, as a pure function of what happened.
 *   result published       3 s for mpirun to end by itself, then SIGTERM, 2 s later SIGKILL
 *   no result will come    1 s for the ranks' last words, then SIGTERM, 2 s later SIGKILL
 *   asked to stop once     the ranks are asked (SIGUSR1 through mpirun); after 30 s SIGTERM, 3 s later
 *                          SIGKILL
 *   asked twice            SIGTERM at once, 3 s later SIGKILL
 *
 * A start in which no rank has spoken yet has nothing to save: a stop is SIGTERM at once. */
#ifndef ECH_LAUNCHER_ENDING_H
#define ECH_LAUNCHER_ENDING_H

#include <stdbool.h>

enum ech_step { ECH_STEP_NONE, ECH_STEP_ASK, ECH_STEP_TERM, ECH_STEP_KILL }; /* in rising order */

struct ech_ending {
    double result_at, lost_at;  /* seconds on one clock; 0: has not happened */
    double stop_at, stop_again; /* first and second request to stop */
    double grace_s;             /* between asking and SIGTERM, 30 */
    bool asks;                  /* the ranks understand SIGUSR1 and have begun */
};

enum ech_step ech_ending_step(const struct ech_ending *ending, double now);

#endif
