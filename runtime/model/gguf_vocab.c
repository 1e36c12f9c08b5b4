/* See gguf_vocab.h. */
#include "model/gguf_vocab.h"

#include "base/mem.h"
#include "model/cursor.h"

#include <string.h>

#define KEY "tokenizer.ggml."

/* An array of texts; a missing one stays empty. */
static int read_texts(const struct ech_gguf *g, const char *key, struct ech_vocab_text **out, size_t *count,
                      struct ech_err *err)
{
    const struct ech_gguf_value *v = ech_gguf_find(g, key);
    if (!v)
        return ECH_OK;
    if (!v->array || v->type != ECH_GGUF_STRING)
        return ech_fail(err, ECH_DATA, "%s: %s is not a list of texts", g->path, key);
    struct ech_vocab_text *texts = ech_calloc((size_t)v->count, sizeof *texts, err);
    if (!texts)
        return ECH_UNAVAILABLE;
    const unsigned char *at = v->data;
    for (uint64_t i = 0; i < v->count; i++) { /* lengths were checked by the parser */
        uint64_t bytes = ech_little(at, 8);
        texts[i] = (struct ech_vocab_text){(const char *)at + 8, (size_t)bytes};
        at += 8 + bytes;
    }
    *out = texts;
    *count = (size_t)v->count;
    return ECH_OK;
}

/* An array of numbers, one a token: f32, or int32 into `ints`. */
static int read_numbers(const struct ech_gguf *g, const char *key, size_t count, float **floats,
                        int32_t **ints, struct ech_err *err)
{
    const struct ech_gguf_value *v = ech_gguf_find(g, key);
    if (!v)
        return ECH_OK;
    enum ech_gguf_type wanted = floats ? ECH_GGUF_F32 : ECH_GGUF_I32;
    if (!v->array || (v->type != wanted && !(ints && v->type == ECH_GGUF_U32)) || v->count != count)
        return ech_fail(err, ECH_DATA, "%s: %s is not a list of one number for each of the %zu tokens",
                        g->path, key, count);
    void *values = ech_calloc(count, 4, err);
    if (!values)
        return ECH_UNAVAILABLE;
    memcpy(values, v->data, count * 4);
    if (floats)
        *floats = values;
    else
        *ints = values;
    return ECH_OK;
}

static int read_ids(const struct ech_gguf *g, struct ech_vocab_source *s, struct ech_err *err)
{
    const struct {
        const char *key;
        int64_t *id;
    } ids[] = {
        {KEY "bos_token_id", &s->bos},       {KEY "eos_token_id", &s->eos},
        {KEY "eot_token_id", &s->eot},       {KEY "unknown_token_id", &s->unk},
        {KEY "seperator_token_id", &s->sep}, {KEY "padding_token_id", &s->pad},
        {KEY "mask_token_id", &s->mask},
    };
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < sizeof ids / sizeof *ids; i++) {
        code = ech_gguf_int(g, ids[i].key, ids[i].id, err);
        if (code == ECH_OK && (*ids[i].id < ECH_VOCAB_UNSET || *ids[i].id >= (int64_t)s->count))
            return ech_fail(err, ECH_DATA, "%s: %s is %lld, there are %zu tokens", g->path, ids[i].key,
                            (long long)*ids[i].id, s->count);
    }
    return code;
}

static int read_flags(const struct ech_gguf *g, struct ech_vocab_source *s, struct ech_err *err)
{
    const struct {
        const char *key;
        int *flag;
    } flags[] = {
        {KEY "add_bos_token", &s->add_bos},
        {KEY "add_eos_token", &s->add_eos},
        {KEY "add_sep_token", &s->add_sep},
        {KEY "add_space_prefix", &s->add_space_prefix},
        {KEY "remove_extra_whitespaces", &s->remove_extra_whitespaces},
        {KEY "escape_whitespaces", &s->escape_whitespaces},
        {KEY "treat_whitespace_as_suffix", &s->suffix_whitespace},
    };
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < sizeof flags / sizeof *flags; i++)
        code = ech_gguf_flag(g, flags[i].key, flags[i].flag, err);
    return code;
}

