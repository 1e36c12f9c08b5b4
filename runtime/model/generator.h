/* Texts written (or scored) by a decoder, many rows at once: requests of token ids in, what was written out,
 * in any order, on compute threads of its own.
 *
 * Rows wait in the order they came; as many as the decoder's cache holds are in flight, each step takes one
 * token of every row that is being written and as much of the waiting prompts as a step holds. A row that
 * ends makes room for the next at once. What is written for a row follows from its request, the options and
 * the weights alone (decoder.h, sampling.h). */
#ifndef ECH_MODEL_GENERATOR_H
#define ECH_MODEL_GENERATOR_H

#include "model/lm.h"
#include "model/sampling.h"
#include "text/tokenizer.h"

/* What the model's files demand of a text, whatever the user asks for. Lists end with -1. */
enum { ECH_ENDS_MOST = 16 };
struct ech_generator_rules {
    int32_t ends[ECH_ENDS_MOST];       /* tokens that end a text */
    int32_t banned[ECH_ENDS_MOST];     /* never written; those that the model lacks say nothing */
    int32_t forced_first, forced_last; /* -1: none; the last one where the text would end for its length */
};

struct ech_generator_options {
    struct ech_lm *decoder; /* started; borrowed: nobody else steps it */
    /* More of the same model (ech_lm_twin): each computes rows on a thread of its own, all take from one
     * queue. */
    struct ech_lm *const *twins;
    int twins_count;
    const struct ech_tokenizer *tokenizer; /* for stop strings; NULL where there are none */
    const char *const *stops;              /* NULL-terminated, or NULL; borrowed */
    struct ech_generator_rules rules;
    struct ech_sampling sampling;
    bool log_probabilities; /* of what is written */
    /* Of each decoder, as it was opened: threads (what seconds are counted in), sequences, step_tokens,
     * logits_rows. */
    int threads;
    int64_t sequences, step_tokens, logits_rows;
};

enum ech_finish { ECH_FINISH_NONE, ECH_FINISH_END, ECH_FINISH_STOP, ECH_FINISH_LENGTH };
const char *ech_finish_name(enum ech_finish finish); /* "", "end", "stop", "length" */

struct ech_request {
    uint64_t row;    /* what sampling is keyed by */
    int32_t *ids;    /* prompt; of an encoder-decoder the decoder's first tokens */
    int64_t count;   /* >= 1 */
    int32_t *source; /* of an encoder-decoder */
    int64_t source_count;
    int64_t most;     /* tokens to be written at most; 0: only scored */
    int64_t scored;   /* log-probabilities of ids[scored .. count) are wanted; >= 1; count: none */
    int32_t *allowed; /* tokens that may be written, ascending; greedy only; NULL: all */
    int64_t allowed_count;
    char *error; /* a bad row: nothing is computed for it; the generator sets it where a row cannot be: ids
                    that the model lacks, more than the context holds, logits that are no numbers */
};
struct ech_written {
    int32_t *ids; /* count; the end token is not among them */
    int64_t count;
    double *log_probabilities; /* count, where asked for: of the model's own distribution */
    double *scores;            /* request's count - scored */
    enum ech_finish finish;
};

/* Requests of some rows in order; a row of the caller's may have several. */
struct ech_write_batch {
    int64_t tag, rows, count;
    int64_t *firsts;              /* rows + 1: row i has requests firsts[i] .. firsts[i + 1] */
    struct ech_request *requests; /* count */
    struct ech_written *written;  /* count */
    int64_t tokens;               /* prompt, source and written */
    double seconds;               /* compute time, over all threads */
    /* the generator's own */
    int64_t begun, done;
    size_t capacity[2], rows_capacity;
    struct ech_err err;
    struct ech_write_batch *after;
};
int ech_write_batch_create(int64_t tag, struct ech_write_batch **out, struct ech_err *err);
/* A request of the row that is being made, zeroed; what the caller puts in (ech_alloc's kin) is the batch's.
 * *out is good until the next call. */
int ech_write_batch_add(struct ech_write_batch *batch, struct ech_request **out, struct ech_err *err);
/* The row is complete. */
int ech_write_batch_row(struct ech_write_batch *batch, struct ech_err *err);
void ech_write_batch_destroy(struct ech_write_batch *batch);

/* Where the first of the stop strings begins in a text; `bytes` where none is. */
size_t ech_stop_at(const char *text, size_t bytes, const char *const *stops);

struct ech_generator;
/* Errors  ECH_CONFIG: sampling out of range; ECH_DATA: a forced token that the model lacks. */
int ech_generator_open(const struct ech_generator_options *options, struct ech_generator **out,
                       struct ech_err *err);
void ech_generator_close(struct ech_generator *generator);
/* Takes the batch. Never computes, never blocks. Any thread. */
void ech_generator_submit(struct ech_generator *generator, struct ech_write_batch *batch);
/* Requests that nobody has begun. Any thread. */
int64_t ech_generator_waiting(struct ech_generator *generator);
/* Wait until a batch is done or nothing is in flight, at most `seconds`. */
void ech_generator_step(struct ech_generator *generator, double seconds);
/* A finished batch, or NULL. Owner: the caller. *err: what failed inside (the batch is gone). */
struct ech_write_batch *ech_generator_poll(struct ech_generator *generator, struct ech_err *err);
/* Drop what has not ended: those batches never come back. */
void ech_generator_cancel(struct ech_generator *generator);

#endif
