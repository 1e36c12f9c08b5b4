/* Kind retrieve: for each query (a text, or a vector) the top k rows of a vector dataset, with columns
 * joined. */
#include "job/check.h"
#include "job/encoder.h"
#include "job/search.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/kinds/retrieve.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { JOINS_MOST = 8, COLUMNS_FIXED = 3 }; /* rows, scores, errors */

/* A batch of queries between the engine and the search: what was wrong with which. */
struct pending {
    struct pending *next;
    int64_t tag, rows, tokens, errors;
    double seconds;
    char **why;
};

struct ech_stream {
    const struct ech_job *job;
    const struct ech_retrieve_options *options;
    const char *copy;          /* of the model; NULL: it is read where it lies */
    struct ech_engine *engine; /* NULL: the queries are vectors */
    struct ech_dataset *index;
    struct ech_search *search;
    const struct ech_ops *ops;
    int threads, column, join[JOINS_MOST], joins;
    int64_t dim;
    struct pending *pending;
    char numerics[64];
};

static int find_joins(struct ech_stream *s, struct ech_err *err)
{
    const struct ech_list *names = &s->options->join;
    if (names->count > JOINS_MOST)
        return ech_fail(err, ECH_CONFIG, "options.join: %d columns, at most %d can be joined", names->count,
                        JOINS_MOST);
    for (int i = 0; i < names->count; i++) {
        int code = ech_dataset_find(s->index, names->items[i], &s->join[i], err);
        if (code)
            return ech_prefix(err, "options.join");
        const struct ech_column *c = ech_dataset_column(s->index, s->join[i]);
        if (c->type == ECH_TENSOR)
            return ech_fail(err, ECH_CONFIG,
                            "options.join: column %s of %s is a tensor; text, json and ints can be joined",
                            c->name, ech_dataset_path(s->index));
    }
    s->joins = names->count;
    return ECH_OK;
}

static int open_index(struct ech_stream *s, const char *kept, struct ech_err *err)
{
    int code = ech_dataset_open_frozen(s->options->index, kept, &s->index, err);
    if (code)
        return ech_prefix(err, "options.index");
    code = ech_dataset_find(s->index, s->options->column, &s->column, err);
    if (code)
        return ech_prefix(err, "options.column");
    const struct ech_column *c = ech_dataset_column(s->index, s->column);
    if (c->type != ECH_TENSOR || c->dtype != ECH_F32)
        return ech_fail(err, ECH_CONFIG,
                        "options.column: column %s of %s is %s %s, a tensor of f32 is expected", c->name,
                        ech_dataset_path(s->index), ech_ctype_name(c->type), ech_dtype_name(c->dtype));
    s->dim = c->dim;
    return find_joins(s, err);
}

/* The engine where the queries are texts; either way queries and index have the same width. */
static int open_encoder(struct ech_stream *s, const struct ech_stream_env *env, struct ech_err *err)
{
    const struct ech_column *q = ech_source_column(env->source);
    int64_t dim = q->dim;
    if (q->type != ECH_TENSOR) {
        if (!s->job->model)
            return ech_fail(err, ECH_CONFIG,
                            "model: the queries are texts, so the model that made %s is needed",
                            s->options->index);
        int code = ech_encoder_load(env, &s->options->encode, &s->engine, err);
        if (code)
            return code;
        dim = ech_engine_dim(s->engine);
    }
    if (dim != s->dim)
        return ech_fail(err, ECH_CONFIG,
                        "the queries have %" PRId64 " numbers, column %s of %s has %" PRId64
                        ": was it made by another model?",
                        dim, s->options->column, s->options->index, s->dim);
    return ECH_OK;
}

static void retrieve_close(struct ech_stream *s);

/* Scores are computed in f32 by the processor, whatever the queries were encoded by. */
static int choose_search(struct ech_stream *s, struct ech_err *err)
{
    char why[256] = "";
    const char *name = ech_backend_name(s->job);
    s->ops = ech_ops_find(strcmp(name, "cuda") == 0 ? "auto" : name, why);
    if (!s->ops)
        return ech_fail(err, ECH_UNAVAILABLE, "resources.backend: %s", why);
    const char *search = s->ops->numerics[ECH_FMT_F32];
    const char *queries = s->engine ? ech_engine_numerics(s->engine) : search;
    bool same = strcmp(search, queries) == 0;
    snprintf(s->numerics, sizeof s->numerics, "%s%s%s", search, same ? "" : "+", same ? "" : queries);
    return ECH_OK;
}

