/* From text to ids, and back; see tokenizer.h. */
#include "text/tokenizer_impl.h"

#include "base/mem.h"
#include "base/str.h"
#include "text/bert_normal.h"

#include <string.h>

/* CHUNK: normalised text is kept in cache, and a text that will be cut is not read to its end. */
enum { CHUNK = 4096 };

struct ech_encoder {
    struct ech_normal lowered, normal[2];
    struct ech_cut_scratch cut;
    uint64_t serial; /* of the tokenizer that `scratch` is for */
    const struct ech_model_ops *ops;
    void *scratch;
    int32_t *ids, *pair_ids;
    uint8_t *types;
    size_t capacity, pair_capacity, types_capacity;
    struct ech_pieces pieces[2];
};

int ech_encoder_create(struct ech_encoder **out, struct ech_err *err)
{
    struct ech_encoder *encoder = ech_calloc(1, sizeof *encoder, err);
    if (!encoder)
        return ECH_UNAVAILABLE;
    *out = encoder;
    return ECH_OK;
}

static void drop_scratch(struct ech_encoder *encoder)
{
    if (encoder->scratch)
        encoder->ops->scratch_destroy(encoder->scratch);
    encoder->scratch = NULL;
    encoder->serial = 0;
}

void ech_encoder_destroy(struct ech_encoder *encoder)
{
    if (!encoder)
        return;
    drop_scratch(encoder);
    ech_normal_fini(&encoder->lowered);
    ech_normal_fini(&encoder->normal[0]);
    ech_normal_fini(&encoder->normal[1]);
    ech_cut_scratch_fini(&encoder->cut);
    ech_pieces_fini(&encoder->pieces[0]);
    ech_pieces_fini(&encoder->pieces[1]);
    ech_free(encoder->ids);
    ech_free(encoder->pair_ids);
    ech_free(encoder->types);
    ech_free(encoder);
}

/* An encoder serves one tokenizer after another; its caches are one's only. */
static int take_scratch(const struct ech_tokenizer *t, struct ech_encoder *encoder, struct ech_err *err)
{
    if (encoder->serial == t->serial)
        return ECH_OK;
    drop_scratch(encoder);
    encoder->ops = t->ops;
    int code = t->ops->scratch_create ? t->ops->scratch_create(t->model, &encoder->scratch, err) : ECH_OK;
    if (code == ECH_OK)
        encoder->serial = t->serial;
    return code;
}

/* One text on its way. */
struct way {
    const struct ech_tokenizer *t;
    struct ech_encoder *encoder;
    struct ech_id_sink *sink;
    bool literal;
};

static int put_word(void *context, const unsigned char *text, size_t bytes, struct ech_err *err)
{
    const struct way *w = context;
    return w->t->ops->encode_word(w->t->model, w->encoder->scratch, text, bytes, w->sink, err);
}

static bool is_done(const void *context)
{
    return ech_sink_full(((const struct way *)context)->sink);
}

static int encode_words(struct way *w, const unsigned char *text, size_t bytes, bool first,
                        struct ech_err *err)
{
    const struct ech_tokenizer *t = w->t;
    if (bytes == 0)
        return ECH_OK;
    if (t->whole)
        return t->ops->encode_text(t->model, w->encoder->scratch, text, bytes, w->sink, err);
    const struct ech_cut_out out = {.word = put_word, .done = is_done, .context = w};
    return ech_cut(&t->cutter, &w->encoder->cut, (struct ech_cut_text){text, bytes}, first, &out, err);
}

/* Normalised text: its own added tokens are taken out, the rest is cut into words. */
static int encode_normal(struct way *w, const unsigned char *text, size_t bytes, bool first,
                         struct ech_err *err)
{
    struct ech_added_scan scan = {.text = text, .bytes = bytes, .literal = w->literal};
    size_t before;
    int code = ECH_OK;
    while (code == ECH_OK && !ech_sink_full(w->sink) &&
           ech_added_next(&w->t->added, ECH_ADDED_NORMAL, &scan, &before)) {
        if (before < scan.start)
            code = encode_words(w, text + before, scan.start - before, first && before == 0, err);
        ech_sink_put(w->sink, scan.id);
    }
    if (code != ECH_OK || ech_sink_full(w->sink))
        return code;
    return encode_words(w, text + scan.from, bytes - scan.from, first && scan.from == 0, err);
}

/* How much of the text to normalise at once: up to an ASCII space, where no word, mark or match crosses. */
static size_t chunk_of(const struct ech_tokenizer *t, const unsigned char *text, size_t bytes)
{
    if (bytes <= CHUNK || !t->by_chunk || t->added.any[ECH_ADDED_NORMAL])
        return bytes;
    size_t end = CHUNK;
    while (end > 0 && text[end - 1] != ' ')
        end--;
    for (end = end ? end : CHUNK; end < bytes && text[end - 1] != ' ';)
        end++;
    return end;
}

