/* Decoders that are told words: WordPiece, BPEDecoder, CTC, Strip, Metaspace; see decoders.h. */
#include "text/decoders.h"

#include "base/mem.h"
#include "text/unicode.h"

#include <string.h>

struct words {
    char *first, *second;
    size_t first_bytes, second_bytes;
    bool cleanup, prefix;
    size_t start, stop;
};

static void close_words(void *data)
{
    struct words *w = data;
    ech_free(w->first);
    ech_free(w->second);
    ech_free(w);
}

static int create(struct ech_decode_words from, struct ech_decode_step *out, struct ech_err *err)
{
    struct words *w = ech_calloc(1, sizeof *w, err);
    const char *second = from.second ? from.second : "";
    if (!w)
        return ECH_UNAVAILABLE;
    if (!(w->first = ech_strdup(from.first, err)) || !(w->second = ech_strdup(second, err))) {
        close_words(w);
        return ECH_UNAVAILABLE;
    }
    w->first_bytes = strlen(from.first);
    w->second_bytes = strlen(second);
    w->cleanup = from.cleanup;
    w->prefix = from.prefix;
    w->start = from.start;
    w->stop = from.stop;
    out->close = close_words;
    out->data = w;
    return ECH_OK;
}

/* Replace in the piece that `out` is at, in place: what is put is never longer. */
static void shorten(struct ech_pieces *out, const char *from, size_t from_bytes, const char *to,
                    size_t to_bytes)
{
    size_t start = out->count ? out->ends[out->count - 1] : 0, kept = start;
    if (from_bytes == 0)
        return;
    for (size_t i = start; i < out->bytes;) {
        if (out->bytes - i >= from_bytes && memcmp(out->text + i, from, from_bytes) == 0) {
            memcpy(out->text + kept, to, to_bytes);
            kept += to_bytes;
            i += from_bytes;
            continue;
        }
        out->text[kept++] = out->text[i++];
    }
    out->bytes = kept;
}

/* The spaces that English is written without. */
static void clean_up(struct ech_pieces *out)
{
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        shorten(out, pairs[i][0], strlen(pairs[i][0]), pairs[i][1], strlen(pairs[i][1]));
}

static bool starts(const char *text, size_t bytes, const char *with, size_t with_bytes)
{
    return bytes >= with_bytes && memcmp(text, with, with_bytes) == 0;
}

static int word_piece(const void *data, const struct ech_pieces *in, struct ech_pieces *out,
                      struct ech_err *err)
{
    const struct words *w = data;
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < in->count; i++) {
        size_t bytes;
        const char *token = ech_pieces_get(in, i, &bytes);
        size_t skip = i && starts(token, bytes, w->first, w->first_bytes) ? w->first_bytes : 0;
        if (i && !starts(token, bytes, w->first, w->first_bytes))
            code = ech_pieces_put(out, " ", 1, err);
        if (code == ECH_OK)
            code = ech_pieces_put(out, token + skip, bytes - skip, err);
        if (code == ECH_OK && w->cleanup)
            clean_up(out);
        if (code == ECH_OK)
            code = ech_pieces_end(out, err);
    }
    return code;
}

int ech_decode_word_piece(struct ech_decode_words words, struct ech_decode_step *out, struct ech_err *err)
{
    out->apply = word_piece;
    return create(words, out, err);
}

/* The suffix becomes a space, at the end nothing. An empty one would stand everywhere. */
static int put_bpe(const struct words *w, const char *token, size_t bytes, bool last, struct ech_pieces *out,
                   struct ech_err *err)
{
    int code = ECH_OK;
    if (w->first_bytes == 0) {
        for (size_t at = 0; code == ECH_OK && at <= bytes; at++) {
            if (at == bytes || ((unsigned char)token[at] & 0xC0) != 0x80)
                code = ech_pieces_put(out, " ", last ? 0 : 1, err);
            if (code == ECH_OK && at < bytes)
                code = ech_pieces_put(out, token + at, 1, err);
        }
        return code;
    }
    code = ech_pieces_put(out, token, bytes, err);
    if (code == ECH_OK)
        shorten(out, w->first, w->first_bytes, " ", last ? 0 : 1);
    return code;
}

static int bpe(const void *data, const struct ech_pieces *in, struct ech_pieces *out, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < in->count; i++) {
        size_t bytes;
        const char *token = ech_pieces_get(in, i, &bytes);
        code = put_bpe(data, token, bytes, i + 1 == in->count, out, err);
        if (code == ECH_OK)
            code = ech_pieces_end(out, err);
    }
    return code;
}

int ech_decode_bpe(struct ech_decode_words words, struct ech_decode_step *out, struct ech_err *err)
{
    out->apply = bpe;
    return create(words, out, err);
}

/* Equal neighbours are one; a token of which nothing is left goes. */
static int ctc(const void *data, const struct ech_pieces *in, struct ech_pieces *out, struct ech_err *err)
{
    const struct words *w = data;
    const char *last = NULL;
    size_t last_bytes = 0;
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < in->count; i++) {
        size_t bytes, before = out->bytes;
        const char *token = ech_pieces_get(in, i, &bytes);
        if (last && bytes == last_bytes && memcmp(token, last, bytes) == 0)
            continue;
        last = token;
        last_bytes = bytes;
        code = ech_pieces_put(out, token, bytes, err);
        if (code != ECH_OK)
            break;
        shorten(out, w->first, w->first_bytes, "", 0);
        if (w->cleanup) {
            clean_up(out);
            shorten(out, w->second, w->second_bytes, " ", 1);
        }
        if (out->bytes > before)
            code = ech_pieces_end(out, err);
    }
    return code;
}

int ech_decode_ctc(struct ech_decode_words words, struct ech_decode_step *out, struct ech_err *err)
{
    out->apply = ctc;
    return create(words, out, err);
}

static int strip(const void *data, const struct ech_pieces *in, struct ech_pieces *out, struct ech_err *err)
{
    const struct words *w = data;
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < in->count; i++) {
        size_t bytes, start = 0;
        const char *token = ech_pieces_get(in, i, &bytes);
        for (size_t n = 0; n < w->start && starts(token + start, bytes - start, w->first, w->first_bytes);
             n++)
            start += w->first_bytes;
        for (size_t n = 0; n < w->stop && bytes - start >= w->first_bytes &&
                           memcmp(token + bytes - w->first_bytes, w->first, w->first_bytes) == 0;
             n++)
            bytes -= w->first_bytes;
        code = ech_pieces_put(out, token + start, bytes - start, err);
        if (code == ECH_OK)
            code = ech_pieces_end(out, err);
    }
    return code;
}

int ech_decode_strip(struct ech_decode_words words, struct ech_decode_step *out, struct ech_err *err)
{
    out->apply = strip;
    return create(words, out, err);
}

static int metaspace(const void *data, const struct ech_pieces *in, struct ech_pieces *out,
                     struct ech_err *err)
{
    const struct words *w = data;
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < in->count; i++) {
        size_t bytes;
        const char *token = ech_pieces_get(in, i, &bytes);
        code = ech_pieces_put(out, token, bytes, err);
        if (code != ECH_OK)
            break;
        shorten(out, w->first, w->first_bytes, " ", i == 0 && w->prefix ? 0 : 1);
        code = ech_pieces_end(out, err);
    }
    return code;
}

int ech_decode_metaspace(struct ech_decode_words words, struct ech_decode_step *out, struct ech_err *err)
{
    out->apply = metaspace;
    return create(words, out, err);
}