static int retrieve_open(const struct ech_stream_env *env, struct ech_stream **out, struct ech_err *err)
{
    struct ech_stream *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->job = env->job;
    s->copy = env->model;
    s->options = env->job->options;
    s->threads = env->threads;
    int code = open_index(s, env->index, err);
    if (!code)
        code = open_encoder(s, env, err);
    if (!code)
        code = choose_search(s, err);
    if (code)
        retrieve_close(s);
    else
        *out = s;
    return code;
}

static void pending_free(struct pending *p)
{
    for (int64_t i = 0; p && p->why && i < p->rows; i++)
        ech_free(p->why[i]);
    if (p)
        ech_free(p->why);
    ech_free(p);
}

static void retrieve_close(struct ech_stream *s)
{
    ech_search_close(s->search);
    if (s->engine)
        ech_engine_close(s->engine);
    if (s->index)
        ech_dataset_close(s->index);
    while (s->pending) {
        struct pending *p = s->pending;
        s->pending = p->next;
        pending_free(p);
    }
    ech_free(s);
}

static int retrieve_columns(const struct ech_stream *s, struct ech_column *out)
{
    int n = 0;
    out[n++] = (struct ech_column){"rows", ECH_INTS, ECH_I64, s->options->top_k};
    out[n++] = (struct ech_column){"scores", ECH_TENSOR, ECH_F32, s->options->top_k};
    for (int i = 0; i < s->joins; i++, n++) {
        out[n] = (struct ech_column){.type = ECH_JSON, .dtype = ECH_U8};
        snprintf(out[n].name, sizeof out[n].name, "hits.%.57s", s->options->join.items[i]);
    }
    out[n++] = (struct ech_column){"errors", ECH_TEXT, ECH_U8, 0};
    return n;
}

static const char *retrieve_numerics(const struct ech_stream *s)
{
    return s->numerics;
}

static const char *retrieve_precision(const struct ech_stream *s)
{
    return s->engine ? ech_engine_precision(s->engine) : ech_ops_format_name(ECH_FMT_F32);
}

static const char *retrieve_backend(const struct ech_stream *s)
{
    return s->ops->name;
}

static int retrieve_identify(const struct ech_stream *s, struct ech_comm *comm, struct ech_identity *identity,
                             struct ech_err *err)
{
    char hex[ECH_HASH_HEX];
    ech_identity_add(identity, "index", ech_hash_print(ech_dataset_identity(s->index), hex), err);
    int code = ech_agree(comm, err);
    if (!code && s->job->input.verify)
        code = ech_check_dataset(comm, s->index, "options.index", err);
    if (!code && s->engine) /* equal on all ranks: either all have an engine or none */
        code = ech_encoder_identify(s->engine, s->job->model, s->copy, comm, identity, err);
    return code;
}

static size_t retrieve_shared_bytes(const struct ech_stream *s)
{
    return s->engine ? ech_engine_packed_bytes(s->engine) : 0;
}

static size_t retrieve_workspace_bytes(const struct ech_stream *s)
{
    return s->engine ? ech_engine_workspace_bytes(s->engine) : 0;
}

static int retrieve_pack(struct ech_stream *s, void *base, int64_t part, int64_t parts, struct ech_err *err)
{
    return s->engine ? ech_engine_pack(s->engine, base, part, parts, err) : ECH_OK;
}

static int complete(void *context, struct ech_hits *hits, struct ech_err *err);

static int retrieve_start(struct ech_stream *s, struct ech_err *err)
{
    struct ech_search_options options = {.index = s->index,
                                         .column = s->column,
                                         .ops = s->ops,
                                         .threads = s->threads,
                                         .top_k = s->options->top_k,
                                         .cosine = s->options->metric == 0,
                                         .complete = complete,
                                         .context = s};
    int code = s->engine ? ech_engine_start(s->engine, err) : ECH_OK;
    return code ? code : ech_search_open(&options, &s->search, err);
}

/* What a query costs is the scan, not its length: one token each where there is no engine. */
static int retrieve_count_tokens(const struct ech_stream *s, const struct ech_cells *rows, int64_t *tokens,
                                 struct ech_err *err)
{
    *tokens = rows->rows;
    return s->engine ? ech_encoder_count_tokens(s->engine, rows, tokens, err) : ECH_OK;
}

