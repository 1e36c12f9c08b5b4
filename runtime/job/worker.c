/* See worker.h. A message is a struct note, then, for pieces, the tokens of each row (int32, padded to 8
 * bytes) and the floats; all ranks run the same program on machines alike. */
#include "job/worker.h"

#include "base/mem.h"
#include "base/num.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

enum kind { STATES = 1, VECTORS, END };

struct note {
    int64_t kind, round, seq, rows, values; /* values: floats behind the rows' tokens */
    double seconds;                         /* of the slowest stage so far, over its threads */
};

/* A batch of the head on its way. */
struct whole {
    struct ech_batch *batch;
    int64_t tag, next, done, rows; /* rows cut off, and rows that came back */
    double seconds;
    struct whole *after;
};
struct list {
    struct whole *head, *tail;
};

/* A piece at this rank's engine, or, on the head, anywhere in the pipeline. */
struct piece {
    int64_t seq, first, rows; /* seq 0: free */
    struct whole *whole;      /* head */
    double seconds;
};

struct ech_worker {
    struct ech_worker_options o;
    int stage, next, stages; /* next: stage of the worker's communicator, -1 at the tail */
    bool tail, broken, ended;
    int64_t round, seq, first_seq; /* seq of the last piece; of the first one of this round */
    double busy;
    pthread_mutex_t lock; /* waiting */
    struct list waiting, cut, finished;
    struct piece *pieces;
    int pieces_count, under_way;
    struct ech_str bytes;
};

static void push(struct list *list, struct whole *w)
{
    w->after = NULL;
    if (list->tail)
        list->tail->after = w;
    else
        list->head = w;
    list->tail = w;
}

static struct whole *pop(struct list *list)
{
    struct whole *w = list->head;
    if (w) {
        list->head = w->after;
        if (!list->head)
            list->tail = NULL;
    }
    return w;
}

static void take_out(struct list *list, const struct whole *w)
{
    struct list rest = {NULL, NULL};
    for (struct whole *one; (one = pop(list));)
        if (one != w)
            push(&rest, one);
    *list = rest;
}

static void drop(struct list *list)
{
    for (struct whole *w; (w = pop(list));) {
        ech_batch_destroy(w->batch);
        ech_free(w);
    }
}

int ech_worker_open(const struct ech_worker_options *o, struct ech_worker **out, struct ech_err *err)
{
    struct ech_worker *w = ech_calloc(1, sizeof *w, err);
    if (!w)
        return ECH_UNAVAILABLE;
    const struct ech_worker_member *me = &o->table->member[o->rank];
    const int *firsts = &o->table->firsts[me->worker];
    int next = ech_workers_next(o->table, o->rank);
    w->o = *o;
    w->stage = me->stage;
    w->next = next < 0 ? -1 : o->table->member[next].stage;
    w->tail = next < 0;
    for (int i = firsts[0]; i < firsts[1]; i++)
        w->stages += ech_workers_needs(o->table, o->table->list[i]);
    w->pieces_count = ECH_WORKER_PIECES * w->stages;
    w->pieces = ech_calloc((size_t)w->pieces_count, sizeof *w->pieces, err);
    pthread_mutex_init(&w->lock, NULL);
    ech_str_init(&w->bytes);
    if (w->pieces) {
        *out = w;
        return ECH_OK;
    }
    ech_worker_close(w);
    return ECH_UNAVAILABLE;
}

void ech_worker_close(struct ech_worker *w)
{
    if (!w)
        return;
    drop(&w->waiting);
    drop(&w->cut);
    drop(&w->finished);
    pthread_mutex_destroy(&w->lock);
    ech_str_fini(&w->bytes);
    ech_free(w->pieces);
    ech_free(w);
}

bool ech_worker_heads(const struct ech_worker *w)
{
    return w->stage == 0;
}

int ech_worker_stages(const struct ech_worker *w)
{
    return w->stages;
}

double ech_worker_busy(const struct ech_worker *w)
{
    return w->busy;
}

void ech_worker_begin(struct ech_worker *w)
{
    w->round++;
    w->first_seq = w->seq + 1;
    w->ended = false;
}

int ech_worker_submit(struct ech_worker *w, struct ech_batch *batch, int64_t tag, struct ech_err *err)
{
    struct whole *whole = ech_calloc(1, sizeof *whole, err);
    if (!whole) {
        ech_batch_destroy(batch);
        return ECH_UNAVAILABLE;
    }
    *whole = (struct whole){.batch = batch, .tag = tag, .rows = ech_batch_rows(batch)};
    pthread_mutex_lock(&w->lock);
    push(&w->waiting, whole);
    pthread_mutex_unlock(&w->lock);
    return ECH_OK;
}

/* --- messages --- */

static size_t tokens_bytes(int64_t rows)
{
    return ((size_t)rows * sizeof(int32_t) + 7) / 8 * 8;
}

