/* What a rank's speed is while it runs, and when rows are worth running twice. */
#ifndef ECH_PLAN_SPEED_H
#define ECH_PLAN_SPEED_H

#include <stdbool.h>

/* A rank's speed after `tokens` in `seconds` of computing, from what it was held to be (0: not known). What
 * was known fades with the computing time that the new measurement speaks of (2 s: to 37 %), so that a rank
 * that slows down to a quarter is known as such after one lease. Units   tokens/s. Not positive: nothing was
 * measured, the old speed stays. */
double ech_speed_learn(double before, double tokens, double seconds);

/* Is a speed so far from what it was held to be (either way, by more than ECH_SPEED_DEPARTS) that the probe
 * is to be made again? Not where one of them is not known. Units   both the same. */
#define ECH_SPEED_DEPARTS 1.5
bool ech_speed_departs(double held, double seen);

/* Rows that a rank holds, seen by an idle one. */
struct ech_copy_view {
    double owner_s; /* the owner's seconds until these rows are computed, by its speed; 0: not known */
    double quiet_s; /* since the owner last computed something */
    double copy_s;  /* what the idle rank needs for them; 0: not known */
};
/* Seconds by which a copy ends before the owner, 0 where it is not worth it: less than a quarter of the copy
 * and a tenth of a second. An owner that has been quiet for longer than its speed explains is taken to need
 * as long again. */
double ech_copy_gain(const struct ech_copy_view *view);

#endif