static int retrieve_probe(struct ech_stream *s, double tokens_a_row, double seconds, struct ech_probe *out,
                          struct ech_err *err)
{
    (void)s, (void)tokens_a_row, (void)seconds, (void)err;
    /* learnt while it runs: the scan of a large index is too long for a probe */
    *out = (struct ech_probe){0};
    return ECH_OK;
}

/* Texts go to the engine first, vectors straight to the search (then there is no `pending`). */
static int retrieve_submit(struct ech_stream *s, int64_t first, const struct ech_cells *rows,
                           struct ech_err *err)
{
    if (s->engine)
        return ech_encoder_submit(s->engine, first, rows, err);
    struct ech_search_batch batch = {
        .tag = first, .count = rows->rows, .queries = (const float *)(const void *)rows->bytes};
    return ech_search_submit(s->search, &batch, err);
}

/* Engine results become searches. */
static int pass_on(struct ech_stream *s, struct ech_result *r, struct ech_err *err)
{
    struct pending *p = ech_calloc(1, sizeof *p, err);
    if (!p)
        return ECH_UNAVAILABLE;
    *p = (struct pending){.next = s->pending,
                          .tag = r->tag,
                          .rows = r->rows,
                          .tokens = r->tokens,
                          .seconds = r->seconds,
                          .why = r->errors};
    r->errors = NULL;
    for (int64_t i = 0; p->why && i < p->rows; i++)
        p->errors += p->why[i] != NULL;
    s->pending = p;
    struct ech_search_batch batch = {.tag = r->tag, .count = r->rows, .queries = r->values, .note = p};
    return ech_search_submit(s->search, &batch, err);
}

static void retrieve_step(struct ech_stream *s, double seconds)
{
    if (s->engine)
        ech_engine_step(s->engine, seconds / 2);
}

/* By its address: two batches of the same rows may be under way. NULL is in no list. */
static struct pending *take_pending(struct ech_stream *s, const void *note)
{
    for (struct pending **at = &s->pending; *at; at = &(*at)->next)
        if (*at == note) {
            struct pending *p = *at;
            *at = p->next;
            return p;
        }
    return NULL;
}

static void put_json(const struct ech_column *c, const struct ech_cells *cells, struct ech_str *out)
{
    if (c->type == ECH_TEXT)
        ech_json_put_str(out, (const char *)cells->bytes, cells->offsets[1]);
    else if (c->type == ECH_JSON)
        ech_str_add(out, cells->bytes, cells->offsets[1]);
    else {
        ech_str_addc(out, '[');
        for (uint64_t at = 0; at + 8 <= cells->offsets[1]; at += 8) {
            int64_t value;
            memcpy(&value, cells->bytes + at, 8);
            ech_str_addf(out, "%s%" PRId64, at ? "," : "", value);
        }
        ech_str_addc(out, ']');
    }
}

static int join_hits(struct ech_stream *s, int join, const struct ech_hit *hits, struct ech_cells *cells,
                     struct ech_str *text, struct ech_err *err)
{
    const struct ech_column *c = ech_dataset_column(s->index, s->join[join]);
    ech_str_clear(text);
    ech_str_addc(text, '[');
    for (int64_t k = 0; k < s->options->top_k && hits[k].row >= 0; k++) {
        int code = ech_dataset_read(s->index, s->join[join], hits[k].row, 1, cells, err);
        if (code)
            return code;
        if (k)
            ech_str_addc(text, ',');
        put_json(c, cells, text);
    }
    ech_str_addc(text, ']');
    return ech_str_check(text, err);
}

struct joiner {
    struct ech_cells cells;
    struct ech_str text;
    int64_t *rows;
    float *scores;
};

