/* Rows into batches: from text, or from token ids. Runs on any thread beside the lanes; what it takes from
 * the engine is read-only. */
#include "model/engine_impl.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

struct rows {
    struct ech_batch_parts parts;
    size_t ids_capacity, types_capacity;
    int64_t tokens;
    bool pairs;
    int32_t *segments; /* of one row, on their way */
    size_t segments_capacity;
};

static void rows_fini(struct rows *r)
{
    ech_free(r->parts.ids);
    ech_free(r->parts.types);
    ech_free(r->parts.starts);
    for (int64_t i = 0; r->parts.errors && i < r->parts.rows; i++)
        ech_free(r->parts.errors[i]);
    ech_free(r->parts.errors);
}

static int rows_init(struct rows *r, const struct ech_engine *e, int64_t rows, struct ech_err *err)
{
    *r = (struct rows){
        .parts = {.rows = rows, .dim = ech_engine_dim(e), .hidden_states = e->net.hidden_states}};
    if (rows < 0)
        return ech_fail(err, ECH_BUG, "a batch of %lld rows", (long long)rows);
    r->parts.starts = ech_calloc((size_t)rows + 1, sizeof *r->parts.starts, err);
    r->parts.errors = r->parts.starts ? ech_calloc((size_t)rows, sizeof *r->parts.errors, err) : NULL;
    return r->parts.errors ? ECH_OK : ECH_UNAVAILABLE;
}

/* One good row; types may be NULL. */
static int add_row(struct rows *r, int64_t row, const int32_t *ids, const int32_t *types, int64_t count,
                   struct ech_err *err)
{
    size_t need = (size_t)(r->tokens + count);
    int code = ech_grow((void **)&r->parts.ids, &r->ids_capacity, need, sizeof *ids, err);
    if (code == ECH_OK && types)
        code = ech_grow((void **)&r->parts.types, &r->types_capacity, need, sizeof *types, err);
    if (code != ECH_OK)
        return code;
    memcpy(r->parts.ids + r->tokens, ids, (size_t)count * sizeof *ids);
    if (types)
        memcpy(r->parts.types + r->tokens, types, (size_t)count * sizeof *types);
    r->tokens += count;
    r->parts.starts[row + 1] = r->tokens;
    return ECH_OK;
}

/* A bad row: no tokens, and why. */
static int add_bad(struct rows *r, int64_t row, char *why)
{
    r->parts.starts[row + 1] = r->tokens;
    r->parts.errors[row] = why;
    return why ? ECH_OK : ECH_UNAVAILABLE;
}

/* A pair's tokens with the segment of each. */
static int add_typed(const struct ech_engine *e, struct rows *r, int64_t row, const struct ech_encoded *x,
                     struct ech_err *err)
{
    int32_t most = 0;
    int code =
        ech_grow((void **)&r->segments, &r->segments_capacity, (size_t)x->count, sizeof *r->segments, err);
    for (int64_t i = 0; code == ECH_OK && i < x->count; i++) {
        r->segments[i] = x->types ? x->types[i] : 0;
        most = r->segments[i] > most ? r->segments[i] : most;
    }
    if (code == ECH_OK && most >= e->net.spec.types)
        return ech_fail(err, ECH_DATA, "the tokenizer gives a pair's tokens the type %d, the model has %lld",
                        (int)most, (long long)e->net.spec.types);
    return code == ECH_OK ? add_row(r, row, x->ids, r->segments, x->count, err) : code;
}

/* A text's or a pair's tokens, or why they cannot be used. */
static int add_encoded(const struct ech_engine *e, struct rows *r, int64_t row, const struct ech_encoded *x,
                       struct ech_err *err)
{
    if (x->invalid_at >= 0)
        return add_bad(r, row,
                       ech_sprintf(err, "not valid UTF-8 at byte %lld",
                                   (long long)x->invalid_at - (long long)e->lead_bytes));
    if (e->on_long_error && x->needed > e->max_tokens)
        return add_bad(r, row,
                       ech_sprintf(err, "too long: %lld tokens, the most is %lld", (long long)x->needed,
                                   (long long)e->max_tokens));
    if (x->count == 0)
        return add_bad(r, row, ech_sprintf(err, "the text has no tokens"));
    return r->pairs && e->net.spec.types ? add_typed(e, r, row, x, err)
                                         : add_row(r, row, x->ids, NULL, x->count, err);
}

static int add_text(const struct ech_engine *e, struct ech_encoder *encoder, struct rows *r, int64_t row,
                    const char *text, size_t bytes, struct ech_err *err)
{
    struct ech_encoded encoded;
    int code = ech_tokenizer_encode(e->tokenizer, encoder, text, bytes, e->max_tokens, e->on_long_error,
                                    &encoded, err);
    return code == ECH_OK ? add_encoded(e, r, row, &encoded, err) : code;
}

static int add_pair(const struct ech_engine *e, struct ech_encoder *encoder, struct rows *r, int64_t row,
                    const struct ech_text_pair *pair, struct ech_err *err)
{
    const struct ech_encode_options options = {.most = e->max_tokens};
    struct ech_encoded encoded;
    int code = ech_tokenizer_encode_pair(e->tokenizer, encoder, pair, &options, &encoded, err);
    return code == ECH_OK ? add_encoded(e, r, row, &encoded, err) : code;
}

