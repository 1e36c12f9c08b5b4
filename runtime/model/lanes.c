/* Lanes: see lanes.h. One lock guards the queue; it is taken twice a micro-batch (some milliseconds). */
#include "model/lanes.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

/* Below this products lose speed; a tail is not cut finer. */
enum { TAIL_TOKENS = 64 };

struct list {
    struct ech_batch *head, *tail;
};

struct lane {
    struct ech_lanes *lanes;
    struct ech_work work;
    pthread_t thread;
};

struct ech_lanes {
    const struct ech_net *net;
    int threads, running; /* lanes with a workspace; with a thread */
    int64_t microbatch, capacity;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct list waiting, finished; /* waiting: the head has rows that no lane took yet */
    int64_t waiting_tokens, in_flight;
    bool stop;
    struct lane lane[];
};

struct unit {
    struct ech_batch *batch;
    int64_t first, end;
};

static void push(struct list *list, struct ech_batch *batch)
{
    batch->after = NULL;
    if (list->tail)
        list->tail->after = batch;
    else
        list->head = batch;
    list->tail = batch;
}

static struct ech_batch *pop(struct list *list)
{
    struct ech_batch *batch = list->head;
    if (batch) {
        list->head = batch->after;
        if (!list->head)
            list->tail = NULL;
    }
    return batch;
}

/* Full micro-batches while there is plenty, equal shares at the tail, so that lanes end together. */
int64_t ech_lanes_target(int64_t waiting, int threads, int64_t microbatch)
{
    int64_t share = (waiting + threads - 1) / threads;
    return ech_min64(microbatch, ech_max64(share, ech_min64(TAIL_TOKENS, microbatch)));
}

int64_t ech_lanes_cut(const int64_t *starts, int64_t rows, int64_t first, int64_t target, int64_t capacity)
{
    int64_t end = first, tokens = 0;
    while (end < rows) {
        int64_t with = starts[end + 1] - starts[first];
        if (with > capacity || (end > first && with - target > target - tokens))
            break;
        tokens = with;
        end++;
        if (tokens >= target)
            break;
    }
    return end - first;
}

/* With the lock. The batch leaves `waiting` with its last rows. */
static struct unit take(struct ech_lanes *lanes)
{
    struct ech_batch *batch = lanes->waiting.head;
    int64_t target = ech_lanes_target(lanes->waiting_tokens, lanes->threads, lanes->microbatch);
    int64_t count = ech_lanes_cut(batch->starts, batch->rows, batch->next, target, lanes->capacity);
    ECH_ASSERT(count > 0, "row %lld has %lld tokens, a lane holds %lld", (long long)batch->next,
               (long long)(batch->starts[batch->next + 1] - batch->starts[batch->next]),
               (long long)lanes->capacity);
    struct unit unit = {.batch = batch, .first = batch->next, .end = batch->next + count};
    batch->next = unit.end;
    lanes->waiting_tokens -= batch->starts[unit.end] - batch->starts[unit.first];
    if (batch->next == batch->rows)
        pop(&lanes->waiting);
    return unit;
}

/* With the lock. */
static void finish_rows(struct ech_lanes *lanes, const struct unit *unit, double seconds,
                        const struct ech_err *err)
{
    struct ech_batch *batch = unit->batch;
    if (err->code != ECH_OK && batch->err.code == ECH_OK)
        batch->err = *err;
    batch->result->seconds += seconds;
    batch->done += unit->end - unit->first;
    if (batch->done == batch->rows) {
        push(&lanes->finished, batch);
        lanes->in_flight--;
        pthread_cond_broadcast(&lanes->done);
    }
}

static void gather_ids(struct ech_work *w, const struct ech_batch *b, int64_t from, int64_t tokens)
{
    memcpy(w->words, b->ids + from, (size_t)tokens * sizeof *w->words);
    if (b->types)
        memcpy(w->types, b->types + from, (size_t)tokens * sizeof *w->types);
    else
        memset(w->types, 0, (size_t)tokens * sizeof *w->types);
}

/* Gather the unit's rows that have tokens; their count. */
static int64_t gather(struct ech_work *w, const struct unit *unit)
{
    const struct ech_batch *b = unit->batch;
    int64_t from = b->starts[unit->first], tokens = b->starts[unit->end] - from, sequences = 0;
    if (tokens == 0)
        return 0;
    if (b->states)
        w->states = b->states + from * b->result->dim;
    else
        gather_ids(w, b, from, tokens);
    for (int64_t row = unit->first; row < unit->end; row++)
        if (b->starts[row + 1] > b->starts[row])
            w->starts[sequences++] = b->starts[row] - from;
    w->starts[sequences] = tokens;
    return sequences;
}

/* The vectors of `sequences` good rows, one after the other at `values`, go to their rows; bad rows become
 * zeros. From the last on: none is written over before it moved. */
static void spread(float *values, int64_t d, int64_t sequences, const struct unit *unit)
{
    const int64_t *starts = unit->batch->starts;
    for (int64_t row = unit->end; row-- > unit->first;) {
        float *to = values + (row - unit->first) * d;
        if (starts[row + 1] > starts[row])
            memmove(to, values + --sequences * d, (size_t)d * sizeof *values);
        else
            memset(to, 0, (size_t)d * sizeof *values);
    }
}

/* Pooled vectors go to their rows (a bad row between them stays zero); hidden states lie in order. */
static int compute(const struct ech_net *net, struct ech_work *w, const struct unit *unit,
                   struct ech_err *err)
{
    const struct ech_batch *b = unit->batch;
    int64_t sequences = gather(w, unit), d = b->result->dim;
    float *values = b->result->values;
    if (sequences == 0)
        return ECH_OK;
    if (b->hidden_states)
        return ech_forward(net, w, sequences, values + b->starts[unit->first] * d, err);
    values += unit->first * d;
    int code = ech_forward(net, w, sequences, values, err);
    if (code == ECH_OK && sequences < unit->end - unit->first)
        spread(values, d, sequences, unit);
    return code;
}

