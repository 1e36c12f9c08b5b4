/* sentencepiece models: putting one together and encoding with it; see sentencepiece.h. */
#include "text/sentencepiece.h"

#include "base/mem.h"

#include <float.h>
#include <string.h>

/* FOUND: types of pieces that a text is cut into, a bit each. */
enum { SPACE_BYTES = 3, FOUND = 1 << ECH_VOCAB_NORMAL | 1 << ECH_VOCAB_USER_DEFINED };
static const double UNKNOWN_PENALTY = 10;

void ech_sp_scratch_fini(struct ech_sp_scratch *s)
{
    ech_normal_fini(&s->normal);
    ech_free(s->unigram.places);
    ech_spbpe_scratch_fini(&s->bpe);
    memset(s, 0, sizeof *s);
}

void ech_sentencepiece_fini(struct ech_sentencepiece *m)
{
    ech_sp_vocab_fini(&m->vocab);
    ech_sp_trie_fini(&m->user);
    ech_sp_normalizer_fini(&m->normalizer);
    ech_sp_normalizer_fini(&m->denormalizer);
    ech_unigram_fini(&m->unigram);
    ech_spbpe_fini(&m->bpe);
    ech_free(m->unk_surface);
    memset(m, 0, sizeof *m);
}

static bool is_type(const struct ech_sentencepiece *m, size_t id, unsigned types)
{
    return types >> m->vocab.types[id] & 1;
}

/* A tree of all pieces of the given types (a bit each). */
static int build_tree(const struct ech_sentencepiece *m, unsigned types, struct ech_sp_trie *trie,
                      struct ech_err *err)
{
    struct ech_sp_key *keys = ech_calloc(m->vocab.count, sizeof *keys, err);
    size_t count = 0;
    if (!keys)
        return ECH_UNAVAILABLE;
    for (size_t id = 0; id < m->vocab.count; id++)
        if (is_type(m, id, types) && m->vocab.starts[id + 1] > m->vocab.starts[id]) {
            struct ech_sp_key *key = &keys[count++];
            key->text = ech_sp_vocab_text(&m->vocab, (int32_t)id, &key->bytes);
            key->value = (int32_t)id;
        }
    int code = ech_sp_trie_build(trie, keys, count, err);
    ech_free(keys);
    return code;
}

/* The reference's score of user-defined symbols; llama.cpp scores them 0. */
static double user_score(size_t bytes, bool narrow)
{
    return narrow ? (double)(float)(0.1 * (double)(bytes - 1)) : 0;
}

static int build_unigram(struct ech_sentencepiece *m, bool narrow, struct ech_err *err)
{
    struct ech_unigram *u = &m->unigram;
    const struct ech_sp_vocab *v = &m->vocab;
    float worst = FLT_MAX;
    int code = build_tree(m, FOUND, &u->trie, err);
    if (code == ECH_OK && !(u->scores = ech_calloc(v->count, sizeof *u->scores, err)))
        code = ECH_UNAVAILABLE;
    if (code != ECH_OK)
        return code;
    for (size_t id = 0; id < v->count; id++)
        if (v->types[id] == ECH_VOCAB_NORMAL && v->scores[id] < worst)
            worst = v->scores[id];
    for (size_t id = 0; id < v->count; id++)
        u->scores[id] = v->types[id] == ECH_VOCAB_USER_DEFINED
                            ? user_score(v->starts[id + 1] - v->starts[id], narrow)
                            : (double)v->scores[id];
    u->unknown_score = (double)(worst - (float)UNKNOWN_PENALTY);
    u->unknown = v->unk;
    u->narrow = narrow;
    return ECH_OK;
}

