/* Tokenizers: opening and encoding; see tokenizer.h. */
#include "text/tokenizer_impl.h"

#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"

#include <string.h>

/* CHUNK: normalised text is kept in cache, and a text that will be cut is not read to its end. */
enum { JSON_MOST = 128 << 20, CHUNK = 4096 };

struct ech_encoder {
    struct ech_normal lowered, normal;
    int32_t *ids;
    size_t capacity;
};

static int create(struct ech_tokenizer **out, struct ech_err *err)
{
    struct ech_tokenizer *t = ech_calloc(1, sizeof *t, err);
    if (!t)
        return ECH_UNAVAILABLE;
    t->largest_id = -1;
    int code = ech_wordpiece_init(&t->pieces, "##", err);
    if (code == ECH_OK)
        code = ech_added_init(&t->added, err);
    if (code == ECH_OK)
        *out = t;
    else
        ech_tokenizer_close(t);
    return code;
}

void ech_tokenizer_close(struct ech_tokenizer *t)
{
    if (!t)
        return;
    ech_wordpiece_fini(&t->pieces);
    ech_added_fini(&t->added);
    ech_free(t);
}

static int open_json(const char *path, struct ech_tokenizer *t, struct ech_err *err)
{
    json_t *root;
    int code = ech_json_load(path, JSON_MOST, &root, err);
    if (code != ECH_OK)
        return code;
    code = ech_tokenizer_from_json(t, path, root, err);
    json_decref(root);
    t->files[0] = "tokenizer.json";
    return code;
}

int ech_tokenizer_open(const char *folder, struct ech_tokenizer **out, struct ech_err *err)
{
    struct ech_tokenizer *t = NULL;
    char *json = ech_path_join(folder, "tokenizer.json", err);
    char *vocab = ech_path_join(folder, "vocab.txt", err);
    int code = json && vocab ? create(&t, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK && ech_path_exists(json))
        code = open_json(json, t, err);
    else if (code == ECH_OK && ech_path_exists(vocab))
        code = ech_tokenizer_from_vocab(t, folder, err);
    else if (code == ECH_OK)
        code = ech_fail(err, ECH_NOINPUT,
                        "%s has no tokenizer: neither tokenizer.json nor vocab.txt is there", folder);
    if (code == ECH_OK)
        *out = t;
    else
        ech_tokenizer_close(t);
    ech_free(json);
    ech_free(vocab);
    return code;
}

int ech_tokenizer_parse(const char *name, const char *json, size_t bytes, struct ech_tokenizer **out,
                        struct ech_err *err)
{
    json_t *root;
    struct ech_tokenizer *t = NULL;
    int code = ech_json_parse(name, json, bytes, &root, err);
    if (code != ECH_OK)
        return code;
    code = create(&t, err);
    if (code == ECH_OK)
        code = ech_tokenizer_from_json(t, name, root, err);
    json_decref(root);
    if (code == ECH_OK)
        *out = t;
    else
        ech_tokenizer_close(t);
    return code;
}

static int check_id(struct ech_tokenizer *t, const char *token, int64_t id, struct ech_err *err)
{
    if (id < 0 || id >= INT32_MAX)
        return ech_fail(err, ECH_DATA, "token \"%.60s\" has id %lld, 0 to 2147483646 was expected", token,
                        (long long)id);
    if (id > t->largest_id)
        t->largest_id = (int32_t)id;
    return ECH_OK;
}

int ech_tokenizer_add_piece(struct ech_tokenizer *t, const char *token, size_t bytes, int64_t id,
                            struct ech_err *err)
{
    int code = check_id(t, token, id, err);
    return code == ECH_OK ? ech_wordpiece_add(&t->pieces, token, bytes, (int32_t)id, err) : code;
}

/* A token that is matched in normalised text is itself normalised first. */
int ech_tokenizer_add_token(struct ech_tokenizer *t, const char *token, int64_t id, bool normalized,
                            struct ech_added_token flags, struct ech_err *err)
{
    struct ech_normal normal = {0};
    size_t bytes = strlen(token);
    int code = check_id(t, token, id, err);
    flags.id = (int32_t)id;
    if (code == ECH_OK && normalized && t->normalized) {
        code = ech_normalize(&t->normalizer, (const unsigned char *)token, bytes, &normal, err);
        if (code == ECH_OK)
            code = ech_added_add(&t->added, ECH_ADDED_NORMAL, normal.text, normal.bytes, flags, err);
    } else if (code == ECH_OK)
        code =
            ech_added_add(&t->added, normalized ? ECH_ADDED_NORMAL : ECH_ADDED_RAW, token, bytes, flags, err);
    ech_normal_fini(&normal);
    return code;
}

void ech_tokenizer_lower_first(struct ech_tokenizer *t)
{
    t->lower_first = true;
}

int64_t ech_tokenizer_added(const struct ech_tokenizer *t)
{
    return t->before_count + t->after_count;
}

int64_t ech_tokenizer_largest_id(const struct ech_tokenizer *t)
{
    return t->largest_id;
}

const char *const *ech_tokenizer_files(const struct ech_tokenizer *t)
{
    return t->files;
}

