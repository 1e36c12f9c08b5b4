/* The generator: see generator.h. One lock guards the lists; the compute thread takes it twice a step. */
#include "model/generator_impl.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

const char *ech_finish_name(enum ech_finish finish)
{
    static const char *const names[] = {"", "end", "stop", "length"};
    return names[finish];
}

/* --- batches --- */

int ech_write_batch_create(int64_t tag, struct ech_write_batch **out, struct ech_err *err)
{
    struct ech_write_batch *b = ech_calloc(1, sizeof *b, err);
    if (!b)
        return ECH_UNAVAILABLE;
    b->tag = tag;
    b->err = (struct ech_err)ECH_ERR_NONE;
    if (ech_grow((void **)&b->firsts, &b->rows_capacity, 1, sizeof *b->firsts, err) != ECH_OK) {
        ech_write_batch_destroy(b);
        return ECH_UNAVAILABLE;
    }
    b->firsts[0] = 0;
    *out = b;
    return ECH_OK;
}

int ech_write_batch_add(struct ech_write_batch *b, struct ech_request **out, struct ech_err *err)
{
    size_t need = (size_t)b->count + 1;
    if (ech_grow((void **)&b->requests, &b->capacity[0], need, sizeof *b->requests, err) != ECH_OK ||
        ech_grow((void **)&b->written, &b->capacity[1], need, sizeof *b->written, err) != ECH_OK)
        return ECH_UNAVAILABLE;
    memset(&b->requests[b->count], 0, sizeof *b->requests);
    memset(&b->written[b->count], 0, sizeof *b->written);
    *out = &b->requests[b->count++];
    return ECH_OK;
}

int ech_write_batch_row(struct ech_write_batch *b, struct ech_err *err)
{
    if (ech_grow((void **)&b->firsts, &b->rows_capacity, (size_t)b->rows + 2, sizeof *b->firsts, err) !=
        ECH_OK)
        return ECH_UNAVAILABLE;
    b->firsts[++b->rows] = b->count;
    return ECH_OK;
}

static void request_fini(struct ech_request *r)
{
    ech_free(r->ids);
    ech_free(r->source);
    ech_free(r->allowed);
    ech_free(r->error);
}

static void written_fini(struct ech_written *w)
{
    ech_free(w->ids);
    ech_free(w->log_probabilities);
    ech_free(w->scores);
}

void ech_write_batch_destroy(struct ech_write_batch *b)
{
    if (!b)
        return;
    for (int64_t i = 0; i < b->count; i++) {
        request_fini(&b->requests[i]);
        written_fini(&b->written[i]);
    }
    ech_free(b->firsts);
    ech_free(b->requests);
    ech_free(b->written);
    ech_free(b);
}

/* --- lists --- */

static void push(struct ech_write_list *list, struct ech_write_batch *b)
{
    b->after = NULL;
    if (list->tail)
        list->tail->after = b;
    else
        list->head = b;
    list->tail = b;
}

static struct ech_write_batch *pop(struct ech_write_list *list)
{
    struct ech_write_batch *b = list->head;
    if (b) {
        list->head = b->after;
        if (!list->head)
            list->tail = NULL;
    }
    return b;
}

static void drop(struct ech_write_list *list)
{
    for (struct ech_write_batch *b; (b = pop(list));)
        ech_write_batch_destroy(b);
}

/* Take `b` out, wherever it stands. */
static void take_out(struct ech_write_list *list, const struct ech_write_batch *b)
{
    struct ech_write_list kept = {0};
    for (struct ech_write_batch *each; (each = pop(list));)
        if (each != b)
            push(&kept, each);
    *list = kept;
}

/* --- what the compute thread asks for (generator_turn.c) --- */

bool ech_generator_next(struct ech_generator *w, struct ech_write_batch **batch, int64_t *row)
{
    pthread_mutex_lock(&w->lock);
    struct ech_write_batch *b = w->waiting.head;
    if (b) {
        *batch = b;
        *row = b->begun++;
        if (b->begun == b->count)
            push(&w->running, pop(&w->waiting));
    }
    pthread_mutex_unlock(&w->lock);
    return b != NULL;
}

void ech_generator_put_back(struct ech_generator *w, struct ech_write_batch *b)
{
    pthread_mutex_lock(&w->lock);
    if (b->begun-- == b->count) {
        take_out(&w->running, b);
        b->after = w->waiting.head;
        w->waiting.head = b;
        if (!w->waiting.tail)
            w->waiting.tail = b;
    }
    pthread_mutex_unlock(&w->lock);
}

