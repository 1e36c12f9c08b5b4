/* Protobuf wire format, as much of it as sentencepiece files have: see sentencepiece_file.h. */
#include "text/sentencepiece_file.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

/* PIECE_LESS: longer pieces are refused by the reference too. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5, PIECE_LESS = 8000, PIECES_MOST = 1 << 24 };

/* A message, or the whole file. */
struct message {
    const char *name;
    const unsigned char *data; /* the file */
    size_t at, end;
};

struct field {
    uint32_t number, wire;
    size_t at; /* of its tag */
    uint64_t value;
    size_t start, bytes; /* of BYTES */
};

static int malformed(const struct message *m, size_t at, struct ech_err *err, const char *what)
{
    return ech_fail(err, ECH_DATA, "%s: byte %zu: %s", m->name, at, what);
}

static int read_varint(struct message *m, uint64_t *out, struct ech_err *err)
{
    uint64_t value = 0;
    size_t start = m->at;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (m->at >= m->end)
            return malformed(m, start, err, "a number goes on beyond the end of its message");
        unsigned char byte = m->data[m->at++];
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *out = value;
            return ECH_OK;
        }
    }
    return malformed(m, start, err, "a number of more than 64 bits");
}

static int read_fixed(struct message *m, unsigned bytes, uint64_t *out, struct ech_err *err)
{
    if (m->end - m->at < bytes)
        return malformed(m, m->at, err, "a number goes on beyond the end of its message");
    *out = 0;
    for (unsigned i = 0; i < bytes; i++)
        *out |= (uint64_t)m->data[m->at++] << 8 * i;
    return ECH_OK;
}

static int read_payload(struct message *m, struct field *f, struct ech_err *err)
{
    switch (f->wire) {
    case VARINT:
        return read_varint(m, &f->value, err);
    case FIXED64:
        return read_fixed(m, 8, &f->value, err);
    case FIXED32:
        return read_fixed(m, 4, &f->value, err);
    case BYTES: {
        int code = read_varint(m, &f->value, err);
        if (code != ECH_OK)
            return code;
        if (f->value > m->end - m->at)
            return malformed(m, f->at, err, "a field is longer than its message");
        f->start = m->at;
        f->bytes = (size_t)f->value;
        m->at += f->bytes;
        return ECH_OK;
    }
    default:
        return ech_fail(err, ECH_DATA, "%s: byte %zu: field %u has wire type %u, 0, 1, 2 or 5 was expected",
                        m->name, f->at, (unsigned)f->number, (unsigned)f->wire);
    }
}

/* The next field; false at the end of the message or on an error. */
static bool next_field(struct message *m, struct field *f, int *code, struct ech_err *err)
{
    uint64_t tag = 0;
    if (*code != ECH_OK || m->at >= m->end)
        return false;
    *f = (struct field){.at = m->at};
    *code = read_varint(m, &tag, err);
    if (*code == ECH_OK && (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF))
        *code = malformed(m, f->at, err, "a field number outside 1 to 536870911");
    if (*code != ECH_OK)
        return false;
    f->number = (uint32_t)(tag >> 3);
    f->wire = (uint32_t)(tag & 7);
    *code = read_payload(m, f, err);
    return *code == ECH_OK;
}

static int wants(const struct message *m, const struct field *f, uint32_t wire, struct ech_err *err)
{
    if (f->wire == wire)
        return ECH_OK;
    return ech_fail(err, ECH_DATA, "%s: byte %zu: field %u has wire type %u, %u was expected", m->name, f->at,
                    (unsigned)f->number, (unsigned)f->wire, (unsigned)wire);
}

static int get_bool(const struct message *m, const struct field *f, bool *out, struct ech_err *err)
{
    int code = wants(m, f, VARINT, err);
    if (code == ECH_OK)
        *out = f->value != 0;
    return code;
}

static int get_bytes(const struct message *m, const struct field *f, struct ech_vocab_text *out,
                     struct ech_err *err)
{
    int code = wants(m, f, BYTES, err);
    if (code == ECH_OK)
        *out = (struct ech_vocab_text){(const char *)m->data + f->start, f->bytes};
    return code;
}

static int get_text(const struct message *m, const struct field *f, struct ech_vocab_text *out,
                    struct ech_err *err)
{
    int code = get_bytes(m, f, out, err);
    if (code == ECH_OK && ech_utf8_invalid_at(out->text, out->bytes) >= 0)
        code = malformed(m, f->start, err, "a text that is not UTF-8");
    return code;
}

static struct message inner(const struct message *m, const struct field *f)
{
    return (struct message){m->name, m->data, f->start, f->start + f->bytes};
}

static int check_piece(const struct message *m, size_t at, struct ech_vocab_text text, float score,
                       uint64_t type, struct ech_err *err)
{
    if (text.bytes == 0)
        return malformed(m, at, err, "a piece without text");
    if (text.bytes >= PIECE_LESS)
        return ech_fail(err, ECH_DATA, "%s: byte %zu: a piece of %zu bytes, less than %d were expected",
                        m->name, at, text.bytes, PIECE_LESS);
    if (memchr(text.text, 0, text.bytes))
        return malformed(m, at, err, "a piece that holds a NUL");
    if (isnan(score))
        return malformed(m, at, err, "a piece whose score is not a number");
    if (type < ECH_VOCAB_NORMAL || type > ECH_VOCAB_BYTE)
        return ech_fail(err, ECH_DATA, "%s: byte %zu: a piece of type %llu, 1 to 6 was expected", m->name, at,
                        (unsigned long long)type);
    return ECH_OK;
}

