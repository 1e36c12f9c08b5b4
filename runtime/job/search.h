/* Exact search: for a batch of query vectors the top k rows of a vector dataset, by dot product or cosine.
 * Worker threads go over the dataset in blocks, each its own stripe of blocks; a score is one product of the
 * kernels (so its bits depend on the two vectors alone); order: score descending, then row ascending. Rows
 * whose score is not a number are never hits. Memory: a block and the scores of one group of queries a
 * thread. */
#ifndef ECH_JOB_SEARCH_H
#define ECH_JOB_SEARCH_H

#include "data/dataset.h"
#include "job/spool.h"
#include "kernels/ops.h"

struct ech_search;
struct ech_hits;

struct ech_search_options {
    const struct ech_dataset *index; /* borrowed */
    int column;                      /* tensor f32 */
    const struct ech_ops *ops;
    int threads;
    int64_t top_k;
    bool cosine;
    /* Makes hits->block of a batch that was searched without an error, on a worker's thread: it may read
     * from a disk, which who polls must not wait for. */
    int (*complete)(void *context, struct ech_hits *hits, struct ech_err *err);
    void *context;
};
int ech_search_open(const struct ech_search_options *options, struct ech_search **out, struct ech_err *err);
void ech_search_close(struct ech_search *search);
/* queries (count, dim) of one batch; copied. note: for `complete`, borrowed. Never blocks. */
struct ech_search_batch {
    int64_t tag, count;
    const float *queries;
    const void *note;
};
int ech_search_submit(struct ech_search *search, const struct ech_search_batch *batch, struct ech_err *err);
struct ech_hit {
    int64_t row; /* -1: fewer than top_k hits */
    float score;
};
struct ech_hits {
    int64_t tag, queries;
    struct ech_hit *hits; /* (queries, top_k), best first */
    const void *note;
    struct ech_block *block; /* by `complete`; owner: these hits, or who takes it and leaves NULL */
    double seconds;          /* over all threads */
    struct ech_err err;
    struct ech_hits *next; /* internal */
};
/* A finished batch or NULL; waits at most `seconds`. Owner: the caller, ech_hits_destroy. */
struct ech_hits *ech_search_poll(struct ech_search *search, double seconds);
void ech_hits_destroy(struct ech_hits *hits);
void ech_search_cancel(struct ech_search *search); /* drop what has not begun */

#endif
