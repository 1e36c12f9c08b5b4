/* A kind whose stream does as it is told: late, out of order, failing at its n-th call, never. Row i becomes
 * the number i; the rows of `texts` are its input. */
#ifndef ECH_TESTS_FAKE_KIND_H
#define ECH_TESTS_FAKE_KIND_H

#include "tests/harness.h"

#include "base/clock.h"
#include "base/mem.h"
#include "job/kind.h"

#include <pthread.h>

enum { FAKE_QUEUE = 256 };

struct ech_stream {
    /* what it does */
    int fail_submit, fail_poll; /* at the n-th submission, finished block; 0: never */
    double seconds;             /* from submission to finished */
    double submit_seconds;      /* a submission takes so long */
    bool last_first, never;     /* order; nothing ever finishes */
    int64_t bad_every;          /* each so manieth row ends in the errors column; 0: none */
    void (*at_block)(struct ech_stream *s);
    void *context;
    /* what has happened */
    pthread_mutex_t lock;
    struct {
        int64_t first, rows;
        double ready;
    } queue[FAKE_QUEUE];
    int count, submits, blocks, cancels, polls_while_submitting;
    bool submitting;
};

static const struct ech_column fake_columns[2] = {{"n", ECH_INTS, ECH_I64, 1},
                                                  {"errors", ECH_TEXT, ECH_U8, 0}};

static inline int fake_submit(struct ech_stream *s, int64_t first, const struct ech_cells *rows,
                              struct ech_err *err)
{
    pthread_mutex_lock(&s->lock);
    bool fails = ++s->submits == s->fail_submit;
    s->submitting = true;
    pthread_mutex_unlock(&s->lock);
    ech_sleep_us((int64_t)(s->submit_seconds * 1e6));
    pthread_mutex_lock(&s->lock);
    s->submitting = false;
    if (!fails) {
        assert_true(s->count < FAKE_QUEUE);
        s->queue[s->count].first = first;
        s->queue[s->count].rows = rows->rows;
        s->queue[s->count++].ready = ech_mono_s() + s->seconds;
    }
    pthread_mutex_unlock(&s->lock);
    return fails ? ech_fail(err, ECH_DATA, "a submission that fails") : ECH_OK;
}

static inline void fake_step(struct ech_stream *s, double seconds)
{
    (void)s;
    ech_sleep_us((int64_t)(seconds * 1e6));
}

static inline struct ech_block *fake_block(const struct ech_stream *s, int64_t first, int64_t rows)
{
    struct ech_block *block;
    assert_int_equal(ech_block_create(2, &block, NULL), ECH_OK);
    block->first = first;
    block->rows = block->tokens = rows;
    for (int64_t row = first; row < first + rows; row++) {
        bool bad = s->bad_every && row % s->bad_every == s->bad_every - 1;
        block->errors += bad;
        assert_int_equal(ech_cells_add(&block->columns[0], &row, sizeof row, NULL), ECH_OK);
        assert_int_equal(ech_cells_add(&block->columns[1], "bad", bad ? 3 : 0, NULL), ECH_OK);
    }
    return block;
}

static inline int fake_poll(struct ech_stream *s, struct ech_finished *out, struct ech_err *err)
{
    int64_t first = -1, rows = 0;
    out->block = NULL;
    out->seconds = 0;
    pthread_mutex_lock(&s->lock);
    s->polls_while_submitting += s->submitting;
    int at = s->last_first ? s->count - 1 : 0;
    if (s->count > 0 && !s->never && s->queue[at].ready <= ech_mono_s()) {
        first = s->queue[at].first;
        rows = s->queue[at].rows;
        memmove(s->queue + at, s->queue + at + 1, (size_t)(--s->count - at) * sizeof s->queue[0]);
        s->blocks++;
    }
    pthread_mutex_unlock(&s->lock);
    if (first < 0)
        return ECH_OK;
    if (s->blocks == s->fail_poll)
        return ech_fail(err, ECH_UNAVAILABLE, "a computation that fails");
    out->block = fake_block(s, first, rows);
    out->seconds = 0.001;
    if (s->at_block)
        s->at_block(s);
    return ECH_OK;
}

static inline void fake_cancel(struct ech_stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->count = 0;
    s->cancels++;
    pthread_mutex_unlock(&s->lock);
}

static const struct ech_kind_ops fake_kind = {
    .name = "fake", .submit = fake_submit, .step = fake_step, .poll = fake_poll, .cancel = fake_cancel};

static inline struct ech_source *fake_source(struct ech_list *texts, int rows)
{
    static char x[] = "x";
    struct ech_job job = {0};
    struct ech_source *source;
    texts->count = rows;
    texts->items = ech_calloc((size_t)rows + 1, sizeof *texts->items, NULL);
    for (int i = 0; i < rows; i++)
        texts->items[i] = x;
    assert_int_equal(ech_source_open(&job, NULL, texts, &source, NULL), ECH_OK);
    return source;
}

#endif
