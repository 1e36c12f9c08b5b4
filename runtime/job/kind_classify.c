/* Kind classify: the labels that a model's head gives to texts, to pairs of texts, or to each token of a
 * text. Scores are made of logits in plain C, alike on every backend. */
#include "job/encoder.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/kinds/classify.h"
#include "model/heads.h"
#include "text/tokenizer.h"

#include <string.h>

enum { LABEL, SCORE, SCORES };
enum { TOKENS, SPANS };

struct ech_stream {
    struct ech_engine *engine;
    const struct ech_ops *ops; /* of the scores */
    const struct ech_labels *labels;
    enum ech_class_act act;
    struct ech_encoder *decoding; /* main's */
    const char *model, *copy;     /* the job's folder, and where it is read from; NULL: there */
    int threads;
    bool paired;
    size_t layers_bytes;
};

static int load(const struct ech_stream_env *env, const struct ech_classify_options *o, struct ech_stream *s,
                struct ech_err *err)
{
    struct ech_engine_options engine = ech_encoder_options(env);
    engine.classes = true;
    engine.max_tokens = o->max_tokens;
    engine.on_long_error = o->on_long == 1;
    engine.prefix = o->prefix;
    int code = ech_engine_load(&engine, &s->engine, err);
    if (!code)
        code = ech_encoder_layers_bytes(s->engine, &s->layers_bytes, err);
    return code ? code : ech_encoder_create(&s->decoding, err);
}

static int choose_scores(struct ech_stream *s, const struct ech_classify_options *o, struct ech_err *err)
{
    static const enum ech_class_act acts[] = {[ECH_SCORES_SOFTMAX] = ECH_CLASS_SOFTMAX,
                                              [ECH_SCORES_SIGMOID] = ECH_CLASS_SIGMOID,
                                              [ECH_SCORES_NONE] = ECH_CLASS_NONE};
    s->labels = ech_engine_labels(s->engine);
    s->act = o->scores == ECH_SCORES_MODEL ? s->labels->act : acts[o->scores];
    s->ops = ech_ops_find("ref_exact", NULL);
    if (s->paired && s->labels->tokens)
        return ech_fail(err, ECH_CONFIG, "options.pair: the model %s labels tokens of single texts",
                        s->model);
    return ECH_OK;
}

static void classify_close(struct ech_stream *s)
{
    ech_engine_close(s->engine);
    ech_encoder_destroy(s->decoding);
    ech_free(s);
}

static int classify_open(const struct ech_stream_env *env, struct ech_stream **out, struct ech_err *err)
{
    const struct ech_classify_options *o = env->job->options;
    const struct ech_column *input = ech_source_column(env->source);
    if (input->type == ECH_TENSOR)
        return ech_fail(err, ECH_CONFIG, "input.column: %s is a tensor, text is expected", input->name);
    struct ech_stream *s = ech_calloc(1, sizeof *s, err);
    if (!s)
        return ECH_UNAVAILABLE;
    s->threads = env->threads;
    s->model = env->job->model;
    s->copy = env->model;
    s->paired = ech_source_paired(env->source);
    int code = load(env, o, s, err);
    if (!code)
        code = choose_scores(s, o, err);
    if (code)
        classify_close(s);
    else
        *out = s;
    return code;
}

static int classify_columns(const struct ech_stream *s, struct ech_column *out)
{
    int n = 0;
    if (s->labels->tokens) {
        out[n++] = (struct ech_column){"tokens", ECH_JSON, ECH_U8, 0};
        out[n++] = (struct ech_column){"spans", ECH_JSON, ECH_U8, 0};
    } else {
        out[n++] = (struct ech_column){"label", ECH_TEXT, ECH_U8, 0};
        out[n++] = (struct ech_column){"score", ECH_TENSOR, ECH_F32, 1};
        out[n++] = (struct ech_column){"scores", ECH_TENSOR, ECH_F32, s->labels->count};
    }
    out[n++] = (struct ech_column){"errors", ECH_TEXT, ECH_U8, 0};
    return n;
}

static const char *classify_numerics(const struct ech_stream *s)
{
    return ech_engine_numerics(s->engine);
}

