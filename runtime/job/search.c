/* See search.h. Tasks stand in one list; each worker goes through all of them in order, over its own stripe;
 * the last to finish a task merges the workers' hits. */
#include "job/search.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 1024, GROUP = 256 };

struct task {
    struct task *next;
    int64_t queries;
    void *packed;         /* all groups, one after the other */
    struct ech_hit *hits; /* (threads, queries, top_k) heaps, worst first */
    int64_t *filled;      /* (threads, queries) */
    int waiting;          /* workers that have not finished it */
    double seconds;
    struct ech_err err;
    struct ech_hits *result;
};

struct worker {
    struct ech_search *search;
    pthread_t thread;
    int number;
    bool started;
    struct task *next; /* to work on; NULL: wait */
    struct ech_queue *queue;
    struct ech_cells cells;
    float *unit, *scores; /* (BLOCK_ROWS, dim), (BLOCK_ROWS, GROUP) */
    int64_t starts[BLOCK_ROWS + 1];
};

struct ech_search {
    struct ech_search_options o;
    int64_t dim, rows;
    size_t group_bytes;
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    struct task *all;        /* unfinished tasks, oldest first */
    struct ech_hits *done;   /* oldest first */
    struct ech_queue *front; /* for the submitting thread */
    struct worker *workers;
    _Atomic bool stop; /* also looked at within a scan, which may be long */
};

/* a is a worse hit than b. */
static bool worse(struct ech_hit a, struct ech_hit b)
{
    return a.score < b.score || (a.score == b.score && a.row > b.row);
}

static void sift_down(struct ech_hit *heap, int64_t count)
{
    for (int64_t i = 0;;) {
        int64_t child = 2 * i + 1;
        if (child >= count)
            return;
        if (child + 1 < count && worse(heap[child + 1], heap[child]))
            child++;
        if (!worse(heap[child], heap[i]))
            return;
        struct ech_hit t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
        i = child;
    }
}

static void sift_up(struct ech_hit *heap, int64_t i)
{
    while (i > 0 && worse(heap[i], heap[(i - 1) / 2])) {
        struct ech_hit t = heap[i];
        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = t;
        i = (i - 1) / 2;
    }
}

static void offer(struct ech_hit *heap, int64_t *filled, int64_t most, struct ech_hit hit)
{
    if (*filled < most) {
        heap[*filled] = hit;
        sift_up(heap, (*filled)++);
    } else if (worse(heap[0], hit)) {
        heap[0] = hit;
        sift_down(heap, most);
    }
}

static int best_first(const void *a, const void *b)
{
    const struct ech_hit *x = a, *y = b;
    return worse(*x, *y) ? 1 : worse(*y, *x) ? -1 : 0;
}

/* Scores of one block against one group of queries, offered to this worker's heaps. */
static int score_group(struct worker *w, struct task *t, const float *x, int64_t first, int64_t rows,
                       int64_t group)
{
    struct ech_search *s = w->search;
    int64_t from = group * GROUP, n = ech_min64(GROUP, t->queries - from), k = s->o.top_k;
    struct ech_linear_args args = {.size = sizeof args,
                                   .m = rows,
                                   .n = n,
                                   .k = s->dim,
                                   .x = x,
                                   .ldx = s->dim,
                                   .packed = (char *)t->packed + (size_t)group * s->group_bytes,
                                   .y = w->scores,
                                   .ldy = GROUP};
    int status = s->o.ops->linear(w->queue, &args);
    for (int64_t q = 0; !status && q < n; q++) {
        int64_t slot = w->number * t->queries + from + q;
        for (int64_t r = 0; r < rows; r++) {
            float score = w->scores[r * GROUP + q];
            if (!isnan(score))
                offer(t->hits + slot * k, &t->filled[slot], k, (struct ech_hit){first + r, score});
        }
    }
    return status;
}

static const float *unit_rows(struct worker *w, const float *x, int64_t rows, int *status)
{
    struct ech_search *s = w->search;
    if (!s->o.cosine)
        return x;
    struct ech_pool_args args = {.size = sizeof args,
                                 .sequences = rows,
                                 .cols = s->dim,
                                 .starts = w->starts,
                                 .x = x,
                                 .ldx = s->dim,
                                 .kind = ECH_POOL_CLS,
                                 .normalize = true,
                                 .out = w->unit};
    *status = s->o.ops->pool(w->queue, &args);
    return w->unit;
}

static int search_stripe(struct worker *w, struct task *t, struct ech_err *err)
{
    struct ech_search *s = w->search;
    int64_t blocks = (s->rows + BLOCK_ROWS - 1) / BLOCK_ROWS, groups = (t->queries + GROUP - 1) / GROUP;
    int status = 0;
    for (int64_t b = w->number; b < blocks && !s->stop; b += s->o.threads) {
        int64_t first = b * BLOCK_ROWS, rows = ech_min64(BLOCK_ROWS, s->rows - first);
        int code = ech_dataset_read(s->o.index, s->o.column, first, rows, &w->cells, err);
        if (code)
            return code;
        const float *x = unit_rows(w, (const float *)(const void *)w->cells.bytes, rows, &status);
        for (int64_t g = 0; !status && g < groups; g++)
            status = score_group(w, t, x, first, rows, g);
        if (status)
            return ech_fail(err, ECH_BUG, "search: the kernels refused a product (status %d)", status);
    }
    return ECH_OK;
}