static int set_normalizer(struct ech_sp_normalizer *n, const struct ech_sp_normal_spec *spec,
                          const char *name, struct ech_err *err)
{
    n->dummy_prefix = spec->dummy_prefix;
    n->remove_extra = spec->remove_extra;
    n->escape = spec->escape;
    int code = ech_charsmap_init(&n->map, spec->charsmap.text, spec->charsmap.bytes, err);
    return code == ECH_OK ? ECH_OK : ech_prefix(err, "%s", name);
}

static int32_t control_id(const struct ech_sp_vocab *v, struct ech_vocab_text text)
{
    int32_t id = ech_sp_vocab_id(v, text.text, text.bytes);
    return id >= 0 && v->types[id] == ECH_VOCAB_CONTROL ? id : -1;
}

/* What the reference asks of the pieces of a file. */
static int check_pieces(const struct ech_sp_vocab *v, const struct ech_sp_file *file, const char *name,
                        struct ech_err *err)
{
    int unknown = 0, bytes = 0;
    for (size_t id = 0; id < v->count; id++) {
        size_t length;
        const char *text = (const char *)ech_sp_vocab_text(v, (int32_t)id, &length);
        unknown += v->types[id] == ECH_VOCAB_UNKNOWN;
        if (v->types[id] != ECH_VOCAB_BYTE)
            continue;
        if (!file->byte_fallback || ech_sp_byte_of(text, length) < 0)
            return ech_fail(err, ECH_DATA, "%s: byte piece %zu, \"%.*s\": %s", name, id,
                            (int)(length < 60 ? length : 60), text,
                            file->byte_fallback ? "\"<0x00>\" to \"<0xFF>\" were expected"
                                                : "the model has no byte_fallback");
        bytes++;
    }
    if (unknown != 1)
        return ech_fail(err, ECH_DATA, "%s: %d unknown pieces, 1 was expected", name, unknown);
    if (file->byte_fallback && bytes != 256)
        return ech_fail(err, ECH_DATA, "%s: %d byte pieces, 256 were expected", name, bytes);
    return ECH_OK;
}

static int build(struct ech_sentencepiece *m, const struct ech_sp_file *file, const char *name,
                 struct ech_err *err)
{
    int code =
        ech_sp_vocab_init(&m->vocab, name, file->tokens, file->scores, file->types, file->count, false, err);
    if (code == ECH_OK)
        code = check_pieces(&m->vocab, file, name, err);
    if (code == ECH_OK)
        code = build_tree(m, 1u << ECH_VOCAB_USER_DEFINED, &m->user, err);
    if (code == ECH_OK)
        code = set_normalizer(&m->normalizer, &file->normalizer, name, err);
    if (code == ECH_OK)
        code = set_normalizer(&m->denormalizer, &file->denormalizer, name, err);
    if (code != ECH_OK)
        return code;
    m->kind = (enum ech_sp_model)file->model;
    m->normalizer.suffix = file->suffix_whitespace;
    m->normalizer.user = m->user.any ? &m->user : NULL;
    m->denormalizes = file->denormalizer.charsmap.bytes > 0;
    m->byte_fallback = file->byte_fallback;
    m->bos = control_id(&m->vocab, file->bos);
    m->eos = control_id(&m->vocab, file->eos);
    m->pad = control_id(&m->vocab, file->pad);
    const char *surface = file->has_unk_surface ? file->unk_surface.text : " \xE2\x81\x87 ";
    size_t bytes = file->has_unk_surface ? file->unk_surface.bytes : strlen(surface);
    if (!(m->unk_surface = ech_strndup(surface, bytes, err)))
        return ECH_UNAVAILABLE;
    if (m->kind == ECH_SP_UNIGRAM)
        return build_unigram(m, true, err);
    if (m->kind == ECH_SP_BPE)
        return ech_spbpe_init(&m->bpe, &m->vocab, m->normalizer.user, false, err);
    return ECH_OK;
}