/* Bytes, as an array of u8 or i8. */
static int read_charsmap(const struct ech_gguf *g, struct ech_vocab_text *out, struct ech_err *err)
{
    const char *key = KEY "precompiled_charsmap";
    const struct ech_gguf_value *v = ech_gguf_find(g, key);
    if (!v)
        return ECH_OK;
    if (!v->array || (v->type != ECH_GGUF_U8 && v->type != ECH_GGUF_I8))
        return ech_fail(err, ECH_DATA, "%s: %s is not a list of bytes", g->path, key);
    *out = (struct ech_vocab_text){(const char *)v->data, (size_t)v->count};
    return ECH_OK;
}

static void set_unset(struct ech_vocab_source *s)
{
    s->bos = s->eos = s->eot = s->unk = s->sep = s->pad = s->mask = ECH_VOCAB_UNSET;
    s->add_bos = s->add_eos = s->add_sep = s->add_space_prefix = ECH_VOCAB_UNSET;
    s->remove_extra_whitespaces = s->escape_whitespaces = s->suffix_whitespace = ECH_VOCAB_UNSET;
}

static int read_all(const struct ech_gguf *g, struct ech_gguf_vocab *vocab, struct ech_err *err)
{
    struct ech_vocab_source *s = &vocab->source;
    s->name = g->path;
    s->model = vocab->model;
    int code = ech_gguf_text(g, KEY "model", vocab->model, sizeof vocab->model, err);
    if (code == ECH_OK && ech_gguf_find(g, KEY "pre")) {
        code = ech_gguf_text(g, KEY "pre", vocab->pre, sizeof vocab->pre, err);
        s->pre = vocab->pre;
    }
    if (code == ECH_OK)
        code = read_texts(g, KEY "tokens", &s->tokens, &s->count, err);
    if (code == ECH_OK)
        code = read_texts(g, KEY "merges", &s->merges, &s->merge_count, err);
    if (code == ECH_OK)
        code = read_numbers(g, KEY "scores", s->count, &vocab->scores, NULL, err);
    if (code == ECH_OK)
        code = read_numbers(g, KEY "token_type", s->count, NULL, &vocab->types, err);
    s->scores = vocab->scores;
    s->types = vocab->types;
    if (code == ECH_OK)
        code = read_charsmap(g, &s->charsmap, err);
    if (code == ECH_OK)
        code = read_ids(g, s, err);
    return code == ECH_OK ? read_flags(g, s, err) : code;
}

int ech_gguf_vocab_read(const struct ech_gguf *g, struct ech_gguf_vocab **out, struct ech_err *err)
{
    *out = NULL;
    if (!ech_gguf_find(g, KEY "model") || !ech_gguf_find(g, KEY "tokens"))
        return ECH_OK;
    struct ech_gguf_vocab *vocab = ech_calloc(1, sizeof *vocab, err);
    if (!vocab)
        return ECH_UNAVAILABLE;
    set_unset(&vocab->source);
    int code = read_all(g, vocab, err);
    if (code == ECH_OK)
        *out = vocab;
    else
        ech_gguf_vocab_destroy(vocab);
    return code;
}

void ech_gguf_vocab_drop(struct ech_gguf_vocab *vocab)
{
    struct ech_vocab_source *s = &vocab->source;
    ech_free(s->tokens);
    ech_free(s->merges);
    ech_free(vocab->scores);
    ech_free(vocab->types);
    s->tokens = s->merges = NULL;
    s->scores = vocab->scores = NULL;
    s->types = vocab->types = NULL;
    s->merge_count = 0;
}

void ech_gguf_vocab_destroy(struct ech_gguf_vocab *vocab)
{
    if (!vocab)
        return;
    ech_gguf_vocab_drop(vocab);
    ech_free(vocab);
}