static int send_piece(struct ech_worker *w, int to, enum kind kind, int64_t seq, const struct ech_result *r,
                      int64_t values, double seconds, struct ech_err *err)
{
    struct note note = {kind, w->round, seq, r->rows, values, seconds};
    const int32_t none = 0;
    ech_str_clear(&w->bytes);
    ech_str_add(&w->bytes, &note, sizeof note);
    for (int64_t i = 0; i < r->rows; i++) {
        int32_t tokens = (int32_t)r->row_tokens[i];
        ech_str_add(&w->bytes, &tokens, sizeof tokens);
    }
    ech_str_add(&w->bytes, &none, tokens_bytes(r->rows) - (size_t)r->rows * sizeof none);
    ech_str_add(&w->bytes, r->values, (size_t)values * sizeof *r->values);
    int code = ech_str_check(&w->bytes, err);
    return code ? code : ech_msg_send(w->o.comm, to, kind, w->bytes.data, w->bytes.length, err);
}

static struct piece *find(struct ech_worker *w, int64_t seq)
{
    for (int i = 0; i < w->pieces_count; i++)
        if (w->pieces[i].seq == seq)
            return &w->pieces[i];
    return NULL;
}

/* --- the head --- */

/* Vectors of a piece: into its batch, which may be finished with them. */
static void came_back(struct ech_worker *w, struct piece *p, const float *values, double seconds)
{
    struct whole *whole = p->whole;
    ech_stage_gather(whole->batch, p->first, p->rows, values);
    whole->done += p->rows;
    whole->seconds += seconds * w->o.threads;
    p->seq = 0;
    w->under_way--;
    if (whole->done == whole->rows) {
        take_out(&w->cut, whole);
        push(&w->finished, whole);
    }
}

/* The next piece of what waits; false: nothing waits. */
static bool next_piece(struct ech_worker *w, struct piece *p)
{
    pthread_mutex_lock(&w->lock);
    struct whole *whole = w->waiting.head;
    if (whole) {
        int64_t rows = whole->rows ? ech_stage_cut(w->o.engine, whole->batch, whole->next) : 0;
        *p = (struct piece){.seq = ++w->seq, .first = whole->next, .rows = rows, .whole = whole};
        whole->next += rows;
        if (whole->next == whole->rows)
            push(whole->rows ? &w->cut : &w->finished, pop(&w->waiting));
    }
    pthread_mutex_unlock(&w->lock);
    return whole != NULL;
}

static int feed(struct ech_worker *w, struct ech_err *err)
{
    int code = ECH_OK;
    while (!code && w->under_way < w->pieces_count) {
        struct piece *p = find(w, 0);
        struct ech_batch *batch;
        if (!next_piece(w, p))
            break;
        if (p->rows == 0) { /* a batch without rows is finished as it is */
            p->seq = 0;
            continue;
        }
        w->under_way++;
        code = ech_stage_slice(w->o.engine, p->whole->batch, p->first, p->first + p->rows, &batch, err);
        if (!code)
            code = ech_engine_submit(w->o.engine, batch, p->seq, err);
    }
    return code;
}

struct ech_result *ech_worker_poll(struct ech_worker *w)
{
    struct whole *whole = pop(&w->finished);
    struct ech_result *result = NULL;
    if (whole)
        result = ech_stage_finish(whole->batch, whole->tag, whole->seconds);
    ech_free(whole);
    return result;
}

/* --- every stage --- */

static int malformed(const struct note *note, size_t bytes, struct ech_err *err)
{
    return ech_fail(err, ECH_BUG,
                    "a message of %zu bytes between stages cannot be: kind %" PRId64 ", %" PRId64
                    " rows, %" PRId64 " values",
                    bytes, note->kind, note->rows, note->values);
}

static int take_states(struct ech_worker *w, const struct note *note, const int32_t *tokens,
                       const float *values, struct ech_err *err)
{
    struct ech_batch *batch;
    struct piece *p = find(w, 0);
    if (!p)
        return ech_fail(err, ECH_BUG, "more than %d pieces at one stage", w->pieces_count);
    int64_t all = 0;
    for (int64_t i = 0; i < note->rows; i++)
        all += tokens[i];
    if (all * ech_engine_dim(w->o.engine) != note->values)
        return malformed(note, 0, err);
    int code = ech_stage_receive(w->o.engine, tokens, note->rows, values, &batch, err);
    if (code)
        return code;
    *p = (struct piece){.seq = note->seq, .rows = note->rows, .seconds = note->seconds};
    return ech_engine_submit(w->o.engine, batch, note->seq, err);
}

