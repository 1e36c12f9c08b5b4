/* bench dispatch: what a report costs the coordinator of a large cluster, decoding and answer included: nodes
 * report in turn, each with the batches that its ranks ended since its last report. */
#include "base/clock.h"
#include "base/mem.h"
#include "job/bench.h"
#include "job/coord.h"
#include "job/wire.h"

enum { NODES = 1000, RANKS = 64, BATCH = 16, BATCHES = 7, TURNS = 60 };

/* The node's batches in the order of their end: a rank's speed decides, so they lie between its neighbours'.
 */
struct fake {
    struct ech_rowset held;
    struct ech_spooled done[BATCHES];
};

static int end_some(struct fake *f, int turn, int *count, struct ech_err *err)
{
    int code = ECH_OK;
    for (*count = 0; !code && *count < BATCHES && f->held.count; (*count)++) {
        const struct ech_range *r = &f->held.ranges[(turn + *count) % (int)f->held.count];
        int64_t first = r->first + (turn * 37 + *count * 11) % RANKS * BATCH; /* any of those that run */
        first = first < r->end ? first : r->first;
        int64_t rows = r->end - first < BATCH ? r->end - first : BATCH;
        f->done[*count] = (struct ech_spooled){first, rows, 0, rows * 100};
        code = ech_rowset_remove(&f->held, first, first + rows, err);
    }
    return code;
}

static int report(struct ech_coord *c, struct fake *f, int node, int turn, struct ech_str *bytes,
                  double *seconds, struct ech_err *err)
{
    struct ech_reply reply;
    struct ech_report got, r = {.node = node,
                                .room = 8,
                                .unclaimed = f->held.rows / 2,
                                .least = 4 * RANKS,
                                .most = 4 * BATCH * RANKS,
                                .speed = 1e5 * (1 + node % 4),
                                .rows_s = 1e3 * (1 + node % 4),
                                .done = f->done};
    int code = end_some(f, turn, &r.done_count, err);
    ech_str_clear(bytes);
    ech_wire_put_report(&r, bytes);
    double start = ech_mono_s();
    if (!code)
        code = ech_wire_get_report(bytes->data, bytes->length, NODES, NODES * RANKS, &got, err);
    if (code)
        return code;
    code = ech_coord_report(c, turn * 0.1, &got, &reply, err);
    ech_wire_report_fini(&got);
    ech_str_clear(bytes);
    ech_wire_put_reply(&reply, bytes);
    *seconds += ech_mono_s() - start;
    for (int i = 0; !code && i < reply.grants_count; i++)
        code = ech_rowset_add(&f->held, reply.grants[i].first, reply.grants[i].end, NULL, err);
    return code;
}

static int open_coord(struct ech_coord **out, struct ech_err *err)
{
    int *node_of = ech_calloc(NODES * RANKS, sizeof *node_of, err);
    if (!node_of)
        return ECH_UNAVAILABLE;
    for (int r = 0; r < NODES * RANKS; r++)
        node_of[r] = r / RANKS;
    struct ech_coord_options o = {.nodes = NODES,
                                  .ranks = NODES * RANKS,
                                  .node_of = node_of,
                                  .rows = (int64_t)NODES * RANKS * BATCH * 1000,
                                  .node_deadline = 10};
    int code = ech_coord_create(&o, out, err);
    ech_free(node_of);
    return code;
}

int ech_bench_coord(struct ech_bench *b, struct ech_err *err)
{
    struct ech_coord *c = NULL;
    struct ech_str bytes;
    double seconds = 0;
    struct fake *fakes = ech_calloc(NODES, sizeof *fakes, err);
    int code = fakes ? open_coord(&c, err) : ECH_UNAVAILABLE;
    ech_str_init(&bytes);
    for (int turn = 0; !code && turn < TURNS; turn++)
        for (int n = 0; !code && n < NODES; n++)
            code = report(c, &fakes[n], n, turn, &bytes, &seconds, err);
    if (!code) {
        double reports = (double)NODES * TURNS;
        ech_bench_row(b, "report at the coordinator, 1000 nodes x 64 ranks", reports / seconds, "reports/s",
                      0, "");
        ech_bench_row(b, "  batches told by a report", (double)ech_coord_tokens(c) / (100 * BATCH) / reports,
                      "batches", 0, "");
        ech_bench_row(b, "  gaps in what is done", (double)ech_coord_done(c)->count, "ranges", 0, "");
    }
    for (int n = 0; fakes && n < NODES; n++)
        ech_rowset_fini(&fakes[n].held);
    ech_free(fakes);
    ech_str_fini(&bytes);
    ech_coord_destroy(c);
    return code;
}
