/* Kind generate: a prompt or a conversation in, what the model writes behind it out. */
#include "job/kind_writing.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "text/chat.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGES_MOST = 4096, CHOICE_AUTO = 0 };
enum { TEXT, FINISH, TOKENS, LOG_PROBABILITIES };

static const struct ech_column columns[] = {
    [TEXT] = {"text", ECH_TEXT, ECH_U8, 0},
    [FINISH] = {"finish", ECH_TEXT, ECH_U8, 0},
    [TOKENS] = {"tokens", ECH_INTS, ECH_I64, 0},
    [LOG_PROBABILITIES] = {"log_probabilities", ECH_JSON, ECH_U8, 0},
    {.name = ""},
};

/* The kind's own: the chat template in use, and scratch of the feeder's thread. */
struct own {
    enum ech_chat chat;
    struct ech_str text;
};

static enum ech_chat chosen_chat(const struct ech_stream *s, const struct ech_generate_options *o)
{
    return o->chat == CHOICE_AUTO ? ech_chat_of_template(s->w.chat_template) : (enum ech_chat)(o->chat - 1);
}

/* Tokens that end an answer in this template. */
static void add_chat_ends(struct ech_stream *s, enum ech_chat chat)
{
    int n = 0;
    while (n < ECH_ENDS_MOST - 1 && s->w.rules.ends[n] >= 0)
        n++;
    for (const char *const *end = ech_chat_ends(chat); *end && n < ECH_ENDS_MOST - 1; end++) {
        int32_t id = ech_tokenizer_id(s->w.output, *end, strlen(*end));
        if (id >= 0)
            s->w.rules.ends[n++] = id;
    }
    s->w.rules.ends[n] = -1;
}

static int generate_prepare(struct ech_stream *s, const struct ech_stream_env *env, struct ech_err *err)
{
    const struct ech_generate_options *o = s->options;
    struct own *own = ech_calloc(1, sizeof *own, err);
    (void)env;
    if (!own)
        return ECH_UNAVAILABLE;
    s->own = own;
    ech_str_init(&own->text);
    if (ech_lm_has_source(s->w.decoder))
        return ech_fail(err, ECH_CONFIG, "%s has an encoder: kind translate is for such models",
                        env->job->model);
    if (o->max_tokens >= s->w.context)
        return ech_fail(err, ECH_CONFIG, "options.max_tokens is %lld, the context holds %lld tokens",
                        (long long)o->max_tokens, (long long)s->w.context);
    own->chat = chosen_chat(s, o);
    add_chat_ends(s, own->chat);
    ech_log(ECH_LOG_INFO, "generate", "chat template: %s%s", ech_chat_name(own->chat),
            o->chat != CHOICE_AUTO             ? ", as options.chat says"
            : s->w.chat_template && !own->chat ? ": the model's own is of no known family"
                                               : ", as the model's files say");
    if ((o->messages || o->system) && own->chat == ECH_CHAT_NONE)
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

static char *bad(struct ech_err *err, const char *why)
{
    return ech_strdup(why, err);
}

static int role_of(const char *name)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    for (int i = 0; name && i < 3; i++)
        if (strcmp(name, roles[i]) == 0)
            return i;
    return -1;
}

/* The messages of a JSON row; the strings are the JSON's. NULL in *why: good. */
static int parse_messages(const json_t *root, struct ech_message *out, int64_t *count, char **why,
                          struct ech_err *err)
{
    size_t i;
    const json_t *item;
    if (!json_is_array(root) || json_array_size(root) > MESSAGES_MOST) {
        *why = bad(err, "not a JSON array of {role, content}");
        return *why ? ECH_OK : ECH_UNAVAILABLE;
    }
    json_array_foreach(root, i, item)
    {
        const json_t *content = json_object_get(item, "content");
        int role = role_of(json_string_value(json_object_get(item, "role")));
        if (role < 0 || !json_is_string(content)) {
            *why = ech_sprintf(
                err, "message %zu: {role: system, user or assistant, content: text} was expected", i + 1);
            return *why ? ECH_OK : ECH_UNAVAILABLE;
        }
        out[(*count)++] = (struct ech_message){(enum ech_role)role, json_string_value(content),
                                               json_string_length(content)};
    }
    return ECH_OK;
}

/* A text that writes the template's own tokens must not become them: whether one stands in a message. */
static int count_specials(struct ech_writing *w, const char *text, size_t bytes, int64_t *count,
                          struct ech_err *err)
{
    struct ech_reading r;
    int code = ech_writing_read(w, text, bytes, true, false, INT32_MAX, &r, err);
    *count = 0;
    for (int64_t i = 0; code == ECH_OK && i < r.count; i++)
        *count += ech_tokenizer_is_special(w->tokenizer, r.ids[i]);
    ech_reading_fini(&r);
    return code;
}