/* All workers' heaps of a query become one sorted list in the place of the first's. */
static void merge(const struct ech_search *s, struct task *t, struct ech_hit *out)
{
    int64_t k = s->o.top_k;
    for (int64_t q = 0; q < t->queries; q++) {
        struct ech_hit *best = out + q * k;
        int64_t filled = 0;
        for (int w = 0; w < s->o.threads; w++) {
            int64_t slot = w * t->queries + q;
            for (int64_t i = 0; i < t->filled[slot]; i++)
                offer(best, &filled, k, t->hits[slot * k + i]);
        }
        qsort(best, (size_t)filled, sizeof *best, best_first);
        for (int64_t i = filled; i < k; i++)
            best[i] = (struct ech_hit){-1, NAN};
    }
}

void ech_hits_destroy(struct ech_hits *h)
{
    if (!h)
        return;
    ech_block_destroy(h->block);
    ech_free(h->hits);
    ech_free(h);
}

static void task_free(struct task *t)
{
    ech_hits_destroy(t->result);
    ech_free(t->packed);
    ech_free(t->hits);
    ech_free(t->filled);
    ech_free(t);
}

/* The last worker of a task fills its result. Entered and left with the lock held, which is open meanwhile:
 * nobody else touches a task that all have gone over. */
static void fill_result(struct ech_search *s, struct task *t)
{
    struct ech_hits *h = t->result;
    pthread_mutex_unlock(&s->lock);
    h->err = t->err;
    if (!h->err.code) {
        merge(s, t, h->hits);
        s->o.complete(s->o.context, h, &h->err);
    }
    pthread_mutex_lock(&s->lock);
}

/* Under the lock: a task with its result leaves the list. */
static void finish(struct ech_search *s, struct task *t)
{
    struct ech_hits *h = t->result, **last = &s->done;
    h->seconds = t->seconds;
    t->result = NULL;
    while (*last)
        last = &(*last)->next;
    *last = h;
    struct task **at = &s->all;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    task_free(t);
    pthread_cond_broadcast(&s->finished);
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct ech_search *s = w->search;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->stop && !w->next)
            pthread_cond_wait(&s->work, &s->lock);
        if (s->stop)
            break;
        struct task *t = w->next;
        pthread_mutex_unlock(&s->lock);
        struct ech_err err = ECH_ERR_NONE;
        double start = ech_mono_s();
        int code = search_stripe(w, t, &err);
        double seconds = ech_mono_s() - start;
        pthread_mutex_lock(&s->lock);
        if (s->stop) /* perhaps in the middle of the scan: no result */
            break;
        t->seconds += seconds;
        if (code && !t->err.code)
            t->err = err;
        bool last = --t->waiting == 0;
        if (last)
            fill_result(s, t);
        w->next = t->next; /* what was submitted meanwhile stands behind it */
        if (last)
            finish(s, t);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static int worker_open(struct ech_search *s, int number, struct ech_err *err)
{
    struct worker *w = &s->workers[number];
    w->search = s;
    w->number = number;
    struct ech_queue_options options = {
        .size = sizeof options,
        .workspace_bytes = s->o.ops->linear_workspace(ECH_FMT_F32, BLOCK_ROWS, GROUP, s->dim, 1)};
    w->queue = ech_queue_open(s->o.ops, &options, NULL);
    w->unit = ech_alloc_aligned((size_t)(BLOCK_ROWS * s->dim) * sizeof(float), err);
    w->scores = ech_alloc_aligned((size_t)BLOCK_ROWS * GROUP * sizeof(float), err);
    if (!w->queue || !w->unit || !w->scores)
        return ech_fail(err, ECH_UNAVAILABLE, "search: no memory for the workspace of a thread");
    for (int i = 0; i <= BLOCK_ROWS; i++)
        w->starts[i] = i;
    if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
        return ech_fail(err, ECH_UNAVAILABLE, "search: cannot start a thread");
    w->started = true;
    return ECH_OK;
}

int ech_search_open(const struct ech_search_options *options, struct ech_search **out, struct ech_err *err)
{
    struct ech_search *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->o = *options;
    s->dim = ech_dataset_column(options->index, options->column)->dim;
    s->rows = ech_dataset_rows(options->index);
    s->group_bytes = (options->ops->linear_packed_bytes(ECH_FMT_F32, GROUP, s->dim) + 63) & ~(size_t)63;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->finished, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->workers = ech_calloc((size_t)options->threads, sizeof *s->workers, err);
    s->front =
        ech_queue_open(s->o.ops, &(struct ech_queue_options){.size = sizeof(struct ech_queue_options)}, NULL);
    int code = s->workers ? ECH_OK : ECH_UNAVAILABLE;
    if (!code && !s->front)
        code = ech_fail(err, ECH_UNAVAILABLE, "search: no memory for a queue");
    for (int i = 0; !code && i < options->threads; i++)
        code = worker_open(s, i, err);
    if (code)
        ech_search_close(s);
    else
        *out = s;
    return code;
}