int ech_encoder_create(struct ech_encoder **out, struct ech_err *err)
{
    struct ech_encoder *encoder = ech_calloc(1, sizeof *encoder, err);
    if (!encoder)
        return ECH_UNAVAILABLE;
    *out = encoder;
    return ECH_OK;
}

void ech_encoder_destroy(struct ech_encoder *encoder)
{
    if (!encoder)
        return;
    ech_normal_fini(&encoder->lowered);
    ech_normal_fini(&encoder->normal);
    ech_free(encoder->ids);
    ech_free(encoder);
}

static void encode_words(const struct ech_tokenizer *t, const unsigned char *text, size_t bytes,
                         struct ech_id_sink *sink)
{
    switch (t->model) {
    case ECH_TOKENS_WORDPIECE:
        ech_wordpiece_encode(&t->pieces, text, bytes, sink);
        break;
    }
}

/* Normalised text: its own added tokens are taken out, the rest is cut into words. */
static void encode_normal(const struct ech_tokenizer *t, const unsigned char *text, size_t bytes,
                          struct ech_id_sink *sink)
{
    size_t from = 0;
    struct ech_added_match match;
    while (!ech_sink_full(sink) && ech_added_find(&t->added, ECH_ADDED_NORMAL, text, bytes, from, &match)) {
        encode_words(t, text + from, match.start - from, sink);
        ech_sink_put(sink, match.id);
        from = match.end;
    }
    encode_words(t, text + from, bytes - from, sink);
}

/* How much of the text to normalise at once: up to an ASCII space, where no word, mark or match crosses. */
static size_t chunk_of(const struct ech_tokenizer *t, const unsigned char *text, size_t bytes)
{
    if (bytes <= CHUNK || t->added.any[ECH_ADDED_NORMAL])
        return bytes;
    size_t end = CHUNK;
    while (end > 0 && text[end - 1] != ' ')
        end--;
    for (end = end ? end : CHUNK; end < bytes && text[end - 1] != ' ';)
        end++;
    return end;
}

static int encode_raw(const struct ech_tokenizer *t, struct ech_encoder *encoder, const unsigned char *text,
                      size_t bytes, struct ech_id_sink *sink, struct ech_err *err)
{
    while (bytes > 0 && !ech_sink_full(sink)) {
        size_t chunk = chunk_of(t, text, bytes);
        encoder->normal.bytes = 0;
        if (t->normalized) {
            int code = ech_normalize(&t->normalizer, text, chunk, &encoder->normal, err);
            if (code != ECH_OK)
                return code;
            encode_normal(t, encoder->normal.text, encoder->normal.bytes, sink);
        } else
            encode_normal(t, text, chunk, sink);
        text += chunk;
        bytes -= chunk;
    }
    return ECH_OK;
}

/* Raw text: added tokens are taken out before anything is normalised. */
static int encode_text(const struct ech_tokenizer *t, struct ech_encoder *encoder, const unsigned char *text,
                       size_t bytes, struct ech_id_sink *sink, struct ech_err *err)
{
    size_t from = 0;
    struct ech_added_match match;
    int code = ECH_OK;
    while (code == ECH_OK && !ech_sink_full(sink) &&
           ech_added_find(&t->added, ECH_ADDED_RAW, text, bytes, from, &match)) {
        code = encode_raw(t, encoder, text + from, match.start - from, sink, err);
        ech_sink_put(sink, match.id);
        from = match.end;
    }
    return code == ECH_OK ? encode_raw(t, encoder, text + from, bytes - from, sink, err) : code;
}

int ech_tokenizer_encode(const struct ech_tokenizer *t, struct ech_encoder *encoder, const char *text,
                         size_t bytes, int64_t most, bool count_all, struct ech_encoded *out,
                         struct ech_err *err)
{
    int64_t added = ech_tokenizer_added(t);
    if (most <= added)
        return ech_fail(err, ECH_CONFIG, "at most %lld tokens leave no room beside %lld special tokens",
                        (long long)most, (long long)added);
    int64_t invalid = ech_utf8_invalid_at(text, bytes);
    if (invalid >= 0) {
        *out = (struct ech_encoded){.ids = encoder->ids, .invalid_at = invalid};
        return ECH_OK;
    }
    const unsigned char *raw = (const unsigned char *)text;
    int code = ech_grow((void **)&encoder->ids, &encoder->capacity, (size_t)most, sizeof *encoder->ids, err);
    if (code == ECH_OK && t->lower_first) {
        encoder->lowered.bytes = 0;
        code = ech_normal_lower(raw, bytes, &encoder->lowered, err);
        raw = encoder->lowered.text;
        bytes = encoder->lowered.bytes;
    }
    if (code != ECH_OK)
        return code;
    int32_t *ids = encoder->ids;
    struct ech_id_sink sink = {.ids = ids + t->before_count, .limit = most - added, .count_all = count_all};
    code = encode_text(t, encoder, raw, bytes, &sink, err);
    if (code != ECH_OK)
        return code;
    int64_t kept = sink.found < sink.limit ? sink.found : sink.limit;
    memcpy(ids, t->before, (size_t)t->before_count * sizeof *ids);
    memcpy(ids + t->before_count + kept, t->after, (size_t)t->after_count * sizeof *ids);
    *out = (struct ech_encoded){
        .ids = ids, .count = kept + added, .needed = sink.found + added, .invalid_at = -1};
    return ECH_OK;
}