int ech_sentencepiece_parse(const char *name, const void *data, size_t bytes, struct ech_sentencepiece *out,
                            struct ech_err *err)
{
    struct ech_sp_file file;
    memset(out, 0, sizeof *out);
    int code = ech_sp_file_parse(name, data, bytes, &file, err);
    if (code != ECH_OK)
        return code;
    code = build(out, &file, name, err);
    ech_sp_file_fini(&file);
    if (code != ECH_OK)
        ech_sentencepiece_fini(out);
    return code;
}

static bool choose(int flag, bool otherwise)
{
    return flag == ECH_VOCAB_UNSET ? otherwise : flag != 0;
}

static int check_source(const char *name, const struct ech_vocab_source *s, struct ech_err *err)
{
    if (!s->scores)
        return ech_fail(err, ECH_DATA, "%s: a vocabulary of model \"%s\" without scores", name, s->model);
    for (size_t i = 0; i < s->count; i++) {
        if (s->scores[i] != s->scores[i])
            return ech_fail(err, ECH_DATA, "%s: the score of token %zu is not a number", name, i);
        if (s->types && (s->types[i] < ECH_VOCAB_NORMAL || s->types[i] > ECH_VOCAB_BYTE))
            return ech_fail(err, ECH_DATA, "%s: token %zu has type %d, 1 to 6 was expected", name, i,
                            (int)s->types[i]);
    }
    return ECH_OK;
}

/* llama.cpp takes user-defined tokens out of the text beforehand, so the BPE knows of none. */
static int build_source(struct ech_sentencepiece *m, const char *name, const struct ech_vocab_source *s,
                        bool llama, struct ech_err *err)
{
    const struct ech_sp_normal_spec spec = {.charsmap = s->charsmap,
                                            .dummy_prefix = choose(s->add_space_prefix, llama),
                                            .remove_extra = choose(s->remove_extra_whitespaces, false),
                                            .escape = choose(s->escape_whitespaces, true)};
    int code = ech_sp_vocab_init(&m->vocab, name, s->tokens, s->scores, s->types, s->count, true, err);
    if (code == ECH_OK)
        code = build_tree(m, 1u << ECH_VOCAB_USER_DEFINED, &m->user, err);
    if (code == ECH_OK)
        code = set_normalizer(&m->normalizer, &spec, name, err);
    if (code != ECH_OK)
        return code;
    m->kind = llama ? ECH_SP_BPE : ECH_SP_UNIGRAM;
    m->normalizer.suffix = choose(s->suffix_whitespace, false);
    m->normalizer.user = m->user.any && !llama ? &m->user : NULL;
    if (s->unk >= 0)
        m->vocab.unk = (int32_t)s->unk;
    for (int i = 0; i < 256; i++)
        m->byte_fallback |= m->vocab.bytes[i] >= 0;
    m->bos = (int32_t)s->bos;
    m->eos = (int32_t)s->eos;
    m->pad = (int32_t)s->pad;
    if (!m->byte_fallback && m->vocab.unk < 0)
        return ech_fail(err, ECH_DATA, "%s: a vocabulary with neither byte tokens nor an unknown token",
                        name);
    if (!(m->unk_surface = ech_strdup("", err)))
        return ECH_UNAVAILABLE;
    return llama ? ech_spbpe_init(&m->bpe, &m->vocab, NULL, true, err) : build_unigram(m, false, err);
}

int ech_sentencepiece_from_source(const char *name, const struct ech_vocab_source *s,
                                  struct ech_sentencepiece *out, struct ech_err *err)
{
    memset(out, 0, sizeof *out);
    int code = check_source(name, s, err);
    if (code == ECH_OK)
        code = build_source(out, name, s, strcmp(s->model, "llama") == 0, err);
    if (code != ECH_OK)
        ech_sentencepiece_fini(out);
    return code;
}

/* Where pieces become ids: unknown ones in a row are one, or all their bytes. */
struct emit {
    const struct ech_sentencepiece *model;
    struct ech_id_sink *sink;
    bool after_unknown;
};

