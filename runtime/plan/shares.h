/* Who gets how much, and when is it done: expected numbers for `echelon plan`, plan.json and the report. */
#ifndef ECH_PLAN_SHARES_H
#define ECH_PLAN_SHARES_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct ech_workers;

struct ech_plan_rank {
    int rank, node;
    const char *host; /* borrowed */
    double speed;     /* tokens/s, 0: not known */
    const char
        *speed_from; /* "measured", "cached", "known", "relative", "assumed"; NULL: not known; borrowed */
    bool rests;      /* no place in its node's memory: it gets no rows */
    double share;    /* of the work, 0..1 */
    int64_t rows;    /* expected */
    double tokens, finish; /* expected tokens; seconds from the first lease */
    int64_t memory;        /* bytes: workspace and this rank's part of the packed weights */
};
struct ech_plan {
    const char *kind, *backend, *precision, *numerics, *policy; /* borrowed */
    int64_t rows, rows_done;                                    /* of the job, and from earlier attempts */
    double tokens;                                              /* expected for what is left */
    double optimum;                                             /* W / sum(s_i), seconds; 0: not known */
    double time_limit;                                          /* 0: none */
    double time_left; /* of it for rows: less opening and the margin at its end */
    int ranks_count, nodes;
    int attempt;                       /* of the run, 0: no run */
    struct ech_plan_rank *ranks;       /* of a worker of several ranks: its head */
    const struct ech_workers *workers; /* NULL: each rank is a worker; borrowed */
    const char *const *notes;          /* sentences for people; borrowed */
    int notes_count;
};
/* Fills share, rows, tokens, finish of every rank and the optimum from speeds, `rows` and `tokens`. `equal`:
 * the same share for all. Ranks without a speed count as the mean of the others. */
void ech_plan_fill(struct ech_plan *plan, bool equal);
/* Slowest rank's finish. */
double ech_plan_makespan(const struct ech_plan *plan);
/* Chance that all rows are done within `seconds`. Model: the real makespan is normal about the expected one
 * with a deviation of ECH_PLAN_SPREAD of it (speeds come from a short probe, tokens from a sample; both err
 * for all ranks together). 1 where nothing is known or no limit is set (seconds <= 0). */
#define ECH_PLAN_SPREAD 0.15
double ech_plan_chance(const struct ech_plan *plan, double seconds);
/* The same of one rank that is expected to be done at `finish`. */
double ech_plan_rank_chance(double finish, double seconds);
/* The chance for the plan's own time_left; below ECH_PLAN_HOPELESS: ECH_UNAVAILABLE with the numbers. */
#define ECH_PLAN_HOPELESS 0.01
int ech_plan_check(const struct ech_plan *plan, struct ech_err *err);
void ech_plan_print_json(const struct ech_plan *plan, struct ech_str *out);
/* A table for people. Where it would be longer than ECH_PLAN_LINES, ranks in a row that get the same are one
 * line. */
enum { ECH_PLAN_LINES = 48 };
void ech_plan_print(const struct ech_plan *plan, struct ech_str *out);

#endif