static const char *classify_backend(const struct ech_stream *s)
{
    return ech_engine_backend(s->engine);
}

static const char *classify_precision(const struct ech_stream *s)
{
    return ech_engine_precision(s->engine);
}

static int classify_identify(const struct ech_stream *s, struct ech_comm *comm, struct ech_identity *identity,
                             struct ech_err *err)
{
    return ech_encoder_identify(s->engine, s->model, s->copy, comm, identity, err);
}

static size_t classify_shared_bytes(const struct ech_stream *s)
{
    return ech_engine_packed_bytes(s->engine);
}

static size_t classify_workspace_bytes(const struct ech_stream *s)
{
    return ech_engine_workspace_bytes(s->engine);
}

static int classify_pack(struct ech_stream *s, void *base, int64_t part, int64_t parts, struct ech_err *err)
{
    return ech_engine_pack(s->engine, base, part, parts, err);
}

static int classify_start(struct ech_stream *s, struct ech_err *err)
{
    return ech_engine_start(s->engine, err);
}

static int classify_probe(struct ech_stream *s, double tokens_a_row, double seconds, struct ech_probe *out,
                          struct ech_err *err)
{
    struct ech_probe found = {0};
    int code = ech_encoder_probe(s->engine, s->threads, tokens_a_row, 0.75 * seconds, &found.tokens_s, err);
    if (!code)
        code = ech_encoder_probe_few(s->engine, s->threads, s->layers_bytes, 0.25 * seconds, &found, err);
    if (!code)
        *out = found;
    return code;
}

static void classify_shape(const struct ech_stream *s, char *out, size_t bytes)
{
    ech_encoder_shape(s->engine, out, bytes);
}

/* --- rows in --- */

/* Cells as the source joins them (job/source.h), taken apart again. */
static int prepare_pairs(const struct ech_stream *s, const struct ech_cells *rows, struct ech_batch **out,
                         struct ech_err *err)
{
    struct ech_cells texts = {0};
    int code = ech_cells_reset(&texts, err);
    for (int64_t i = 0; !code && i < rows->rows; i++) {
        const unsigned char *cell = rows->bytes + rows->offsets[i];
        size_t bytes = (size_t)(rows->offsets[i + 1] - rows->offsets[i]) - 8, first = 0;
        for (int b = 8; b-- > 0;)
            first = first << 8 | cell[b];
        code = ech_cells_add(&texts, cell + 8, first, err);
        if (!code)
            code = ech_cells_add(&texts, cell + 8 + first, bytes - first, err);
    }
    if (!code)
        code = ech_engine_prepare_pairs(s->engine, texts.bytes, texts.offsets, rows->rows, out, err);
    ech_cells_fini(&texts);
    return code;
}

static int prepare(const struct ech_stream *s, const struct ech_cells *rows, struct ech_batch **out,
                   struct ech_err *err)
{
    return s->paired ? prepare_pairs(s, rows, out, err)
                     : ech_engine_prepare(s->engine, rows->bytes, rows->offsets, rows->rows, out, err);
}

static int classify_count_tokens(const struct ech_stream *s, const struct ech_cells *rows, int64_t *tokens,
                                 struct ech_err *err)
{
    struct ech_batch *batch;
    int code = prepare(s, rows, &batch, err);
    if (code)
        return code;
    *tokens = ech_batch_tokens(batch);
    ech_batch_destroy(batch);
    return ECH_OK;
}

static int classify_submit(struct ech_stream *s, int64_t first, const struct ech_cells *rows,
                           struct ech_err *err)
{
    struct ech_batch *batch;
    int code = prepare(s, rows, &batch, err);
    return code ? code : ech_engine_submit(s->engine, batch, first, err);
}

static void classify_step(struct ech_stream *s, double seconds)
{
    ech_engine_step(s->engine, seconds);
}

static void classify_cancel(struct ech_stream *s)
{
    ech_engine_cancel(s->engine);
}

/* --- labels out --- */