static int append_ids(struct ech_reading *all, const struct ech_reading *more, struct ech_err *err)
{
    int32_t *ids = ech_realloc(all->ids, (size_t)(all->count + more->count) + 1, sizeof *ids, err);
    if (!ids)
        return ECH_UNAVAILABLE;
    if (more->count)
        memcpy(ids + all->count, more->ids, (size_t)more->count * sizeof *ids);
    all->ids = ids;
    all->count += more->count;
    return ECH_OK;
}

/* Piece by piece: the template's text with its tokens, the messages' as plain text. */
static int read_pieces(struct ech_writing *w, const struct ech_str *text, const struct ech_chat_part *parts,
                       int64_t count, struct ech_reading *out, struct ech_err *err)
{
    size_t at = 0;
    int code = ECH_OK;
    for (int64_t i = 0; code == ECH_OK && i <= count; i++) {
        size_t starts[] = {at, i < count ? parts[i].start : text->length};
        size_t ends[] = {i < count ? parts[i].start : text->length, i < count ? parts[i].end : text->length};
        for (int own = 0; code == ECH_OK && own < 2; own++) {
            struct ech_reading r = {0};
            if (ends[own] == starts[own])
                continue;
            code = ech_writing_read(w, text->data + starts[own], ends[own] - starts[own],
                                    at > 0 || own || i > 0, own == 1, INT32_MAX, &r, err);
            if (code == ECH_OK && !r.why)
                code = append_ids(out, &r, err);
            else if (code == ECH_OK && !out->why) {
                out->why = r.why;
                r.why = NULL;
            }
            ech_reading_fini(&r);
        }
        at = ends[1];
    }
    return code;
}

/* The first token of a template that writes the beginning itself would stand twice. */
static int read_conversation(struct ech_stream *s, const struct ech_message *messages, int64_t count,
                             int64_t most, struct ech_reading *out, struct ech_err *err)
{
    struct own *own = s->own;
    struct ech_chat_part *parts = ech_calloc((size_t)count + 1, sizeof *parts, err);
    struct ech_err why = ECH_ERR_NONE;
    int code = parts ? ECH_OK : ECH_UNAVAILABLE;
    int64_t specials = 0;
    ech_str_clear(&own->text);
    if (code == ECH_OK && ech_chat_render(own->chat, messages, count, &own->text, parts, &why) != ECH_OK) {
        out->why = why.code == ECH_DATA ? bad(err, why.text) : NULL;
        ech_free(parts);
        return out->why ? ECH_OK : ECH_UNAVAILABLE;
    }
    for (int64_t i = 0; code == ECH_OK && specials == 0 && i < count; i++)
        code = count_specials(&s->w, messages[i].text, messages[i].bytes, &specials, err);
    if (code == ECH_OK && specials == 0)
        code = ech_writing_read(&s->w, own->text.data, own->text.length, false, false, most, out, err);
    else if (code == ECH_OK)
        code = read_pieces(&s->w, &own->text, parts, count, out, err);
    if (code == ECH_OK && out->count > most && !out->why)
        out->why = ech_sprintf(err, "%lld tokens, at most %lld leave room in options.context",
                               (long long)out->count, (long long)most);
    ech_free(parts);
    return code;
}

static int read_messages(struct ech_stream *s, const char *text, size_t bytes, int64_t most,
                         struct ech_reading *out, struct ech_err *err)
{
    const struct ech_generate_options *o = s->options;
    struct ech_message *messages = ech_calloc(MESSAGES_MOST + 1, sizeof *messages, err);
    int64_t count = 0;
    int code = messages ? ECH_OK : ECH_UNAVAILABLE;
    json_error_t where;
    json_t *root = o->messages ? json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where) : NULL;
    if (code == ECH_OK && o->system)
        messages[count++] = (struct ech_message){ECH_ROLE_SYSTEM, o->system, strlen(o->system)};
    if (code == ECH_OK && o->messages)
        code = parse_messages(root, messages, &count, &out->why, err);
    else if (code == ECH_OK)
        messages[count++] = (struct ech_message){ECH_ROLE_USER, text, bytes};
    if (code == ECH_OK && !out->why)
        code = read_conversation(s, messages, count, most, out, err);
    json_decref(root);
    ech_free(messages);
    return code;
}

static int generate_read(struct ech_stream *s, uint64_t row, const char *text, size_t bytes,
                         struct ech_write_batch *batch, struct ech_err *err)
{
    const struct ech_generate_options *o = s->options;
    const struct own *own = s->own;
    int64_t most = s->w.context - o->max_tokens;
    struct ech_reading r = {0};
    struct ech_request *request;
    int code = own->chat == ECH_CHAT_NONE ? ech_writing_read_prefixed(&s->w, text, bytes, most, &r, err)
                                          : read_messages(s, text, bytes, most, &r, err);
    if (code == ECH_OK && !r.why && r.count == 0)
        r.why = bad(err, "an empty prompt");
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
    code = ech_cell_text(block, TEXT, text.text, bytes, err);
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
