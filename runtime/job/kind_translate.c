/* Kind translate: a line in, its translation out, by a model with an encoder and a decoder, greedily. */
#include "job/kind_writing.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "job/writing_files.h"
#include "model/shortlist.h"

#include <string.h>

enum { TRANSLATION };
enum { MORE = 32 }; /* tokens beyond twice the source's */

static const struct ech_column columns[] = {
    [TRANSLATION] = {"translation", ECH_TEXT, ECH_U8, 0},
    {.name = ""},
};

/* The kind's own: the source's language token and where models want it; which words may be written. */
struct own {
    struct ech_shortlist *shortlist; /* NULL: all */
    int32_t source;
    bool source_last; /* behind the end token (mBART), not before the text (M2M, NLLB) */
};

/* "pt" may stand as __pt__, >>pt<<, <2pt> or pt in a vocabulary; a bare "pt" that is not special is a piece
 * of words like any other. */
static int find_language(const struct ech_writing *w, const char *code, char **token, int32_t *id,
                         struct ech_err *err)
{
    static const char *const forms[] = {"__%s__", ">>%s<<", "<2%s>", "%s"};
    enum { FORMS = sizeof forms / sizeof *forms };
    for (int i = 0; i < FORMS; i++) {
        *token = ech_sprintf(err, forms[i], code);
        if (!*token)
            return ECH_UNAVAILABLE;
        *id = ech_tokenizer_id(w->tokenizer, *token, strlen(*token));
        if (*id >= 0 &&
            (i < FORMS - 1 || strpbrk(code, "_<>") || ech_tokenizer_is_special(w->tokenizer, *id)))
            return ECH_OK;
        ech_free(*token);
    }
    *token = NULL;
    return ECH_OK;
}

/* *before: such a token tells an encoder, before the text, what to translate into. */
static int language(const struct ech_writing *w, const char *option, const char *code, int32_t *id,
                    bool *before, struct ech_err *err)
{
    char *token = NULL;
    int status = find_language(w, code, &token, id, err);
    if (status == ECH_OK && !token)
        return ech_fail(err, ECH_CONFIG,
                        "%s is \"%.60s\", which is no language among the model's tokens; a model of one pair "
                        "needs none",
                        option, code);
    *before = token && (strncmp(token, ">>", 2) == 0 || strncmp(token, "<2", 2) == 0);
    ech_free(token);
    return status;
}

/* The shortlist in a Marian model's folder, or the file that the options name. */
static int open_shortlist(struct ech_stream *s, const char *option, struct ech_err *err)
{
    struct own *own = s->own;
    const char *format = ech_weights_format(ech_lm_weights(s->w.decoder));
    bool marian = strcmp(format, "marian") == 0 || strcmp(format, "npz") == 0;
    bool automatic = strcmp(option, "auto") == 0;
    char found[256];
    if (strcmp(option, "none") == 0 ||
        (automatic && (!marian || !ech_writing_find(&s->w, "lex", ".bin", found))))
        return ECH_OK;
    char *path = NULL;
    int code = ech_writing_take(&s->w, automatic ? found : option, !automatic, &path, err);
    if (code == ECH_OK)
        code = ech_shortlist_open(path, ech_lm_source_vocab(s->w.decoder), ech_lm_vocab(s->w.decoder),
                                  &own->shortlist, err);
    if (code == ECH_OK) {
        ech_lm_keep_head(s->w.decoder);
        ech_log(ECH_LOG_INFO, "model", "words are taken of the shortlist %s", path);
    }
    ech_free(path);
    return code;
}

static int set_languages(struct ech_stream *s, const struct ech_translate_options *o, struct ech_err *err)
{
    struct own *own = s->own;
    bool before = false;
    int32_t target = -1;
    int code = o->source ? language(&s->w, "options.source", o->source, &own->source, &before, err) : ECH_OK;
    if (code == ECH_OK && o->target)
        code = language(&s->w, "options.target", o->target, &target, &before, err);
    if (code != ECH_OK || target < 0)
        return code;
    *(before ? &own->source : &s->w.rules.forced_first) = target;
    return ECH_OK;
}

static int translate_prepare(struct ech_stream *s, const struct ech_stream_env *env, struct ech_err *err)
{
    const struct ech_translate_options *o = s->options;
    struct own *own = ech_calloc(1, sizeof *own, err);
    const json_t *type = json_object_get(ech_weights_config(ech_lm_weights(s->w.decoder)), "model_type");
    if (!own)
        return ECH_UNAVAILABLE;
    s->own = own;
    own->source = -1;
    if (!ech_lm_has_source(s->w.decoder))
        return ech_fail(err, ECH_CONFIG, "%s has no encoder: kind generate is for such models",
                        env->job->model);
    own->source_last = json_is_string(type) && strcmp(json_string_value(type), "mbart") == 0;
    int code = set_languages(s, o, err);
    return code == ECH_OK ? open_shortlist(s, o->shortlist, err) : code;
}

