/* Kind generate: a prompt or a conversation in, what the model writes behind it out. */
#include "job/kind_writing.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "text/chat.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES_MOST = 4096, CHOICE_AUTO = 0 };
enum { GENERATED, FINISH, TOKENS, LOG_PROBABILITIES };

static const struct ech_column columns[] = {
    [GENERATED] = {"generated", ECH_TEXT, ECH_U8, 0},
    [FINISH] = {"finish", ECH_TEXT, ECH_U8, 0},
    [TOKENS] = {"tokens", ECH_INTS, ECH_I64, 0},
    [LOG_PROBABILITIES] = {"log_probabilities", ECH_JSON, ECH_U8, 0},
    {.name = ""},
};

/* The kind's own: the chat template in use, and scratch of the feeder's thread. */
struct own {
    struct ech_chat_style style;
    struct ech_str text;
};

/* Tokens that end an answer in this template; false: the model has none of them. */
static bool add_chat_ends(struct ech_stream *s, const struct ech_chat_style *style)
{
    bool found = !style->ends[0];
    int n = 0;
    while (n < ECH_ENDS_MOST - 1 && s->w.rules.ends[n] >= 0)
        n++;
    for (const char *const *end = style->ends; *end && n < ECH_ENDS_MOST - 1; end++) {
        int32_t id = ech_tokenizer_id(s->w.output, *end, strlen(*end));
        if (id >= 0)
            s->w.rules.ends[n++] = id;
        found = found || id >= 0;
    }
    s->w.rules.ends[n] = -1;
    return found;
}

static void choose_chat(struct ech_stream *s, struct own *own)
{
    const struct ech_generate_options *o = s->options;
    bool named = o->chat != CHOICE_AUTO;
    own->style =
        named ? ech_chat_style((enum ech_chat)(o->chat - 1)) : ech_chat_style_read(s->w.chat_template);
    enum ech_chat chat = own->style.chat;
    if (!named && s->w.chat_template && chat == ECH_CHAT_NONE)
        ech_log(ECH_LOG_WARN, "generate",
                "the model's chat template is of no known family: texts are read as they are; options.chat "
                "names a family");
    else
        ech_log(ECH_LOG_INFO, "generate", "chat template: %s, as %s", ech_chat_name(chat),
                named ? "options.chat says" : "the model's files say");
    if (o->system) {
        own->style.system = o->system;
        own->style.system_bytes = strlen(o->system);
    }
    if (!add_chat_ends(s, &own->style))
        ech_log(
            ECH_LOG_WARN, "generate",
            "the model has no token %s: it does not know the chat template %s, and only its own end token "
            "ends an answer",
            own->style.ends[0], ech_chat_name(chat));
}

static int generate_prepare(struct ech_stream *s, const struct ech_stream_env *env, struct ech_err *err)
{
    const struct ech_generate_options *o = s->options;
    struct own *own = ech_calloc(1, sizeof *own, err);
    if (!own)
        return ECH_UNAVAILABLE;
    s->own = own;
    ech_str_init(&own->text);
    if (ech_lm_has_source(s->w.decoder))
        return ech_fail(err, ECH_CONFIG, "%s has an encoder: kind translate is for such models",
                        env->job->model);
    if (o->max_tokens >= s->w.context)
        return ech_fail(err, ECH_CONFIG,
                        "options.max_tokens is %lld, the context holds %lld tokens with the prompt's",
                        (long long)o->max_tokens, (long long)s->w.context);
    choose_chat(s, own);
    if ((o->messages || o->system) && own->style.chat == ECH_CHAT_NONE)
        return ech_fail(err, ECH_CONFIG,
                        "%s: the model has no chat template that is known: options.chat names one",
                        o->messages ? "options.messages" : "options.system");
    return ECH_OK;
}

static void generate_close(struct ech_stream *s)
{
    struct own *own = s->own;
    if (own)
        ech_str_fini(&own->text);
    ech_free(own);
}

static void generate_generator(const struct ech_stream *s, struct ech_generator_options *out)
{
    const struct ech_generate_options *o = s->options;
    out->stops = o->stop.count ? (const char *const *)o->stop.items : NULL;
    out->log_probabilities = o->log_probabilities;
    out->sampling = (struct ech_sampling){.temperature = o->temperature,
                                          .top_k = o->top_k,
                                          .top_p = o->top_p,
                                          .min_p = o->min_p,
                                          .repetition_penalty = o->repetition_penalty,
                                          .seed = (uint64_t)o->seed};
}

/* --- a row into a prompt --- */

/* The row is bad; `why` from ech_sprintf or ech_strdup. */
static int bad(struct ech_reading *out, char *why)
{
    out->why = why;
    return why ? ECH_OK : ECH_UNAVAILABLE;
}

static int role_of(const char *name)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    for (int i = 0; name && i < 3; i++)
        if (strcmp(name, roles[i]) == 0)
            return i;
    return -1;
}