/* The text with prompt and prefix before it, in a buffer that the rows share. */
static int with_lead(const struct ech_engine *e, struct ech_str *buffer, const char **text, size_t *bytes,
                     struct ech_err *err)
{
    if (e->lead_bytes == 0)
        return ECH_OK;
    ech_str_clear(buffer);
    ech_str_add(buffer, e->lead, e->lead_bytes);
    ech_str_add(buffer, *text, *bytes);
    *text = buffer->data;
    *bytes = buffer->length;
    return ech_str_check(buffer, err);
}

static int check_offsets(const uint64_t *offsets, int64_t rows, struct ech_err *err)
{
    for (int64_t i = 0; i < rows; i++)
        if (offsets[i + 1] < offsets[i])
            return ech_fail(err, ECH_DATA, "row %lld: the offsets go back from %llu to %llu", (long long)i,
                            (unsigned long long)offsets[i], (unsigned long long)offsets[i + 1]);
    return ECH_OK;
}

/* Row i of texts, or of pairs: two cells each. */
static int add_cells(const struct ech_engine *e, struct ech_encoder *encoder, struct rows *r, int64_t row,
                     const unsigned char *bytes, const uint64_t *offsets, struct ech_str *buffer,
                     struct ech_err *err)
{
    const uint64_t *at = offsets + (r->pairs ? 2 * row : row);
    const char *text = (const char *)bytes + at[0];
    size_t length = (size_t)(at[1] - at[0]);
    int code = with_lead(e, buffer, &text, &length, err);
    if (code != ECH_OK || !r->pairs)
        return code == ECH_OK ? add_text(e, encoder, r, row, text, length, err) : code;
    const struct ech_text_pair pair = {text, length, (const char *)bytes + at[1], (size_t)(at[2] - at[1])};
    return add_pair(e, encoder, r, row, &pair, err);
}

static int prepare(const struct ech_engine *e, const unsigned char *bytes, const uint64_t *offsets,
                   int64_t rows, bool pairs, struct ech_batch **out, struct ech_err *err)
{
    struct rows r;
    struct ech_str buffer;
    struct ech_encoder *encoder = NULL;
    if (!e->tokenizer)
        return ech_fail(err, e->no_tokenizer.code, "%s", e->no_tokenizer.text);
    ech_str_init(&buffer);
    int code = rows_init(&r, e, rows, err);
    r.pairs = pairs;
    if (code == ECH_OK)
        code = check_offsets(offsets, pairs ? 2 * rows : rows, err);
    if (code == ECH_OK)
        code = ech_encoder_create(&encoder, err);
    for (int64_t i = 0; code == ECH_OK && i < rows; i++)
        code = add_cells(e, encoder, &r, i, bytes, offsets, &buffer, err);
    ech_encoder_destroy(encoder);
    ech_str_fini(&buffer);
    ech_free(r.segments);
    if (code == ECH_OK)
        return ech_batch_create(&r.parts, out, err);
    rows_fini(&r);
    return code;
}

int ech_engine_prepare(const struct ech_engine *e, const unsigned char *bytes, const uint64_t *offsets,
                       int64_t rows, struct ech_batch **out, struct ech_err *err)
{
    return prepare(e, bytes, offsets, rows, false, out, err);
}

int ech_engine_prepare_pairs(const struct ech_engine *e, const unsigned char *bytes, const uint64_t *offsets,
                             int64_t rows, struct ech_batch **out, struct ech_err *err)
{
    return prepare(e, bytes, offsets, rows, true, out, err);
}

static int check_ids(const struct ech_engine *e, int64_t row, const int32_t *ids, const int32_t *types,
                     int64_t count, struct ech_err *err)
{
    const struct ech_spec *s = &e->net.spec;
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= s->vocab)
            return ech_fail(err, ECH_DATA, "row %lld: token id %d at %lld, 0 to %lld was expected",
                            (long long)row, (int)ids[i], (long long)i, (long long)s->vocab - 1);
        if (types && (types[i] < 0 || types[i] >= (s->types ? s->types : 1)))
            return ech_fail(err, ECH_DATA, "row %lld: token type %d at %lld, 0 to %lld was expected",
                            (long long)row, (int)types[i], (long long)i,
                            (long long)(s->types ? s->types : 1) - 1);
    }
    return ECH_OK;
}

static int add_ids(const struct ech_engine *e, struct rows *r, int64_t row, const int32_t *ids,
                   const int32_t *types, int64_t count, struct ech_err *err)
{
    int code = check_ids(e, row, ids, types, count, err);
    if (code != ECH_OK)
        return code;
    if (count == 0)
        return add_bad(r, row, ech_sprintf(err, "the row has no tokens"));
    if (count > e->max_tokens)
        return add_bad(r, row,
                       ech_sprintf(err, "too long: %lld tokens, the most is %lld", (long long)count,
                                   (long long)e->max_tokens));
    return add_row(r, row, ids, types, count, err);
}

int ech_engine_prepare_ids(const struct ech_engine *e, const int32_t *ids, const int32_t *types,
                           const uint64_t *offsets, int64_t rows, struct ech_batch **out, struct ech_err *err)
{
    struct rows r;
    int code = rows_init(&r, e, rows, err);
    if (code == ECH_OK)
        code = check_offsets(offsets, rows, err);
    for (int64_t i = 0; code == ECH_OK && i < rows; i++)
        code = add_ids(e, &r, i, ids + offsets[i], types ? types + offsets[i] : NULL,
                       (int64_t)(offsets[i + 1] - offsets[i]), err);
    if (code == ECH_OK)
        return ech_batch_create(&r.parts, out, err);
    rows_fini(&r);
    return code;
}