void ech_search_close(struct ech_search *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; s->workers && i < s->o.threads; i++) {
        struct worker *w = &s->workers[i];
        if (w->started)
            pthread_join(w->thread, NULL);
        if (w->queue)
            ech_queue_close(w->queue);
        ech_cells_fini(&w->cells);
        ech_free(w->unit);
        ech_free(w->scores);
    }
    while (s->all) {
        struct task *t = s->all;
        s->all = t->next;
        task_free(t);
    }
    while (s->done) {
        struct ech_hits *h = s->done;
        s->done = h->next;
        ech_hits_destroy(h);
    }
    if (s->front)
        ech_queue_close(s->front);
    ech_free(s->workers);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->finished);
    ech_free(s);
}

static int pack_queries(const struct ech_search *s, struct task *t, float *queries, struct ech_err *err)
{
    int64_t groups = (t->queries + GROUP - 1) / GROUP;
    for (int64_t q = 0; s->o.cosine && q < t->queries; q++) {
        int64_t starts[2] = {0, 1};
        struct ech_pool_args args = {.size = sizeof args,
                                     .sequences = 1,
                                     .cols = s->dim,
                                     .starts = starts,
                                     .x = queries + q * s->dim,
                                     .ldx = s->dim,
                                     .kind = ECH_POOL_CLS,
                                     .normalize = true,
                                     .out = queries + q * s->dim};
        s->o.ops->pool(s->front, &args);
    }
    for (int64_t g = 0; g < groups; g++) {
        int64_t n = ech_min64(GROUP, t->queries - g * GROUP);
        if (s->o.ops->linear_pack(ECH_FMT_F32, queries + g * GROUP * s->dim, ECH_W_F32, n, s->dim,
                                  (char *)t->packed + (size_t)g * s->group_bytes, 0, 1))
            return ech_fail(err, ECH_BUG, "search: the kernels refused to pack %lld queries", (long long)n);
    }
    return ECH_OK;
}

int ech_search_submit(struct ech_search *s, const struct ech_search_batch *batch, struct ech_err *err)
{
    int64_t count = batch->count;
    int64_t groups = (count + GROUP - 1) / GROUP, heaps = s->o.threads * count;
    struct task *t = ech_calloc(1, sizeof *t, err);
    if (!t)
        return ECH_UNAVAILABLE;
    *t = (struct task){.queries = count, .waiting = s->o.threads, .err = ECH_ERR_NONE};
    t->packed = ech_alloc_aligned((size_t)(groups > 0 ? groups : 1) * s->group_bytes, err);
    t->hits = ech_calloc((size_t)(heaps * s->o.top_k), sizeof *t->hits, err);
    t->filled = ech_calloc((size_t)heaps, sizeof *t->filled, err);
    float *copy = ech_alloc_aligned((size_t)(count * s->dim) * sizeof *copy, err);
    t->result = ech_calloc(1, sizeof *t->result, err);
    int code = t->packed && t->hits && t->filled && copy && t->result ? ECH_OK : ECH_UNAVAILABLE;
    if (!code) {
        *t->result =
            (struct ech_hits){.tag = batch->tag, .queries = count, .note = batch->note, .err = ECH_ERR_NONE};
        t->result->hits = ech_calloc((size_t)(count * s->o.top_k), sizeof *t->result->hits, err);
        code = t->result->hits ? ECH_OK : ECH_UNAVAILABLE;
    }
    if (!code) {
        memcpy(copy, batch->queries, (size_t)(count * s->dim) * sizeof *copy);
        code = pack_queries(s, t, copy, err);
    }
    ech_free(copy);
    if (code) {
        task_free(t);
        return code;
    }
    pthread_mutex_lock(&s->lock);
    struct task **at = &s->all;
    while (*at)
        at = &(*at)->next;
    *at = t;
    for (int i = 0; i < s->o.threads; i++)
        if (!s->workers[i].next)
            s->workers[i].next = t;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    return ECH_OK;
}

struct ech_hits *ech_search_poll(struct ech_search *s, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (int64_t)(seconds * 1e9);
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    struct ech_hits *h = NULL;
    pthread_mutex_lock(&s->lock);
    while (seconds > 0 && s->all && !s->done)
        if (pthread_cond_timedwait(&s->finished, &s->lock, &until) != 0)
            break;
    if (s->done) {
        h = s->done;
        s->done = h->next;
        h->next = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return h;
}

/* A task that no worker has begun goes away; the others end on their own. */
void ech_search_cancel(struct ech_search *s)
{
    pthread_mutex_lock(&s->lock);
    struct task **at = &s->all;
    while (*at) {
        struct task *t = *at;
        bool begun = t->waiting < s->o.threads;
        for (int i = 0; i < s->o.threads; i++)
            begun = begun || s->workers[i].next == t;
        if (begun) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        task_free(t);
    }
    pthread_mutex_unlock(&s->lock);
}