/* The messages of a JSON row; the strings are the JSON's. */
static int parse_messages(const json_t *root, struct ech_message *out, struct ech_reading *r,
                          struct ech_err *err)
{
    size_t i;
    const json_t *item;
    json_array_foreach(root, i, item)
    {
        const json_t *content = json_object_get(item, "content");
        int role = role_of(json_string_value(json_object_get(item, "role")));
        if (role < 0 || !json_is_string(content))
            return bad(r, ech_sprintf(err,
                                      "message %zu: {role: system, user or assistant, content: text} was "
                                      "expected",
                                      i + 1));
        out[i] = (struct ech_message){(enum ech_role)role, json_string_value(content),
                                      json_string_length(content)};
    }
    return ECH_OK;
}

/* A text that writes the template's own tokens must not become them: whether one stands in a message. */
static int has_specials(struct ech_writing *w, const struct ech_message *message, bool *yes,
                        struct ech_err *err)
{
    struct ech_reading r;
    int code = ech_writing_ids(w, message->text, message->bytes, true, false, &r, err);
    for (int64_t i = 0; code == ECH_OK && i < r.count && !*yes; i++)
        *yes = ech_tokenizer_is_special(w->tokenizer, r.ids[i]);
    ech_reading_fini(&r);
    return code;
}

/* Behind what is read already; the first piece alone has the tokenizer's beginning. */
static int add_piece(struct ech_writing *w, const char *text, size_t bytes, bool literal,
                     struct ech_reading *all, struct ech_err *err)
{
    struct ech_reading r = {0};
    if (bytes == 0)
        return ECH_OK;
    int code = ech_writing_ids(w, text, bytes, all->ids != NULL, literal, &r, err);
    if (code == ECH_OK) {
        int32_t *ids = ech_realloc(all->ids, (size_t)(all->count + r.count) + 1, sizeof *ids, err);
        code = ids ? ECH_OK : ECH_UNAVAILABLE;
        all->ids = ids ? ids : all->ids;
    }
    if (code == ECH_OK && r.count) {
        memcpy(all->ids + all->count, r.ids, (size_t)r.count * sizeof *r.ids);
        all->count += r.count;
    }
    ech_reading_fini(&r);
    return code;
}

static int by_start(const void *a, const void *b)
{
    const struct ech_chat_part *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* Piece by piece: the template's text with its tokens, the messages' as plain text. The system's may stand
 * behind others. */
static int read_pieces(struct ech_writing *w, const struct ech_str *text, struct ech_chat_part *parts,
                       int64_t count, struct ech_reading *out, struct ech_err *err)
{
    size_t at = 0;
    int code = ECH_OK;
    qsort(parts, (size_t)count, sizeof *parts, by_start);
    for (int64_t i = 0; code == ECH_OK && i < count; i++) {
        code = add_piece(w, text->data + at, parts[i].start - at, false, out, err);
        if (code == ECH_OK)
            code = add_piece(w, text->data + parts[i].start, parts[i].end - parts[i].start, true, out, err);
        at = parts[i].end;
    }
    return code == ECH_OK ? add_piece(w, text->data + at, text->length - at, false, out, err) : code;
}

static int read_rendered(struct ech_stream *s, const struct ech_message *messages, int64_t count,
                         struct ech_chat_part *parts, struct ech_reading *out, struct ech_err *err)
{
    struct own *own = s->own;
    struct ech_err why = ECH_ERR_NONE;
    bool specials = false;
    int code = ECH_OK;
    ech_str_clear(&own->text);
    if (ech_chat_render(&own->style, messages, count, &own->text, parts, &why) != ECH_OK) {
        if (why.code == ECH_DATA)
            return bad(out, ech_strdup(why.text, err));
        if (err)
            *err = why;
        return why.code;
    }
    for (int64_t i = 0; code == ECH_OK && !specials && i < count; i++)
        code = has_specials(&s->w, &messages[i], &specials, err);
    if (code != ECH_OK)
        return code;
    return specials ? read_pieces(&s->w, &own->text, parts, count, out, err)
                    : ech_writing_ids(&s->w, own->text.data, own->text.length, false, false, out, err);
}

static int read_conversation(struct ech_stream *s, const struct ech_message *messages, int64_t count,
                             struct ech_reading *out, struct ech_err *err)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t at = ech_utf8_invalid_at(messages[i].text, messages[i].bytes);
        if (at >= 0)
            return bad(out, ech_sprintf(err, "invalid UTF-8 at byte %lld", (long long)at + 1));
    }
    struct ech_chat_part *parts = ech_calloc((size_t)count + 1, sizeof *parts, err);
    int code = parts ? read_rendered(s, messages, count, parts, out, err) : ECH_UNAVAILABLE;
    ech_free(parts);
    return code;
}