static int add_piece(struct ech_sp_file *file, struct ech_vocab_text text, float score, int32_t type,
                     struct ech_err *err)
{
    size_t need = file->count + 1;
    int code = ech_grow((void **)&file->tokens, &file->tokens_capacity, need, sizeof *file->tokens, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&file->scores, &file->scores_capacity, need, sizeof *file->scores, err);
    if (code == ECH_OK)
        code = ech_grow((void **)&file->types, &file->types_capacity, need, sizeof *file->types, err);
    if (code != ECH_OK)
        return code;
    file->tokens[file->count] = text;
    file->scores[file->count] = score;
    file->types[file->count++] = type;
    return ECH_OK;
}

static int read_piece(struct message m, struct ech_sp_file *file, struct ech_err *err)
{
    struct field f;
    struct ech_vocab_text text = {0};
    float score = 0;
    uint64_t type = ECH_VOCAB_NORMAL;
    size_t start = m.at;
    int code = ECH_OK;
    while (next_field(&m, &f, &code, err)) {
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1)
            code = get_text(&m, &f, &text, err);
        else if (f.number == 2 && (code = wants(&m, &f, FIXED32, err)) == ECH_OK)
            memcpy(&score, &bits, sizeof score);
        else if (f.number == 3 && (code = wants(&m, &f, VARINT, err)) == ECH_OK)
            type = f.value;
    }
    if (code == ECH_OK)
        code = check_piece(&m, start, text, score, type, err);
    if (code == ECH_OK && file->count >= PIECES_MOST)
        code = malformed(&m, start, err, "more than 16777216 pieces");
    return code == ECH_OK ? add_piece(file, text, score, (int32_t)type, err) : code;
}

static int read_trainer_field(const struct message *m, const struct field *f, struct ech_sp_file *file,
                              struct ech_err *err)
{
    int code;
    switch (f->number) {
    case 3:
        code = wants(m, f, VARINT, err);
        file->model = (int64_t)f->value;
        if (code == ECH_OK && (f->value == 0 || f->value > ECH_SP_CHAR))
            code = ech_fail(err, ECH_DATA,
                            "%s: byte %zu: model type %llu is not supported (known: 1 unigram, 2 BPE, "
                            "3 word, 4 character)",
                            m->name, f->at, (unsigned long long)f->value);
        return code;
    case 24:
        return get_bool(m, f, &file->suffix_whitespace, err);
    case 35:
        return get_bool(m, f, &file->byte_fallback, err);
    case 44:
        file->has_unk_surface = true;
        return get_text(m, f, &file->unk_surface, err);
    case 45:
        return get_text(m, f, &file->unk, err);
    case 46:
        return get_text(m, f, &file->bos, err);
    case 47:
        return get_text(m, f, &file->eos, err);
    case 48:
        return get_text(m, f, &file->pad, err);
    default:
        return ECH_OK;
    }
}

static int read_trainer(struct message m, struct ech_sp_file *file, struct ech_err *err)
{
    struct field f;
    int code = ECH_OK;
    while (next_field(&m, &f, &code, err))
        code = read_trainer_field(&m, &f, file, err);
    return code;
}

static int read_normalizer(struct message m, struct ech_sp_normal_spec *spec, struct ech_err *err)
{
    struct field f;
    int code = ECH_OK;
    while (next_field(&m, &f, &code, err))
        if (f.number == 2)
            code = get_bytes(&m, &f, &spec->charsmap, err);
        else if (f.number == 3)
            code = get_bool(&m, &f, &spec->dummy_prefix, err);
        else if (f.number == 4)
            code = get_bool(&m, &f, &spec->remove_extra, err);
        else if (f.number == 5)
            code = get_bool(&m, &f, &spec->escape, err);
    return code;
}

static int read_field(const struct message *m, const struct field *f, struct ech_sp_file *file,
                      struct ech_err *err)
{
    bool known = f->number == 1 || f->number == 2 || f->number == 3 || f->number == 5;
    int code = known ? wants(m, f, BYTES, err) : ECH_OK;
    if (code != ECH_OK || !known)
        return code;
    if (f->number == 1)
        return read_piece(inner(m, f), file, err);
    if (f->number == 2)
        return read_trainer(inner(m, f), file, err);
    return read_normalizer(inner(m, f), f->number == 3 ? &file->normalizer : &file->denormalizer, err);
}

static struct ech_vocab_text text_of(const char *text)
{
    return (struct ech_vocab_text){text, strlen(text)};
}

int ech_sp_file_parse(const char *name, const void *data, size_t bytes, struct ech_sp_file *out,
                      struct ech_err *err)
{
    struct message m = {name, data, 0, bytes};
    struct field f;
    const struct ech_sp_normal_spec spec = {.dummy_prefix = true, .remove_extra = true, .escape = true};
    int code = ECH_OK;
    *out = (struct ech_sp_file){.model = ECH_SP_UNIGRAM,
                                .normalizer = spec,
                                .denormalizer = spec,
                                .unk = text_of("<unk>"),
                                .bos = text_of("<s>"),
                                .eos = text_of("</s>"),
                                .pad = text_of("<pad>")};
    while (next_field(&m, &f, &code, err))
        code = read_field(&m, &f, out, err);
    if (code == ECH_OK && out->count == 0)
        code = ech_fail(err, ECH_DATA, "%s: no pieces: not a sentencepiece file", name);
    if (code != ECH_OK)
        ech_sp_file_fini(out);
    return code;
}

void ech_sp_file_fini(struct ech_sp_file *file)
{
    ech_free(file->tokens);
    ech_free(file->scores);
    ech_free(file->types);
    memset(file, 0, sizeof *file);
}
