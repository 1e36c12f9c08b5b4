/* Inside of the generator: lists under a lock (generator.c), rows in flight (generator_turn.c). */
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
    struct ech_step_item *items; /* sequences */
    int32_t *line;               /* a prompt and what was written behind it */
    size_t line_capacity;
    struct ech_sampler *sampler;
    float *masked;               /* (vocab), where a rule bans */
    struct ech_encoder *encoder; /* for stop strings */
    size_t stop_bytes;           /* of the longest one */
};

struct ech_generator {
    struct ech_generator_options options;
    struct ech_turn_state turn; /* the compute thread's */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct ech_write_list waiting, running, finished; /* running: all rows begun, not all done */
    int64_t in_flight;
    bool started, stop, cancel;
};

int ech_turn_init(struct ech_generator *generator, struct ech_err *err);
void ech_turn_fini(struct ech_generator *generator);
/* Rows in as many as there is room for, one step of the decoder, rows out. */
void ech_turn(struct ech_generator *generator);
/* Nothing is in flight any more. */
void ech_turn_forget(struct ech_generator *generator);

/* The next row that nobody has begun; false: none. */
bool ech_generator_next(struct ech_generator *generator, struct ech_write_batch **batch, int64_t *row);
/* The row that came last out of ech_generator_next has not begun after all. */
void ech_generator_put_back(struct ech_generator *generator, struct ech_write_batch *batch);
void ech_generator_row_done(struct ech_generator *generator, struct ech_write_batch *batch,
                            const struct ech_err *err);

#endif