static int encode_raw(struct way *w, const unsigned char *text, size_t bytes, bool first, struct ech_err *err)
{
    while (bytes > 0 && !ech_sink_full(w->sink)) {
        size_t chunk = chunk_of(w->t, text, bytes), normal_bytes = chunk;
        const unsigned char *normal = text;
        bool front = true;
        int code = ech_normalize(&w->t->normalizer, w->encoder->normal, &normal, &normal_bytes, &front, err);
        if (code == ECH_OK)
            code = encode_normal(w, normal, normal_bytes, first && front, err);
        if (code != ECH_OK)
            return code;
        text += chunk;
        bytes -= chunk;
        first = false;
    }
    return ECH_OK;
}

/* Raw text: added tokens are taken out before anything is normalised. */
static int encode_text(struct way *w, const unsigned char *text, size_t bytes, struct ech_err *err)
{
    struct ech_added_scan scan = {.text = text, .bytes = bytes, .literal = w->literal};
    size_t before;
    int code = ECH_OK;
    while (code == ECH_OK && !ech_sink_full(w->sink) &&
           ech_added_next(&w->t->added, ECH_ADDED_RAW, &scan, &before)) {
        if (before < scan.start)
            code = encode_raw(w, text + before, scan.start - before, before == 0, err);
        ech_sink_put(w->sink, scan.id);
    }
    if (code != ECH_OK || ech_sink_full(w->sink))
        return code;
    return encode_raw(w, text + scan.from, bytes - scan.from, scan.from == 0, err);
}

/* Ids of one text without anything round it, at most `limit` of them in `ids`. */
static int encode_body(const struct ech_tokenizer *t, struct ech_encoder *encoder, const char *text,
                       size_t bytes, bool literal, struct ech_id_sink *sink, struct ech_err *err)
{
    const unsigned char *raw = (const unsigned char *)text;
    struct way w = {.t = t, .encoder = encoder, .sink = sink, .literal = literal};
    int code = take_scratch(t, encoder, err);
    if (code == ECH_OK && t->lower_first) {
        encoder->lowered.bytes = 0;
        code = ech_normal_lower(raw, bytes, &encoder->lowered, err);
        raw = encoder->lowered.text;
        bytes = encoder->lowered.bytes;
    }
    return code == ECH_OK ? encode_text(&w, raw, bytes, err) : code;
}

static int check_room(int64_t most, int64_t added, struct ech_err *err)
{
    if (most > added)
        return ECH_OK;
    return ech_fail(err, ECH_CONFIG, "at most %lld tokens leave no room beside %lld special tokens",
                    (long long)most, (long long)added);
}

/* The ids of both texts, as they lie in the encoder. */
struct bodies {
    const int32_t *ids[2];
    int64_t count[2];
};

/* Write a frame round the texts from its end to its start: the first text lies in the same array, before its
 * place. */
static bool frame(const struct ech_post_list *list, bool bare, const struct bodies *b, struct ech_encoder *e,
                  int64_t total)
{
    bool typed = false;
    for (int i = list->count - 1; i >= 0; i--) {
        const struct ech_post_part *part = &list->parts[i];
        if (bare && part->kind == ECH_POST_TOKEN)
            continue;
        int64_t count = part->kind == ECH_POST_TOKEN ? 1 : b->count[part->kind == ECH_POST_SECOND];
        total -= count;
        if (part->kind == ECH_POST_TOKEN)
            e->ids[total] = part->id;
        else if (count)
            memmove(e->ids + total, b->ids[part->kind == ECH_POST_SECOND], (size_t)count * sizeof *e->ids);
        memset(e->types + total, part->type, (size_t)count);
        typed |= part->type != 0;
    }
    return typed;
}

static int reserve(struct ech_encoder *e, int64_t most, struct ech_err *err)
{
    int code = ech_grow((void **)&e->ids, &e->capacity, (size_t)most, sizeof *e->ids, err);
    return code == ECH_OK ? ech_grow((void **)&e->types, &e->types_capacity, (size_t)most, 1, err) : code;
}

int ech_tokenizer_encode_with(const struct ech_tokenizer *t, struct ech_encoder *e, const char *text,
                              size_t bytes, const struct ech_encode_options *o, struct ech_encoded *out,
                              struct ech_err *err)
{
    int64_t added = o->bare ? 0 : ech_tokenizer_added(t);
    int64_t invalid = ech_utf8_invalid_at(text, bytes);
    int code = check_room(o->most, added, err);
    if (code == ECH_OK && invalid >= 0) {
        *out = (struct ech_encoded){.ids = e->ids, .invalid_at = invalid};
        return ECH_OK;
    }
    if (code == ECH_OK)
        code = reserve(e, o->most, err);
    if (code != ECH_OK)
        return code;
    struct ech_id_sink sink = {.ids = e->ids, .limit = o->most - added, .count_all = o->count_all};
    code = encode_body(t, e, text, bytes, o->literal, &sink, err);
    if (code != ECH_OK)
        return code;
    int64_t kept = sink.found < sink.limit ? sink.found : sink.limit;
    struct bodies b = {.ids = {e->ids, NULL}, .count = {kept, 0}};
    bool typed = frame(&t->post.single, o->bare, &b, e, kept + added);
    *out = (struct ech_encoded){.ids = e->ids,
                                .types = typed ? e->types : NULL,
                                .count = kept + added,
                                .needed = sink.found + added,
                                .invalid_at = -1};
    return ECH_OK;
}