static void emit_bytes(struct emit *e, const unsigned char *text, size_t bytes)
{
    const struct ech_sp_vocab *v = &e->model->vocab;
    for (size_t i = 0; i < bytes; i++)
        ech_sink_put(e->sink, v->bytes[text[i]] >= 0 ? v->bytes[text[i]] : v->unk);
}

static void emit(struct emit *e, int32_t id, const unsigned char *text, size_t bytes)
{
    const struct ech_sentencepiece *m = e->model;
    bool unknown = id < 0 || id == m->vocab.unk;
    if (unknown && m->byte_fallback)
        emit_bytes(e, text, bytes);
    else if (!unknown || !e->after_unknown)
        ech_sink_put(e->sink, unknown ? m->vocab.unk : id);
    e->after_unknown = unknown;
}

static int emit_piece(void *context, int32_t id, const unsigned char *text, size_t bytes, struct ech_err *err)
{
    (void)err;
    emit(context, id, text, bytes);
    return ECH_OK;
}

static int encode_unigram(struct emit *e, struct ech_sp_scratch *s, const unsigned char *text, size_t bytes,
                          struct ech_err *err)
{
    int code = ech_unigram_best(&e->model->unigram, text, bytes, &s->unigram, err);
    if (code != ECH_OK)
        return code;
    for (size_t at = 0; at < bytes;) {
        struct ech_unigram_place place = s->unigram.places[at];
        emit(e, place.id, text + at, (size_t)place.other - at);
        at = (size_t)place.other;
    }
    return ECH_OK;
}

static bool is_space(const unsigned char *text, size_t bytes)
{
    return bytes >= SPACE_BYTES && memcmp(text, "\xE2\x96\x81", SPACE_BYTES) == 0;
}

/* Bytes of the word at the front: up to the next space. */
static size_t word_bytes(const unsigned char *text, size_t bytes)
{
    size_t at = 1;
    while (at < bytes && !is_space(text + at, bytes - at))
        at++;
    return at;
}

static size_t symbol_bytes(const struct ech_sentencepiece *m, const unsigned char *text, size_t bytes)
{
    int32_t value;
    bool valid;
    size_t length = m->user.first[text[0]] ? ech_sp_trie_longest(&m->user, text, bytes, &value) : 0;
    return length ? length : ech_sp_char(text, bytes, &valid);
}

/* Models of words and of characters look up what they find. */
static void encode_simple(struct emit *e, const unsigned char *text, size_t bytes)
{
    const struct ech_sentencepiece *m = e->model;
    while (bytes > 0) {
        size_t length = m->kind == ECH_SP_WORD ? word_bytes(text, bytes) : symbol_bytes(m, text, bytes);
        int32_t id = ech_sp_vocab_id(&m->vocab, text, length);
        bool found = id >= 0 && is_type(m, (size_t)id, FOUND);
        emit(e, found ? id : -1, text, length);
        text += length;
        bytes -= length;
    }
}

int ech_sentencepiece_encode(const struct ech_sentencepiece *m, struct ech_sp_scratch *s,
                             const unsigned char *text, size_t bytes, struct ech_id_sink *sink,
                             struct ech_err *err)
{
    struct emit e = {.model = m, .sink = sink};
    const struct ech_spbpe_out out = {emit_piece, &e};
    s->normal.bytes = 0;
    int code = ech_sp_normalize(&m->normalizer, text, bytes, &s->normal, err);
    if (code != ECH_OK || s->normal.bytes == 0)
        return code;
    if (m->kind == ECH_SP_UNIGRAM)
        return encode_unigram(&e, s, s->normal.text, s->normal.bytes, err);
    if (m->kind == ECH_SP_BPE)
        return ech_spbpe_encode(&m->bpe, s->normal.text, s->normal.bytes, &s->bpe, &out, err);
    encode_simple(&e, s->normal.text, s->normal.bytes);
    return ECH_OK;
}
