/* A sentencepiece file whose pieces bear the ids of another list: Hugging Face's Marian folders (vocab.json),
 * CTranslate2's (a line a token). Pieces that the list lacks are its unknown token; tokens that the file
 * lacks (languages, padding) are special. */
#include "text/sentencepiece_tokenizer.h"

#include "base/mem.h"
#include "text/sentencepiece.h"

#include <string.h>

struct named {
    struct ech_sentencepiece pieces;
    int32_t *ids; /* of each piece */
};

static void named_close(void *model)
{
    struct named *m = model;
    ech_sentencepiece_fini(&m->pieces);
    ech_free(m->ids);
    ech_free(m);
}

static int encode(const void *model, void *scratch, const unsigned char *text, size_t bytes,
                  struct ech_id_sink *sink, struct ech_err *err)
{
    const struct named *m = model;
    int64_t before = sink->found;
    int code = ech_sentencepiece_encode(&m->pieces, scratch, text, bytes, sink, err);
    for (int64_t i = before; i < sink->found && i < sink->limit; i++)
        sink->ids[i] = m->ids[sink->ids[i]];
    return code;
}

static const struct ech_model_ops ops = {.kind = "SentencePiece, named",
                                         .close = named_close,
                                         .scratch_create = ech_sp_scratch_create,
                                         .scratch_destroy = ech_sp_scratch_destroy,
                                         .encode_word = encode,
                                         .encode_text = encode};

static int add_tokens(struct ech_tokenizer *t, const struct ech_sp_vocab *v,
                      const struct ech_vocab_text *tokens, size_t count, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t id = 0; code == ECH_OK && id < count; id++) {
        if (!tokens[id].text)
            continue;
        int32_t piece = ech_sp_vocab_id(v, tokens[id].text, tokens[id].bytes);
        code = ech_tokenizer_add_piece(t, tokens[id].text, tokens[id].bytes, (int64_t)id, err);
        if (code == ECH_OK)
            t->special[id] = piece < 0 || v->types[piece] == ECH_VOCAB_CONTROL;
    }
    return code;
}

static void name_roles(struct ech_tokenizer *t)
{
    static const struct {
        const char *token;
        enum ech_token_role role;
    } roles[] = {
        {"<s>", ECH_TOKEN_BOS}, {"</s>", ECH_TOKEN_EOS}, {"<pad>", ECH_TOKEN_PAD}, {"<unk>", ECH_TOKEN_UNK}};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        t->roles[roles[i].role] = ech_vocab_find(&t->vocab, roles[i].token, strlen(roles[i].token));
}

static int number_pieces(const struct ech_tokenizer *t, struct named *m, const char *name,
                         struct ech_err *err)
{
    const struct ech_sp_vocab *v = &m->pieces.vocab;
    int32_t unknown = t->roles[ECH_TOKEN_UNK];
    if (unknown < 0)
        return ech_fail(err, ECH_DATA, "the vocabulary of %s has no token <unk>", name);
    m->ids = ech_calloc(v->count + 1, sizeof *m->ids, err);
    if (!m->ids)
        return ECH_UNAVAILABLE;
    for (size_t piece = 0; piece < v->count; piece++) {
        size_t bytes;
        const unsigned char *text = ech_sp_vocab_text(v, (int32_t)piece, &bytes);
        int32_t id = ech_vocab_find(&t->vocab, (const char *)text, bytes);
        m->ids[piece] = id >= 0 ? id : unknown;
    }
    return ECH_OK;
}

static int fill(struct ech_tokenizer *t, const char *name, const void *data, size_t bytes,
                const struct ech_vocab_text *tokens, size_t count, struct ech_err *err)
{
    struct named *m = ech_calloc(1, sizeof *m, err);
    if (!m)
        return ECH_UNAVAILABLE;
    int code = ech_sentencepiece_parse(name, data, bytes, &m->pieces, err);
    if (code != ECH_OK) {
        ech_free(m);
        return code;
    }
    t->model = m;
    t->ops = &ops;
    t->whole = true;
    code = ech_decoder_add(&t->decoder,
                           (struct ech_decode_step){.apply = ech_sp_decode_step, .data = &m->pieces}, err);
    if (code == ECH_OK)
        code = add_tokens(t, &m->pieces.vocab, tokens, count, err);
    name_roles(t);
    return code == ECH_OK ? number_pieces(t, m, name, err) : code;
}

int ech_tokenizer_parse_spm_as(const char *name, const void *data, size_t bytes,
                               const struct ech_vocab_text *tokens, size_t count, struct ech_tokenizer **out,
                               struct ech_err *err)
{
    struct ech_tokenizer *t = NULL;
    int code = ech_tokenizer_create(&t, err);
    if (code == ECH_OK)
        code = fill(t, name, data, bytes, tokens, count, err);
    if (code == ECH_OK)
        *out = t;
    else
        ech_tokenizer_close(t);
    return code;
}