void ech_generator_row_done(struct ech_generator *w, struct ech_write_batch *b, const struct ech_err *err)
{
    pthread_mutex_lock(&w->lock);
    if (err && b->err.code == ECH_OK)
        b->err = *err;
    if (++b->done == b->count) {
        take_out(&w->running, b);
        push(&w->finished, b);
        w->in_flight--;
        pthread_cond_broadcast(&w->done);
    }
    pthread_mutex_unlock(&w->lock);
}

/* Wait until there is something to do; false: the end. *cancelled: what is in flight is to be dropped. */
static bool wait_for_work(struct ech_generator *w, bool *cancelled)
{
    pthread_mutex_lock(&w->lock);
    while (!w->stop && !w->cancel && !w->waiting.head && w->turn.active == 0)
        pthread_cond_wait(&w->work, &w->lock);
    *cancelled = w->cancel;
    bool goes_on = !w->stop;
    pthread_mutex_unlock(&w->lock);
    return goes_on;
}

/* By the compute thread, so that no row of them is being computed. */
static void drop_all(struct ech_generator *w)
{
    ech_turn_forget(w);
    pthread_mutex_lock(&w->lock);
    drop(&w->waiting);
    drop(&w->running);
    w->in_flight = 0;
    w->cancel = false;
    pthread_cond_broadcast(&w->done);
    pthread_mutex_unlock(&w->lock);
}

static void *compute(void *context)
{
    struct ech_generator *w = context;
    bool cancelled;
    while (wait_for_work(w, &cancelled)) {
        if (cancelled)
            drop_all(w);
        else
            ech_turn(w);
    }
    drop_all(w);
    return NULL;
}

/* --- the caller's side --- */

static int conditions_init(struct ech_generator *w, struct ech_err *err)
{
    pthread_condattr_t attributes;
    int failed = pthread_condattr_init(&attributes);
    if (!failed) {
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        failed = pthread_mutex_init(&w->lock, NULL) || pthread_cond_init(&w->work, NULL) ||
                 pthread_cond_init(&w->done, &attributes);
        pthread_condattr_destroy(&attributes);
    }
    return failed ? ech_fail(err, ECH_UNAVAILABLE, "no lock for the generator") : ECH_OK;
}

int ech_generator_open(const struct ech_generator_options *options, struct ech_generator **out,
                       struct ech_err *err)
{
    struct ech_generator *w = ech_calloc(1, sizeof *w, err);
    if (!w)
        return ECH_UNAVAILABLE;
    w->options = *options;
    int code = ech_sampling_check(&options->sampling, err);
    if (code == ECH_OK)
        code = ech_turn_init(w, err);
    if (code == ECH_OK)
        code = conditions_init(w, err);
    if (code == ECH_OK && pthread_create(&w->thread, NULL, compute, w) != 0)
        code = ech_fail(err, ECH_UNAVAILABLE, "no thread for the generator: %s", strerror(errno));
    w->started = code == ECH_OK;
    if (code == ECH_OK)
        *out = w;
    else
        ech_generator_close(w);
    return code;
}

void ech_generator_close(struct ech_generator *w)
{
    if (!w)
        return;
    if (w->started) {
        pthread_mutex_lock(&w->lock);
        w->stop = true;
        pthread_cond_signal(&w->work);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
    }
    drop(&w->finished);
    ech_turn_fini(w);
    ech_free(w);
}

void ech_generator_submit(struct ech_generator *w, struct ech_write_batch *b)
{
    pthread_mutex_lock(&w->lock);
    w->in_flight += b->count > 0;
    push(b->count > 0 ? &w->waiting : &w->finished, b);
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

void ech_generator_step(struct ech_generator *w, double seconds)
{
    struct timespec until;
    double whole = floor(seconds);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)whole;
    until.tv_nsec += (long)((seconds - whole) * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&w->lock);
    int waited = 0;
    while (!w->finished.head && w->in_flight > 0 && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&w->done, &w->lock, &until);
    pthread_mutex_unlock(&w->lock);
}

struct ech_write_batch *ech_generator_poll(struct ech_generator *w, struct ech_err *err)
{
    pthread_mutex_lock(&w->lock);
    struct ech_write_batch *b = pop(&w->finished);
    pthread_mutex_unlock(&w->lock);
    if (b && b->err.code != ECH_OK) {
        if (err)
            *err = b->err;
        ech_write_batch_destroy(b);
        return NULL;
    }
    return b;
}

void ech_generator_cancel(struct ech_generator *w)
{
    pthread_mutex_lock(&w->lock);
    w->cancel = w->in_flight > 0;
    pthread_cond_signal(&w->work);
    while (w->cancel)
        pthread_cond_wait(&w->done, &w->lock);
    drop(&w->finished);
    pthread_mutex_unlock(&w->lock);
}
