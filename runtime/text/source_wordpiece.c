/* WordPiece from the arrays of a GGUF: words begin with U+2581 there, continuations are written bare. */
#include "base/mem.h"
#include "text/bert_normal.h"
#include "text/decoders.h"
#include "text/tokenizer_impl.h"
#include "text/vocab_source.h"
#include "text/wordpiece.h"

#include <string.h>

#define SPACE "\xE2\x96\x81"

static int add_pieces(struct ech_wordpiece *pieces, const struct ech_vocab_source *s, struct ech_err *err)
{
    int code = ECH_OK;
    for (size_t i = 0; code == ECH_OK && i < s->count; i++) {
        const char *text = s->tokens[i].text;
        size_t bytes = s->tokens[i].bytes;
        bool word = bytes > 3 && memcmp(text, SPACE, 3) == 0;
        if (bytes == 0)
            continue;
        code = word ? ech_trie_add(&pieces->trie, 0, text + 3, bytes - 3, (int32_t)i, err)
                    : ech_trie_add(&pieces->trie, 1, text, bytes, (int32_t)i, err);
    }
    return code;
}

static int add_frame(struct ech_tokenizer *t, const struct ech_vocab_source *s, struct ech_err *err)
{
    int64_t cls = s->bos, sep = s->sep >= 0 ? s->sep : s->eos;
    if (cls < 0 || sep < 0)
        return ECH_OK;
    const struct ech_post_part parts[] = {{ECH_POST_TOKEN, (int32_t)cls, 0},
                                          {ECH_POST_FIRST, 0, 0},
                                          {ECH_POST_TOKEN, (int32_t)sep, 0},
                                          {ECH_POST_SECOND, 0, 1},
                                          {ECH_POST_TOKEN, (int32_t)sep, 1}};
    int code = ECH_OK;
    t->roles[ECH_TOKEN_CLS] = (int32_t)cls;
    t->post.single.count = t->post.pair.count = 0;
    for (int i = 0; code == ECH_OK && i < 5; i++) {
        code = ech_post_add(&t->post.pair, parts[i], err);
        if (code == ECH_OK && i < 3)
            code = ech_post_add(&t->post.single, parts[i], err);
    }
    return code;
}

static int add_text_parts(struct ech_tokenizer *t, struct ech_err *err)
{
    struct ech_normal_step step;
    struct ech_decode_step back = {0};
    int code = ech_bert_step(
        (struct ech_bert_normalizer){.clean = true, .cjk = true, .strip = true, .lower = true}, &step, err);
    if (code == ECH_OK)
        code = ech_normalizer_add(&t->normalizer, step, err);
    if (code == ECH_OK)
        code = ech_decode_metaspace((struct ech_decode_words){.first = SPACE, .prefix = true}, &back, err);
    t->whole = t->by_chunk = true;
    return code == ECH_OK ? ech_decoder_add(&t->decoder, back, err) : code;
}

int ech_tokenizer_fill_wordpiece(struct ech_tokenizer *t, const char *name, const struct ech_vocab_source *s,
                                 struct ech_err *err)
{
    struct ech_wordpiece *pieces;
    if (s->unk < 0)
        return ech_fail(err, ECH_DATA, "%s: the vocabulary names no unknown token", name);
    int code = add_text_parts(t, err);
    if (code == ECH_OK)
        code = ech_wordpiece_create("", &pieces, err);
    if (code != ECH_OK)
        return code;
    t->ops = &ech_wordpiece_ops;
    t->model = pieces;
    pieces->unknown = (int32_t)s->unk;
    code = ech_tokenizer_source_tokens(t, name, s, err);
    if (code == ECH_OK)
        code = add_pieces(pieces, s, err);
    return code == ECH_OK ? add_frame(t, s, err) : code;
}