static int read_messages(struct ech_stream *s, const char *text, size_t bytes, struct ech_reading *out,
                         struct ech_err *err)
{
    json_error_t where;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where);
    size_t count = json_array_size(root);
    if (!json_is_array(root) || count > MESSAGES_MOST) {
        int code = bad(out, root ? ech_strdup("not a JSON array of {role, content}", err)
                                 : ech_sprintf(err, "not JSON: line %d, column %d: %s", where.line,
                                               where.column, where.text));
        json_decref(root);
        return code;
    }
    struct ech_message *messages = ech_calloc(count + 1, sizeof *messages, err);
    int code = messages ? parse_messages(root, messages, out, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK && !out->why)
        code = read_conversation(s, messages, (int64_t)count, out, err);
    ech_free(messages);
    json_decref(root);
    return code;
}

/* One message of the user. */
static int read_message(struct ech_stream *s, const char *text, size_t bytes, struct ech_reading *out,
                        struct ech_err *err)
{
    struct ech_str joined;
    ech_str_init(&joined);
    ech_str_adds(&joined, s->w.options->prefix ? s->w.options->prefix : "");
    ech_str_add(&joined, text, bytes);
    int code = ech_str_check(&joined, err);
    const struct ech_message message = {ECH_ROLE_USER, joined.data, joined.length};
    if (code == ECH_OK)
        code = read_conversation(s, &message, 1, out, err);
    ech_str_fini(&joined);
    return code;
}

static int read_prompt(struct ech_stream *s, const char *text, size_t bytes, int64_t most,
                       struct ech_reading *r, struct ech_err *err)
{
    const struct ech_generate_options *o = s->options;
    const struct own *own = s->own;
    if (own->style.chat == ECH_CHAT_NONE)
        return ech_writing_read_prefixed(&s->w, text, bytes, false, most, r, err);
    int code = o->messages ? read_messages(s, text, bytes, r, err) : read_message(s, text, bytes, r, err);
    return code == ECH_OK && !r->why ? ech_writing_fit(&s->w, most, r, err) : code;
}

static int generate_read(struct ech_stream *s, uint64_t row, const char *text, size_t bytes,
                         struct ech_write_batch *batch, struct ech_err *err)
{
    const struct ech_generate_options *o = s->options;
    struct ech_reading r = {0};
    struct ech_request *request;
    int code = read_prompt(s, text, bytes, s->w.context - o->max_tokens, &r, err);
    if (code == ECH_OK && !r.why && r.count == 0)
        code = bad(&r, ech_strdup("an empty prompt", err));
    if (code == ECH_OK && r.why) {
        ech_free(r.ids);
        return ech_writing_refuse(batch, r.why, err);
    }
    if (code == ECH_OK)
        code = ech_write_batch_add(batch, &request, err);
    if (code == ECH_OK)
        *request = (struct ech_request){
            .row = row, .ids = r.ids, .count = r.count, .most = o->max_tokens, .scored = r.count};
    else
        ech_reading_fini(&r);
    return code;
}

/* --- what was written --- */

static int put_ids(struct ech_block *block, const struct ech_written *w, struct ech_err *err)
{
    int64_t *ids = ech_calloc((size_t)w->count + 1, sizeof *ids, err);
    if (!ids)
        return ECH_UNAVAILABLE;
    for (int64_t i = 0; i < w->count; i++)
        ids[i] = w->ids[i];
    int code = ech_cells_add(&block->columns[TOKENS], ids, (size_t)w->count * sizeof *ids, err);
    ech_free(ids);
    return code;
}

static int generate_write(struct ech_stream *s, const struct ech_request *requests,
                          const struct ech_written *written, int64_t count, struct ech_block *block,
                          struct ech_err *err)
{
    const struct ech_generate_options *o = s->options;
    const char *finish = ech_finish_name(written->finish);
    struct ech_decoded text;
    (void)requests, (void)count;
    int code = ech_writing_text(&s->w, written, &text, err);
    if (code != ECH_OK)
        return code;
    size_t bytes =
        ech_stop_at(text.text, text.bytes, o->stop.count ? (const char *const *)o->stop.items : NULL);
    code = ech_cell_text(block, GENERATED, text.text, bytes, err);
    if (code == ECH_OK)
        code = ech_cell_text(block, FINISH, finish, strlen(finish), err);
    if (code == ECH_OK)
        code = put_ids(block, written, err);
    return code == ECH_OK ? ech_cell_numbers(block, LOG_PROBABILITIES, written->log_probabilities,
                                             o->log_probabilities ? written->count : 0, err)
                          : code;
}

static const struct ech_writing_kind generate = {
    .columns = columns,
    .open = generate_prepare,
    .close = generate_close,
    .options = generate_generator,
    .read = generate_read,
    .write = generate_write,
};

static int generate_open(const struct ech_stream_env *env, struct ech_stream **out, struct ech_err *err)
{
    const struct ech_generate_options *o = env->job->options;
    return ech_writing_stream_open(env, &generate, &o->write, out, err);
}

const struct ech_kind_ops ech_kind_generate = ECH_WRITING_OPS("generate", generate_open);