/* Logits become scores in place; the best label of each row. */
static int64_t best_of(const float *x, int64_t count)
{
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

static int make_scores(const struct ech_stream *s, float *x, int64_t rows, struct ech_err *err)
{
    int64_t n = s->labels->count;
    int status = ECH_OP_OK;
    if (s->act == ECH_CLASS_SOFTMAX)
        status = s->ops->softmax(NULL, x, rows, n, n);
    else if (s->act == ECH_CLASS_SIGMOID)
        status = s->ops->activate(NULL, ECH_ACT_SIGMOID, x, rows * n);
    return status == ECH_OP_OK ? ECH_OK : ech_fail(err, ECH_BUG, "scores of %lld rows", (long long)rows);
}

static int label_row(const struct ech_stream *s, float *x, bool good, struct ech_block *block,
                     struct ech_err *err)
{
    const struct ech_labels *l = s->labels;
    int64_t best = best_of(x, l->count);
    int code = good ? make_scores(s, x, 1, err) : ECH_OK;
    const char *label = good ? l->names[best] : "";
    if (!code)
        code = ech_cells_add(&block->columns[LABEL], label, strlen(label), err);
    if (!code)
        code = ech_cells_add(&block->columns[SCORE], x + best, sizeof *x, err);
    return code ? code : ech_cells_add(&block->columns[SCORES], x, (size_t)l->count * sizeof *x, err);
}

/* Labelled tokens of one row, without its special tokens. */
struct labelled {
    const int32_t *ids;
    const float *scores; /* (count, labels) */
    int64_t count;
};

static void put_score(struct ech_str *out, const char *key, double score)
{
    ech_json_key(out, key);
    ech_str_addf(out, "%.6f}", score);
}

/* [{"token": ..., "label": ..., "score": ...}, ...] */
static void put_tokens(const struct ech_stream *s, const struct labelled *row, struct ech_str *out)
{
    const struct ech_tokenizer *t = ech_engine_tokenizer(s->engine);
    ech_str_addc(out, '[');
    for (int64_t i = 0; i < row->count; i++) {
        const float *x = row->scores + i * s->labels->count;
        int64_t best = best_of(x, s->labels->count);
        size_t bytes = 0;
        const char *token = ech_tokenizer_token(t, row->ids[i], &bytes);
        if (i)
            ech_str_addc(out, ',');
        ech_str_adds(out, "{\"token\":");
        ech_json_put_str(out, token ? token : "", bytes);
        ech_json_add_str(out, "label", s->labels->names[best]);
        put_score(out, "score", (double)x[best]);
    }
    ech_str_addc(out, ']');
}

/* "B-PER" begins a span PER, "I-PER" goes on with one, as a label without either does. */
static const char *tag_of(const char *label, bool *begins)
{
    bool marked = (label[0] == 'B' || label[0] == 'I') && label[1] == '-';
    *begins = marked && label[0] == 'B';
    return marked ? label + 2 : label;
}

static int put_span(const struct ech_stream *s, const struct labelled *row, int64_t first, int64_t count,
                    const char *tag, struct ech_str *out, struct ech_err *err)
{
    struct ech_decoded text;
    double sum = 0;
    int code = ech_tokenizer_decode(ech_engine_tokenizer(s->engine), s->decoding, row->ids + first, count,
                                    false, &text, err);
    if (code)
        return code;
    for (int64_t i = first; i < first + count; i++) {
        const float *x = row->scores + i * s->labels->count;
        sum += (double)x[best_of(x, s->labels->count)];
    }
    if (out->length > 1)
        ech_str_addc(out, ',');
    ech_str_adds(out, "{\"label\":");
    ech_json_put_str(out, tag, strlen(tag));
    ech_json_add_int(out, "first", first);
    ech_json_add_int(out, "count", count);
    ech_json_key(out, "text");
    ech_json_put_str(out, text.text, text.bytes);
    put_score(out, "score", sum / (double)count);
    return ECH_OK;
}

/* Neighbouring tokens of one tag are a span, its score the mean of theirs; "O" is none. */
static int put_spans(const struct ech_stream *s, const struct labelled *row, struct ech_str *out,
                     struct ech_err *err)
{
    int code = ECH_OK;
    ech_str_addc(out, '[');
    for (int64_t i = 0, next; !code && i < row->count; i = next) {
        bool begins;
        const float *x = row->scores;
        int64_t n = s->labels->count;
        const char *tag = tag_of(s->labels->names[best_of(x + i * n, n)], &begins), *other;
        for (next = i + 1; next < row->count; next++) {
            other = tag_of(s->labels->names[best_of(x + next * n, n)], &begins);
            if (begins || strcmp(tag, other) != 0)
                break;
        }
        if (strcmp(tag, "O") != 0)
            code = put_span(s, row, i, next - i, tag, out, err);
    }
    ech_str_addc(out, ']');
    return code;
}

/* Special tokens move out of the way. */
static int64_t drop_special(const struct ech_stream *s, int32_t *ids, float *x, int64_t count)
{
    const struct ech_tokenizer *t = ech_engine_tokenizer(s->engine);
    int64_t n = s->labels->count, kept = 0;
    for (int64_t i = 0; i < count; i++) {
        if (ech_tokenizer_is_special(t, ids[i]))
            continue;
        ids[kept] = ids[i];
        memmove(x + kept++ * n, x + i * n, (size_t)n * sizeof *x);
    }
    return kept;
}

static int label_tokens(const struct ech_stream *s, int32_t *ids, float *x, int64_t count,
                        struct ech_block *block, struct ech_err *err)
{
    struct ech_str tokens, spans;
    ech_str_init(&tokens);
    ech_str_init(&spans);
    struct labelled row = {.ids = ids, .scores = x, .count = drop_special(s, ids, x, count)};
    int code = row.count ? make_scores(s, x, row.count, err) : ECH_OK;
    put_tokens(s, &row, &tokens);
    if (!code)
        code = put_spans(s, &row, &spans, err);
    if (!code)
        code = ech_str_check(&tokens, err);
    if (!code)
        code = ech_str_check(&spans, err);
    if (!code)
        code = ech_cells_add(&block->columns[TOKENS], tokens.data, tokens.length, err);
    if (!code)
        code = ech_cells_add(&block->columns[SPANS], spans.data, spans.length, err);
    ech_str_fini(&tokens);
    ech_str_fini(&spans);
    return code;
}

static int to_block(const struct ech_stream *s, const struct ech_result *r, struct ech_block **out,
                    struct ech_err *err)
{
    struct ech_column columns[8];
    struct ech_block *block;
    int n = classify_columns(s, columns), code = ech_block_create(n, &block, err);
    if (code)
        return code;
    block->first = r->tag;
    block->rows = r->rows;
    block->tokens = r->tokens;
    for (int64_t i = 0, at = 0; !code && i < r->rows; at += r->row_tokens[i++]) {
        const char *why = r->errors ? r->errors[i] : NULL;
        block->errors += why != NULL;
        code = s->labels->tokens
                   ? label_tokens(s, r->ids + at, r->values + at * r->dim, r->row_tokens[i], block, err)
                   : label_row(s, r->values + i * r->dim, !why, block, err);
        if (!code)
            code = ech_cells_add(&block->columns[n - 1], why ? why : "", why ? strlen(why) : 0, err);
    }
    if (code)
        ech_block_destroy(block);
    else
        *out = block;
    return code;
}

static int classify_poll(struct ech_stream *s, struct ech_finished *out, struct ech_err *err)
{
    struct ech_err failed = ECH_ERR_NONE;
    struct ech_result *result = ech_engine_poll(s->engine, &failed);
    out->block = NULL;
    out->seconds = result ? result->seconds : 0;
    int code = failed.code;
    if (code && err)
        *err = failed;
    if (!code && result)
        code = to_block(s, result, &out->block, err);
    ech_result_destroy(result);
    return code;
}

const struct ech_kind_ops ech_kind_classify = {
    .name = "classify",
    .open = classify_open,
    .close = classify_close,
    .columns = classify_columns,
    .numerics = classify_numerics,
    .backend = classify_backend,
    .precision = classify_precision,
    .identify = classify_identify,
    .shared_bytes = classify_shared_bytes,
    .workspace_bytes = classify_workspace_bytes,
    .pack = classify_pack,
    .start = classify_start,
    .count_tokens = classify_count_tokens,
    .probe = classify_probe,
    .shape = classify_shape,
    .submit = classify_submit,
    .step = classify_step,
    .poll = classify_poll,
    .cancel = classify_cancel,
};
