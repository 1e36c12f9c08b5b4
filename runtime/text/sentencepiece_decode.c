/* From pieces back to text: see sentencepiece.h. */
#include "text/sentencepiece.h"

#include "base/mem.h"

#include <string.h>

enum { SPACE_BYTES = 3 };

struct decode {
    const struct ech_sentencepiece *model;
    struct ech_pieces *out;
    struct ech_normal run; /* bytes of byte pieces in a row */
    bool at_front, front_seen;
};

static int put(struct decode *d, const void *text, size_t bytes, struct ech_err *err)
{
    return ech_pieces_put(d->out, text, bytes, err);
}

static int flush_bytes(struct decode *d, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t at = 0; code == ECH_OK && at < d->run.bytes;) {
        bool valid;
        size_t length = ech_sp_char(d->run.text + at, d->run.bytes - at, &valid);
        code = valid ? put(d, d->run.text + at, length, err) : put(d, "\xEF\xBF\xBD", 3, err);
        at += length;
    }
    d->run.bytes = 0;
    return code;
}

/* Text with U+2581 as spaces. */
static int put_spaced(struct decode *d, const char *text, size_t bytes, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t at = 0; code == ECH_OK && at < bytes;) {
        const char *space = memmem(text + at, bytes - at, "\xE2\x96\x81", SPACE_BYTES);
        size_t end = space ? (size_t)(space - text) : bytes;
        code = put(d, text + at, end - at, err);
        if (code == ECH_OK && space)
            code = put(d, " ", 1, err);
        at = space ? end + SPACE_BYTES : bytes;
    }
    return code;
}

/* A space that the normaliser put or would have taken away does not come back at the front of the text. */
static int put_piece(struct decode *d, const char *text, size_t bytes, struct ech_err *err)
{
    const struct ech_sp_normalizer *n = &d->model->normalizer;
    bool strips = d->at_front && (n->dummy_prefix || n->remove_extra);
    d->front_seen = false;
    if (strips && bytes >= SPACE_BYTES && memcmp(text, "\xE2\x96\x81", SPACE_BYTES) == 0) {
        text += SPACE_BYTES;
        bytes -= SPACE_BYTES;
        d->front_seen = !n->remove_extra;
    }
    return put_spaced(d, text, bytes, err);
}

static int put_unknown(struct decode *d, int32_t id, const char *text, size_t bytes, struct ech_err *err)
{
    const char *surface = d->model->unk_surface;
    d->front_seen = false;
    return id >= 0 ? put(d, surface, strlen(surface), err) : put(d, text, bytes, err);
}

static int decode_one(struct decode *d, const char *text, size_t bytes, struct ech_err *err)
{
    const struct ech_sp_vocab *v = &d->model->vocab;
    int32_t id = ech_sp_vocab_id(v, text, bytes);
    unsigned type = id < 0 ? ECH_VOCAB_UNKNOWN : v->types[id];
    int byte = type == ECH_VOCAB_BYTE ? ech_sp_byte_of(text, bytes) : -1;
    if (byte >= 0) {
        unsigned char one = (unsigned char)byte;
        return ech_normal_put(&d->run, &one, 1, err);
    }
    int code = flush_bytes(d, err);
    if (code != ECH_OK)
        return code;
    if (d->front_seen || d->out->bytes > 0)
        d->at_front = false;
    if (type == ECH_VOCAB_UNKNOWN)
        return put_unknown(d, id, text, bytes, err);
    if (type != ECH_VOCAB_CONTROL)
        return put_piece(d, text, bytes, err);
    d->front_seen = false;
    return ECH_OK;
}

static int denormalize(struct decode *d, struct ech_err *err)
{
    d->run.bytes = 0;
    int code = ech_sp_normalize(&d->model->denormalizer, (const unsigned char *)d->out->text, d->out->bytes,
                                &d->run, err);
    ech_pieces_clear(d->out);
    return code == ECH_OK ? put(d, d->run.text, d->run.bytes, err) : code;
}

int ech_sentencepiece_decode(const struct ech_sentencepiece *m, const struct ech_pieces *pieces,
                             struct ech_pieces *out, struct ech_err *err)
{
    struct decode d = {.model = m, .out = out, .at_front = true};
    int code = put(&d, "", 0, err); /* nothing is a text, too */
    for (size_t i = 0; code == ECH_OK && i < pieces->count; i++) {
        size_t bytes;
        const char *text = ech_pieces_get(pieces, i, &bytes);
        code = decode_one(&d, text, bytes, err);
    }
    if (code == ECH_OK)
        code = flush_bytes(&d, err);
    if (code == ECH_OK && m->denormalizes)
        code = denormalize(&d, err);
    if (code == ECH_OK)
        code = ech_pieces_end(out, err);
    ech_normal_fini(&d.run);
    return code;
}
