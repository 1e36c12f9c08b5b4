/* Cutting text into words: see cut.h. */
#include "text/cut.h"

#include "base/mem.h"
#include "text/bytes.h"
#include "text/regex.h"
#include "text/unicode.h"

#include <string.h>

static void close_stage(struct ech_cut_stage *stage)
{
    ech_regex_destroy(stage->regex);
    ech_free(stage->string);
}

int ech_cutter_add(struct ech_cutter *cutter, struct ech_cut_stage stage, struct ech_err *err)
{
    int code =
        ech_grow((void **)&cutter->stages, &cutter->capacity, cutter->count + 1, sizeof *cutter->stages, err);
    if (code == ECH_OK)
        cutter->stages[cutter->count++] = stage;
    else
        close_stage(&stage);
    return code;
}

void ech_cutter_pop(struct ech_cutter *cutter)
{
    close_stage(&cutter->stages[--cutter->count]);
}

void ech_cutter_fini(struct ech_cutter *cutter)
{
    while (cutter->count)
        ech_cutter_pop(cutter);
    ech_free(cutter->stages);
    memset(cutter, 0, sizeof *cutter);
}

void ech_cut_scratch_fini(struct ech_cut_scratch *scratch)
{
    for (size_t i = 0; i < scratch->count; i++)
        ech_free(scratch->buffers[i].text);
    ech_free(scratch->buffers);
    ech_regex_scratch_destroy(scratch->regex);
    memset(scratch, 0, sizeof *scratch);
}

struct cutting {
    const struct ech_cutter *cutter;
    struct ech_cut_scratch *scratch;
    const struct ech_cut_out *out;
    struct ech_err *err;
};

static int run(struct cutting *c, size_t index, const unsigned char *text, size_t bytes, bool first);

/* Pieces of a text in their order, matches or what lies between, as the behaviour joins them. */
struct joiner {
    struct cutting *c;
    const struct ech_cut_stage *stage;
    size_t next; /* stage that takes the pieces */
    const unsigned char *text;
    bool first;
    bool pending, pending_match, last_match;
    size_t start, end;
};

static int emit(struct joiner *j, size_t start, size_t end)
{
    if (start == end)
        return ECH_OK;
    return run(j->c, j->next, j->text + start, end - start, j->first && start == 0);
}

/* Give the waiting piece away and wait with this one. */
static int replace_pending(struct joiner *j, size_t start, size_t end, bool match)
{
    int code = j->pending ? emit(j, j->start, j->end) : ECH_OK;
    j->pending = true;
    j->pending_match = match;
    j->start = start;
    j->end = end;
    return code;
}

static int item(struct joiner *j, size_t start, size_t end, bool match)
{
    bool joins = false;
    match ^= j->stage->invert;
    switch (j->stage->behavior) {
    case ECH_CUT_REMOVED:
        return match ? ECH_OK : emit(j, start, end);
    case ECH_CUT_ISOLATED:
        return emit(j, start, end);
    case ECH_CUT_PREVIOUS:
        joins = j->pending && match && !j->last_match;
        break;
    case ECH_CUT_NEXT:
        joins = j->pending && j->pending_match && !match;
        break;
    case ECH_CUT_CONTIGUOUS:
        joins = j->pending && match == j->last_match;
        break;
    }
    j->last_match = match;
    if (!joins)
        return replace_pending(j, start, end, match);
    j->end = end;
    j->pending_match = false;
    return ECH_OK;
}

static bool is_done(const struct cutting *c)
{
    return c->out->done(c->out->context);
}

/* A match, and the text before it. */
static int match_item(struct joiner *j, size_t *from, size_t start, size_t end)
{
    int code = *from < start ? item(j, *from, start, false) : ECH_OK;
    *from = end;
    return code == ECH_OK ? item(j, start, end, true) : code;
}

static int finish(struct joiner *j, size_t from, size_t bytes)
{
    int code = from < bytes ? item(j, from, bytes, false) : ECH_OK;
    if (code == ECH_OK && j->pending)
        code = emit(j, j->start, j->end);
    return code;
}