static int take_message(struct ech_worker *w, const void *data, size_t bytes, struct ech_err *err)
{
    struct note note = {0};
    if (bytes < sizeof note)
        return malformed(&note, bytes, err);
    memcpy(&note, data, sizeof note);
    if (note.rows < 0 || note.values < 0 || (size_t)note.rows > bytes || (size_t)note.values > bytes ||
        bytes != sizeof note + tokens_bytes(note.rows) + (size_t)note.values * sizeof(float))
        return malformed(&note, bytes, err);
    if (note.round != w->round || w->broken) /* from before a stop */
        return ECH_OK;
    const char *at = (const char *)data + sizeof note;
    const float *values = (const float *)(const void *)(at + tokens_bytes(note.rows));
    if (note.kind == STATES && w->stage > 0)
        return take_states(w, &note, (const int32_t *)(const void *)at, values, err);
    if (note.kind == VECTORS && w->stage == 0) {
        struct piece *p = note.seq >= w->first_seq ? find(w, note.seq) : NULL;
        if (p) /* else it was cancelled */
            came_back(w, p, values, note.seconds);
        return ECH_OK;
    }
    if (note.kind != END)
        return malformed(&note, bytes, err);
    w->ended = true;
    return ECH_OK;
}

static int hear(struct ech_worker *w, struct ech_err *err)
{
    int from, tag, code = ECH_OK;
    void *data;
    size_t bytes;
    while (!code && ech_msg_poll(w->o.comm, &from, &tag, &data, &bytes)) {
        code = take_message(w, data, bytes, err);
        ech_free(data);
    }
    return code;
}

/* A piece that this stage has computed goes on, or back. */
static int pass_on(struct ech_worker *w, const struct ech_result *r, struct ech_err *err)
{
    double seconds = r->seconds / w->o.threads;
    struct piece *p = find(w, r->tag);
    w->busy += seconds;
    if (!p || w->broken) /* cancelled */
        return ECH_OK;
    seconds = seconds > p->seconds ? seconds : p->seconds;
    if (w->tail && w->stage == 0) {
        came_back(w, p, r->values, seconds);
        return ECH_OK;
    }
    if (w->stage > 0)
        p->seq = 0;
    int64_t vectors = w->tail && ech_engine_pools(w->o.engine) ? r->rows : r->tokens;
    return send_piece(w, w->tail ? 0 : w->next, w->tail ? VECTORS : STATES, r->tag, r, vectors * r->dim,
                      seconds, err);
}

int ech_worker_turn(struct ech_worker *w, struct ech_err *err)
{
    struct ech_err failed = ECH_ERR_NONE;
    struct ech_result *r;
    int code = hear(w, err);
    while (!code && (r = ech_engine_poll(w->o.engine, &failed)) != NULL) {
        code = pass_on(w, r, err);
        ech_result_destroy(r);
    }
    if (!code && failed.code) {
        code = failed.code;
        if (err && !err->code)
            *err = failed;
    }
    return code || w->stage > 0 || w->broken ? code : feed(w, err);
}

void ech_worker_step(struct ech_worker *w, double seconds)
{
    ech_engine_step(w->o.engine, seconds);
}

void ech_worker_cancel(struct ech_worker *w)
{
    pthread_mutex_lock(&w->lock);
    drop(&w->waiting);
    pthread_mutex_unlock(&w->lock);
    drop(&w->cut);
    memset(w->pieces, 0, (size_t)w->pieces_count * sizeof *w->pieces);
    w->under_way = 0;
    ech_engine_cancel(w->o.engine);
}

int ech_worker_end(struct ech_worker *w, struct ech_err *err)
{
    const struct note note = {.kind = END, .round = w->round};
    int code = ECH_OK;
    for (int s = 1; !code && w->stage == 0 && s < ech_comm_size(w->o.comm); s++)
        code = ech_msg_send(w->o.comm, s, END, &note, sizeof note, err);
    return code;
}

bool ech_worker_serves(const struct ech_worker *w)
{
    return w->stage > 0 && !w->ended && !w->broken;
}

void ech_worker_break(struct ech_worker *w)
{
    w->broken = true;
    ech_worker_cancel(w);
}

bool ech_worker_whole(const struct ech_workers *t, int worker, const struct ech_pool *pool)
{
    for (int i = t->firsts[worker]; i < t->firsts[worker + 1]; i++)
        if (ech_workers_needs(t, t->list[i]) && !ech_pool_alive(pool, t->list[i]))
            return false;
    return true;
}

bool ech_worker_claims(const struct ech_workers *t, int rank, const struct ech_pool *pool)
{
    return !t || (t->member[rank].stage == 0 && ech_worker_whole(t, t->member[rank].worker, pool));
}

bool ech_workers_any_whole(const struct ech_workers *t, const struct ech_pool *pool)
{
    for (int i = 0; i < t->count; i++)
        if (ech_worker_whole(t, i, pool))
            return true;
    return false;
}