static void *run_lane(void *argument)
{
    struct lane *lane = argument;
    struct ech_lanes *lanes = lane->lanes;
    pthread_mutex_lock(&lanes->lock);
    for (;;) {
        while (!lanes->stop && !lanes->waiting.head)
            pthread_cond_wait(&lanes->work, &lanes->lock);
        if (lanes->stop)
            break;
        struct unit unit = take(lanes);
        bool failed = unit.batch->err.code != ECH_OK;
        pthread_mutex_unlock(&lanes->lock);
        struct ech_err err = ECH_ERR_NONE;
        double begin = ech_mono_s();
        if (!failed)
            compute(lanes->net, &lane->work, &unit, &err);
        double seconds = ech_mono_s() - begin;
        pthread_mutex_lock(&lanes->lock);
        finish_rows(lanes, &unit, seconds, &err);
    }
    pthread_mutex_unlock(&lanes->lock);
    return NULL;
}

static int start_threads(struct ech_lanes *lanes, struct ech_err *err)
{
    for (int i = 0; i < lanes->threads; i++) {
        int code = ech_work_init(&lanes->lane[i].work, lanes->net, lanes->capacity, err);
        if (code != ECH_OK)
            return code;
    }
    for (; lanes->running < lanes->threads; lanes->running++) {
        struct lane *lane = &lanes->lane[lanes->running];
        lane->lanes = lanes;
        int problem = pthread_create(&lane->thread, NULL, run_lane, lane);
        if (problem != 0)
            return ech_fail_errno(err, ECH_UNAVAILABLE, problem, "starting compute thread %d of %d",
                                  lanes->running + 1, lanes->threads);
    }
    return ECH_OK;
}

int ech_lanes_open(const struct ech_net *net, int threads, int64_t microbatch, int64_t capacity,
                   struct ech_lanes **out, struct ech_err *err)
{
    struct ech_lanes *lanes = ech_calloc(1, sizeof *lanes + (size_t)threads * sizeof *lanes->lane, err);
    if (!lanes)
        return ECH_UNAVAILABLE;
    lanes->net = net;
    lanes->threads = threads;
    lanes->microbatch = microbatch;
    lanes->capacity = capacity;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&lanes->lock, NULL);
    pthread_cond_init(&lanes->work, NULL);
    pthread_cond_init(&lanes->done, &clock);
    pthread_condattr_destroy(&clock);
    int code = start_threads(lanes, err);
    if (code == ECH_OK)
        *out = lanes;
    else
        ech_lanes_close(lanes);
    return code;
}

static void drop(struct list *list)
{
    struct ech_batch *batch;
    while ((batch = pop(list)))
        ech_batch_destroy(batch);
}

void ech_lanes_close(struct ech_lanes *lanes)
{
    if (!lanes)
        return;
    pthread_mutex_lock(&lanes->lock);
    lanes->stop = true;
    pthread_cond_broadcast(&lanes->work);
    pthread_mutex_unlock(&lanes->lock);
    for (int i = 0; i < lanes->running; i++)
        pthread_join(lanes->lane[i].thread, NULL);
    for (int i = 0; i < lanes->threads; i++)
        ech_work_fini(&lanes->lane[i].work);
    drop(&lanes->waiting);
    drop(&lanes->finished);
    pthread_cond_destroy(&lanes->work);
    pthread_cond_destroy(&lanes->done);
    pthread_mutex_destroy(&lanes->lock);
    ech_free(lanes);
}

void ech_lanes_submit(struct ech_lanes *lanes, struct ech_batch *batch)
{
    pthread_mutex_lock(&lanes->lock);
    if (batch->rows == 0) {
        push(&lanes->finished, batch);
    } else {
        push(&lanes->waiting, batch);
        lanes->waiting_tokens += batch->tokens;
        lanes->in_flight++;
        pthread_cond_broadcast(&lanes->work);
    }
    pthread_mutex_unlock(&lanes->lock);
}

void ech_lanes_wait(struct ech_lanes *lanes, double seconds)
{
    struct timespec until;
    double span = !(seconds > 0) ? 0 : seconds > 1e9 ? 1e9 : seconds, whole = floor(span);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)whole;
    until.tv_nsec += (long)((span - whole) * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int problem = 0;
    pthread_mutex_lock(&lanes->lock);
    while (problem != ETIMEDOUT && !lanes->finished.head && lanes->in_flight > 0)
        problem = pthread_cond_timedwait(&lanes->done, &lanes->lock, &until);
    pthread_mutex_unlock(&lanes->lock);
}

struct ech_batch *ech_lanes_poll(struct ech_lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    struct ech_batch *batch = pop(&lanes->finished);
    while (batch && batch->dropped) {
        ech_batch_destroy(batch);
        batch = pop(&lanes->finished);
    }
    pthread_mutex_unlock(&lanes->lock);
    return batch;
}

/* A batch that lanes are at loses the rows that none has taken, and is thrown away when they come back. */
void ech_lanes_cancel(struct ech_lanes *lanes)
{
    struct ech_batch *batch;
    pthread_mutex_lock(&lanes->lock);
    while ((batch = pop(&lanes->waiting))) {
        bool begun = batch->done < batch->next;
        batch->dropped = true;
        batch->done += batch->rows - batch->next;
        if (begun)
            continue;
        lanes->in_flight--;
        ech_batch_destroy(batch);
    }
    lanes->waiting_tokens = 0;
    pthread_cond_broadcast(&lanes->done);
    pthread_mutex_unlock(&lanes->lock);
}