static void translate_close(struct ech_stream *s)
{
    struct own *own = s->own;
    if (own)
        ech_shortlist_close(own->shortlist);
    ech_free(own);
}

static void translate_generator(const struct ech_stream *s, struct ech_generator_options *out)
{
    (void)s, (void)out; /* greedy */
}

/* The text's own special tokens give way to the language and the end. */
static int set_language(struct ech_stream *s, struct ech_reading *r, struct ech_err *err)
{
    const struct own *own = s->own;
    int32_t end = ech_tokenizer_role(s->w.tokenizer, ECH_TOKEN_EOS);
    int32_t *ids = ech_calloc((size_t)r->count + 3, sizeof *ids, err);
    int64_t n = 0;
    if (!ids)
        return ECH_UNAVAILABLE;
    if (!own->source_last)
        ids[n++] = own->source;
    memcpy(ids + n, r->ids, (size_t)r->count * sizeof *ids);
    n += r->count;
    if (end >= 0)
        ids[n++] = end;
    if (own->source_last)
        ids[n++] = own->source;
    ech_free(r->ids);
    r->ids = ids;
    r->count = n;
    return ECH_OK;
}

/* A sentencepiece file says nothing of the token that ends a source. */
static int read_whole(struct ech_stream *s, const char *text, size_t bytes, int64_t most,
                      struct ech_reading *r, struct ech_err *err)
{
    int32_t end = s->w.frameless ? ech_tokenizer_role(s->w.tokenizer, ECH_TOKEN_EOS) : -1;
    int code = ech_writing_read_prefixed(&s->w, text, bytes, false, most - (end >= 0), r, err);
    if (code != ECH_OK || r->why || end < 0)
        return code;
    int32_t *ids = ech_calloc((size_t)r->count + 1, sizeof *ids, err);
    if (!ids)
        return ECH_UNAVAILABLE;
    memcpy(ids, r->ids, (size_t)r->count * sizeof *ids);
    ids[r->count++] = end;
    ech_free(r->ids);
    r->ids = ids;
    return ECH_OK;
}

static int read_source(struct ech_stream *s, const char *text, size_t bytes, struct ech_reading *r,
                       struct ech_err *err)
{
    const struct own *own = s->own;
    int64_t most = ech_min64(ech_lm_source_most(s->w.decoder), s->w.context);
    if (own->source < 0)
        return read_whole(s, text, bytes, most, r, err);
    int code = ech_writing_read_prefixed(&s->w, text, bytes, true, most - 2, r, err);
    return code == ECH_OK && !r->why ? set_language(s, r, err) : code;
}

static int translate_read(struct ech_stream *s, uint64_t row, const char *text, size_t bytes,
                          struct ech_write_batch *batch, struct ech_err *err)
{
    const struct ech_translate_options *o = s->options;
    struct ech_reading r = {0};
    struct ech_request *request = NULL;
    int code = read_source(s, text, bytes, &r, err);
    if (code == ECH_OK && r.why) {
        ech_free(r.ids);
        return ech_writing_refuse(batch, r.why, err);
    }
    int32_t *start = code == ECH_OK ? ech_calloc(1, sizeof *start, err) : NULL;
    if (code == ECH_OK)
        code = start ? ech_write_batch_add(batch, &request, err) : ECH_UNAVAILABLE;
    if (code != ECH_OK) {
        ech_free(start);
        ech_reading_fini(&r);
        return code;
    }
    *start = s->w.start;
    const struct own *own = s->own;
    int64_t most = o->max_tokens ? o->max_tokens : 2 * r.count + MORE;
    *request = (struct ech_request){.row = row,
                                    .ids = start,
                                    .count = 1,
                                    .source = r.ids,
                                    .source_count = r.count,
                                    .most = ech_min64(most, s->w.context - 1),
                                    .scored = 1};
    if (own->shortlist)
        return ech_shortlist_words(own->shortlist, r.ids, r.count, &request->allowed, &request->allowed_count,
                                   err);
    return ECH_OK;
}

static int translate_write(struct ech_stream *s, const struct ech_request *requests,
                           const struct ech_written *written, int64_t count, struct ech_block *block,
                           struct ech_err *err)
{
    struct ech_decoded text;
    (void)requests, (void)count;
    int code = ech_writing_text(&s->w, written, &text, err);
    return code == ECH_OK ? ech_cell_text(block, TRANSLATION, text.text, text.bytes, err) : code;
}

static const struct ech_writing_kind translate = {
    .columns = columns,
    .open = translate_prepare,
    .close = translate_close,
    .options = translate_generator,
    .read = translate_read,
    .write = translate_write,
};

static int translate_open(const struct ech_stream_env *env, struct ech_stream **out, struct ech_err *err)
{
    const struct ech_translate_options *o = env->job->options;
    return ech_writing_stream_open(env, &translate, &o->write, out, err);
}

const struct ech_kind_ops ech_kind_translate = ECH_WRITING_OPS("translate", translate_open);
