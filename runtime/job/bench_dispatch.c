/* bench dispatch: (a) claims alone, in the node's shared memory; (b) the dispatcher's own loop with leases of
 * one row of a kind that computes nothing: claim, spool record, grouped sync, done. */
#include "base/clock.h"
#include "base/mem.h"
#include "job/bench.h"
#include "job/dispatch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* --- a kind that answers every row with one number --- */

struct ech_stream {
    pthread_mutex_t lock;
    struct ech_block *blocks[256];
    int first, count;
};

static const struct ech_column columns[] = {{"value", ECH_INTS, ECH_I64, 1}, {"errors", ECH_TEXT, ECH_U8, 0}};

static int null_submit(struct ech_stream *s, int64_t first, const struct ech_cells *rows, struct ech_err *err)
{
    struct ech_block *block;
    int code = ech_block_create(2, &block, err);
    if (code)
        return code;
    block->first = first;
    block->rows = block->tokens = rows->rows;
    for (int64_t i = 0; !code && i < rows->rows; i++) {
        int64_t value = first + i;
        code = ech_cells_add(&block->columns[0], &value, sizeof value, err);
        if (!code)
            code = ech_cells_add(&block->columns[1], "", 0, err);
    }
    pthread_mutex_lock(&s->lock);
    s->blocks[(s->first + s->count++) % 256] = block; /* at most 48 leases are open */
    pthread_mutex_unlock(&s->lock);
    return code;
}

static int null_poll(struct ech_stream *s, struct ech_finished *out, struct ech_err *err)
{
    (void)err;
    *out = (struct ech_finished){0};
    pthread_mutex_lock(&s->lock);
    if (s->count) {
        out->block = s->blocks[s->first];
        s->first = (s->first + 1) % 256;
        s->count--;
    }
    pthread_mutex_unlock(&s->lock);
    return ECH_OK;
}

static void null_step(struct ech_stream *s, double seconds)
{
    (void)s, (void)seconds;
}

static void null_cancel(struct ech_stream *s)
{
    struct ech_finished f;
    while (null_poll(s, &f, NULL) == ECH_OK && f.block)
        ech_block_destroy(f.block);
}

static const struct ech_kind_ops null_kind = {
    .name = "null", .submit = null_submit, .poll = null_poll, .step = null_step, .cancel = null_cancel};

/* --- shared set-up --- */

struct ground {
    void *memory;
    size_t bytes;
    struct ech_pool *pool;
    int *node_of;
};

static int open_ground(struct ech_bench *b, struct ground *g, struct ech_err *err)
{
    struct ech_comm *comm = b->comm;
    int size = ech_comm_size(comm);
    g->bytes = ech_pool_bytes(ech_comm_node_size(comm), size);
    int code = ech_shm_open(comm, g->bytes, &g->memory, err);
    if ((code = ech_agree(comm, err)))
        return code;
    code = ech_pool_open(g->memory, ech_comm_node_size(comm), size, ech_comm_node_rank(comm), &g->pool, err);
    g->node_of = ech_calloc((size_t)size, sizeof *g->node_of, err);
    for (int r = 0; g->node_of && r < size; r++)
        g->node_of[r] = ech_comm_node_of(comm, r);
    return ech_agree(comm, err);
}

static void close_ground(struct ground *g)
{
    ech_pool_close(g->pool);
    if (g->memory)
        ech_shm_close(g->memory, g->bytes);
    ech_free(g->node_of);
}

enum { CLAIMS_MOST = 2000000 };

static int bench_claims(struct ech_bench *b, struct ground *g, struct ech_err *err)
{
    bool leader = ech_comm_node_rank(b->comm) == 0;
    int64_t goal = b->rows < CLAIMS_MOST / 10 ? b->rows * 10 : CLAIMS_MOST;
    struct ech_range range;
    if (leader)
        ech_pool_add(g->pool, (struct ech_range){0, goal}, -1);
    int code = ech_barrier(b->comm, err);
    double start = ech_mono_s();
    while (!code && ech_pool_claim(g->pool, 1, &range)) {
        struct ech_spooled done = {range.first, 1, 0, 1}, out;
        for (int p = 0; leader && p < ech_comm_node_size(b->comm); p++)
            while (ech_pool_take_done(g->pool, p, &out))
                ;
        while (!ech_pool_done(g->pool, &done))
            for (int p = 0; leader && p < ech_comm_node_size(b->comm); p++)
                while (ech_pool_take_done(g->pool, p, &out))
                    ;
        if (!leader && ech_pool_claims(g->pool) > 32)
            ech_sleep_us(1);
    }
    struct ech_spooled out;
    while (!code && leader && ech_pool_unclaimed(g->pool) > 0)
        for (int p = 0; p < ech_comm_node_size(b->comm); p++)
            while (ech_pool_take_done(g->pool, p, &out))
                ;
    double seconds = ech_mono_s() - start;
    if (!code)
        code = ech_barrier(b->comm, err);
    if (!code)
        ech_bench_row(b, "claim + done in shared memory, rank 0's node", (double)goal / seconds, "claims/s",
                      0, "");
    return code;
}

