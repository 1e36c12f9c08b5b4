/* A case made real on a backend: memory from its mem_alloc, seeded inputs, one call as often as wanted, the
 * results back, and a look at everything that the call had no right to change.
 * Inputs depend on the case's shape and on a row's number in the whole case alone: a trial of some of its
 * rows (or sequences), in any order, holds the same rows. Not for measuring: measure.h. */
#ifndef ECH_KERNELS_BENCH_TRIAL_H
#define ECH_KERNELS_BENCH_TRIAL_H

#include "kernels/bench/cases.h"

struct ech_trial;

struct ech_trial_options {
    int threads, device;
    /* The rows (attention, pooling: sequences) of the case that take part, in this order; NULL: all. */
    const int64_t *pick;
    int64_t picked;
    const struct ech_trial *weights_of; /* products: its packed weights; it must outlive this trial */
};

/* One output of a call: rows x cols elements without gaps. type ECH_ATYPES: int32. */
struct ech_values {
    const char *name;
    int64_t rows, cols;
    int type;
    unsigned char *raw;
    float *scale; /* Q8: a scale for each row */
};

struct ech_outcome {
    struct ech_values values[2];
    int count;
};

/* Owner   *out: the caller, ech_trial_close. `c` is copied.
 * Errors  ECH_OP_UNSUPPORTED: this backend does not do it; others as ops.h says. `why` (256 bytes). */
int ech_trial_open(const struct ech_ops *ops, const struct ech_case *c, const struct ech_trial_options *o,
                   struct ech_trial **out, char *why);
void ech_trial_close(struct ech_trial *t);

/* One call, queued. */
int ech_trial_run(struct ech_trial *t);
int ech_trial_sync(struct ech_trial *t);
/* The inputs that calls overwrite, as they were at first; waits for it. */
int ech_trial_reset(struct ech_trial *t);
/* After calls: the results, and a check of guard zones, gaps of strides and inputs. `why`: what was changed
 * (256 bytes, "" if nothing). The outcome is the caller's, ech_outcome_fini. */
int ech_trial_finish(struct ech_trial *t, struct ech_outcome *out, char *why);
void ech_outcome_fini(struct ech_outcome *outcome);
/* Element (row, col) as a number. */
double ech_values_at(const struct ech_values *v, int64_t row, int64_t col);

/* Bytes a call must move at least: inputs, outputs, packed weights once. */
double ech_trial_bytes(const struct ech_trial *t);

#endif
