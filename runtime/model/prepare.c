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

static int add_text(const struct ech_engine *e, struct ech_encoder *encoder, struct rows *r, int64_t row,
                    const char *text, size_t bytes, struct ech_err *err)
{
    struct ech_encoded encoded;
    int code = ech_tokenizer_encode(e->tokenizer, encoder, text, bytes, e->max_tokens, e->on_long_error,
                                    &encoded, err);
    if (code != ECH_OK)
        return code;
    if (encoded.invalid_at >= 0)
        return add_bad(r, row,
                       ech_sprintf(err, "not valid UTF-8 at byte %lld",
                                   (long long)encoded.invalid_at - (long long)e->lead_bytes));
    if (e->on_long_error && encoded.needed > e->max_tokens)
        return add_bad(r, row,
                       ech_sprintf(err, "too long: %lld tokens, the most is %lld", (long long)encoded.needed,
                                   (long long)e->max_tokens));
    if (encoded.count == 0)
        return add_bad(r, row, ech_sprintf(err, "the text has no tokens"));
    return add_row(r, row, encoded.ids, NULL, encoded.count, err);
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

int ech_engine_prepare(const struct ech_engine *e, const unsigned char *bytes, const uint64_t *offsets,
                       int64_t rows, struct ech_batch **out, struct ech_err *err)
{
    struct rows r;
    struct ech_str buffer;
    struct ech_encoder *encoder = NULL;
    if (!e->tokenizer)
        return ech_fail(err, e->no_tokenizer.code, "%s", e->no_tokenizer.text);
    ech_str_init(&buffer);
    int code = rows_init(&r, e, rows, err);
    if (code == ECH_OK)
        code = check_offsets(offsets, rows, err);
    if (code == ECH_OK)
        code = ech_encoder_create(&encoder, err);
    for (int64_t i = 0; code == ECH_OK && i < rows; i++) {
        const char *text = (const char *)bytes + offsets[i];
        size_t length = (size_t)(offsets[i + 1] - offsets[i]);
        code = with_lead(e, &buffer, &text, &length, err);
        if (code == ECH_OK)
            code = add_text(e, encoder, &r, i, text, length, err);
    }
    ech_encoder_destroy(encoder);
    ech_str_fini(&buffer);
    if (code == ECH_OK)
        return ech_batch_create(&r.parts, out, err);
    rows_fini(&r);
    return code;
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