static int open_spool(const struct ech_bench *b, struct ech_spooler **out, struct ech_err *err)
{
    int rank = ech_comm_rank(b->comm);
    char path[4200];
    snprintf(path, sizeof path, "%s/spool-%d", b->folder, rank);
    struct ech_spooler_options options = {
        .path = path,
        .head = {.attempt = 1, .rank = rank, .numerics = "bench", .columns = columns, .columns_count = 2},
        .sync_seconds = 2,
        .full_seconds = 10,
        .sync_bytes = 64 << 20};
    return ech_spooler_open(&options, out, err);
}

static int open_coord(const struct ech_bench *b, const struct ground *g, struct ech_coord **out,
                      struct ech_err *err)
{
    struct ech_coord_options options = {.nodes = ech_comm_nodes(b->comm),
                                        .ranks = ech_comm_size(b->comm),
                                        .node_of = g->node_of,
                                        .rows = b->rows,
                                        .now = ech_mono_s(),
                                        .node_deadline = 60};
    return ech_comm_rank(b->comm) == 0 ? ech_coord_create(&options, out, err) : ECH_OK;
}

/* All ranks open, then all run, then rank by rank what was opened is closed. */
static int time_loop(struct ech_bench *b, struct ground *g, struct ech_dispatch *d, double *seconds,
                     struct ech_err *err)
{
    int code = d->source ? open_spool(b, &d->spooler, err) : ECH_UNAVAILABLE;
    if (!code)
        code = open_coord(b, g, &d->coord, err);
    ech_pool_reset(g->pool);
    if (!code)
        code = ech_dispatch_open(d, err);
    code = ech_agree(b->comm, err);
    double start = ech_mono_s();
    if (!code)
        code = ech_dispatch_run(d, err);
    *seconds = ech_mono_s() - start;
    ech_dispatch_close(d);
    ech_spooler_close(d->spooler, err);
    ech_coord_destroy(d->coord);
    return ech_agree(b->comm, err);
}

static int bench_loop(struct ech_bench *b, struct ground *g, struct ech_err *err)
{
    static volatile sig_atomic_t never;
    _Atomic double beat_at = ech_mono_s();
    struct ech_stream stream = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct ech_job job = {.max_errors = 0, .balance = {.lease_rows = 1}, .limits = {.heartbeat = 30}};
    struct ech_list texts = {ech_calloc((size_t)b->rows, sizeof *texts.items, err), (int)b->rows};
    struct ech_source *source = NULL;
    for (int64_t i = 0; texts.items && i < b->rows; i++)
        texts.items[i] = "x";
    if (texts.items)
        ech_source_open(&job, NULL, &texts, &source, err);
    struct ech_dispatch d = {.comm = b->comm,
                             .pool = g->pool,
                             .kind = &null_kind,
                             .stream = &stream,
                             .source = source,
                             .job = &job,
                             .threads = 1,
                             .tokens_a_row = 1,
                             .speed = 1,
                             .rows = b->rows,
                             .stop = &never,
                             .beat_at = &beat_at};
    double seconds;
    int code = time_loop(b, g, &d, &seconds, err);
    if (!code && ech_comm_rank(b->comm) == 0)
        ech_bench_row(b, "  its duration; syncs are grouped by 2 s, so a shorter one says little", seconds,
                      "s", 0, "");
    if (!code)
        ech_bench_row(b, "claim + spool record + grouped sync + done, all ranks", (double)b->rows / seconds,
                      "leases/s", ech_comm_nodes(b->comm) > 1 ? 20000 : 50000, "goal");
    ech_source_close(source);
    ech_free(texts.items);
    return code;
}

int ech_bench_dispatch(struct ech_bench *b, struct ech_err *err)
{
    struct ground g = {0};
    int code = open_ground(b, &g, err);
    if (!code)
        code = bench_claims(b, &g, err);
    if (!(code = ech_agree(b->comm, err)))
        code = bench_loop(b, &g, err);
    close_ground(&g);
    if (!code && ech_comm_rank(b->comm) == 0)
        code = ech_bench_coord(b, err);
    return ech_agree(b->comm, err);
}