static int by_regex(struct joiner *j, size_t bytes)
{
    struct ech_regex_walk walk = {.text = j->text, .bytes = bytes};
    size_t from = 0;
    bool found = true;
    int code = ECH_OK;
    while (code == ECH_OK && !is_done(j->c)) {
        code = ech_regex_next(j->stage->regex, &j->c->scratch->regex, &walk, &found, j->c->err);
        if (code != ECH_OK || !found)
            break;
        code = match_item(j, &from, walk.start, walk.end);
    }
    return code == ECH_OK && !found ? finish(j, from, bytes) : code;
}

static int by_string(struct joiner *j, size_t bytes)
{
    size_t from = 0, length = j->stage->string_bytes;
    int code = ECH_OK;
    while (code == ECH_OK && length && from < bytes && !is_done(j->c)) {
        const unsigned char *at = memmem(j->text + from, bytes - from, j->stage->string, length);
        if (!at)
            break;
        code = match_item(j, &from, (size_t)(at - j->text), (size_t)(at - j->text) + length);
    }
    return code == ECH_OK ? finish(j, from, bytes) : code;
}

static int by_chars(struct joiner *j, size_t bytes)
{
    const unsigned char *p = j->text, *end = j->text + bytes;
    size_t from = 0;
    int code = ECH_OK;
    while (code == ECH_OK && p < end) {
        size_t start = (size_t)(p - j->text);
        if (!(ech_char_class(ech_char_next(&p)) & j->stage->classes))
            continue;
        code = match_item(j, &from, start, (size_t)(p - j->text));
        if (is_done(j->c))
            return code;
    }
    return code == ECH_OK ? finish(j, from, bytes) : code;
}

/* Words and runs of what is neither word nor white space. */
static int by_runs(struct joiner *j, size_t bytes)
{
    const unsigned char *p = j->text, *end = j->text + bytes;
    size_t start = 0;
    unsigned kind = ECH_CHAR_SPACE;
    int code = ECH_OK;
    while (code == ECH_OK && p < end && !is_done(j->c)) {
        size_t at = (size_t)(p - j->text);
        unsigned class = ech_char_class(ech_char_next(&p)) & (ECH_CHAR_SPACE | ECH_CHAR_WORD);
        if (class == kind)
            continue;
        if (!(kind & ECH_CHAR_SPACE))
            code = emit(j, start, at);
        start = at;
        kind = class;
    }
    return code == ECH_OK && !(kind & ECH_CHAR_SPACE) ? emit(j, start, bytes) : code;
}

static int by_length(struct joiner *j, size_t bytes)
{
    const unsigned char *p = j->text, *end = j->text + bytes;
    int code = ECH_OK;
    while (code == ECH_OK && p < end && !is_done(j->c)) {
        size_t start = (size_t)(p - j->text);
        for (size_t i = 0; i < j->stage->length && p < end; i++)
            ech_char_next(&p);
        code = emit(j, start, (size_t)(p - j->text));
    }
    return code;
}

static int by_scan(struct joiner *j, size_t bytes)
{
    int code = ECH_OK;
    for (size_t at = 0; code == ECH_OK && at < bytes && !is_done(j->c);) {
        size_t length = j->stage->scan(j->text + at, bytes - at);
        code = emit(j, at, at + length);
        at += length;
    }
    return code;
}

static int buffer_of(struct cutting *c, size_t index, size_t bytes, unsigned char **out)
{
    struct ech_cut_buffer *buffer = &c->scratch->buffers[index];
    int code = ech_grow((void **)&buffer->text, &buffer->capacity, bytes, 1, c->err);
    *out = buffer->text;
    return code;
}

static bool begins(const struct ech_cut_stage *stage, const unsigned char *text, size_t bytes)
{
    return bytes >= stage->string_bytes && memcmp(text, stage->string, stage->string_bytes) == 0;
}

static int put_prefix(struct joiner *j, size_t index, size_t bytes)
{
    const struct ech_cut_stage *stage = j->stage;
    unsigned char *to;
    if (begins(stage, j->text, bytes))
        return emit(j, 0, bytes);
    int code = buffer_of(j->c, index, stage->string_bytes + bytes, &to);
    if (code != ECH_OK)
        return code;
    memcpy(to, stage->string, stage->string_bytes);
    memcpy(to + stage->string_bytes, j->text, bytes);
    j->text = to;
    return emit(j, 0, stage->string_bytes + bytes);
}