static int put_row(struct ech_stream *s, struct joiner *j, const struct ech_hit *hits, const char *why,
                   struct ech_block *block, struct ech_err *err)
{
    int64_t k = s->options->top_k;
    struct ech_hit none = {-1, NAN};
    for (int64_t i = 0; i < k; i++) {
        j->rows[i] = why ? none.row : hits[i].row;
        j->scores[i] = why ? none.score : hits[i].score;
    }
    int code = ech_cells_add(&block->columns[0], j->rows, (size_t)k * sizeof *j->rows, err);
    if (!code)
        code = ech_cells_add(&block->columns[1], j->scores, (size_t)k * sizeof *j->scores, err);
    for (int i = 0; !code && i < s->joins; i++) {
        code = join_hits(s, i, why ? &none : hits, &j->cells, &j->text, err);
        if (!code)
            code = ech_cells_add(&block->columns[2 + i], j->text.data, j->text.length, err);
    }
    if (!code)
        code = ech_cells_add(&block->columns[2 + s->joins], why ? why : "", why ? strlen(why) : 0, err);
    return code;
}

/* On a worker of the search: joined columns are read from the index. */
static int complete(void *context, struct ech_hits *h, struct ech_err *err)
{
    struct ech_stream *s = context;
    const struct pending *p = h->note;
    struct ech_block *block = NULL;
    struct joiner j = {.rows = ech_calloc((size_t)s->options->top_k, sizeof *j.rows, err),
                       .scores = ech_calloc((size_t)s->options->top_k, sizeof *j.scores, err)};
    ech_str_init(&j.text);
    int code = j.rows && j.scores ? ech_block_create(COLUMNS_FIXED + s->joins, &block, err) : ECH_UNAVAILABLE;
    for (int64_t q = 0; !code && q < h->queries; q++)
        code = put_row(s, &j, h->hits + q * s->options->top_k, p && p->why ? p->why[q] : NULL, block, err);
    if (!code) {
        block->first = h->tag;
        block->rows = h->queries;
        block->tokens = p ? p->tokens : h->queries;
        block->errors = p ? p->errors : 0;
        h->block = block;
    } else
        ech_block_destroy(block);
    ech_str_fini(&j.text);
    ech_cells_fini(&j.cells);
    ech_free(j.rows);
    ech_free(j.scores);
    return code;
}

static int poll_engine(struct ech_stream *s, struct ech_err *err)
{
    for (;;) {
        struct ech_err failed = ECH_ERR_NONE;
        struct ech_result *result = ech_engine_poll(s->engine, &failed);
        if (failed.code) {
            ech_result_destroy(result);
            if (err)
                *err = failed;
            return failed.code;
        }
        if (!result)
            return ECH_OK;
        int code = pass_on(s, result, err);
        ech_result_destroy(result);
        if (code)
            return code;
    }
}

static int retrieve_poll(struct ech_stream *s, struct ech_finished *out, struct ech_err *err)
{
    out->block = NULL;
    out->seconds = 0;
    int code = s->engine ? poll_engine(s, err) : ECH_OK;
    struct ech_hits *h = code ? NULL : ech_search_poll(s->search, 0);
    if (!h)
        return code;
    struct pending *p = take_pending(s, h->note);
    code = h->err.code;
    if (code && err)
        *err = h->err;
    if (!code) {
        out->block = h->block;
        h->block = NULL;
    }
    out->seconds = h->seconds + (p ? p->seconds : 0);
    pending_free(p);
    ech_hits_destroy(h);
    return code;
}

static void retrieve_cancel(struct ech_stream *s)
{
    if (s->engine)
        ech_engine_cancel(s->engine);
    ech_search_cancel(s->search);
}

/* A submission keeps threads x rows x top_k hits while it is searched. */
static int64_t retrieve_rows_most(const struct ech_stream *s)
{
    int64_t hits = (32 << 20) / (int64_t)sizeof(struct ech_hit);
    return ech_max64(hits / (s->threads * s->options->top_k), 1);
}

const struct ech_kind_ops ech_kind_retrieve = {
    .name = "retrieve",
    .open = retrieve_open,
    .close = retrieve_close,
    .columns = retrieve_columns,
    .numerics = retrieve_numerics,
    .precision = retrieve_precision,
    .backend = retrieve_backend,
    .identify = retrieve_identify,
    .shared_bytes = retrieve_shared_bytes,
    .workspace_bytes = retrieve_workspace_bytes,
    .pack = retrieve_pack,
    .start = retrieve_start,
    .count_tokens = retrieve_count_tokens,
    .probe = retrieve_probe,
    .submit = retrieve_submit,
    .step = retrieve_step,
    .poll = retrieve_poll,
    .cancel = retrieve_cancel,
    .rows_most = retrieve_rows_most,
};
