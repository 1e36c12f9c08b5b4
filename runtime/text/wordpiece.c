/* WordPiece: see wordpiece.h. */
#include "text/wordpiece.h"

#include "base/mem.h"
#include "text/tokenizer_impl.h"
#include "text/unicode.h"

#include <string.h>

static void close_model(void *model)
{
    struct ech_wordpiece *pieces = model;
    ech_trie_fini(&pieces->trie);
    ech_free(pieces->prefix);
    ech_free(pieces);
}

int ech_wordpiece_create(const char *prefix, struct ech_wordpiece **out, struct ech_err *err)
{
    struct ech_wordpiece *pieces = ech_calloc(1, sizeof *pieces, err);
    if (!pieces)
        return ECH_UNAVAILABLE;
    pieces->unknown = -1;
    pieces->max_chars = 100;
    int code = ech_trie_init(&pieces->trie, err);
    if (code == ECH_OK && !(pieces->prefix = ech_strdup(prefix, err)))
        code = ECH_UNAVAILABLE;
    if (code == ECH_OK)
        *out = pieces;
    else
        close_model(pieces);
    return code;
}

int ech_wordpiece_add(struct ech_wordpiece *pieces, const char *token, size_t bytes, int32_t id,
                      struct ech_err *err)
{
    size_t skip = strlen(pieces->prefix);
    int code = ech_trie_add(&pieces->trie, 0, token, bytes, id, err);
    if (code == ECH_OK && bytes > skip && memcmp(token, pieces->prefix, skip) == 0)
        code = ech_trie_add(&pieces->trie, 1, token + skip, bytes - skip, id, err);
    return code;
}

static void put_word(const struct ech_wordpiece *pieces, const unsigned char *word, size_t bytes,
                     int64_t chars, struct ech_id_sink *sink)
{
    int64_t before = sink->found;
    size_t at = 0;
    while (chars <= pieces->max_chars && at < bytes) {
        int32_t id = 0;
        size_t length = ech_trie_longest(&pieces->trie, at > 0, word + at, bytes - at, &id);
        if (length == 0)
            break;
        ech_sink_put(sink, id);
        at += length;
    }
    if (at < bytes) {
        sink->found = before;
        ech_sink_put(sink, pieces->unknown);
    }
}

static int encode_word(const void *model, void *scratch, const unsigned char *text, size_t bytes,
                       struct ech_id_sink *sink, struct ech_err *err)
{
    int64_t chars = 0;
    (void)scratch;
    (void)err;
    for (size_t i = 0; i < bytes; i++)
        chars += (text[i] & 0xC0) != 0x80;
    put_word(model, text, bytes, chars, sink);
    return ECH_OK;
}

static int encode_text(const void *model, void *scratch, const unsigned char *text, size_t bytes,
                       struct ech_id_sink *sink, struct ech_err *err)
{
    const struct ech_wordpiece *pieces = model;
    const unsigned char *p = text, *end = text + bytes, *word = text;
    int64_t chars = 0;
    (void)scratch;
    (void)err;
    while (p < end && !ech_sink_full(sink)) {
        const unsigned char *at = p;
        int32_t c = ech_char_next(&p);
        unsigned class = c < 128 ? ech_ascii_class[c] : ech_char_class(c);
        if (!(class & (ECH_CHAR_SPACE | ECH_CHAR_PUNCT))) {
            chars++;
            continue;
        }
        if (chars)
            put_word(pieces, word, (size_t)(at - word), chars, sink);
        if (class & ECH_CHAR_PUNCT)
            put_word(pieces, at, (size_t)(p - at), 1, sink);
        word = p;
        chars = 0;
    }
    if (chars && !ech_sink_full(sink))
        put_word(pieces, word, (size_t)(end - word), chars, sink);
    return ECH_OK;
}

const struct ech_model_ops ech_wordpiece_ops = {
    .kind = "WordPiece", .close = close_model, .encode_word = encode_word, .encode_text = encode_text};