static int as_letters(struct joiner *j, size_t index, size_t bytes)
{
    unsigned char *to;
    int code = buffer_of(j->c, index, bytes * 2, &to);
    if (code != ECH_OK)
        return code;
    size_t made = ech_bytes_as_letters(j->text, bytes, to);
    j->text = to;
    return emit(j, 0, made);
}

/* Before each `string`, one at the front with what follows it. */
static int split_metaspace(struct joiner *j, size_t bytes)
{
    const struct ech_cut_stage *stage = j->stage;
    size_t start = 0;
    int code = ECH_OK;
    while (code == ECH_OK && start < bytes && !is_done(j->c)) {
        size_t skip = begins(stage, j->text + start, bytes - start) ? stage->string_bytes : 0;
        const unsigned char *at =
            memmem(j->text + start + skip, bytes - start - skip, stage->string, stage->string_bytes);
        size_t end = at ? (size_t)(at - j->text) : bytes;
        code = emit(j, start, end);
        start = end;
    }
    return code;
}

static int by_metaspace(struct joiner *j, size_t index, size_t bytes)
{
    const struct ech_cut_stage *stage = j->stage;
    unsigned char *to;
    int code = buffer_of(j->c, index, (bytes + 1) * stage->string_bytes, &to);
    if (code != ECH_OK)
        return code;
    size_t made = 0;
    bool starts = j->text[0] == ' ' || begins(stage, j->text, bytes);
    if (!starts && (stage->prefix == ECH_PREFIX_ALWAYS || (stage->prefix == ECH_PREFIX_FIRST && j->first))) {
        memcpy(to, stage->string, stage->string_bytes);
        made = stage->string_bytes;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (j->text[i] != ' ') {
            to[made++] = j->text[i];
            continue;
        }
        memcpy(to + made, stage->string, stage->string_bytes);
        made += stage->string_bytes;
    }
    j->text = to;
    return stage->split ? split_metaspace(j, made) : emit(j, 0, made);
}

static int run(struct cutting *c, size_t index, const unsigned char *text, size_t bytes, bool first)
{
    if (index == c->cutter->count)
        return c->out->word(c->out->context, text, bytes, c->err);
    const struct ech_cut_stage *stage = &c->cutter->stages[index];
    struct joiner j = {.c = c, .stage = stage, .next = index + 1, .text = text, .first = first};
    switch (stage->kind) {
    case ECH_CUT_SCAN:
        return by_scan(&j, bytes);
    case ECH_CUT_REGEX:
        return by_regex(&j, bytes);
    case ECH_CUT_STRING:
        return by_string(&j, bytes);
    case ECH_CUT_CHARS:
        return by_chars(&j, bytes);
    case ECH_CUT_RUNS:
        return by_runs(&j, bytes);
    case ECH_CUT_LENGTH:
        return by_length(&j, bytes);
    case ECH_CUT_PREFIX:
        return put_prefix(&j, index, bytes);
    case ECH_CUT_LETTERS:
        return as_letters(&j, index, bytes);
    case ECH_CUT_METASPACE:
        return by_metaspace(&j, index, bytes);
    }
    return ECH_OK;
}

int ech_cut(const struct ech_cutter *cutter, struct ech_cut_scratch *scratch, struct ech_cut_text text,
            bool first, const struct ech_cut_out *out, struct ech_err *err)
{
    struct cutting c = {.cutter = cutter, .scratch = scratch, .out = out, .err = err};
    size_t capacity = scratch->count;
    if (scratch->count < cutter->count) {
        int code =
            ech_grow((void **)&scratch->buffers, &capacity, cutter->count, sizeof *scratch->buffers, err);
        if (code != ECH_OK)
            return code;
        memset(scratch->buffers + scratch->count, 0, (capacity - scratch->count) * sizeof *scratch->buffers);
        scratch->count = capacity;
    }
    return run(&c, 0, text.text, text.bytes, first);
}