int ech_tokenizer_encode(const struct ech_tokenizer *t, struct ech_encoder *encoder, const char *text,
                         size_t bytes, int64_t most, bool count_all, struct ech_encoded *out,
                         struct ech_err *err)
{
    const struct ech_encode_options options = {.most = most, .count_all = count_all};
    return ech_tokenizer_encode_with(t, encoder, text, bytes, &options, out, err);
}

/* "longest_first": the longer text gives first, then both are cut to a half each. */
static void share_room(int64_t room, int64_t count[2])
{
    int shorter = count[0] <= count[1] ? 0 : 1;
    int64_t a = count[shorter], b = count[1 - shorter];
    if (a + b <= room)
        return;
    b = a > room || room - a < a ? a : room - a;
    if (a + b > room) {
        a = room / 2;
        b = a + room % 2;
    }
    count[shorter] = a < count[shorter] ? a : count[shorter];
    count[1 - shorter] = b < count[1 - shorter] ? b : count[1 - shorter];
}

int ech_tokenizer_encode_pair(const struct ech_tokenizer *t, struct ech_encoder *e,
                              const struct ech_text_pair *pair, const struct ech_encode_options *o,
                              struct ech_encoded *out, struct ech_err *err)
{
    int64_t added = o->bare ? 0 : ech_tokenizer_added_pair(t), room = o->most - added;
    int64_t invalid = ech_utf8_invalid_at(pair->first, pair->first_bytes);
    if (invalid < 0 && (invalid = ech_utf8_invalid_at(pair->second, pair->second_bytes)) >= 0)
        invalid += (int64_t)pair->first_bytes;
    int code = check_room(o->most, added, err);
    if (code == ECH_OK && invalid >= 0) {
        *out = (struct ech_encoded){.ids = e->ids, .invalid_at = invalid};
        return ECH_OK;
    }
    if (code == ECH_OK)
        code = reserve(e, o->most, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&e->pair_ids, &e->pair_capacity, (size_t)room, sizeof *e->pair_ids, err);
    if (code != ECH_OK)
        return code;
    struct ech_id_sink first = {.ids = e->ids, .limit = room, .count_all = true};
    struct ech_id_sink second = {.ids = e->pair_ids, .limit = room, .count_all = true};
    code = encode_body(t, e, pair->first, pair->first_bytes, o->literal, &first, err);
    if (code == ECH_OK)
        code = encode_body(t, e, pair->second, pair->second_bytes, o->literal, &second, err);
    if (code != ECH_OK)
        return code;
    struct bodies b = {.ids = {e->ids, e->pair_ids}, .count = {first.found, second.found}};
    share_room(room, b.count);
    int64_t total = b.count[0] + b.count[1] + added;
    bool typed = frame(&t->post.pair, o->bare, &b, e, total);
    *out = (struct ech_encoded){.ids = e->ids,
                                .types = typed ? e->types : NULL,
                                .count = total,
                                .needed = first.found + second.found + added,
                                .invalid_at = -1};
    return ECH_OK;
}

int ech_tokenizer_decode(const struct ech_tokenizer *t, struct ech_encoder *e, const int32_t *ids,
                         int64_t count, bool skip_special, struct ech_decoded *out, struct ech_err *err)
{
    struct ech_pieces *tokens = &e->pieces[0];
    int which = 0, code = ECH_OK;
    ech_pieces_clear(tokens);
    for (int64_t i = 0; code == ECH_OK && i < count; i++) {
        size_t bytes;
        const char *token = ech_tokenizer_token(t, ids[i], &bytes);
        if (!token || (skip_special && ech_tokenizer_is_special(t, ids[i])))
            continue;
        if (t->decoder.count == 0 && tokens->count)
            code = ech_pieces_put(tokens, " ", 1, err);
        if (code == ECH_OK)
            code = ech_pieces_put(tokens, token, bytes, err);
        if (code == ECH_OK)
            code = ech_pieces_end(tokens, err);
    }
    if (code == ECH_OK)
        code = ech_decoder_run(&t->decoder, e->pieces, &which, err);
    if (code == ECH_OK)
        *out = (struct ech_decoded){.text = e->pieces[which].text, .bytes = e->pieces[which].bytes};
    return code;
}
