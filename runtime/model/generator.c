/* The generator: see generator.h. One lock guards the lists; a compute thread takes it a few times a step. */
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

/* A lane has its share where rows are few: others wait for none. */
static bool has_share(const struct ech_write_lane *lane)
{
    const struct ech_generator *w = lane->of;
    return lane->turn.active > 0 && lane->turn.active * w->lanes_count >= w->rows_waiting + w->rows_begun;
}

static void begin_row(struct ech_generator *w, struct ech_write_batch *b, int64_t *row)
{
    *row = b->begun++;
    w->rows_waiting--;
    w->rows_begun++;
    if (b->begun == b->count)
        push(&w->running, pop(&w->waiting));
}

bool ech_generator_next(struct ech_write_lane *lane, struct ech_write_batch **batch, int64_t *row,
                        bool *failed)
{
    struct ech_generator *w = lane->of;
    pthread_mutex_lock(&w->lock);
    struct ech_write_batch *b = lane->held ? lane->held : has_share(lane) ? NULL : w->waiting.head;
    if (lane->held)
        *row = lane->held_row;
    else if (b)
        begin_row(w, b, row);
    lane->held = NULL;
    *failed = b && b->err.code != ECH_OK;
    *batch = b;
    pthread_mutex_unlock(&w->lock);
    return b != NULL;
}

void ech_generator_hold(struct ech_write_lane *lane, struct ech_write_batch *b, int64_t row)
{
    lane->held = b;
    lane->held_row = row;
}

void ech_generator_row_done(struct ech_write_lane *lane, struct ech_write_batch *b, int64_t tokens,
                            const struct ech_err *err)
{
    struct ech_generator *w = lane->of;
    pthread_mutex_lock(&w->lock);
    if (err && b->err.code == ECH_OK)
        b->err = *err;
    b->tokens += tokens;
    w->rows_begun--;
    if (++b->done == b->count) {
        take_out(&w->running, b);
        push(&w->finished, b);
        w->in_flight--;
        pthread_cond_broadcast(&w->done);
    }
    pthread_mutex_unlock(&w->lock);
}

void ech_generator_account(struct ech_write_lane *lane, struct ech_write_batch *const *batches,
                           const double *seconds, int64_t count)
{
    pthread_mutex_lock(&lane->of->lock);
    for (int64_t i = 0; i < count; i++)
        batches[i]->seconds += seconds[i];
    pthread_mutex_unlock(&lane->of->lock);
}

static bool idle(const struct ech_write_lane *lane)
{
    const struct ech_generator *w = lane->of;
    if (w->cancel)
        return lane->dropped;
    return !w->waiting.head && !lane->held && lane->turn.active == 0;
}

/* Wait until there is something to do; false: the end. *cancelled: what is in flight is to be dropped. */
static bool wait_for_work(struct ech_write_lane *lane, bool *cancelled)
{
    struct ech_generator *w = lane->of;
    pthread_mutex_lock(&w->lock);
    while (!w->stop && idle(lane))
        pthread_cond_wait(&w->work, &w->lock);
    *cancelled = w->cancel;
    bool goes_on = !w->stop;
    pthread_mutex_unlock(&w->lock);
    return goes_on;
}

/* By each lane, so that no row is being computed; the last one drops the batches. */
static void drop_rows(struct ech_write_lane *lane)
{
    struct ech_generator *w = lane->of;
    ech_turn_forget(lane);
    pthread_mutex_lock(&w->lock);
    lane->held = NULL;
    lane->dropped = true;
    if (++w->dropped == w->lanes_count) {
        drop(&w->waiting);
        drop(&w->running);
        for (int i = 0; i < w->lanes_count; i++)
            w->lanes[i].dropped = false;
        w->in_flight = w->rows_waiting = w->rows_begun = w->dropped = 0;
        w->cancel = false;
        pthread_cond_broadcast(&w->done);
    }
    pthread_mutex_unlock(&w->lock);
}

static void *compute(void *context)
{
    struct ech_write_lane *lane = context;
    bool cancelled;
    while (wait_for_work(lane, &cancelled)) {
        if (cancelled)
            drop_rows(lane);
        else
            ech_turn(lane);
    }
    ech_turn_forget(lane);
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

static int open_lane(struct ech_generator *w, int number, struct ech_err *err)
{
    struct ech_write_lane *lane = &w->lanes[number];
    lane->of = w;
    lane->lm = number ? w->options.twins[number - 1] : w->options.decoder;
    int code = ech_turn_init(lane, err);
    if (code == ECH_OK && pthread_create(&lane->thread, NULL, compute, lane) != 0)
        code = ech_fail(err, ECH_UNAVAILABLE, "no thread for the generator: %s", strerror(errno));
    lane->started = code == ECH_OK;
    return code;
}

/* A forced token is written whatever the logits say. */
static int check_rules(const struct ech_generator_options *o, struct ech_err *err)
{
    const int32_t forced[] = {o->rules.forced_first, o->rules.forced_last};
    int64_t vocab = ech_lm_vocab(o->decoder);
    for (int i = 0; i < 2; i++)
        if (forced[i] >= vocab)
            return ech_fail(err, ECH_DATA,
                            "the token %d, which every text is to %s, is not among the model's %lld",
                            (int)forced[i], i ? "end with" : "begin with", (long long)vocab);
    return ECH_OK;
}

int ech_generator_open(const struct ech_generator_options *options, struct ech_generator **out,
                       struct ech_err *err)
{
    struct ech_generator *w = ech_calloc(1, sizeof *w, err);
    if (!w)
        return ECH_UNAVAILABLE;
    int code = conditions_init(w, err);
    if (code != ECH_OK) {
        ech_free(w);
        return code;
    }
    w->options = *options;
    w->lanes_count = 1 + options->twins_count;
    w->lanes = ech_calloc((size_t)w->lanes_count, sizeof *w->lanes, err);
    code = w->lanes ? ech_sampling_check(&options->sampling, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK)
        code = check_rules(options, err);
    for (int i = 0; code == ECH_OK && i < w->lanes_count; i++)
        code = open_lane(w, i, err);
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
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; w->lanes && i < w->lanes_count; i++) {
        if (w->lanes[i].started)
            pthread_join(w->lanes[i].thread, NULL);
        ech_turn_fini(&w->lanes[i]);
    }
    drop(&w->waiting);
    drop(&w->running);
    drop(&w->finished);
    ech_free(w->lanes);
    ech_free(w);
}

void ech_generator_submit(struct ech_generator *w, struct ech_write_batch *b)
{
    pthread_mutex_lock(&w->lock);
    w->in_flight += b->count > 0;
    w->rows_waiting += b->count;
    push(b->count > 0 ? &w->waiting : &w->finished, b);
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
}

int64_t ech_generator_waiting(struct ech_generator *w)
{
    pthread_mutex_lock(&w->lock);
    int64_t rows = w->rows_waiting;
    pthread_mutex_unlock(&w->lock);
    return rows;
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
    pthread_cond_broadcast(&w->work);
    while (w->cancel)
        pthread_cond_wait(&w->done, &w->lock);
    drop(&w->finished);
    pthread_mutex_unlock(&w->lock);
}
