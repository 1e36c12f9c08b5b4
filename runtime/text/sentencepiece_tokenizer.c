/* sentencepiece models as tokenizers: files, and the vocabularies "llama" and "t5" of a source. */
#include "text/sentencepiece_tokenizer.h"

#include "base/mem.h"
#include "text/sentencepiece.h"

#include <string.h>

static void model_close(void *model)
{
    ech_sentencepiece_fini(model);
    ech_free(model);
}

int ech_sp_scratch_create(const void *model, void **scratch, struct ech_err *err)
{
    (void)model;
    *scratch = ech_calloc(1, sizeof(struct ech_sp_scratch), err);
    return *scratch ? ECH_OK : ECH_UNAVAILABLE;
}

void ech_sp_scratch_destroy(void *scratch)
{
    ech_sp_scratch_fini(scratch);
    ech_free(scratch);
}

int ech_sp_decode_step(const void *model, const struct ech_pieces *in, struct ech_pieces *out,
                       struct ech_err *err)
{
    return ech_sentencepiece_decode(model, in, out, err);
}

static int encode(const void *model, void *scratch, const unsigned char *text, size_t bytes,
                  struct ech_id_sink *sink, struct ech_err *err)
{
    return ech_sentencepiece_encode(model, scratch, text, bytes, sink, err);
}

static const char *token_text(const void *model, int64_t id, size_t *bytes)
{
    const struct ech_sentencepiece *m = model;
    if (id < 0 || id >= (int64_t)m->vocab.count)
        return NULL;
    return (const char *)ech_sp_vocab_text(&m->vocab, (int32_t)id, bytes);
}

static int32_t token_id(const void *model, const void *text, size_t bytes)
{
    const struct ech_sentencepiece *m = model;
    return ech_sp_vocab_id(&m->vocab, text, bytes);
}

#define OPS(name)                                                                                            \
    {                                                                                                        \
        .kind = name, .close = model_close, .scratch_create = ech_sp_scratch_create,                         \
        .scratch_destroy = ech_sp_scratch_destroy, .encode_word = encode, .encode_text = encode,             \
        .token_text = token_text, .token_id = token_id                                                       \
    }
static const struct ech_model_ops ops[] = {
    [ECH_SP_UNIGRAM] = OPS("SentencePiece Unigram"),
    [ECH_SP_BPE] = OPS("SentencePiece BPE"),
    [ECH_SP_WORD] = OPS("SentencePiece word"),
    [ECH_SP_CHAR] = OPS("SentencePiece character"),
};

/* The model moves into the tokenizer, which asks it for the pieces. */
static int adopt(struct ech_tokenizer *t, struct ech_sentencepiece *m, struct ech_err *err)
{
    t->model = m;
    t->ops = &ops[m->kind];
    t->whole = true;
    t->roles[ECH_TOKEN_BOS] = m->bos;
    t->roles[ECH_TOKEN_EOS] = m->eos;
    t->roles[ECH_TOKEN_PAD] = m->pad;
    t->roles[ECH_TOKEN_UNK] = m->vocab.unk;
    int code =
        ech_decoder_add(&t->decoder, (struct ech_decode_step){.apply = ech_sp_decode_step, .data = m}, err);
    return code == ECH_OK ? ech_tokenizer_count_pieces(t, m->vocab.count, err) : code;
}

static int fill_spm(struct ech_tokenizer *t, const char *name, const void *data, size_t bytes,
                    struct ech_err *err)
{
    struct ech_sentencepiece *m = ech_calloc(1, sizeof *m, err);
    if (!m)
        return ECH_UNAVAILABLE;
    int code = ech_sentencepiece_parse(name, data, bytes, m, err);
    if (code != ECH_OK) {
        ech_free(m);
        return code;
    }
    code = adopt(t, m, err);
    for (size_t id = 0; code == ECH_OK && id < m->vocab.count; id++)
        t->special[id] = m->vocab.types[id] == ECH_VOCAB_CONTROL;
    return code;
}

/* Tokens that llama.cpp takes out of the raw text: control and unknown ones where special tokens are asked
 * for, user-defined ones always. */
static int add_found_tokens(struct ech_tokenizer *t, const struct ech_sp_vocab *v, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t id = 0; code == ECH_OK && id < v->count; id++) {
        unsigned type = v->types[id];
        bool special = type == ECH_VOCAB_CONTROL || type == ECH_VOCAB_UNKNOWN;
        if (!special && type != ECH_VOCAB_USER_DEFINED)
            continue;
        size_t bytes;
        const unsigned char *text = ech_sp_vocab_text(v, (int32_t)id, &bytes);
        code = ech_tokenizer_add_token(t, (const char *)text, bytes, (int64_t)id,
                                       (struct ech_token_flags){.special = special}, err);
    }
    return code;
}

int ech_tokenizer_fill_sentencepiece(struct ech_tokenizer *t, const char *name,
                                     const struct ech_vocab_source *source, struct ech_err *err)
{
    struct ech_sentencepiece *m = ech_calloc(1, sizeof *m, err);
    if (!m)
        return ECH_UNAVAILABLE;
    int code = ech_sentencepiece_from_source(name, source, m, err);
    if (code != ECH_OK) {
        ech_free(m);
        return code;
    }
    code = adopt(t, m, err);
    return code == ECH_OK ? add_found_tokens(t, &m->vocab, err) : code;
}

int ech_tokenizer_parse_spm(const char *name, const void *data, size_t bytes, struct ech_tokenizer **out,
                            struct ech_err *err)
{
    struct ech_tokenizer *t = NULL;
    int code = ech_tokenizer_create(&t, err);
    if (code == ECH_OK)
        code = fill_spm(t, name, data, bytes, err);
    if (code == ECH_OK)
        *out = t;
    else
        ech_tokenizer_close(t);
    return code;
}
