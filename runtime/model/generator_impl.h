/* Inside of the generator: lists under a lock (generator.c), the rows in flight of a lane (generator_turn.c).
 */
#ifndef ECH_MODEL_GENERATOR_IMPL_H
#define ECH_MODEL_GENERATOR_IMPL_H

#include "model/generator.h"

#include <pthread.h>

struct ech_write_list {
    struct ech_write_batch *head, *tail;
};

/* A row in flight: which tokens its decoder's sequence has not seen yet. */
struct ech_slot_row {
    struct ech_write_batch *batch; /* NULL: free */
    int64_t row;
    int sequence;
    int64_t seen;       /* of prompt and written tokens */
    int64_t item;       /* of the step that is under way; -1: none */
    size_t capacity[2]; /* of written ids, log-probabilities */
};

struct ech_turn_state {
    struct ech_slot_row *slots; /* the first `active`, in the order in which the rows came */
    int64_t active;
    struct ech_step_item *items;      /* sequences */
    struct ech_write_batch **batches; /* of each item, and its share of the step's time */
    double *seconds;
    int32_t *line; /* a prompt and what was written behind it */
    size_t line_capacity;
    struct ech_sampler *sampler;
    float *masked;               /* (vocab), where a rule bans */
    struct ech_encoder *encoder; /* for stop strings */
    size_t stop_bytes;           /* of the longest one */
};

/* A compute thread with a decoder of its own. */
struct ech_write_lane {
    struct ech_generator *of;
    struct ech_lm *lm;
    struct ech_turn_state turn;
    struct ech_write_batch *held; /* a row that it took and had no room for */
    int64_t held_row;
    pthread_t thread;
    bool started, dropped; /* dropped: it has no rows any more, while `cancel` holds */
};

struct ech_generator {
    struct ech_generator_options options;
    struct ech_write_lane *lanes;
    int lanes_count, dropped;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct ech_write_list waiting, running, finished; /* running: all rows begun, not all done */
    int64_t in_flight;                                /* batches */
    int64_t rows_waiting, rows_begun;
    bool stop, cancel;
};

int ech_turn_init(struct ech_write_lane *lane, struct ech_err *err);
void ech_turn_fini(struct ech_write_lane *lane);
/* Rows in as many as there is room for, one step of the decoder, rows out. */
void ech_turn(struct ech_write_lane *lane);
/* Nothing of the lane is in flight any more. */
void ech_turn_forget(struct ech_write_lane *lane);

/* The next row that nobody has begun, or the one that the lane holds; false: none, or the lane has its share.
 * *failed: its batch has failed already. */
bool ech_generator_next(struct ech_write_lane *lane, struct ech_write_batch **batch, int64_t *row,
                        bool *failed);
/* There was no room for the row: it is the lane's next. */
void ech_generator_hold(struct ech_write_lane *lane, struct ech_write_batch *batch, int64_t row);
/* tokens: read and written for the row. */
void ech_generator_row_done(struct ech_write_lane *lane, struct ech_write_batch *batch, int64_t tokens,
                            const struct ech_err *err);
/* Compute time to the batches of some rows, by their share of a step. */
void ech_generator_account(struct ech_write_lane *lane, struct ech_write_batch *const *batches,
                           const double *seconds, int64_t count);

#endif
